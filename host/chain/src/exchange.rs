//! One request with its notifications and final response, and what its client told about itself.

use crate::{
    generation::Generation,
    principal::{Principal, PrincipalKey},
    record::Outcome,
    stream::Flow,
    verdict::Rejection,
};
use bytes::Bytes;
use sluice_wire::{message::Message, revision::Revision};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the upstream.
    ToServer,
    /// From the upstream to the client.
    ToClient,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// Its final response, a result or an error.
    Response,
    /// A notification.
    Notification,
    /// A server's question to the client.
    InputRequest,
    /// The client's answer to one.
    InputResponse,
}

/// The cheap facts of one message.
#[derive(Clone, Debug)]
pub struct Head {
    /// Host-wide id of the exchange, the same in all its rounds.
    pub exchange: u64,
    /// How often the client has come back with answers.
    pub round: u32,
    /// Which way it goes.
    pub direction: Direction,
    /// What it is.
    pub kind: Kind,
    /// Method; of a response, the method it answers.
    pub method: Arc<str>,
    /// Tool or prompt name or URI, as the client sees it.
    pub name: Option<Arc<str>>,
    /// The upstream's configured name, once known.
    pub upstream: Option<Arc<str>>,
    /// Revision of the client's side.
    pub protocol: Revision,
}

/// A client as one listener knows it: for a legacy client its session, for a modern one its request.
#[derive(Debug)]
pub struct Client {
    /// `_meta` client info or `initialize` params, JSON text.
    pub info: Option<Bytes>,
    /// Declared capabilities, JSON text of an object.
    pub capabilities: Bytes,
    /// The legacy session this belongs to; none for modern exchanges.
    pub session: Option<Arc<str>>,
    /// Facts for attributes: `principal.*`, `client.*`, `transport.*`, `http.header.*`.
    pub facts: Arc<Vec<(Box<str>, Box<str>)>>,
    /// The level of `logging/setLevel` (legacy) in force; none before it was set.
    pub log_level: Mutex<Option<Arc<str>>>,
}

/// The fact that says through which other gateways a request came.
pub const VIA: &str = "transport.via";

impl Client {
    /// The gateways that its request has passed through, the first one first, with spaces between; none: it came straight from its client.
    pub fn via(&self) -> Option<&str> {
        self.facts.iter().find(|(key, _)| **key == *VIA).map(|(_, via)| &**via)
    }

    /// Whose that is which an upstream says to this client: everybody's, or this principal's where it `is_own`. What is asked for on
    /// behalf of other gateways is kept for those who come the same way: an upstream that is on that way says no, or less, and to them alone.
    pub fn whose(&self, principal: &Principal, is_own: bool) -> Option<PrincipalKey> {
        let own = is_own.then_some(&principal.key);
        match self.via() {
            Some(via) => Some(PrincipalKey::by_way_of(via, own)),
            None => own.cloned(),
        }
    }
}

/// A request that passed the strict parser, the header checks and the gate.
pub struct Arrival {
    /// The client's request.
    pub message: Arc<Message>,
    /// The revision its bytes are in.
    pub revision: Revision,
    /// Who sends it, over what.
    pub client: Arc<Client>,
    /// Who asks.
    pub principal: Arc<Principal>,
    /// Pinned when the request came in: one generation an exchange.
    pub generation: Arc<Generation>,
    /// Modern HTTP: `Mcp-Param-*` as received, names lower case without the prefix; `None` where the transport has no headers.
    pub param_headers: Option<Vec<(String, String)>>,
    /// The answer may go out in pieces if it is too long to be held.
    pub takes_pieces: bool,
}

/// What an upstream says during a call, before its answer.
#[derive(Debug)]
pub enum Interim {
    /// It tells the client something.
    Notification(Delivery),
    /// It asks the client something.
    Question(Question),
}

/// What a server asks of the client during a call, in the form of a legacy request whatever its era: `elicitation/create`,
/// `sampling/createMessage` or `roots/list`.
#[derive(Debug)]
pub struct Question {
    /// The question. Its id is the last hop's: who passes it on gives it one of its own.
    pub delivery: Delivery,
    /// Where the answer goes: a response or an error, under whatever id. Dropped unused, nobody will answer.
    pub reply: oneshot::Sender<Delivery>,
}

/// What comes out of an exchange.
#[derive(Debug)]
pub enum Outgoing {
    /// One notification, on the stream of this request.
    Notification(Delivery),
    /// A question to the client, on the stream of this request.
    Question(Question),
    /// The last thing that comes.
    Final(Answer),
}

/// A message for the client in the form its sender spoke; the downstream translates.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// The revision its bytes are in.
    pub spoken: Revision,
}

/// The final response of an exchange.
#[derive(Debug)]
pub struct Answer {
    /// How it ended, for status codes and records.
    pub outcome: Outcome,
    /// The response. Its id is the last hop's: the downstream puts the client's back.
    pub body: AnswerBody,
    /// HTTP status a filter or the host asks for; none: by the code's table.
    pub http_status: Option<u16>,
    /// Headers a filter asks for.
    pub http_headers: Vec<(String, String)>,
}

/// Where the bytes of an answer come from.
#[derive(Debug)]
pub enum AnswerBody {
    /// A response that came from an upstream, maybe edited.
    Relayed(Delivery),
    /// A result that came from an upstream, and is still coming.
    Streamed(Flow),
    /// A `result` object made here, in canonical (modern) form.
    Result(Bytes),
    /// An error made here.
    Error {
        /// JSON-RPC code.
        code: i64,
        /// For the client; names no secret.
        message: String,
        /// JSON text.
        data: Option<String>,
    },
}

impl AnswerBody {
    /// An error without data.
    pub fn error(code: i64, message: impl Into<String>) -> Self {
        Self::Error { code, message: message.into(), data: None }
    }
}

impl Answer {
    /// The answer a rejection of this exchange becomes.
    pub fn refused(rejection: Rejection, head: &Head) -> Self {
        let body = if rejection.as_tool_result && *head.method == *"tools/call" {
            AnswerBody::Result(crate::rescue::tool_error_result(&rejection.message, head.exchange))
        } else {
            let data = crate::rescue::refusal_data(rejection.data.as_deref(), head.exchange);
            AnswerBody::Error { code: rejection.code, message: rejection.message, data: Some(data) }
        };
        Self { outcome: Outcome::Refused, body, http_status: rejection.http_status, http_headers: rejection.http_headers }
    }
}
