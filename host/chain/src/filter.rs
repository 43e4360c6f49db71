//! What the chain asks of a filter. The plugin crate implements this for wasm components.

use crate::{
    attributes::Attributes,
    calls::Calls,
    catalogue::Offer,
    chunk::{ChunkPass, ChunkVerdict},
    departures::{Leaving, OutboundVerdict},
    exchange::Head,
    fault::Fault,
    principal::Principal,
    record::Ended,
    route::{Route, RouteRequest, RouteResponse},
    subcall::Origin,
    verdict::{Rejection, Suspension},
};
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use sluice_wire::message::Message;
use std::{sync::Arc, time::Instant};

/// The points of an exchange at which a filter can act, in the order they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// A request to a route of the filter's own, before any principal.
    OnHttp,
    /// Turns a credential into a principal, before any exchange.
    Authenticate,
    /// Shapes one list for one principal.
    OnCatalog,
    /// A request on its way to the upstream, in config order.
    OnRequest,
    /// An HTTP request that is about to leave for an upstream, in config order.
    OnOutbound,
    /// A notification of a running exchange, either direction.
    OnNotification,
    /// The final response, in reverse order.
    OnResponse,
    /// The same in pieces, where it is too long to be held.
    OnChunk,
    /// Told once the exchange has ended.
    OnDone,
}

impl Hook {
    /// All of them, in that order.
    pub const ALL: [Self; 9] = [
        Self::OnHttp,
        Self::Authenticate,
        Self::OnCatalog,
        Self::OnRequest,
        Self::OnOutbound,
        Self::OnNotification,
        Self::OnResponse,
        Self::OnChunk,
        Self::OnDone,
    ];

    /// The name in the contract, e.g. `on-request`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnHttp => "on-http",
            Self::Authenticate => "authenticate",
            Self::OnCatalog => "on-catalog",
            Self::OnRequest => "on-request",
            Self::OnOutbound => "on-outbound",
            Self::OnNotification => "on-notification",
            Self::OnResponse => "on-response",
            Self::OnChunk => "on-chunk",
            Self::OnDone => "on-done",
        }
    }
}

/// Which filter it is, for logs, audit and status, and how often it was called.
#[derive(Debug)]
pub struct Identity {
    /// The plugin's name as its manifest gives it; the owner of `<name>.*` attributes.
    pub name: Arc<str>,
    /// Semantic version from the manifest.
    pub version: Arc<str>,
    /// sha256 of the `.wasm` file, hex.
    pub digest: Arc<str>,
    /// The three as members of a JSON object, since every record of a call names them:
    /// `"plugin":"…","version":"…","digest":"sha256:…"`.
    pub members: Box<str>,
    /// Its hook calls.
    pub calls: Calls,
}

impl Identity {
    /// A filter that was not called yet. None of the three needs escaping in JSON.
    pub fn new(name: Arc<str>, version: &str, digest: &str) -> Self {
        let members = format!(r#""plugin":"{name}","version":"{version}","digest":"sha256:{digest}""#).into();
        Self { name, version: version.into(), digest: digest.into(), members, calls: Calls::default() }
    }
}

/// Which traffic enters a filter. Read once when a generation is made.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    /// One entry a hook that the plugin exports.
    pub hooks: Vec<(Hook, Selector)>,
    /// The binary imports `payload` or `patterns`, so messages must be indexed whole.
    pub reads_payload: bool,
    /// Where it answers HTTP itself: what it declares and was granted.
    pub routes: Vec<Route>,
    /// Upstreams that it may act for in `on-outbound`, by configured name; `*` is all.
    pub outbound: Vec<String>,
    /// Of `on-chunk`: bytes at the end of a window that come again.
    pub overlap: usize,
    /// By its own word it changes messages, and does not only decide.
    pub edits: bool,
    /// It keeps nothing and reaches nobody: asked twice about one message, it leaves no more behind than asked once.
    pub repeatable: bool,
}

/// Globs over methods and names; empty lists match everything.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// JSON-RPC methods, `*` matches any run of characters.
    pub methods: Vec<String>,
    /// Tool or prompt names or URIs as the client sees them.
    pub names: Vec<String>,
}

