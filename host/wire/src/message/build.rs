//! Writing messages of our own, and re-addressing someone else's.
//!
//! Parts handed in raw must each be one valid JSON value ([`validate`](crate::json::validate)
//! checks that); they are written as they are.

use bytes::Bytes;

use super::Message;
use crate::id::RequestId;
use crate::json::quote_into;

const OPEN: &[u8] = br#"{"jsonrpc":"2.0""#;

/// Starts a message with room for `more` bytes besides the fixed parts.
fn open(id: Option<&RequestId>, more: usize) -> Vec<u8> {
    let token = id.map_or("", RequestId::token);
    let mut out = Vec::with_capacity(OPEN.len() + token.len() + more + 64);
    out.extend_from_slice(OPEN);
    if id.is_some() {
        push_member(&mut out, br#","id":"#, token.as_bytes());
    }
    out
}

fn push_member(out: &mut Vec<u8>, key: &[u8], raw: &[u8]) {
    out.extend_from_slice(key);
    out.extend_from_slice(raw);
}

fn call(id: Option<&RequestId>, method: &str, params_raw: Option<&[u8]>) -> Bytes {
    let mut out = open(id, method.len() + params_raw.map_or(0, <[u8]>::len));
    out.extend_from_slice(br#","method":"#);
    quote_into(&mut out, method);
    if let Some(params) = params_raw {
        push_member(&mut out, br#","params":"#, params);
    }
    out.push(b'}');
    out.into()
}

/// A request. `params_raw` is a JSON object or nothing.
pub fn request(id: &RequestId, method: &str, params_raw: Option<&[u8]>) -> Bytes {
    call(Some(id), method, params_raw)
}

/// A notification. `params_raw` is a JSON object or nothing.
pub fn notification(method: &str, params_raw: Option<&[u8]>) -> Bytes {
    call(None, method, params_raw)
}

/// A response. `raw` is the JSON value of `result`.
pub fn result(id: &RequestId, raw: &[u8]) -> Bytes {
    let mut out = open(Some(id), raw.len());
    push_member(&mut out, br#","result":"#, raw);
    out.push(b'}');
    out.into()
}

/// An error response; without an id the member is left out, as MCP has no null ids.
/// `data_raw` is the JSON value of `error.data`.
pub fn error(id: Option<&RequestId>, code: i64, message: &str, data_raw: Option<&str>) -> Bytes {
    let mut out = open(id, message.len() + data_raw.map_or(0, str::len));
    push_member(&mut out, br#","error":{"code":"#, code.to_string().as_bytes());
    out.extend_from_slice(br#","message":"#);
    quote_into(&mut out, message);
    if let Some(data) = data_raw {
        push_member(&mut out, br#","data":"#, data.as_bytes());
    }
    out.extend_from_slice(b"}}");
    out.into()
}

/// The message with another id: one copy, every other byte as sent.
///
/// A message without an id comes back unchanged. To edit more at once, replace
/// [`Message::id_value`] in a [`Patch`](crate::patch::Patch).
pub fn with_id(message: &Message, id: &RequestId) -> Bytes {
    let Some(old) = message.id_value() else {
        return message.bytes().clone();
    };
    let (bytes, span, token) = (message.bytes(), old.span(), id.token().as_bytes());
    let mut out = Vec::with_capacity(bytes.len() - span.len() + token.len());
    out.extend_from_slice(&bytes[..span.start]);
    out.extend_from_slice(token);
    out.extend_from_slice(&bytes[span.end..]);
    out.into()
}
