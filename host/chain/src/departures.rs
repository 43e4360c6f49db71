//! Requests on their way to an upstream behind a URL, through `on-outbound` of the filters that may act for it.
//!
//! Whatever carries a request may be dropped while it waits (its time is over, its client has left); a filter's call may not. So each
//! run has a task of its own, which goes on to its end.

use crate::{
    attributes::Attributes,
    fault::Fault,
    filter::{Hook, Identity},
    generation::{Generation, Link, Mode},
    principal::Principal,
    record::{Observer, Passed},
    upstream::UpstreamError,
    verdict::{Rejection, Suspension},
};
use bytes::Bytes;
use sluice_wire::revision::Revision;
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

/// One HTTP request that is about to leave.
#[derive(Debug, Clone)]
pub struct Departure {
    /// The upstream's configured name.
    pub upstream: Arc<str>,
    /// Where it goes.
    pub url: String,
    /// HTTP method.
    pub method: &'static str,
    /// What is set so far, lower-case names. Without a value: it is not a filter's to see.
    pub headers: Vec<(String, Option<String>)>,
    /// Those among them that the operator configured: not a filter's to replace.
    pub fixed: Vec<String>,
    /// The body.
    pub body: Bytes,
    /// How the upstream answered it a moment ago; none when it was not sent yet.
    pub challenge: Option<Challenge>,
    /// What filters had given it then.
    pub refused: Vec<Header>,
}

/// An upstream's wish for other credentials.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// 401 or 403.
    pub status: u16,
    /// `WWW-Authenticate`, each as it came.
    pub www_authenticate: Vec<String>,
}

/// A header that a filter sets.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Lower case.
    pub name: Box<str>,
    /// All of it.
    pub value: Bytes,
    /// Where in the value a secret begins, if it holds one. It ends with the value.
    pub secret_at: Option<usize>,
}

impl Header {
    /// The secret in it.
    pub fn secret(&self) -> Option<Bytes> {
        self.secret_at.map(|at| self.value.slice(at.min(self.value.len())..))
    }
}

impl fmt::Debug for Header {
    /// Never shows the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({})", self.name)
    }
}

/// A departure as it is lent to one filter.
pub struct Leaving<'e> {
    /// With what filters before have set.
    pub departure: &'e Departure,
    /// Host-wide id: of the exchange it belongs to, or its own.
    pub exchange: u64,
    /// Revision of the client's side; none outside of exchanges.
    pub protocol: Option<Revision>,
    /// On whose behalf it leaves.
    pub principal: &'e Principal,
    /// Facts, and the labels of its exchange. They are not a filter's to change here.
    pub attributes: &'e Attributes,
    /// When the call began.
    pub began: Instant,
}

/// A filter's word on a departure.
#[derive(Debug)]
pub enum OutboundVerdict {
    /// Go on, with these headers set.
    Next(Vec<Header>),
    /// It does not leave.
    Reject(Rejection),
    /// Ask a person first.
    Suspend(Suspension),
}

/// Why a request did not leave.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Held {
    /// A filter refused it.
    #[error("plugin {plugin} refused it: {}", rejection.message)]
    Rejected {
        /// Whose word it is.
        plugin: Arc<str>,
        /// How the client is to see it.
        rejection: Rejection,
    },
    /// A filter wants a person to do something first.
    #[error("plugin {} asks first: {}", by.name, asks.message)]
    Suspended {
        /// Who asks.
        by: Arc<Identity>,
        /// What.
        asks: Suspension,
    },
    /// A filter broke, and the operator's word is `refuse`.
    #[error("plugin {plugin} {fault}")]
    Broke {
        /// Whose fault it is.
        plugin: Arc<str>,
        /// What it did.
        fault: Fault,
    },
}

/// Where hook calls are noted that run beside their exchange.
pub(crate) type Journal = Arc<Mutex<Vec<Passed>>>;

/// The way out for the requests of one exchange, or of one principal, toward one upstream.
pub struct Departures {
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) generation: Arc<Generation>,
    pub(crate) upstream: Arc<str>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) exchange: u64,
    pub(crate) protocol: Option<Revision>,
    pub(crate) attributes: Attributes,
    pub(crate) journal: Option<Journal>,
    /// The upstream has answered one of the exchange's own requests: from then on it is not begun again.
    pub(crate) answered: AtomicBool,
}

impl fmt::Debug for Departures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Departures({})", self.upstream)
    }
}

