//! What is around a plugin under test: a network that answers from a list, and a store that does not answer.

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use serde::Deserialize;
use serde_json::Value;
use sluice_chain::fetch::{Fetch, FetchError, Request, Response};
use sluice_state::{Bucket, Op, Outcome, Quota, StateError, Store};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

/// One request that the plugin is to send, and what comes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scripted {
    #[serde(default = "get")]
    method: String,
    url: String,
    /// What the request's body must hold; absent: anything.
    body_has: Option<String>,
    #[serde(default)]
    answer: Option<Answer>,
    #[serde(default)]
    fails: Option<Failure>,
}

fn get() -> String {
    "GET".into()
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A text as it is, anything else as JSON.
    #[serde(default)]
    body: Value,
}

fn ok() -> u16 {
    200
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Failure {
    Refused,
    Unreachable,
    Timeout,
    TooLarge,
}

/// A network that answers from a list, in its order. What is not next in it cannot be reached.
pub struct Answers(Mutex<VecDeque<Scripted>>);

impl Answers {
    pub(super) fn new(scripted: Vec<Scripted>) -> Self {
        Self(Mutex::new(scripted.into()))
    }

    fn list(&self) -> std::sync::MutexGuard<'_, VecDeque<Scripted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next that was not asked for.
    pub fn left(&self) -> Option<String> {
        self.list().front().map(|next| format!("{} {}", next.method, next.url))
    }

    fn answer(&self, request: &Request) -> Result<Response, FetchError> {
        let url = format!("{}{}", request.url.origin, request.url.target);
        let mut list = self.list();
        let is_next = list.front().is_some_and(|next| {
            let body = String::from_utf8_lossy(&request.body);
            next.method == request.method && next.url == url && next.body_has.as_ref().is_none_or(|part| body.contains(part))
        });
        let Some(next) = is_next.then(|| list.pop_front()).flatten() else {
            return Err(FetchError::Unreachable(format!("the fixture has no answer for {} {url} here", request.method)));
        };
        match (next.answer, next.fails) {
            (_, Some(Failure::Refused)) => Err(FetchError::Refused("the fixture says so".into())),
            (_, Some(Failure::Unreachable)) => Err(FetchError::Unreachable("the fixture says so".into())),
            (_, Some(Failure::Timeout)) => Err(FetchError::Timeout),
            (_, Some(Failure::TooLarge)) => Err(FetchError::TooLarge),
            (answer, None) => Ok(answer.unwrap_or(Answer { status: ok(), headers: BTreeMap::new(), body: Value::Null }).into_response()),
        }
    }
}

impl Answer {
    fn into_response(self) -> Response {
        let body = match self.body {
            Value::Null => Bytes::new(),
            Value::String(text) => text.into(),
            json => json.to_string().into(),
        };
        Response { status: self.status, headers: self.headers.into_iter().collect(), body }
    }
}

impl Fetch for Answers {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        Box::pin(ready(self.answer(&request)))
    }
}

/// A store elsewhere that does not answer.
pub(super) struct Unavailable;

impl Store for Unavailable {
    fn bucket(&self, _: &str, _: Quota) -> Arc<dyn Bucket> {
        Arc::new(Self)
    }

    fn kind(&self) -> &'static str {
        "unavailable"
    }

    fn waits(&self) -> bool {
        true
    }
}

impl Bucket for Unavailable {
    fn batch(&self, ops: Vec<Op>) -> BoxFuture<'_, Vec<Result<Outcome, StateError>>> {
        Box::pin(ready(vec![Err(StateError::Unavailable("the fixture says so".into())); ops.len()]))
    }
}
