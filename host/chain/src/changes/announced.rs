//! Changes of lists: heard from upstreams, told to those clients whose view they may have changed.
//!
//! An upstream that announces a change is asked for the list again at once; if it goes on announcing, ever less often. What
//! its clients' views have become decides who hears of it.

use super::{Subscription, follow_new};
use crate::{
    attributes::Attributes,
    catalogue::{Asking, Currency, ListKind, View},
    host::Host,
};
use sluice_wire::{
    listen::{List, Lists},
    revision::Era,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Between two refreshes of one upstream's lists: at first, and at most while it does not stop announcing.
const GAP: Duration = Duration::from_millis(100);
const GAP_MAX: Duration = Duration::from_secs(5);
/// After so many views other tasks have their turn.
const VIEWS_AT_ONCE: usize = 256;

/// Who hears of changes, and what changed.
#[derive(Default)]
pub(crate) struct Announced {
    state: Mutex<State>,
    news: Arc<Notify>,
}

#[derive(Default)]
struct State {
    all: HashMap<u64, Weak<Subscription>>,
    last: u64,
    /// By upstream.
    paces: HashMap<usize, Pace>,
    /// Lists that were read anew, by upstream.
    refreshed: HashMap<usize, Lists>,
    /// Something else changed: views are compared, nothing is asked.
    is_doubtful: bool,
    has_chain: bool,
    /// Other upstreams are there: those that are new.
    came: Option<Vec<usize>>,
    is_running: bool,
}

/// How often one upstream's word counts.
struct Pace {
    announced: Lists,
    not_before: Instant,
    gap: Duration,
    is_refreshing: bool,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { announced: Lists::default(), not_before: now, gap: GAP, is_refreshing: false }
    }
}

/// What is to be done next.
struct Work {
    refresh: Vec<(usize, Lists)>,
    refreshed: HashMap<usize, Lists>,
    is_doubtful: bool,
    has_chain: bool,
    came: Option<Vec<usize>>,
    /// When there will be more, as things stand.
    next: Option<Instant>,
}

impl Announced {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this client may hear of changes; it is forgotten once it is dropped.
    pub(crate) fn register(&self, host: &Arc<Host>, subscription: &Arc<Subscription>) {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.all.insert(number, Arc::downgrade(subscription));
        if number.is_multiple_of(1024) {
            state.all.retain(|_, one| one.strong_count() > 0);
        }
        drop(state);
        self.run(host);
    }

    /// An upstream says that a list of its changed. False when it has said so only just now: then the list is read again in
    /// a while, and until then what is known counts.
    pub(crate) fn announce(&self, host: &Arc<Host>, upstream: usize, list: List) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let pace = state.paces.entry(upstream).or_insert_with(|| Pace::new(now));
        let is_first = pace.announced.is_empty() && !pace.is_refreshing && pace.not_before <= now;
        pace.announced.add(list);
        drop(state);
        self.run(host);
        self.news.notify_one();
        is_first
    }

    /// Some list is not what it was, by whatever way that was found out.
    pub(crate) fn doubt(&self) {
        self.lock().is_doubtful = true;
        self.news.notify_one();
    }

    /// There is another chain.
    pub(crate) fn note_chain(&self) {
        let mut state = self.lock();
        (state.is_doubtful, state.has_chain) = (true, true);
        drop(state);
        self.news.notify_one();
    }

    /// There are other upstreams, these new ones among them.
    pub(crate) fn note_upstreams(&self, came: &[usize], gone: &[usize]) {
        let mut state = self.lock();
        state.came.get_or_insert_default().extend(came);
        for place in gone {
            state.paces.remove(place);
            state.refreshed.remove(place);
        }
        drop(state);
        self.news.notify_one();
    }

    fn run(&self, host: &Arc<Host>) {
        // Without a runtime nobody listens.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !std::mem::replace(&mut self.lock().is_running, true) {
            runtime.spawn(run(Arc::downgrade(host), self.news.clone()));
        }
    }

    fn work(&self) -> Work {
        let now = Instant::now();
        let mut state = self.lock();
        let mut work = Work {
            refresh: Vec::new(),
            refreshed: std::mem::take(&mut state.refreshed),
            is_doubtful: std::mem::take(&mut state.is_doubtful),
            has_chain: std::mem::take(&mut state.has_chain),
            came: state.came.take(),
            next: None,
        };
        for (upstream, pace) in &mut state.paces {
            if pace.announced.is_empty() || pace.is_refreshing {
                continue;
            }
            if pace.not_before > now {
                work.next = Some(work.next.map_or(pace.not_before, |next| next.min(pace.not_before)));
                continue;
            }
            let was_quiet = pace.not_before + pace.gap <= now;
            pace.gap = if was_quiet { GAP } else { (pace.gap * 2).min(GAP_MAX) };
            pace.is_refreshing = true;
            work.refresh.push((*upstream, std::mem::take(&mut pace.announced)));
        }
        work
    }

    fn note_refreshed(&self, upstream: usize, lists: Lists) {
        let mut state = self.lock();
        state.refreshed.entry(upstream).or_default().add(lists);
        if let Some(pace) = state.paces.get_mut(&upstream) {
            pace.is_refreshing = false;
            pace.not_before = Instant::now() + pace.gap;
        }
        drop(state);
        self.news.notify_one();
    }

    fn all(&self) -> Vec<Arc<Subscription>> {
        let mut state = self.lock();
        let mut living = Vec::with_capacity(state.all.len());
        state.all.retain(|_, one| {
            let one = one.upgrade().filter(|one| !one.is_over());
            living.extend(one.clone());
            one.is_some()
        });
        living
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // So that the task sees that its host is gone.
        self.news.notify_one();
    }
}

