//! The host: the current generation, and the door through which exchanges come in.

pub use crate::changes::Listening;
pub use crate::parked::Parking;
use crate::{
    attributes::{Attributes, Facts},
    catalogue::{Asking, Currency, CursorKey, Gathered, ListKind, RawLists, View},
    changes::{Announced, Places, Subscription},
    departures::{Departures, Held},
    estate::Estate,
    exchange::{Arrival, Client, Delivery, Direction, Head, Kind},
    filter::Credential,
    gate::{Access, Denied, Gate},
    generation::Generation,
    groups::{Chains, Groups},
    handed::HandedLinks,
    parked::Parks,
    principal::{Principal, PrincipalKey},
    queue::queue,
    record::Observer,
    rescue::Error,
    run,
    running::Running,
    stream::Streaming,
    subcall::Within,
    task::Tasks,
    upstream::{Listener, ServerFacts, Unsolicited, Upstream, UpstreamError},
};
use arc_swap::ArcSwap;
use futures_util::future::{FutureExt as _, join_all};
use sluice_wire::{
    listen::List,
    method,
    revision::{Era, Revision},
};
use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// How many notifications of one exchange may wait for its connection.
pub(crate) const OUTGOING_QUEUE: usize = 64;

/// Bounds and names that the chain needs.
#[derive(Clone)]
pub struct Settings {
    /// Who gets in when no filter authenticates.
    pub access: Access,
    /// How long a handshake may hold up a merged answer (`initialize`, `server/discover`, lists).
    pub gather: Duration,
    /// How long a list without a hint of its own counts as fresh.
    pub list_ttl: Duration,
    /// `(upstream, tool)` pairs that the operator marked as safe to repeat; names are the upstream's own.
    pub idempotent: Vec<(String, String)>,
    /// Bounds on calls that wait for answers to a server's questions.
    pub parking: Parking,
    /// Bounds on `subscriptions/listen`.
    pub listening: Listening,
    /// What the key of task ids is made from; without it they end with the process.
    pub task_secret: Option<Arc<str>>,
    /// Requests to routes of filters that are answered at once; they come from anybody.
    pub route_calls_max: usize,
    /// Bounds on answers that are too long to be held.
    pub streaming: Streaming,
    /// Names of the filters that are served as interceptors (a draft, ADR 34).
    pub interceptors: Vec<String>,
}

impl Settings {
    /// Defaults of design.md §5.
    pub fn new(access: Access) -> Self {
        Self {
            access,
            gather: Duration::from_secs(10),
            list_ttl: Duration::from_secs(60),
            idempotent: Vec::new(),
            parking: Parking::default(),
            listening: Listening::default(),
            task_secret: None,
            route_calls_max: 32,
            streaming: Streaming::default(),
            interceptors: Vec::new(),
        }
    }
}

/// Where notifications go that no exchange owns: legacy GET streams and stdout. The downstream implements it.
pub trait Push: Send + Sync {
    /// Must not block; a slow reader loses and is counted.
    fn push(&self, principal: &PrincipalKey, session: Option<&str>, delivery: Delivery);
}

/// One process has one. Cheap to share, nothing in it is locked across an await on the hot path.
pub struct Host {
    pub(crate) settings: Settings,
    pub(crate) lists: RawLists,
    pub(crate) cursors: CursorKey,
    pub(crate) links: HandedLinks,
    pub(crate) parks: Arc<Parks>,
    pub(crate) tasks: Tasks,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) watch: Watch,
    pub(crate) announced: Announced,
    /// What legacy sessions hear of, by session.
    pub(crate) attended: Mutex<HashMap<Arc<str>, Arc<Subscription>>>,
    /// Open `subscriptions/listen`.
    pub(crate) listening: Arc<Places>,
    /// Cancelled when those are to end.
    pub(crate) winding_down: CancellationToken,
    /// Room for requests to routes.
    pub(crate) route_calls: Arc<Semaphore>,
    groups: ArcSwap<Groups>,
    gate: Gate,
    push: OnceLock<Arc<dyn Push>>,
    next_exchange: AtomicU64,
}