impl Departures {
    /// Asks the filters. The headers that they set, each name once.
    ///
    /// # Errors
    /// [`UpstreamError::Held`] when it is not to leave.
    pub async fn leave(self: &Arc<Self>, departure: Departure) -> Result<Vec<Header>, UpstreamError> {
        let departures = self.clone();
        let running = tokio::spawn(async move { departures.run(departure).await });
        let ended =
            running.await.unwrap_or_else(|_| Err(UpstreamError::Unreachable { reason: "a request to it could not be made".into() }));
        ended.inspect_err(|error| tracing::debug!(upstream = %self.upstream, %error, "a request did not leave"))
    }

    /// How one of the exchange's own requests ended, where a call may take several: polls of its task, further rounds. What holds a later
    /// one back says nothing about the first, which may have run.
    ///
    /// # Errors
    /// Those of `ended`; instead of [`UpstreamError::Held`], [`UpstreamError::HeldMidway`] once something was answered.
    pub fn ended<T>(&self, ended: Result<T, UpstreamError>) -> Result<T, UpstreamError> {
        match ended {
            Ok(answer) => {
                self.answered.store(true, Relaxed);
                Ok(answer)
            }
            Err(UpstreamError::Held(held)) if self.answered.load(Relaxed) => Err(UpstreamError::HeldMidway(held)),
            Err(error) => Err(error),
        }
    }

    async fn run(&self, mut departure: Departure) -> Result<Vec<Header>, UpstreamError> {
        let mut set: Vec<Header> = Vec::new();
        for link in self.generation.links.iter().filter(|link| link.departs(&self.upstream, self.principal.tenant.as_deref())) {
            let began = Instant::now();
            let outcome = match link.breaker.admit() {
                Ok(()) => link.filter.on_outbound(&self.leaving(&departure, began)).await,
                Err(retry_after) => Err(Fault::Open { retry_after }),
            };
            if outcome.is_ok() {
                link.breaker.succeeded();
            }
            let is_audit = link.policy.mode == Mode::Audit;
            let (label, held) = match outcome {
                Ok(OutboundVerdict::Next(headers)) if headers.is_empty() => ("next", None),
                Ok(OutboundVerdict::Next(_)) if is_audit => ("audit:edited", None),
                Ok(OutboundVerdict::Next(headers)) => {
                    headers.into_iter().for_each(|header| put(&mut departure, &mut set, header));
                    ("edited", None)
                }
                Ok(OutboundVerdict::Reject(_)) if is_audit => ("audit:reject", None),
                Ok(OutboundVerdict::Reject(rejection)) => {
                    ("reject", Some(Held::Rejected { plugin: link.filter.identity().name.clone(), rejection }))
                }
                Ok(OutboundVerdict::Suspend(_)) if is_audit => ("audit:suspend", None),
                Ok(OutboundVerdict::Suspend(asks)) => ("suspend", Some(Held::Suspended { by: link.filter.identity().clone(), asks })),
                Err(fault) => self.broke(link, fault),
            };
            self.note(link, label, began);
            if let Some(held) = held {
                return Err(UpstreamError::Held(Arc::new(held)));
            }
        }
        Ok(set)
    }

    fn leaving<'e>(&'e self, departure: &'e Departure, began: Instant) -> Leaving<'e> {
        Leaving {
            departure,
            exchange: self.exchange,
            protocol: self.protocol,
            principal: &self.principal,
            attributes: &self.attributes,
            began,
        }
    }

    fn broke(&self, link: &Link, fault: Fault) -> (&'static str, Option<Held>) {
        if link.broke(Hook::OnOutbound, &fault, &*self.observer) {
            return (fault.bypassed_label(), None);
        }
        (fault.label(), Some(Held::Broke { plugin: link.filter.identity().name.clone(), fault }))
    }

    fn note(&self, link: &Link, verdict: &'static str, began: Instant) {
        let took = began.elapsed();
        link.filter.identity().calls.count(Hook::OnOutbound, took);
        if let Some(journal) = &self.journal {
            let passed = Passed { filter: link.filter.identity().clone(), hook: Hook::OnOutbound, verdict, took };
            journal.lock().unwrap_or_else(PoisonError::into_inner).push(passed);
        }
    }
}

/// The last word of a name counts, and later filters see it.
fn put(departure: &mut Departure, set: &mut Vec<Header>, header: Header) {
    let shown = header.secret_at.is_none().then(|| String::from_utf8_lossy(&header.value).into_owned());
    departure.headers.retain(|(name, _)| **name != *header.name);
    departure.headers.push((header.name.to_string(), shown));
    set.retain(|before| before.name != header.name);
    set.push(header);
}
