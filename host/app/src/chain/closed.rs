//! The chain before there is one: everybody is told to come back, and why.
//!
//! A gateway whose filters are still being compiled must not pass anything by them. It can say so, though, which is more than
//! a port that nobody listens on: to clients, to whoever asks for readiness, and to the operator who waits.

use futures_util::future::{BoxFuture, ready};
use sluice_chain::{
    attributes::Attributes,
    catalogue::Offer,
    fault::Fault,
    filter::{Authentication, Credential, Filter, Hook, Identity, Interest, NotificationVerdict, Pass, Selector, Verdict},
    record::Ended,
    verdict::Rejection,
};
use std::sync::Arc;

/// JSON-RPC code of "not yet": ours, since the protocol has none. HTTP says 503.
const NOT_YET: i64 = 5030;
/// When a client is to come back.
const RETRY_AFTER_S: &str = "2";

/// Lets nobody in.
pub(super) struct Closed {
    identity: Arc<Identity>,
    interest: Interest,
}

impl Closed {
    pub(super) fn new() -> Self {
        let hooks = [Hook::Authenticate, Hook::OnCatalog, Hook::OnRequest].map(|hook| (hook, Selector::default()));
        Self {
            identity: Arc::new(Identity::new("starting".into(), env!("CARGO_PKG_VERSION"), "")),
            interest: Interest { hooks: hooks.into(), ..Interest::default() },
        }
    }
}

/// Strangers hear it, so it names no plugin.
fn not_yet() -> Rejection {
    Rejection {
        code: NOT_YET,
        message: format!("this gateway is starting and its plugins are not ready; try again in {RETRY_AFTER_S} s"),
        http_status: Some(503),
        http_headers: vec![("retry-after".into(), RETRY_AFTER_S.into())],
        ..Rejection::default()
    }
}

impl Filter for Closed {
    fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn authenticate<'a>(&'a self, _: &'a Credential, _: &'a mut Attributes) -> BoxFuture<'a, Result<Authentication, Fault>> {
        Box::pin(ready(Ok(Authentication::Challenge(not_yet()))))
    }

    fn on_request<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        Box::pin(ready(Ok(Verdict::Reject(not_yet()))))
    }

    fn on_response<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        Box::pin(ready(Ok(Verdict::Reject(not_yet()))))
    }

    fn on_notification<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<NotificationVerdict, Fault>> {
        Box::pin(ready(Ok(NotificationVerdict::Drop)))
    }

    fn on_catalog<'a>(&'a self, _: &'a mut Offer) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(ready(Err(Fault::BadReply(not_yet().message))))
    }

    fn on_done<'a>(&'a self, _: &'a Ended) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(ready(Ok(())))
    }
}
