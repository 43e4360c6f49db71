//! The openings of both eras toward an upstream: what is sent and what the answer says.

use bytes::Bytes;
use sluice_wire::{
    id::RequestId,
    json::{Kind, Value, quote},
    message::{self, Message},
    meta, method,
    revision::Revision,
};
use std::time::Duration;

/// What a server says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The revision agreed on.
    pub revision: Revision,
    /// `capabilities`, JSON text of an object.
    pub capabilities: Bytes,
    /// `serverInfo`, JSON text of an object.
    pub info: Option<Bytes>,
    /// `instructions`, decoded.
    pub instructions: Option<String>,
    /// How long the server lets this be remembered.
    pub ttl: Duration,
}

/// An `initialize` request offering `revision`.
pub fn initialize(id: u64, revision: Revision, capabilities: &[u8], client_info: &[u8]) -> Bytes {
    let mut params = Vec::with_capacity(128 + capabilities.len() + client_info.len());
    for (key, raw) in [
        (r#"{"protocolVersion":"#, quote(revision.as_str()).as_bytes()),
        (r#","capabilities":"#, capabilities),
        (r#","clientInfo":"#, client_info),
    ] {
        params.extend_from_slice(key.as_bytes());
        params.extend_from_slice(raw);
    }
    params.push(b'}');
    message::request(&RequestId::from_u64(id), method::INITIALIZE, Some(&params))
}

/// The notification that ends a legacy opening.
pub fn initialized() -> Bytes {
    message::notification(method::NOTIFY_INITIALIZED, None)
}

/// A `server/discover` request in the form of `revision`.
pub fn discover(id: u64, revision: Revision, client_info: &[u8]) -> Bytes {
    let mut params = Vec::with_capacity(256 + client_info.len());
    for (key, raw) in [
        (r#"{"_meta":{"#, quote(meta::PROTOCOL_VERSION).as_bytes()),
        (":", quote(revision.as_str()).as_bytes()),
        (",", quote(meta::CLIENT_INFO).as_bytes()),
        (":", client_info),
        (",", quote(meta::CLIENT_CAPABILITIES).as_bytes()),
        (":", b"{}"),
    ] {
        params.extend_from_slice(key.as_bytes());
        params.extend_from_slice(raw);
    }
    params.extend_from_slice(b"}}");
    message::request(&RequestId::from_u64(id), method::DISCOVER, Some(&params))
}

/// A `logging/setLevel` request.
pub fn set_level(id: u64, level: &str) -> Bytes {
    let params = format!(r#"{{"level":{}}}"#, quote(level));
    message::request(&RequestId::from_u64(id), method::LOGGING_SET_LEVEL, Some(params.as_bytes()))
}

/// A `notifications/cancelled` for one of our requests.
pub fn cancelled(id: u64) -> Bytes {
    let params = format!(r#"{{"requestId":{id},"reason":"the client no longer waits"}}"#);
    message::notification(method::NOTIFY_CANCELLED, Some(params.as_bytes()))
}

/// What an `initialize` result says; none when it is no legacy opening we can speak.
pub fn read_initialize(answer: &Message) -> Option<Introduction> {
    let result = answer.result()?;
    let version = result.get("protocolVersion")?;
    let revision = Revision::LEGACY.into_iter().find(|revision| version.is_str(revision.as_str()))?;
    Some(introduction(result, revision, result.get("serverInfo")))
}

/// What a `server/discover` result says; none when it lists no modern revision we speak.
///
/// The list decides, not the mere success: some servers answer and speak legacy only.
pub fn read_discover(answer: &Message) -> Option<Introduction> {
    let result = answer.result()?;
    let listed = result.get("supportedVersions")?;
    let revision = newest_modern(listed)?;
    let by_meta = result.get("_meta").and_then(|meta| meta.get(meta::SERVER_INFO));
    // Servers from before the release put their identity into the body.
    Some(introduction(result, revision, by_meta.or_else(|| result.get("serverInfo"))))
}

/// The newest modern revision in a list of versions that we speak.
pub(crate) fn newest_modern(listed: Value<'_>) -> Option<Revision> {
    Revision::MODERN.into_iter().find(|revision| listed.items().any(|item| item.is_str(revision.as_str())))
}

fn introduction(result: Value<'_>, revision: Revision, info: Option<Value<'_>>) -> Introduction {
    let object = |value: Option<Value<'_>>| value.filter(|value| value.kind() == Kind::Object).map(|value| value.to_bytes());
    Introduction {
        revision,
        capabilities: object(result.get("capabilities")).unwrap_or(Bytes::from_static(b"{}")),
        info: object(info),
        instructions: result.get("instructions").and_then(|text| Some(text.as_str()?.into_owned())),
        ttl: Duration::from_millis(result.get("ttlMs").and_then(|ttl| ttl.as_u64()).unwrap_or(0)),
    }
}