/// One message as it is lent to a filter for one hook call.
pub struct Pass<'e> {
    /// The cheap facts.
    pub head: &'e Head,
    /// Who asks; also what instances are keyed by.
    pub principal: &'e Principal,
    /// Facts and labels. A filter adds its own; a call that fails leaves them as they were.
    pub attributes: &'e mut Attributes,
    /// The message as this filter receives it.
    pub message: &'e Arc<Message>,
    /// For `on-response` and `on-notification`: the request as this filter left it.
    pub asked: Option<Arc<Message>>,
    /// This filter had this request in an earlier round: what it counts was counted then.
    pub again: bool,
    /// When the call began.
    pub began: Instant,
    /// What its exchange is made of, for calls of the filter's own; none in tests.
    pub origin: Option<Origin<'e>>,
}

/// A filter's word on a request or a response.
#[derive(Debug)]
pub enum Verdict {
    /// Go on; with the edited message if anything was edited. It passed the strict parser.
    Next(Option<Arc<Message>>),
    /// Answer with this `result` (valid JSON object text); the upstream is not called.
    Reply(Bytes),
    /// Policy said no.
    Reject(Rejection),
    /// Of a request: ask a person first, then run the whole chain again.
    Suspend(Suspension),
}

/// A filter's word on a notification.
#[derive(Debug)]
pub enum NotificationVerdict {
    /// Deliver; with the edited message if anything was edited.
    Next(Option<Arc<Message>>),
    /// Do not deliver; the exchange goes on.
    Drop,
    /// End the exchange it belongs to.
    Reject(Rejection),
}

/// A caller's credential, seen by `authenticate` only.
#[derive(Clone)]
pub struct Credential {
    /// `bearer`, `basic`, `header:<name>`, or `none`.
    pub scheme: String,
    /// The secret itself.
    pub value: String,
}

impl std::fmt::Debug for Credential {
    /// Never shows the value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({})", self.scheme)
    }
}

/// What `authenticate` answers.
#[derive(Debug)]
pub enum Authentication {
    /// This is who they are; `ttl` says how long the answer may be reused.
    Identified(Principal, std::time::Duration),
    /// Not a credential of mine.
    Abstain,
    /// 401 or 403; 503 where nobody can say.
    Challenge(Rejection),
}

/// A link of the chain. Every call runs inside its exchange's own task and is never cancelled by
/// dropping the future; implementations bound their own time.
pub trait Filter: Send + Sync {
    /// Name, version, digest.
    fn identity(&self) -> &Arc<Identity>;
    /// Hooks and selectors.
    fn interest(&self) -> &Interest;
    /// A request to one of its routes. `facts` are `transport.*` and the allowed headers. By default there is no route.
    fn on_http<'a>(&'a self, request: &'a RouteRequest, facts: Attributes) -> BoxFuture<'a, Result<RouteResponse, Fault>> {
        let _ = (request, facts);
        Box::pin(ready(Err(Fault::BadReply("it has no routes".into()))))
    }
    /// Credential to principal. `facts` are `transport.*` and the allowed headers.
    fn authenticate<'a>(&'a self, credential: &'a Credential, facts: &'a mut Attributes) -> BoxFuture<'a, Result<Authentication, Fault>>;
    /// A request on its way in.
    fn on_request<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>>;
    /// A request that is about to leave. By default there is nothing to add.
    fn on_outbound<'a>(&'a self, leaving: &'a Leaving<'_>) -> BoxFuture<'a, Result<OutboundVerdict, Fault>> {
        let _ = leaving;
        Box::pin(ready(Ok(OutboundVerdict::Next(Vec::new()))))
    }
    /// A response on its way out.
    fn on_response<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>>;
    /// Some texts of a response that is too long to be held. By default it cannot come to that.
    fn on_chunk<'a>(&'a self, pass: &'a mut ChunkPass<'_>) -> BoxFuture<'a, Result<ChunkVerdict, Fault>> {
        let _ = pass;
        Box::pin(ready(Err(Fault::BadReply("it has no on-chunk".into()))))
    }
    /// One notification.
    fn on_notification<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<NotificationVerdict, Fault>>;
    /// Shape one list. Reads of viewer attributes are recorded in the offer.
    fn on_catalog<'a>(&'a self, offer: &'a mut Offer) -> BoxFuture<'a, Result<(), Fault>>;
    /// The exchange has ended.
    fn on_done<'a>(&'a self, ended: &'a Ended) -> BoxFuture<'a, Result<(), Fault>>;
}
