//! A transport made into an upstream: health, breaker, counters.

use super::{
    breaker::Breaker,
    counters::Counters,
    tasks::{self, Tasks},
};
use futures_util::future::BoxFuture;
use sluice_chain::{
    exchange::Client,
    principal::Principal,
    upstream::{Health, Inbound, Outbound, ServerFacts, Upstream, UpstreamError, Watching, Wish},
};
use sluice_wire::revision::Era;
use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

/// One way of reaching a server.
pub trait Carrier: Send + Sync + 'static {
    /// `stdio`, `http`, `builtin`.
    const TRANSPORT: &'static str;
    /// As [`Upstream::takes_headers`].
    const TAKES_HEADERS: bool = false;
    /// The operator's name for the server.
    fn name(&self) -> &Arc<str>;
    /// Where it counts.
    fn counters(&self) -> &Arc<Counters>;
    /// Requests on behalf of this principal have credentials of its own: that they are refused says nothing about the server.
    fn is_personal(&self, client: &Client, principal: &Arc<Principal>) -> bool {
        let _ = (client, principal);
        false
    }
    /// As [`Upstream::facts`].
    fn facts(
        &self,
        era: Era,
        client: &Arc<Client>,
        principal: &Arc<Principal>,
    ) -> impl Future<Output = Result<Arc<ServerFacts>, UpstreamError>> + Send;
    /// As [`Upstream::send`].
    fn send(&self, outbound: &Outbound) -> impl Future<Output = Result<Inbound, UpstreamError>> + Send;
    /// As [`Upstream::watch`].
    fn watch(&self, wish: Wish) -> impl Future<Output = Watching> + Send {
        drop(wish);
        std::future::ready(Watching::default())
    }
    /// As [`Upstream::forget_session`].
    fn forget_session(&self, session: &str) -> impl Future<Output = ()> + Send;
    /// As [`Upstream::close`].
    fn close(&self) -> impl Future<Output = ()> + Send;
}

const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

/// A carrier with its health, breaker and counters.
pub struct Watched<C> {
    carrier: Arc<C>,
    tasks: Tasks,
    breaker: Breaker,
    state: AtomicU8,
    /// Why it is down.
    reason: Mutex<String>,
}

impl<C: Carrier> Watched<C> {
    /// Watches a carrier.
    pub fn new(carrier: C) -> Self {
        Self {
            carrier: Arc::new(carrier),
            tasks: Tasks::default(),
            breaker: Breaker::default(),
            state: AtomicU8::new(UNKNOWN),
            reason: Mutex::default(),
        }
    }

    /// What it has seen.
    pub fn counters(&self) -> &Arc<Counters> {
        self.carrier.counters()
    }

    fn admit(&self) -> Result<(), UpstreamError> {
        self.breaker.admit().map_err(|retry_after| UpstreamError::Resting { retry_after })
    }

    /// Learns from how something ended.
    fn learn<T>(&self, outcome: &Result<T, UpstreamError>, is_personal: impl FnOnce() -> bool) {
        match outcome {
            Ok(_) => self.mark_up(),
            Err(error @ UpstreamError::Unreachable { .. }) => {
                self.breaker.unreachable();
                self.mark_down(error);
            }
            Err(UpstreamError::Unauthorized { .. }) if is_personal() => self.breaker.reached(),
            // It answered, or was found at least: connecting is not what is wrong with it.
            Err(
                error @ (UpstreamError::ClosedEarly { .. }
                | UpstreamError::Deadline { .. }
                | UpstreamError::Unauthorized { .. }
                | UpstreamError::BadReply { .. }),
            ) => {
                self.breaker.reached();
                self.mark_down(error);
            }
            // That says something about the request, and nothing about its health.
            Err(
                UpstreamError::TooLarge { .. }
                | UpstreamError::CannotCross { .. }
                | UpstreamError::NeedsCapability { .. }
                | UpstreamError::Loop,
            ) => self.breaker.reached(),
            Err(
                UpstreamError::Resting { .. }
                | UpstreamError::Busy { .. }
                | UpstreamError::Held(_)
                | UpstreamError::HeldMidway(_)
                | UpstreamError::Cancelled,
            ) => {}
        }
    }

    fn mark_up(&self) {
        self.breaker.reached();
        if self.state.load(Relaxed) != UP && self.state.swap(UP, Relaxed) == DOWN {
            tracing::info!(upstream = %self.carrier.name(), "upstream is back");
        }
    }

    fn mark_down(&self, error: &UpstreamError) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
        if self.state.swap(DOWN, Relaxed) != DOWN {
            tracing::warn!(upstream = %self.carrier.name(), %error, "upstream is down");
        }
    }
}

impl<C: Carrier> Upstream for Watched<C> {
    fn name(&self) -> &Arc<str> {
        self.carrier.name()
    }

    fn transport(&self) -> &'static str {
        C::TRANSPORT
    }

    fn takes_headers(&self) -> bool {
        C::TAKES_HEADERS
    }

    fn health(&self) -> Health {
        match self.state.load(Relaxed) {
            UP => Health::Up,
            DOWN => Health::Down(self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            _ => Health::Unknown,
        }
    }

    fn facts<'a>(
        &'a self,
        era: Era,
        client: &'a Arc<Client>,
        principal: &'a Arc<Principal>,
    ) -> BoxFuture<'a, Result<Arc<ServerFacts>, UpstreamError>> {
        Box::pin(async move {
            self.admit()?;
            let outcome = self.carrier.facts(era, client, principal).await;
            self.learn(&outcome, || self.carrier.is_personal(client, principal));
            outcome
        })
    }

    fn send<'a>(&'a self, outbound: Outbound) -> BoxFuture<'a, Result<Inbound, UpstreamError>> {
        Box::pin(async move {
            self.admit()?;
            let counters = self.carrier.counters();
            counters.count(|c| &c.requests);
            let is_personal = outbound.departures.is_some();
            let outcome = tasks::play(&self.carrier, &self.tasks, outbound).await;
            if outcome.is_err() {
                counters.count(|c| &c.failures);
            }
            self.learn(&outcome, || is_personal);
            outcome
        })
    }

    fn watch(&self, wish: Wish) -> BoxFuture<'_, Watching> {
        // Its own keeper tries again when it must, so a resting upstream is no reason to say no.
        Box::pin(self.carrier.watch(wish))
    }

    fn forget_session<'a>(&'a self, session: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.carrier.forget_session(session))
    }

    fn close<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(self.carrier.close())
    }
}
