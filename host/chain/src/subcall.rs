//! A filter calls a tool itself: an exchange within its own, of the same principal, over what that principal sees, through the chain
//! that its exchange is pinned to.
//!
//! The filters that wait for it are passed over, so no loop can form; how many may wait one for another has a bound too.

use crate::{
    attributes::Facts,
    catalogue::{Currency, View},
    exchange::{Answer, AnswerBody, Arrival, Client, Outgoing},
    generation::Generation,
    host::{Host, own_revision},
    principal::Principal,
    running::Running,
    upstream::UpstreamError,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_wire::{
    id::RequestId,
    json::{Document, IndexDepth, Kind, Limits, quote},
    message::{self, Message},
    meta, method,
    revision::Era,
};
use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

/// Filters that may wait one for another's call.
const DEPTH_MAX: usize = 4;

/// Within which exchange a filter runs.
#[derive(Clone, Copy)]
pub struct Origin<'e> {
    /// The chain it is pinned to.
    pub generation: &'e Arc<Generation>,
    /// Who asks.
    pub principal: &'e Arc<Principal>,
    /// Over what.
    pub client: &'e Arc<Client>,
    /// The filters that wait for it, if it is a call of one itself.
    pub callers: &'e Arc<[Arc<str>]>,
}

impl Origin<'_> {
    /// What outlives the hook call.
    pub fn kept(&self, exchange: u64) -> Within {
        Within {
            generation: self.generation.clone(),
            principal: self.principal.clone(),
            facts: self.client.facts.clone(),
            callers: self.callers.clone(),
            exchange,
        }
    }
}

/// The exchange that a call belongs to.
#[derive(Clone)]
pub struct Within {
    generation: Arc<Generation>,
    principal: Arc<Principal>,
    facts: Arc<Facts>,
    callers: Arc<[Arc<str>]>,
    exchange: u64,
}

impl Within {
    pub(crate) fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    pub(crate) fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// Those who wait for a call that this filter makes.
    fn callers(&self, by: &Arc<str>) -> Arc<[Arc<str>]> {
        self.callers.iter().chain([by]).cloned().collect()
    }

    /// Who calls.
    fn client(&self) -> Arc<Client> {
        Arc::new(Client {
            info: None,
            // Nobody is there who could be asked.
            capabilities: Bytes::from_static(b"{}"),
            session: None,
            facts: self.facts.clone(),
            log_level: Mutex::default(),
        })
    }
}

impl fmt::Debug for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Within({})", self.exchange)
    }
}

/// A tool and what it is given.
pub struct ToolCall {
    /// Name of the calling filter.
    pub by: Arc<str>,
    /// The exchange it runs in.
    pub within: Within,
    /// Configured name.
    pub upstream: String,
    /// The upstream's own name for it.
    pub tool: String,
    /// JSON text of an object.
    pub arguments: String,
    /// When it is given up.
    pub timeout: Duration,
}

/// It gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The principal sees no such tool.
    Unknown,
    /// Too many filters wait one for another.
    TooDeep,
    /// It ended in this JSON-RPC error.
    Failed(i64, String),
    /// It took too long, and was cancelled.
    Timeout,
    /// The host is not there, or the arguments are no object.
    Unsuited(&'static str),
}

/// Who makes such calls. The host does.
pub trait Calls: Send + Sync {
    /// One call, and the JSON text of its `result`.
    fn call(&self, call: ToolCall) -> BoxFuture<'static, Result<Bytes, CallError>>;

    /// The tools that calls of this filter may be of: what the principal sees, but for what this filter makes of the list. None: nobody
    /// can say just now.
    fn tools(&self, by: &Arc<str>, within: Within) -> BoxFuture<'static, Option<Arc<View>>>;
}