/// How many exchanges run, so that a shutdown can wait for them.
#[derive(Default)]
pub(crate) struct Watch {
    running: AtomicUsize,
    idle: Notify,
}

/// Counts one running exchange for as long as it lives.
pub(crate) struct Counted(Arc<Host>);

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.watch.running.fetch_sub(1, Relaxed) == 1 {
            self.0.watch.idle.notify_waiters();
        }
    }
}

impl Host {
    /// A host with an empty chain, generation 1. Fails only if the machine has no randomness.
    pub fn new(upstreams: Vec<Arc<dyn Upstream>>, settings: Settings, observer: Arc<dyn Observer>) -> Result<Arc<Self>, getrandom::Error> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)?;
        let estate = Arc::new(Estate::new(upstreams, settings.idempotent.clone()));
        Ok(Arc::new(Self {
            gate: Gate::new(settings.access.clone())?,
            parks: Arc::new(Parks::new(settings.parking, observer.clone())?),
            tasks: Tasks::new(settings.task_secret.as_deref())?,
            announced: Announced::default(),
            attended: Mutex::default(),
            listening: Arc::new(Places::new(settings.listening)),
            winding_down: CancellationToken::new(),
            route_calls: Arc::new(Semaphore::new(settings.route_calls_max)),
            settings,
            lists: RawLists::default(),
            cursors: CursorKey::random()?,
            links: HandedLinks::default(),
            observer,
            watch: Watch::default(),
            groups: ArcSwap::from_pointee(Groups::new(1, estate, Vec::<crate::generation::Link>::new().into())),
            push: OnceLock::new(),
            // Ids of two runs do not meet in one log; they rise by one within a run.
            next_exchange: AtomicU64::new(u64::from_le_bytes(seed) >> 1),
        }))
    }

    /// What exchanges that arrive now at `/mcp` are pinned to.
    pub fn generation(&self) -> Arc<Generation> {
        self.groups.load().default().clone()
    }

    /// The same for whoever came by a group's endpoint.
    pub fn generation_of(&self, principal: &Principal) -> Arc<Generation> {
        self.groups.load().of(principal).clone()
    }

    /// The same at the endpoint of a group; none where there is no such group.
    pub fn generation_at(&self, group: &str) -> Option<Arc<Generation>> {
        self.groups.load().named(group).cloned()
    }

    /// All that is in force.
    pub fn groups(&self) -> Arc<Groups> {
        self.groups.load_full()
    }

    /// Put new chains in place. Exchanges that run keep the one they came with.
    pub fn swap(&self, chains: impl Into<Chains>) -> u64 {
        let before = self.groups.load_full();
        self.put(before.default().number + 1, before.estate.clone(), chains.into())
    }

    /// Put new chains and other servers in place, in one step. A server that was there before, the very same, goes on; exchanges that run
    /// keep those they came with. Gives back those that are gone, each with its place, to be closed once nobody needs them.
    pub fn replace(
        &self,
        upstreams: Vec<Arc<dyn Upstream>>,
        idempotent: Vec<(String, String)>,
        chains: impl Into<Chains>,
    ) -> Vec<(usize, Arc<dyn Upstream>)> {
        let before = self.groups.load_full();
        let estate = Arc::new(before.estate.next(upstreams, idempotent));
        self.put(before.default().number + 1, estate.clone(), chains.into());
        let (came, gone): (Vec<usize>, Vec<usize>) = (estate.without(&before.estate).collect(), before.estate.without(&estate).collect());
        gone.iter().for_each(|place| self.forget(*place));
        self.announced.note_upstreams(&came, &gone);
        gone.into_iter().map(|place| (place, before.estate[place].clone())).collect()
    }

    /// What is kept of a server that is gone, once more when it is closed: whoever still ran may have read its lists.
    pub fn forget(&self, place: usize) {
        self.lists.forget(place);
    }

    fn put(&self, number: u64, estate: Arc<Estate>, chains: Chains) -> u64 {
        self.groups.store(Arc::new(Groups::new(number, estate, chains)));
        self.announced.note_chain();
        number
    }

    /// Whether filters are served as interceptors.
    pub fn serves_interceptors(&self) -> bool {
        !self.settings.interceptors.is_empty()
    }

    /// All servers that are there now, whichever groups they are in.
    pub fn upstreams(&self) -> Arc<Estate> {
        self.groups.load().estate.clone()
    }

    /// A fresh id for something that is answered without an exchange, so that its error can be found in the log.
    pub fn next_exchange_id(&self) -> u64 {
        self.next_exchange.fetch_add(1, Relaxed)
    }

    /// Who is this?
    ///
    /// # Errors
    /// [`Denied`] when nobody vouches for the caller.
    pub async fn authenticate(
        &self,
        generation: &Generation,
        credential: Option<Credential>,
        facts: Attributes,
    ) -> Result<Arc<Principal>, Denied> {
        let result = self.gate.authenticate(generation, credential, facts, &*self.observer).await;
        if result.is_err() {
            self.observer.turned_away("unauthenticated");
        }
        result
    }

    /// Count somebody who never got as far as an exchange.
    pub fn turned_away(&self, reason: &'static str) {
        self.observer.turned_away(reason);
    }

    /// Start an exchange. It makes its first step when it is first asked for what it has to say.
    pub fn begin(self: &Arc<Self>, arrival: Arrival) -> Running {
        self.start(arrival, |_| {})
    }

    /// The same for a call that filters of another exchange wait for.
    pub(crate) fn begin_within(self: &Arc<Self>, arrival: Arrival, parent: u64, callers: Arc<[Arc<str>]>) -> Running {
        self.start(arrival, |exchange| exchange.belongs_to(parent, callers))
    }

    fn start(self: &Arc<Self>, arrival: Arrival, prepare: impl FnOnce(&mut run::Exchange)) -> Running {
        let id = self.next_exchange_id();
        let (sender, said) = queue(OUTGOING_QUEUE);
        let cancel = CancellationToken::new();
        self.watch.running.fetch_add(1, Relaxed);
        let counted = Counted(self.clone());
        let mut exchange = run::Exchange::new(self.clone(), id, arrival, sender, cancel.clone());
        prepare(&mut exchange);
        // A bug of ours costs this exchange its answer, and nobody else anything.
        let run = AssertUnwindSafe(exchange.run(counted)).catch_unwind().map(|ended| ended.unwrap_or_default());
        Running::new(id, cancel, said, run.boxed())
    }

    /// How many exchanges run now.
    pub fn running(&self) -> usize {
        self.watch.running.load(Relaxed)
    }

    /// How many calls wait for their clients' answers to a server's questions.
    pub fn parked(&self) -> usize {
        self.parks.len()
    }

    /// Resolves once no exchange runs. New ones must have been stopped by the caller.
    pub async fn idle(&self) {
        loop {
            let notified = self.watch.idle.notified();
            if self.running() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// What `initialize` and `server/discover` say: the union of what the upstreams can and what can be carried.
    /// An upstream that does not answer in time is left out.
    pub async fn facts(&self, era: Era, client: &Arc<Client>, principal: &Arc<Principal>) -> ServerFacts {
        let generation = self.generation_of(principal);
        let asked = generation.upstreams.iter().map(|(_, u)| async move {
            let facts = match tokio::time::timeout(self.settings.gather, u.facts(era, client, principal)).await.ok()? {
                Ok(facts) => facts,
                // What it offers shows when the person has done what is asked of them, and a client asks for no list that was not
                // promised.
                Err(UpstreamError::Held(held)) if matches!(*held, Held::Suspended { .. }) => Arc::new(crate::facts::unknown(era)),
                Err(_) => return None,
            };
            Some((u.name().clone(), facts))
        });
        let answers: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        let interceptors = self.serves_interceptors().then(|| run::capability(&generation, &self.settings.interceptors));
        crate::facts::merge(era, &answers, interceptors.as_deref())
    }

    /// One list as this principal sees it, without an exchange: for `sluice ls` and status.
    ///
    /// # Errors
    /// A filter's fault in `on-catalog`.
    pub async fn look(
        self: &Arc<Self>,
        kind: ListKind,
        era: Era,
        client: &Arc<Client>,
        principal: &Arc<Principal>,
    ) -> Result<Arc<View>, Error> {
        let generation = self.generation_of(principal);
        let viewer = Attributes::new(client.facts.clone());
        let asking = Asking { generation: &generation, era, client, principal, viewer: &viewer, callers: &Arc::default() };
        self.view(kind, asking, Currency::Fresh).await
    }

    /// What all upstreams offer of one list, before any filter: for `sluice ls --pins`.
    pub async fn offered(self: &Arc<Self>, kind: ListKind, era: Era, client: &Arc<Client>, principal: &Arc<Principal>) -> Gathered {
        let generation = self.generation_of(principal);
        let viewer = Attributes::new(client.facts.clone());
        self.gather_fresh(kind, Asking { generation: &generation, era, client, principal, viewer: &viewer, callers: &Arc::default() }).await
    }

    /// The tools that this principal sees, for calls that these filters make in its name: what they hide, they may call.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    pub(crate) async fn callable(
        self: &Arc<Self>,
        client: &Arc<Client>,
        within: &Within,
        callers: &Arc<[Arc<str>]>,
        currency: Currency,
    ) -> Result<Arc<View>, Error> {
        let viewer = Attributes::new(client.facts.clone());
        let (generation, principal) = (within.generation(), within.principal());
        let asking = Asking { generation, era: Era::Modern, client, principal, viewer: &viewer, callers };
        self.view(ListKind::Tools, asking, currency).await
    }

    /// What this principal calls a tool of an upstream, if it sees it.
    pub(crate) async fn shown_as(
        self: &Arc<Self>,
        upstream: usize,
        tool: &str,
        client: &Arc<Client>,
        within: &Within,
        callers: &Arc<[Arc<str>]>,
    ) -> Option<Arc<str>> {
        for currency in [Currency::Known, Currency::Fresh] {
            let view = self.callable(client, within, callers, currency).await.ok()?;
            let is_it = |entry: &&crate::catalogue::Exposed| entry.entry.upstream == Some(upstream) && *entry.entry.original == *tool;
            if let Some(shown) = view.exposed.iter().find(is_it) {
                return Some(shown.entry.name.clone());
            }
        }
        None
    }

    /// A legacy downstream session has ended.
    pub fn session_ended(self: &Arc<Self>, session: &str) {
        self.forget_attended(session);
        let (host, session) = (self.clone(), session.to_owned());
        tokio::spawn(async move {
            join_all(host.upstreams().iter().map(|(_, u)| u.forget_session(&session))).await;
        });
    }

    /// Where unsolicited notifications go. The first one counts.
    pub fn register_push(&self, push: Arc<dyn Push>) {
        let _ = self.push.set(push);
    }

    /// Close children and upstream sessions, in the order their transport demands.
    pub async fn close(&self) {
        self.parks.clear();
        join_all(self.upstreams().iter().map(|(_, u)| u.close())).await;
    }

    /// Do requests to this upstream leave through filters?
    pub(crate) fn has_departures(&self, generation: &Generation, upstream: usize) -> bool {
        generation.has_departures() && {
            let upstream = &generation.upstreams[upstream];
            upstream.takes_headers() && generation.departs_for(upstream.name())
        }
    }

    /// What requests leave through that belong to no exchange.
    pub(crate) fn departures(
        &self,
        generation: &Arc<Generation>,
        upstream: usize,
        facts: &Arc<Facts>,
        principal: &Arc<Principal>,
    ) -> Option<Arc<Departures>> {
        self.has_departures(generation, upstream).then(|| {
            Arc::new(Departures {
                observer: self.observer.clone(),
                generation: generation.clone(),
                upstream: generation.upstreams[upstream].name().clone(),
                principal: principal.clone(),
                exchange: self.next_exchange_id(),
                protocol: None,
                attributes: Attributes::new(facts.clone()),
                journal: None,
                answered: AtomicBool::new(false),
            })
        })
    }

    fn forward_unsolicited(self: &Arc<Self>, n: Unsolicited) {
        let Some(push) = self.push.get().cloned() else { return };
        let generation = self.generation_of(&n.principal);
        let head = Head {
            exchange: self.next_exchange_id(),
            round: 0,
            direction: Direction::ToClient,
            kind: Kind::Notification,
            method: n.delivery.message.method().into(),
            name: None,
            upstream: Some(n.upstream.clone()),
            protocol: n.delivery.spoken,
        };
        let host = self.clone();
        tokio::spawn(async move {
            // Whether a task is to be seen depends on the session, so each is looked at.
            let is_status = n.delivery.message.method() == method::NOTIFY_TASKS_STATUS;
            let of_all = (is_status && n.session.is_none()).then(|| host.attended_by(&n.principal.key));
            let sessions = of_all.map_or_else(|| vec![n.session.clone()], |all| all.into_iter().map(Some).collect());
            for session in sessions {
                let n = Unsolicited { session, ..n.clone() };
                if let Some(delivery) = run::unsolicited(&host, &generation, head.clone(), &n).await {
                    push.push(&n.principal.key, n.session.as_deref(), delivery);
                }
            }
        });
    }
}

