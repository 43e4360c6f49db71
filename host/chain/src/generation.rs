//! One immutable chain and the servers behind it. An exchange pins a generation when it arrives and keeps it to the end.

use crate::{
    attributes::Attributes,
    breaker::{Breaker, BreakerLimits},
    canary::{Canary, Side},
    catalogue::Views,
    estate::Estate,
    fault::Fault,
    filter::{Filter, Hook},
    record::Observer,
    selector::{Conditions, Scope},
};
use sluice_wire::json::IndexDepth;
use std::sync::Arc;

/// What happens to the exchange when a filter faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFault {
    /// The exchange is refused: the safe default.
    #[default]
    Refuse,
    /// The filter is passed over for this message, which is counted and audited.
    Skip,
}

/// Whether a verdict takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is recorded, not applied; edits are dropped.
    Audit,
}

/// What the operator says about one filter.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// For every cause not named in `on_fault_by_kind`.
    pub on_fault: OnFault,
    /// By [`crate::fault::Fault::kind`].
    pub on_fault_by_kind: Vec<(String, OnFault)>,
    /// Enforce or audit.
    pub mode: Mode,
    /// Which traffic it takes part in, on top of its own selectors.
    pub when: Conditions,
    /// May not vanish.
    pub required: bool,
    /// When to switch it off.
    pub breaker: BreakerLimits,
}

impl Policy {
    /// What to do about a fault of this kind.
    pub fn on_fault(&self, kind: &str) -> OnFault {
        self.on_fault_by_kind.iter().find(|(k, _)| k == kind).map_or(self.on_fault, |(_, v)| *v)
    }
}

/// One filter at its place in the chain.
pub struct Link {
    /// The filter.
    pub filter: Arc<dyn Filter>,
    /// The operator's word on it.
    pub policy: Policy,
    /// Shared by all generations that hold the same filter with the same settings.
    pub breaker: Arc<Breaker>,
    /// For its routes, which strangers reach: what breaks there switches off no call.
    pub(crate) routes: Breaker,
    /// It is one of two versions of a plugin, each of which takes a part of the traffic.
    pub(crate) trial: Option<(Arc<Canary>, Side)>,
    scopes: Vec<(Hook, Scope)>,
}

/// Where a version on trial takes no part: there may be no exchange there, and what it would answer is kept for others.
const NOT_ON_TRIAL: [Hook; 4] = [Hook::OnHttp, Hook::Authenticate, Hook::OnCatalog, Hook::OnOutbound];

impl Link {
    /// Put a filter under a policy.
    pub fn new(filter: Arc<dyn Filter>, policy: Policy) -> Self {
        let breaker = Arc::new(Breaker::new(policy.breaker.clone()));
        Self::with_breaker(filter, policy, breaker)
    }

    /// The same, going on with the breaker of an earlier generation.
    pub fn with_breaker(filter: Arc<dyn Filter>, policy: Policy, breaker: Arc<Breaker>) -> Self {
        let scopes = filter.interest().hooks.iter().map(|(hook, s)| (*hook, Scope::new(s))).collect();
        let routes = Breaker::new(policy.breaker.clone());
        Self { filter, policy, breaker, routes, trial: None, scopes }
    }

    /// The same, as one of the two versions of a trial. The new one takes no part in sign-in, routes, lists and requests toward upstreams.
    pub fn on_trial(mut self, canary: Arc<Canary>, side: Side) -> Self {
        if side == Side::Candidate {
            self.scopes.retain(|(hook, _)| !NOT_ON_TRIAL.contains(hook));
        }
        self.trial = Some((canary, side));
        self
    }

    /// Does the filter export this hook at all?
    pub fn exports(&self, hook: Hook) -> bool {
        self.scopes.iter().any(|(h, _)| *h == hook)
    }

    /// Does this message enter the filter at this hook? Several selectors of one hook are alternatives.
    pub fn enters(&self, hook: Hook, at: &Place<'_>) -> bool {
        self.scopes.iter().any(|(h, s)| *h == hook && s.matches(at.method, at.name))
            && self.policy.when.hold(at.method, at.name, at.upstream, at.tenant)
    }

