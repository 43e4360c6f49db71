//! Decoding the envelope, and why one is refused.

use std::borrow::Cow;

use super::{Kind, Message};
use crate::code;
use crate::id::RequestId;
use crate::json::{self, Document, IndexDepth, NodeId, Value};
use crate::method;

/// A checked JSON text is not a JSON-RPC 2.0 message MCP allows.
///
/// Each carries the id where it could be read, so that the answer can echo it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// An array (a batch) or a scalar instead of an object.
    #[error("message is not an object")]
    NotObject,
    /// `jsonrpc` is missing or not the string `2.0`.
    #[error("jsonrpc is not \"2.0\"")]
    NotJsonRpc2 {
        /// The message's id, if any.
        id: Option<RequestId>,
    },
    /// `id` is neither a string nor an integer in range.
    #[error("id is neither a string nor an integer")]
    BadId,
    /// `method` is not a string, or is empty.
    #[error("method is not a string")]
    BadMethod {
        /// The message's id, if any.
        id: Option<RequestId>,
    },
    /// `params` is not an object. MCP has no positional parameters.
    #[error("params is not an object")]
    BadParams {
        /// The message's id, if any.
        id: Option<RequestId>,
    },
    /// `method` beside `result` or `error`: two readers could see two kinds of message.
    #[error("message is both a request and a response")]
    MethodAndResult {
        /// The message's id, if any.
        id: Option<RequestId>,
    },
    /// Both `result` and `error`.
    #[error("message has both a result and an error")]
    ResultAndError {
        /// The message's id, if any.
        id: Option<RequestId>,
    },
    /// None of `method`, `result` and `error`.
    #[error("message has neither method, result nor error")]
    NoResultNorError {
        /// The message's id, if any.
        id: Option<RequestId>,
    },
    /// `error` is not an object with an integer `code` and a string `message`.
    #[error("error has no integer code or no message")]
    BadError {
        /// The message's id, if any.
        id: Option<RequestId>,
    },
}

impl EnvelopeError {
    /// The JSON-RPC code that answers it.
    pub fn code(&self) -> i64 {
        match self {
            EnvelopeError::BadParams { .. } => code::INVALID_PARAMS,
            _ => code::INVALID_REQUEST,
        }
    }

    /// The id to echo, when it was readable.
    pub fn id(&self) -> Option<&RequestId> {
        match self {
            EnvelopeError::NotObject | EnvelopeError::BadId => None,
            EnvelopeError::NotJsonRpc2 { id }
            | EnvelopeError::BadMethod { id }
            | EnvelopeError::BadParams { id }
            | EnvelopeError::MethodAndResult { id }
            | EnvelopeError::ResultAndError { id }
            | EnvelopeError::NoResultNorError { id }
            | EnvelopeError::BadError { id } => id.as_ref(),
        }
    }
}

/// The envelope's members, found in one walk over the root.
#[derive(Default, Clone, Copy)]
struct Parts<'a> {
    jsonrpc: Option<Value<'a>>,
    id: Option<Value<'a>>,
    method: Option<Value<'a>>,
    params: Option<Value<'a>>,
    result: Option<Value<'a>>,
    error: Option<Value<'a>>,
}