/// The host as one upstream sees it. Made before the host, so it holds the host through this handle.
#[derive(Default)]
pub struct Ear {
    host: OnceLock<std::sync::Weak<Host>>,
    /// Of an upstream that goes or is gone: the last generations that it was in.
    last: Mutex<Option<std::sync::Weak<Groups>>>,
}

impl Ear {
    /// From now on notifications reach this host.
    pub fn attach(&self, host: &Arc<Host>) {
        let _ = self.host.set(Arc::downgrade(host));
    }

    /// The upstream leaves: what it still sends goes through the filters of these generations, and not of those that come after, which
    /// may have another server under its name. None: it stays after all.
    pub fn leave(&self, last: Option<&Arc<Groups>>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last.map(Arc::downgrade);
    }

    fn host(&self) -> Option<Arc<Host>> {
        self.host.get().and_then(std::sync::Weak::upgrade)
    }
}

impl Listener for Ear {
    fn unsolicited(&self, n: Unsolicited) {
        let Some(host) = self.host() else { return };
        let Some(list) = List::of_method(n.delivery.message.method()) else { return host.forward_unsolicited(n) };
        // Consumed: the merged list is ours, and so is the word that it changed.
        if let Some(upstream) = host.upstreams().position(&n.upstream) {
            host.announce(upstream, list);
        }
    }

    fn departures(&self, upstream: &str, facts: &Arc<Facts>, principal: &Arc<Principal>) -> Option<Arc<Departures>> {
        let host = self.host()?;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let groups = last.and_then(|last| last.upgrade()).unwrap_or_else(|| host.groups());
        let generation = groups.of(principal);
        host.departures(generation, generation.upstreams.position(upstream)?, facts, principal)
    }
}

/// The revision used for messages the host makes itself.
pub(crate) fn own_revision(era: Era) -> Revision {
    match era {
        Era::Modern => Revision::V2026_07_28,
        Era::Legacy => Revision::V2025_11_25,
    }
}
