//! Servers inside this process, for demos and tests: nothing to install, nothing to start.
//!
//! A [`Server`] answers in plain JSON; the carrier adds what the client's revision asks for, so each
//! of them speaks both eras. Calls, cancelling and progress work as with any other upstream.
//!
//! In reading order: [`Server`], [`clock`], [`notes`].

mod carrier;
pub mod clock;
pub mod notes;

pub use carrier::{Builtin, BuiltinUpstream};

use futures_util::future::BoxFuture;
use serde_json::Value;
use sluice_chain::{principal::Principal, upstream::Upstream};
use sluice_wire::code;
use std::sync::Arc;

/// The demo servers there are.
pub const NAMES: &[&str] = &["clock", "notes"];

/// The demo server of this kind under an operator's name; with an unknown kind, one without tools.
pub fn upstream(name: &str, kind: &str) -> Arc<dyn Upstream> {
    match kind {
        "notes" => Arc::new(Builtin::upstream(name, notes::Notes::default())),
        "clock" => Arc::new(Builtin::upstream(name, clock::Clock)),
        _ => Arc::new(Builtin::upstream(name, Nothing)),
    }
}

/// A server in this process.
pub trait Server: Send + Sync + 'static {
    /// Its own name, for `serverInfo`.
    fn title(&self) -> &'static str;
    /// What it can do, as `capabilities`.
    fn capabilities(&self) -> Value;
    /// What it tells a model about itself.
    fn instructions(&self) -> &'static str;
    /// The result of one request, without what the revision adds.
    fn answer<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Value, Refusal>>;
}

/// One request.
pub struct Asked<'a> {
    /// Who asks. What one principal stores, no other sees.
    pub principal: &'a Principal,
    /// The method.
    pub method: &'a str,
    /// `params`, or null.
    pub params: Value,
    /// Tells the client how far it is.
    pub progress: Progress<'a>,
}

/// Where progress goes: nowhere, unless the client asked for it.
pub struct Progress<'a>(pub(super) carrier::Teller<'a>);

impl Progress<'_> {
    /// So much of so much is done.
    pub async fn report(&self, progress: u32, total: u32) {
        self.0.tell(progress, total).await;
    }
}

/// A request is refused with a JSON-RPC error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// JSON-RPC code.
    pub code: i64,
    /// For the client.
    pub message: String,
}

impl Refusal {
    /// There is no such method.
    pub fn unknown_method() -> Self {
        Self { code: code::METHOD_NOT_FOUND, message: "no such method".to_owned() }
    }

    /// The parameters make no sense.
    pub fn bad_params(message: impl Into<String>) -> Self {
        Self { code: code::INVALID_PARAMS, message: message.into() }
    }
}

/// A tool result of one text.
pub(crate) fn text(text: impl Into<String>) -> Value {
    serde_json::json!({"content": [{"type": "text", "text": text.into()}]})
}

/// A tool result of one value, as text and as structure.
pub(crate) fn structured(value: Value) -> Value {
    serde_json::json!({"content": [{"type": "text", "text": value.to_string()}], "structuredContent": value})
}

/// A tool result that tells a model what it did wrong.
pub(crate) fn mistake(message: impl Into<String>) -> Value {
    let mut result = text(message);
    result["isError"] = true.into();
    result
}

/// A tool definition whose arguments are all described by `properties`.
pub(crate) fn tool(name: &str, description: &str, properties: Value, required: &[&str]) -> Value {
    serde_json::json!({
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "properties": properties, "required": required},
    })
}

/// A string argument of a tool call.
pub(crate) fn argument<'a>(params: &'a Value, name: &str) -> Option<&'a str> {
    params["arguments"][name].as_str()
}

struct Nothing;

impl Server for Nothing {
    fn title(&self) -> &'static str {
        "nothing"
    }

    fn capabilities(&self) -> Value {
        serde_json::json!({})
    }

    fn instructions(&self) -> &'static str {
        "There is no such demo server."
    }

    fn answer<'a>(&'a self, _: Asked<'a>) -> BoxFuture<'a, Result<Value, Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::unknown_method())))
    }
}