impl<'a> Parts<'a> {
    fn of(root: Value<'a>) -> Parts<'a> {
        let mut parts = Parts::default();
        for member in root.members() {
            let slot = match &*member.key.decoded_bytes() {
                b"id" => &mut parts.id,
                b"jsonrpc" => &mut parts.jsonrpc,
                b"method" => &mut parts.method,
                b"params" => &mut parts.params,
                b"result" => &mut parts.result,
                b"error" => &mut parts.error,
                _ => continue,
            };
            *slot = Some(member.value);
        }
        parts
    }

    /// The id; a null one counts as none only beside an error, where JSON-RPC puts it for a
    /// request whose id could not be read.
    fn request_id(&self) -> Result<Option<RequestId>, EnvelopeError> {
        let Some(value) = self.id else {
            return Ok(None);
        };
        let is_null = value.kind() == json::Kind::Null;
        if is_null && self.error.is_some() && self.method.is_none() {
            return Ok(None);
        }
        RequestId::from_value(value).map(Some)
    }
}

/// What a message turned out to be, without its document.
struct Shape {
    kind: Kind,
    body_node: Option<NodeId>,
    error_code: Option<i64>,
    method: Option<Box<str>>,
    known_method: Option<&'static str>,
}

pub(super) fn decode(document: Document) -> Result<Message, EnvelopeError> {
    let document = match document.depth() {
        IndexDepth::Levels(0 | 1) => document.deepen(),
        _ => document,
    };
    let root = document.root();
    if root.kind() != json::Kind::Object {
        return Err(EnvelopeError::NotObject);
    }
    let parts = Parts::of(root);
    let id = parts.request_id()?;
    if !parts.jsonrpc.is_some_and(|version| version.is_str("2.0")) {
        return Err(EnvelopeError::NotJsonRpc2 { id });
    }
    let shape = match parts.method {
        Some(method) => call(&parts, method, &id)?,
        None => answer(&parts, &id)?,
    };
    let node_of = |value: Option<Value<'_>>| value.map(|value| value.node());
    // A null id stays reachable through the document only: there is nothing to echo.
    let id_node = node_of(parts.id).filter(|_| id.is_some());
    let method_node = node_of(parts.method);
    Ok(Message {
        kind: shape.kind,
        id,
        id_node,
        method: shape.method,
        known_method: shape.known_method,
        method_node,
        body_node: shape.body_node,
        error_code: shape.error_code,
        document,
    })
}

/// A request or notification.
fn call(parts: &Parts<'_>, method: Value<'_>, id: &Option<RequestId>) -> Result<Shape, EnvelopeError> {
    let id = || id.clone();
    if parts.result.is_some() || parts.error.is_some() {
        return Err(EnvelopeError::MethodAndResult { id: id() });
    }
    let name = match method.as_str() {
        Some(name) if !name.is_empty() => name,
        _ => return Err(EnvelopeError::BadMethod { id: id() }),
    };
    let is_object = |params: Value<'_>| params.kind() == json::Kind::Object;
    if !parts.params.is_none_or(is_object) {
        return Err(EnvelopeError::BadParams { id: id() });
    }
    let known_method = method::TABLE.iter().find(|row| row.name == name).map(|row| row.name);
    Ok(Shape {
        known_method,
        kind: match parts.id {
            Some(_) => Kind::Request,
            None => Kind::Notification,
        },
        body_node: parts.params.map(|params| params.node()),
        error_code: None,
        method: match name {
            Cow::Borrowed(_) => None,
            Cow::Owned(_) if known_method.is_some() => None,
            Cow::Owned(name) => Some(name.into()),
        },
    })
}

/// A response or error.
fn answer(parts: &Parts<'_>, id: &Option<RequestId>) -> Result<Shape, EnvelopeError> {
    let id = || id.clone();
    let (kind, body) = match (parts.result, parts.error) {
        (Some(_), Some(_)) => return Err(EnvelopeError::ResultAndError { id: id() }),
        (None, None) => return Err(EnvelopeError::NoResultNorError { id: id() }),
        (Some(_), None) if parts.id.is_none() => return Err(EnvelopeError::BadId),
        (Some(result), None) => (Kind::Response, result),
        (None, Some(error)) => (Kind::Error, error),
    };
    let mut error_code = None;
    if kind == Kind::Error {
        let is_str = |value: Value<'_>| value.kind() == json::Kind::String;
        error_code = body.get("code").and_then(|code| code.as_i64());
        if error_code.is_none() || !body.get("message").is_some_and(is_str) {
            return Err(EnvelopeError::BadError { id: id() });
        }
    }
    Ok(Shape { kind, body_node: Some(body.node()), error_code, method: None, known_method: None })
}