    /// May the filter act for requests to this upstream, whoever they are for?
    pub(crate) fn departs_for(&self, upstream: &str) -> bool {
        let granted = &self.filter.interest().outbound;
        self.exports(Hook::OnOutbound)
            && granted.iter().any(|name| name == "*" || name == upstream)
            && self.policy.when.upstreams.matches(upstream)
    }

    /// Do requests of this tenant to this upstream leave through it?
    pub(crate) fn departs(&self, upstream: &str, tenant: Option<&str>) -> bool {
        self.departs_for(upstream) && self.policy.when.hold_for_tenant(tenant)
    }

    /// A call of the filter ended in a fault: tell the breaker and whoever watches. Says whether the filter is passed over.
    pub(crate) fn broke(&self, hook: Hook, fault: &Fault, observer: &dyn Observer) -> bool {
        let identity = self.filter.identity();
        let breaker = if hook == Hook::OnHttp { &self.routes } else { &*self.breaker };
        if !fault.is_want_of_room() && breaker.failed() {
            tracing::error!(plugin = %identity.name, hook = hook.as_str(), "switched off after repeated faults");
        }
        observer.faulted(identity, hook, fault.kind(), &fault.to_string());
        self.policy.mode == Mode::Audit || self.policy.on_fault(fault.kind()) == OnFault::Skip
    }

    /// The same for a list.
    pub fn shapes(&self, method: &str, viewer: &Attributes) -> bool {
        self.scopes.iter().any(|(h, s)| *h == Hook::OnCatalog && s.matches(method, None))
            && self.policy.when.hold_for_viewer(method, viewer)
    }
}

/// Where a message is, as selectors and conditions see it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Method; of a response, the method it answers.
    pub method: &'a str,
    /// As the client sees it.
    pub name: Option<&'a str>,
    /// Configured name.
    pub upstream: Option<&'a str>,
    /// Of the principal.
    pub tenant: Option<&'a str>,
}

/// One immutable chain and the servers behind it, with the views computed under it.
pub struct Generation {
    /// Rises by one with every swap.
    pub number: u64,
    /// The group it is of; none: of `/mcp`.
    pub group: Option<Arc<str>>,
    /// The servers.
    pub upstreams: Arc<Estate>,
    /// In config order.
    pub links: Vec<Link>,
    /// What principals see under this chain.
    pub views: Views,
    index: IndexDepth,
    /// Some filter has `on-outbound`.
    departs: bool,
}

impl Generation {
    /// A chain of these links before these servers.
    pub fn new(number: u64, upstreams: Arc<Estate>, links: Vec<Link>) -> Self {
        Self::of_group(number, None, upstreams, links)
    }

    /// The same, at `/mcp/<group>`.
    pub fn of_group(number: u64, group: Option<Arc<str>>, upstreams: Arc<Estate>, links: Vec<Link>) -> Self {
        let reads = links.iter().any(|l| l.filter.interest().reads_payload);
        // Level 4 holds everything the host itself reads: the envelope, `params`, `_meta` and what is in it.
        let index = if reads { IndexDepth::Full } else { IndexDepth::Levels(4) };
        let departs = links.iter().any(|l| l.exports(Hook::OnOutbound));
        Self { number, group, upstreams, links, views: Views::default(), index, departs }
    }

    /// How deep messages must be indexed for this chain.
    pub fn index_depth(&self) -> IndexDepth {
        self.index
    }

    /// Does any filter act for requests that leave?
    pub(crate) fn has_departures(&self) -> bool {
        self.departs
    }

    /// Do requests to this upstream leave through a filter? Then what it says to one principal is no other's.
    pub(crate) fn departs_for(&self, upstream: &str) -> bool {
        self.departs && self.links.iter().any(|link| link.departs_for(upstream))
    }

    /// Does any filter authenticate callers?
    pub fn authenticates(&self) -> bool {
        self.links.iter().any(|l| l.exports(Hook::Authenticate))
    }
}
