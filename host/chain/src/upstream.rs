//! What the chain asks of an upstream. The transport crate implements this.

use crate::{
    attributes::Facts,
    departures::{Departures, Held},
    exchange::{Client, Delivery, Interim},
    principal::Principal,
    queue::Sender,
    stream::Arriving,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_wire::{
    header::Annotation,
    listen::Filter,
    message::Message,
    revision::{Era, Revision},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// A request about to leave, after the last filter.
#[derive(Clone)]
pub struct Outbound {
    /// Host-wide id of the exchange.
    pub exchange: u64,
    /// The request in the client's form. The upstream puts its own id and hop-owned members in.
    pub message: Arc<Message>,
    /// The revision the bytes are in.
    pub spoken: Revision,
    /// The target under the upstream's own name, if that differs from what `message` says.
    pub original_name: Option<Arc<str>>,
    /// For a tool: which arguments are mirrored into headers.
    pub mirrored: Arc<[Annotation]>,
    /// `Mcp-Param-*` headers that no annotation knows: an intermediary forwards those (lower-case name without the prefix, value).
    pub unknown_params: Vec<(String, String)>,
    /// Who sends it, over what.
    pub client: Arc<Client>,
    /// Who asks; sessions, children and connections with state are never shared between two.
    pub principal: Arc<Principal>,
    /// The operator marked this tool as safe to repeat.
    pub idempotent: bool,
    /// Where notifications and questions of this exchange go, in order, before the response returns. Bounded.
    pub interim: Sender<Interim>,
    /// For a call that may have several rounds: the request it goes on for now.
    pub latest: Option<Arc<Latest>>,
    /// Of a call to a server of the other era that has tasks: whether this one can be a task.
    pub task: Option<TaskSupport>,
    /// Ask for a task, or declare that one is welcome, in the server's way. The upstream's own to set.
    pub as_task: bool,
    /// An answer that is too long to be held may come in pieces, up to this many bytes; 0: it may not.
    pub pieces_bytes_max: u64,
    /// What its HTTP requests leave through; none where no filter acts for this upstream.
    pub departures: Option<Arc<Departures>>,
    /// Set when nobody waits any more: cancel upstream in the way of its era, then return `Cancelled`.
    pub cancel: CancellationToken,
}

/// Whether a tool's calls can be tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskSupport {
    /// They can.
    Optional,
    /// They are nothing else.
    Required,
}

/// The request that a call of several rounds goes on for: what its client wants to hear counts, not what the first one did.
#[derive(Default)]
pub struct Latest(Mutex<Option<(Arc<Message>, Arc<Client>)>>);

impl Latest {
    /// Another round has come.
    pub(crate) fn set(&self, request: Arc<Message>, client: Arc<Client>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((request, client));
    }

    /// The request of the last round and its client; none as long as the first one waits.
    pub fn get(&self) -> Option<(Arc<Message>, Arc<Client>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Latest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Latest")
    }
}

/// A response that passed the strict parser and answers our id.
#[derive(Debug)]
pub struct Inbound {
    /// The response, result or error.
    pub response: Delivery,
    /// The result is too long to be held, and still coming, from its first byte on; `response` stands for it, with our id.
    pub rest: Option<Arriving>,
}

impl Inbound {
    /// A response that is there.
    pub fn whole(response: Delivery) -> Self {
        Self { response, rest: None }
    }
}

/// The world broke on the upstream's side.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    /// No connection, or no process; `reason` is for the operator and the client alike.
    #[error("cannot be reached: {reason}")]
    Unreachable {
        /// What was tried and what came back, without secrets.
        reason: String,
    },
    /// Switched off after repeated failures; not tried.
    #[error("is resting after repeated failures, next try in {retry_after:?}")]
    Resting {
        /// Until the next try.
        retry_after: Duration,
    },
    /// No answer in time. The call may have run.
    #[error("gave no reply within {limit:?}")]
    Deadline {
        /// The limit.
        limit: Duration,
    },
    /// The connection or process ended before the answer. The call may have run.
    #[error("went away before it answered: {reason}")]
    ClosedEarly {
        /// Exit status, reset, end of stream.
        reason: String,
    },
    /// The answer breaks the protocol.
    #[error("answered outside the protocol: {reason}")]
    BadReply {
        /// What was wrong.
        reason: String,
    },
    /// The answer is over the response cap.
    #[error("sent more than {limit_bytes} bytes")]
    TooLarge {
        /// The cap.
        limit_bytes: usize,
    },
    /// It refused our credentials (HTTP 401 or 403).
    #[error("refused our credentials with HTTP {status}")]
    Unauthorized {
        /// 401 or 403.
        status: u16,
    },
    /// It is a gateway that the request has passed through already, or the last of too many (HTTP 508).
    #[error(
        "refused the request as a loop (HTTP 508): it leads back to a gateway that the request has passed through, or through too many"
    )]
    Loop,
    /// A bound of ours: children, sessions, queue. Names the setting.
    #[error("is at its limit: {setting}")]
    Busy {
        /// The configuration key to raise.
        setting: String,
    },
    /// This method cannot cross to the era this upstream speaks.
    #[error("speaks {era:?} MCP only, and {method} does not cross eras")]
    CannotCross {
        /// The upstream's era.
        era: Era,
        /// The method.
        method: String,
    },
    /// It needs a client that declared more; `required` is a capabilities object, JSON text.
    #[error("needs a client that declares {required}")]
    NeedsCapability {
        /// For `data.requiredCapabilities`.
        required: &'static str,
    },
    /// A filter did not let the request leave.
    #[error("was not asked: {0}")]
    Held(Arc<Held>),
    /// The same for a further request of a call that had begun: a poll of its task, another round. The call may have run.
    #[error("was not asked further: {0}")]
    HeldMidway(Arc<Held>),
    /// The exchange was cancelled by its client.
    #[error("was told to stop by the client")]
    Cancelled,
}

