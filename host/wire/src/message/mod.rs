//! The JSON-RPC 2.0 envelope: what kind of message, whose id, and where its parts stand.

mod build;
mod envelope;

pub use build::{error, notification, request, result, with_id};
pub use envelope::EnvelopeError;

use std::borrow::Cow;

use bytes::Bytes;

use crate::id::RequestId;
use crate::json::{Document, NodeId, Value};

/// The four kinds of JSON-RPC message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `method` and `id`
    Request,
    /// `method` without `id`
    Notification,
    /// `id` and `result`
    Response,
    /// `error`, and `id` unless the request's was unreadable
    Error,
}

/// A checked message. Owns its [`Document`] and copies nothing but the id.
#[derive(Debug, Clone)]
pub struct Message {
    document: Document,
    kind: Kind,
    id: Option<RequestId>,
    id_node: Option<NodeId>,
    /// `method` when it is none of the protocol's own and was sent with escapes.
    method: Option<Box<str>>,
    /// `method` when it is one of the protocol's own.
    known_method: Option<&'static str>,
    method_node: Option<NodeId>,
    /// `params`, `result` or `error`, whichever the kind has.
    body_node: Option<NodeId>,
    error_code: Option<i64>,
}

impl Message {
    /// Reads the envelope of a checked text.
    ///
    /// Members the envelope does not define are left alone. An index shallower than level 2
    /// is completed first.
    ///
    /// # Errors
    /// [`EnvelopeError`], with the id whenever it could be read.
    pub fn decode(document: Document) -> Result<Message, EnvelopeError> {
        envelope::decode(document)
    }

    /// Which of the four kinds it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The id; `None` for notifications and for errors without or with a null one.
    pub fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    /// The id as a value, for a [`Patch`](crate::patch::Patch) that replaces it.
    pub fn id_value(&self) -> Option<Value<'_>> {
        self.at(self.id_node)
    }

    /// The method when it stands in [`method::TABLE`](crate::method::TABLE), for whatever revision.
    pub fn known_method(&self) -> Option<&'static str> {
        self.known_method
    }

    /// The method, decoded; empty for responses and errors.
    pub fn method(&self) -> &str {
        // Asked for many times in a message's life, so it is not read from the text each time.
        if let Some(known) = self.known_method {
            return known;
        }
        if let Some(method) = &self.method {
            return method;
        }
        match self.method_value().and_then(|value| value.as_str()) {
            Some(Cow::Borrowed(method)) => method,
            _ => "",
        }
    }

    /// The method as a value, for a [`Patch`](crate::patch::Patch) that replaces it.
    pub fn method_value(&self) -> Option<Value<'_>> {
        self.at(self.method_node)
    }

    /// `params`, always an object; `None` when absent or for responses and errors.
    pub fn params(&self) -> Option<Value<'_>> {
        let has_params = matches!(self.kind, Kind::Request | Kind::Notification);
        self.at(self.body_node.filter(|_| has_params))
    }

    /// A member of `params`.
    pub fn param(&self, key: &str) -> Option<Value<'_>> {
        self.params()?.get(key)
    }

    /// What the request is about, by [`method::target`](crate::method::target).
    pub fn target(&self) -> Option<Value<'_>> {
        self.param(crate::method::target(self.method())?)
    }

    /// `params._meta` or `result._meta`, of whatever type the peer sent.
    pub fn meta(&self) -> Option<Value<'_>> {
        match self.kind {
            Kind::Error => None,
            _ => self.at(self.body_node)?.get("_meta"),
        }
    }

    /// `result`, any JSON value; `None` for other kinds.
    pub fn result(&self) -> Option<Value<'_>> {
        self.at(self.body_node.filter(|_| self.kind == Kind::Response))
    }

    /// `error`, always an object with `code` and `message`; `None` for other kinds.
    pub fn error(&self) -> Option<Value<'_>> {
        self.at(self.body_node.filter(|_| self.kind == Kind::Error))
    }

    /// `error.code`.
    pub fn error_code(&self) -> Option<i64> {
        self.error_code
    }

    /// `error.message`, decoded.
    pub fn error_message(&self) -> Option<Cow<'_, str>> {
        self.error()?.get("message")?.as_str()
    }

    /// The text and its index.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Gives the text and its index back.
    pub fn into_document(self) -> Document {
        self.document
    }

    /// The text as sent.
    pub fn bytes(&self) -> &Bytes {
        self.document.bytes()
    }

    /// Indexes every value; free when the index is full already.
    pub fn deepen(self) -> Message {
        if self.document.is_full() {
            return self;
        }
        envelope::decode(self.document.deepen()).expect("the same text decoded before")
    }

    fn at(&self, node: Option<NodeId>) -> Option<Value<'_>> {
        self.document.value(node?)
    }
}

#[cfg(test)]
mod tests;