/// One task a host.
async fn run(host: Weak<Host>, news: Arc<Notify>) {
    loop {
        let next = {
            let Some(host) = host.upgrade() else { return };
            let work = host.announced.work();
            for (upstream, lists) in work.refresh {
                tokio::spawn(refresh(host.clone(), upstream, lists));
            }
            if work.has_chain {
                host.announced.all().iter().for_each(|one| one.note_chain());
            }
            if let Some(came) = work.came {
                let places: Vec<usize> = host.upstreams().places().collect();
                for place in &came {
                    let (host, place) = (host.clone(), *place);
                    tokio::spawn(async move { reread(&host, place, List::ALL.into_iter().collect()).await });
                }
                for one in host.announced.all() {
                    one.stay_with(&places);
                    if !came.is_empty() {
                        tokio::spawn(follow_new(host.clone(), one, came.clone()));
                    }
                }
            }
            if work.is_doubtful || !work.refreshed.is_empty() {
                compare(&host, &work.refreshed, work.is_doubtful).await;
            }
            work.next
        };
        match next {
            None => news.notified().await,
            Some(at) => {
                tokio::select! {
                    () = news.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                }
            }
        }
    }
}

/// What an upstream has announced is told to all who see anything of it.
async fn refresh(host: Arc<Host>, upstream: usize, lists: Lists) {
    reread(&host, upstream, lists).await;
    host.announced.note_refreshed(upstream, lists);
}

/// Reads an upstream's lists again, as one client of each era that listens asks for them. With none they are read when
/// somebody wants them.
async fn reread(host: &Arc<Host>, upstream: usize, lists: Lists) {
    if !host.upstreams().has(upstream) {
        return;
    }
    let kinds = || lists.iter().flat_map(kinds_of);
    kinds().for_each(|kind| host.lists.invalidate(upstream, *kind));
    let groups = host.groups();
    for era in [Era::Modern, Era::Legacy] {
        let hears = |one: &Arc<Subscription>| {
            let may_see = groups.of(&one.who().principal).upstreams.has(upstream);
            may_see && one.revision().era() == era && !one.hears().both(lists).is_empty()
        };
        let Some(one) = host.announced.all().into_iter().find(hears) else { continue };
        let (who, viewer) = (one.who(), Attributes::default());
        let generation = groups.of(&who.principal);
        let asking = Asking { generation, era, client: &who.client, principal: &who.principal, viewer: &viewer, callers: &Arc::default() };
        for kind in kinds() {
            host.reread(upstream, *kind, asking).await;
        }
    }
}

/// Compares what clients see now with what they may have seen. Where a server announced a change, a client that sees
/// anything of that server's is told, since not all that a change changes stands in a list.
async fn compare(host: &Arc<Host>, refreshed: &HashMap<usize, Lists>, is_doubtful: bool) {
    let groups = host.groups();
    for (at, one) in host.announced.all().into_iter().enumerate() {
        let (who, hears) = (one.who(), one.hears());
        let viewer = Attributes::new(who.client.facts.clone());
        let era = one.revision().era();
        let asking = Asking {
            generation: groups.of(&who.principal),
            era,
            client: &who.client,
            principal: &who.principal,
            viewer: &viewer,
            callers: &Arc::default(),
        };
        for list in hears.iter() {
            let from: Vec<usize> = refreshed.iter().filter(|(_, lists)| lists.contains(list)).map(|(upstream, _)| *upstream).collect();
            if from.is_empty() && !is_doubtful {
                continue;
            }
            let mut is_news = false;
            for kind in kinds_of(list) {
                let Ok(view) = host.view_as_known(*kind, asking).await else { continue };
                let before = one.see(*kind as usize, digest(&view));
                is_news |= before.is_some_and(|before| before != digest(&view)) || shows(&view, &from);
            }
            if is_news {
                one.note_list(list);
            }
        }
        if at % VIEWS_AT_ONCE == VIEWS_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
    }
}

/// Notes what a client that begins to listen may have seen. Upstreams that were never asked are asked now.
pub(crate) async fn note_seen(host: &Arc<Host>, one: &Subscription, lists: Lists) {
    let who = one.who();
    let generation = host.generation_of(&who.principal);
    let viewer = Attributes::new(who.client.facts.clone());
    let era = one.revision().era();
    let asking =
        Asking { generation: &generation, era, client: &who.client, principal: &who.principal, viewer: &viewer, callers: &Arc::default() };
    for kind in lists.iter().flat_map(kinds_of) {
        if let Ok(view) = host.view(*kind, asking, Currency::Known).await {
            one.see(*kind as usize, digest(&view));
        }
    }
}

fn kinds_of(list: List) -> &'static [ListKind] {
    match list {
        List::Tools => &[ListKind::Tools],
        List::Prompts => &[ListKind::Prompts],
        List::Resources => &[ListKind::Resources, ListKind::ResourceTemplates],
    }
}

fn shows(view: &View, upstreams: &[usize]) -> bool {
    !upstreams.is_empty() && view.exposed.iter().any(|exposed| exposed.entry.upstream.is_some_and(|of| upstreams.contains(&of)))
}

/// Enough of it to tell two views apart.
fn digest(view: &View) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = view.digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Host {
    pub(crate) fn announce(self: &Arc<Self>, upstream: usize, list: List) {
        if self.announced.announce(self, upstream, list) {
            kinds_of(list).iter().for_each(|kind| self.lists.invalidate(upstream, *kind));
        }
    }
}