/// What a server says about itself, after the handshake or the probe.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// The era used for a client of the asking era.
    pub era: Era,
    /// The revision spoken.
    pub revision: Revision,
    /// `capabilities`, JSON text of an object.
    pub capabilities: Bytes,
    /// `serverInfo`, JSON text of an object.
    pub info: Option<Bytes>,
    /// `instructions`, decoded.
    pub instructions: Option<String>,
}

/// For status, metrics and `sluice ls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Not asked yet.
    Unknown,
    /// The last thing it did worked.
    Up,
    /// The last thing it did failed.
    Down(String),
}

/// Somewhere a request can go.
pub trait Upstream: Send + Sync {
    /// The operator's name for it.
    fn name(&self) -> &Arc<str>;
    /// `stdio`, `http`, `builtin`.
    fn transport(&self) -> &'static str;
    /// Requests to it have headers, which filters may set in `on-outbound`.
    fn takes_headers(&self) -> bool {
        false
    }
    /// How it is, without asking it.
    fn health(&self) -> Health;
    /// Capabilities and identity as a client of `era` gets them; handshakes or probes when needed.
    /// Speaks the client's era if the server can.
    fn facts<'a>(
        &'a self,
        era: Era,
        client: &'a Arc<Client>,
        principal: &'a Arc<Principal>,
    ) -> BoxFuture<'a, Result<Arc<ServerFacts>, UpstreamError>>;
    /// Send one request and wait for its final response. At most once: see `UpstreamError` for what may have run.
    fn send<'a>(&'a self, outbound: Outbound) -> BoxFuture<'a, Result<Inbound, UpstreamError>>;
    /// Hear of changes from now on, for as long as [`Watching::hold`] lives, whatever becomes of connections, sessions and
    /// children meanwhile. Returns once the server has said to what it agrees, or `wish.wait` is over. Changes of lists reach
    /// the [`Listener`], those of resources `wish.sink`. By default there is nothing to hear.
    fn watch(&self, wish: Wish) -> BoxFuture<'_, Watching> {
        drop(wish);
        Box::pin(std::future::ready(Watching::default()))
    }
    /// A legacy downstream session has ended: whatever was kept for it goes.
    fn forget_session<'a>(&'a self, session: &'a str) -> BoxFuture<'a, ()>;
    /// The host shuts down: close children and sessions in the order their transport demands.
    fn close<'a>(&'a self) -> BoxFuture<'a, ()>;
}

/// What somebody wants to hear of.
pub struct Wish {
    /// Of the client.
    pub era: Era,
    /// Who listens, over what.
    pub client: Arc<Client>,
    /// Who asks; nobody else hears what changes in this one's sessions.
    pub principal: Arc<Principal>,
    /// Lists, and resources under the upstream's own URIs.
    pub what: Filter,
    /// Where word of resources goes.
    pub sink: Arc<dyn Sink>,
    /// How long to wait for the server's agreement.
    pub wait: Duration,
}

/// Where word of a changed resource goes.
pub trait Sink: Send + Sync {
    /// Must not block, and must not keep more the more often it is called.
    fn updated(&self, update: &Update<'_>);
}

/// A resource has changed.
pub struct Update<'a> {
    /// The URI that was asked for.
    pub asked: &'a str,
    /// The one that the server named: the same, or one below it.
    pub uri: &'a str,
    /// What the server said; none when nobody can know whether it changed while the server was away.
    pub said: Option<&'a Delivery>,
}

/// What came of a [`Wish`].
#[derive(Default)]
pub struct Watching {
    /// To what the server agreed in time.
    pub granted: Filter,
    /// The server's words about what it did not, JSON-RPC code and text, if it had any.
    pub refused: Option<(i64, String)>,
    /// Ends it when it is dropped.
    pub hold: Option<Box<dyn Send + Sync>>,
}

/// A notification that no running exchange owns.
#[derive(Debug, Clone)]
pub struct Unsolicited {
    /// From where.
    pub upstream: Arc<str>,
    /// The principal whose session or child it came from.
    pub principal: Arc<Principal>,
    /// The legacy downstream session it belongs to, when it is one's own.
    pub session: Option<Arc<str>>,
    /// The notification.
    pub delivery: Delivery,
}

/// What upstreams ask of the host, and tell it, outside of exchanges.
pub trait Listener: Send + Sync {
    /// Must not block; drops and counts when the reader is slow.
    fn unsolicited(&self, notification: Unsolicited);
    /// What requests leave through that belong to no exchange (handshakes, streams, ends of sessions), on behalf of a principal whose
    /// client has these facts. None where no filter acts for this upstream.
    fn departures(&self, upstream: &str, facts: &Arc<Facts>, principal: &Arc<Principal>) -> Option<Arc<Departures>> {
        let _ = (upstream, facts, principal);
        None
    }
}
