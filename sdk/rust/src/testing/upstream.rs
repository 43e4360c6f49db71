//! Tools that are a function of the test.

use std::rc::Rc;

use super::host;
use crate::upstream::Error;

pub(super) type Answering = Rc<dyn Fn(&str, &str, &str) -> Result<String, Error>>;

/// From now on calls of tools are answered so: upstream, tool, arguments. Without it there is no tool.
pub fn answer_calls(answer: impl Fn(&str, &str, &str) -> Result<String, Error> + 'static) {
    host::with(|host| host.tools = Some(Rc::new(answer)));
}

pub(crate) fn call_tool(upstream: &str, tool: &str, arguments: &str) -> Result<String, Error> {
    let answer = host::with(|host| host.tools.clone()).ok_or(Error::Unknown)?;
    answer(upstream, tool, arguments)
}