impl Calls for Weak<Host> {
    fn call(&self, call: ToolCall) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let host = self.upgrade();
        Box::pin(async move { host.ok_or(CallError::Unsuited("the host is about to stop"))?.call_tool(call).await })
    }

    fn tools(&self, by: &Arc<str>, within: Within) -> BoxFuture<'static, Option<Arc<View>>> {
        let (host, callers) = (self.upgrade(), within.callers(by));
        Box::pin(async move { host?.callable(&within.client(), &within, &callers, Currency::Known).await.ok() })
    }
}

/// Ends the call when nobody waits for it any more.
struct Ends(Running);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.cancel.cancel();
    }
}

impl Host {
    async fn call_tool(self: Arc<Self>, call: ToolCall) -> Result<Bytes, CallError> {
        let ToolCall { by, within, upstream, tool, arguments, timeout } = call;
        if within.callers.len() >= DEPTH_MAX {
            return Err(CallError::TooDeep);
        }
        let (client, callers) = (within.client(), within.callers(&by));
        let upstream = within.generation.upstreams.position(&upstream).ok_or(CallError::Unknown)?;
        let name = self.shown_as(upstream, &tool, &client, &within, &callers).await.ok_or(CallError::Unknown)?;
        let arrival = Arrival {
            message: Arc::new(request(&name, &arguments).ok_or(CallError::Unsuited("the arguments are no JSON object"))?),
            revision: own_revision(Era::Modern),
            client,
            principal: within.principal.clone(),
            generation: within.generation.clone(),
            param_headers: None,
            takes_pieces: false,
        };
        let mut running = Ends(self.begin_within(arrival, within.exchange, callers));
        let answered = async {
            loop {
                match poll_fn(|cx| running.0.poll_next(cx)).await {
                    Some(Outgoing::Final(answer)) => return Some(answer),
                    // Nobody hears it; a question that is dropped counts as unanswered.
                    Some(Outgoing::Notification(_) | Outgoing::Question(_)) => {}
                    None => return None,
                }
            }
        };
        let answer = tokio::time::timeout(timeout, answered).await.map_err(|_| CallError::Timeout)?;
        result(answer.ok_or_else(|| CallError::Failed(-32603, UpstreamError::Cancelled.to_string()))?)
    }
}

fn request(name: &str, arguments: &str) -> Option<Message> {
    let is_object = Document::parse_value(Bytes::copy_from_slice(arguments.as_bytes()), &Limits::REQUEST, IndexDepth::Levels(0))
        .is_ok_and(|arguments| arguments.root().kind() == Kind::Object);
    if !is_object {
        return None;
    }
    let params = format!(
        r#"{{"name":{},"arguments":{arguments},"_meta":{{"{}":"{}","{}":{{}},"{}":{{"name":"sluice","version":"{}"}}}}}}"#,
        quote(name),
        meta::PROTOCOL_VERSION,
        own_revision(Era::Modern).as_str(),
        meta::CLIENT_CAPABILITIES,
        meta::CLIENT_INFO,
        env!("CARGO_PKG_VERSION"),
    );
    let text = message::request(&RequestId::from_u64(0), method::TOOLS_CALL, Some(params.as_bytes()));
    Message::decode(Document::parse(text, &Limits::REQUEST, IndexDepth::Full).ok()?).ok()
}

fn result(answer: Answer) -> Result<Bytes, CallError> {
    match answer.body {
        AnswerBody::Result(result) => Ok(result),
        AnswerBody::Relayed(delivery) => match (delivery.message.result(), delivery.message.error_code()) {
            (Some(result), _) => Ok(result.to_bytes()),
            (None, code) => {
                let text = delivery.message.error_message().unwrap_or_default().into_owned();
                Err(CallError::Failed(code.unwrap_or(-32603), text))
            }
        },
        AnswerBody::Error { code, message, .. } => Err(CallError::Failed(code, message)),
        // Nobody said that it may.
        AnswerBody::Streamed(_) => Err(CallError::Failed(-32603, "the answer came in pieces".into())),
    }
}
