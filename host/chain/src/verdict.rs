//! A policy's no, as it travels to the wire, and its question to a person.

use bytes::Bytes;
use std::time::Duration;

/// Why a filter refused and how the client is to see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejection {
    /// JSON-RPC code, outside -32768..=-32000.
    pub code: i64,
    /// For the client.
    pub message: String,
    /// JSON text for `error.data`.
    pub data: Option<String>,
    /// Where the transport can still set it.
    pub http_status: Option<u16>,
    /// Lower-case names; the downstream drops what it owns itself.
    pub http_headers: Vec<(String, String)>,
    /// For `tools/call`: an `isError` result instead of a JSON-RPC error.
    pub as_tool_result: bool,
}

/// What a filter asks of the person behind the client before it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// For the person.
    pub message: String,
    /// In which form.
    pub ask: Ask,
    /// How long the answer may take, if less than otherwise.
    pub ttl: Option<Duration>,
}

/// The two forms of an elicitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A schema of an object, JSON text.
    Form(Bytes),
    /// A link to open.
    Url(String),
}
