//! What is known about an exchange once it has ended: the source of the log line, the audit record,
//! the metrics and `on-done`.

use crate::{
    attributes::Attributes,
    canary::Worse,
    exchange::Head,
    filter::{Hook, Identity},
    principal::Principal,
};
use std::{sync::Arc, time::Duration};

/// Every accepted request ends in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A result, or an error that the upstream itself gave.
    Answered,
    /// A round of it: the client is asked something, and the exchange goes on when it comes back.
    Asked,
    /// A filter, the catalogue or the gate said no.
    Refused,
    /// A guest or the world broke.
    Failed,
    /// The client left (modern) or cancelled.
    Cancelled,
}

impl Outcome {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 5] = [Self::Answered, Self::Asked, Self::Refused, Self::Failed, Self::Cancelled];

    /// The label in logs, metrics and audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Asked => "asked",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One hook call of one filter.
#[derive(Clone, Debug)]
pub struct Passed {
    /// Which filter, with version and digest.
    pub filter: Arc<Identity>,
    /// Which hook.
    pub hook: Hook,
    /// `next`, `edited`, `reply`, `reject`, `suspend`, `drop`, or `fault:<kind>`; behind `audit:` when it was recorded, not applied,
    /// and `bypassed:` when a fault was skipped.
    pub verdict: &'static str,
    /// How long the host waited for it.
    pub took: Duration,
}

/// What became of an answer that went out in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// It broke off: the client has not got all of it.
    pub truncated: bool,
    /// A result with `isError: true`.
    pub tool_error: bool,
}

/// One ended exchange.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Host-wide id.
    pub head: Head,
    /// Who asked.
    pub principal: Arc<Principal>,
    /// Facts and labels as they were at the end.
    pub attributes: Attributes,
    /// The chain generation that every phase used.
    pub generation: u64,
    /// The exchange whose filter made this call, if one did.
    pub parent: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Of the error, if it ended in one.
    pub code: Option<i64>,
    /// A result with `isError: true`.
    pub tool_error: bool,
    /// What happened, for the operator, when it failed or was refused. No payload, no secret.
    pub cause: Option<String>,
    /// Size of the request in bytes.
    pub request_bytes: usize,
    /// Size of the answer in bytes before the downstream's own framing.
    pub response_bytes: usize,
    /// The answer went out in pieces, and how that ended.
    pub stream: Option<Streamed>,
    /// From the first byte parsed to the answer handed over.
    pub took: Duration,
    /// The part spent waiting for the upstream.
    pub upstream_took: Duration,
    /// Every hook call, in the order they ran.
    pub passed: Vec<Passed>,
}

/// One call of a filter at a route of its own. No query and no body: they may hold what is secret.
#[derive(Debug)]
pub struct RouteCall<'a> {
    /// Host-wide id.
    pub id: u64,
    /// Which filter, with version and digest.
    pub filter: &'a Identity,
    /// HTTP method.
    pub method: &'a str,
    /// As the client wrote it.
    pub path: &'a str,
    /// `answered`, or `fault:<kind>`; behind `audit:` when it was recorded, not applied, and `bypassed:` when a fault was skipped.
    pub verdict: &'static str,
    /// Of the answer, if it was applied.
    pub status: Option<u16>,
    /// How long the host waited for it.
    pub took: Duration,
}

/// Told of each ended exchange, once. Must be cheap and must not block for long.
pub trait Observer: Send + Sync {
    /// One exchange has ended.
    fn ended(&self, ended: &Ended);
    /// A filter faulted, in any hook, `authenticate` and `on-catalog` included.
    fn faulted(&self, filter: &Identity, hook: Hook, kind: &'static str, detail: &str);
    /// A version on trial proved worse than the one it was to replace, which takes all traffic from now on.
    fn taken_back(&self, candidate: &Identity, worse: &Worse);
    /// A filter was called at one of its routes.
    fn route_called(&self, call: &RouteCall<'_>);
    /// Somebody was turned away at the gate, or sent a message that never became an exchange.
    fn turned_away(&self, reason: &'static str);
    /// A call waited for answers to its server's questions, and its client never came back: how its last exchange ended.
    fn abandoned(&self, last: &Ended);
}

#[cfg(test)]
pub(crate) fn nothing_ended() -> Ended {
    use crate::exchange::{Direction, Kind};
    let head = Head {
        exchange: 1,
        round: 0,
        direction: Direction::ToServer,
        kind: Kind::Request,
        method: "tools/call".into(),
        name: None,
        upstream: None,
        protocol: sluice_wire::revision::Revision::V2026_07_28,
    };
    Ended {
        head,
        principal: Arc::new(Principal::new("auth", "a", None)),
        attributes: Attributes::default(),
        generation: 1,
        parent: None,
        outcome: Outcome::Cancelled,
        code: None,
        tool_error: false,
        cause: None,
        request_bytes: 0,
        response_bytes: 0,
        stream: None,
        took: Duration::ZERO,
        upstream_took: Duration::ZERO,
        passed: Vec::new(),
    }
}
