//! Tools that a plugin under test calls itself: they answer from a list.

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use serde::Deserialize;
use serde_json::Value;
use sluice_chain::{
    catalogue::View,
    subcall::{CallError, Calls, ToolCall, Within},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// One call that the plugin is to make, and what comes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scripted {
    upstream: String,
    tool: String,
    /// Absent: any.
    arguments: Option<Value>,
    /// The `result`; absent, and nothing else said: one without content.
    answer: Option<Value>,
    /// The JSON-RPC error that it ends in.
    error: Option<Ended>,
    fails: Option<Failure>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ended {
    code: i64,
    message: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Failure {
    Unknown,
    Timeout,
}

/// Tools that answer from a list, in its order. A call that is not next in it ends in an error.
pub struct Tools(Mutex<VecDeque<Scripted>>);

impl Tools {
    pub(super) fn new(scripted: Vec<Scripted>) -> Self {
        Self(Mutex::new(scripted.into()))
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<Scripted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next that was not called.
    pub fn left(&self) -> Option<String> {
        self.list().front().map(|next| format!("{} of {}", next.tool, next.upstream))
    }

    fn answer(&self, call: &ToolCall) -> Result<Bytes, CallError> {
        let arguments = serde_json::from_str(&call.arguments).ok().filter(Value::is_object);
        // As the host says it.
        let arguments = arguments.ok_or(CallError::Unsuited("the arguments are no JSON object"))?;
        let mut list = self.list();
        let is_next = list.front().is_some_and(|next| {
            next.upstream == call.upstream && next.tool == call.tool && next.arguments.as_ref().is_none_or(|wanted| *wanted == arguments)
        });
        let Some(next) = is_next.then(|| list.pop_front()).flatten() else {
            let what = format!("the fixture has no answer for {} of {} with {arguments} here", call.tool, call.upstream);
            return Err(CallError::Failed(-32603, what));
        };
        match (next.fails, next.error, next.answer) {
            (Some(Failure::Unknown), ..) => Err(CallError::Unknown),
            (Some(Failure::Timeout), ..) => Err(CallError::Timeout),
            (None, Some(error), _) => Err(CallError::Failed(error.code, error.message)),
            (None, None, answer) => Ok(answer.map_or_else(|| r#"{"content":[]}"#.into(), |result| result.to_string()).into()),
        }
    }
}

impl Calls for Tools {
    fn call(&self, call: ToolCall) -> BoxFuture<'static, Result<Bytes, CallError>> {
        Box::pin(ready(self.answer(&call)))
    }

    /// A fixture says what calls are answered, not which tools there are.
    fn tools(&self, _: &Arc<str>, _: Within) -> BoxFuture<'static, Option<Arc<View>>> {
        Box::pin(ready(None))
    }
}
