//! A network that is a function of the test.

use std::rc::Rc;

use serde_json::Value;

use super::{FakeExchange, FakeSecret, host, secrets};
use crate::fetch::{Capture, Error, Place, Request, Response};

/// What a plugin sent.
pub struct Sent<'r> {
    /// As the plugin made it.
    pub request: &'r Request,
    /// What the host would put in.
    pub secrets: Vec<(&'r Place, &'r [u8])>,
}

pub(super) type Answering = Rc<dyn Fn(&Sent<'_>) -> Result<Response, Error>>;

/// From now on requests are answered so. Without it nothing is reachable.
pub fn answer_fetches(answer: impl Fn(&Sent<'_>) -> Result<Response, Error> + 'static) {
    host::with(|host| host.fetches = Some(Rc::new(answer)));
}

pub(crate) fn send(x: &FakeExchange, request: &Request, used: &[(Place, &FakeSecret)], captures: &[Capture]) -> Result<Response, Error> {
    let answer = host::with(|host| host.fetches.clone()).ok_or_else(|| Error::Unreachable("no test answers".to_string()))?;
    let secrets = used.iter().map(|(place, secret)| (place, &secret.bytes[..])).collect();
    let mut response = answer(&Sent { request, secrets })?;
    if captures.is_empty() {
        return Ok(response);
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(&response.body) else {
        return Ok(Response { body: Vec::new(), captured: vec![false; captures.len()], ..response });
    };
    let kept = |capture: &Capture| {
        let value = body.pointer(&capture.pointer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        secrets::put(x, capture.owner, &capture.name, text.as_bytes(), capture.ttl_ms).ok()
    };
    response.captured = captures.iter().map(|capture| kept(capture).is_some()).collect();
    for capture in captures {
        if let Some(value) = body.pointer_mut(&capture.pointer) {
            *value = Value::Null;
        }
    }
    response.body = body.to_string().into_bytes();
    Ok(response)
}
