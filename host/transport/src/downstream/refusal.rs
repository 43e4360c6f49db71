//! A message that never becomes an exchange, and what its sender is told.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use sluice_chain::rescue::request_id;
use sluice_wire::{id::RequestId, json, message};
use std::{borrow::Cow, ops::Deref};

/// JSON-RPC codes for what the protocol has no code for: the HTTP status, times ten, so outside
/// every reserved range.
pub(super) const fn own_code(status: u16) -> i64 {
    status as i64 * 10
}

/// Said no before the chain saw anything. One word large: nearly every check can return one.
#[derive(Debug)]
pub(super) struct Refusal(Box<Words>);

/// What a refusal says.
#[derive(Debug)]
pub(super) struct Words {
    /// HTTP status; stdio has no use for it.
    pub status: u16,
    /// JSON-RPC code.
    pub code: i64,
    /// For metrics and `data.reason`.
    pub reason: &'static str,
    /// For the client. Never echoes what the client sent.
    pub message: Cow<'static, str>,
    /// The request's id, if it could be read.
    pub id: Option<RequestId>,
    /// Further members of `data`, JSON text after a comma.
    pub data: String,
    /// Further HTTP headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Was counted already.
    pub is_counted: bool,
    /// The id under which it was written down already.
    pub exchange: Option<u64>,
}

impl Deref for Refusal {
    type Target = Words;

    fn deref(&self) -> &Words {
        &self.0
    }
}

impl Refusal {
    /// Without id, data or headers.
    pub fn new(status: u16, code: i64, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Refusal {
        let message = message.into();
        let (data, headers) = (String::new(), Vec::new());
        Refusal(Box::new(Words { status, code, reason, message, id: None, data, headers, is_counted: false, exchange: None }))
    }

    /// HTTP refused it; the protocol has no code for that.
    pub fn http(status: u16, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::new(status, own_code(status), reason, message)
    }

    /// In answer to this request.
    pub fn to(mut self, id: Option<&RequestId>) -> Refusal {
        self.0.id = id.cloned();
        self
    }

    /// With one more member of `data`; `raw` is JSON.
    pub fn with(mut self, key: &str, raw: &str) -> Refusal {
        self.0.data.push_str(&format!(r#","{key}":{raw}"#));
        self
    }

    /// With a header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Refusal {
        self.0.headers.push((name, value));
        self
    }

    /// Written down under this id.
    pub fn named(mut self, exchange: u64) -> Refusal {
        self.0.exchange = Some(exchange);
        self
    }

    /// Somebody else has counted it.
    pub fn counted(mut self) -> Refusal {
        self.0.is_counted = true;
        self
    }

    /// The JSON-RPC error; `exchange` is the id under which the log knows it.
    pub fn body(&self, exchange: u64) -> Bytes {
        let data = format!(r#"{{"reason":{},"requestId":"{}"{}}}"#, json::quote(self.reason), request_id(exchange), self.data);
        message::error(self.id.as_ref(), self.code, &self.message, Some(&data))
    }
}
