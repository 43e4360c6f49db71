//! Lists as upstreams gave them, kept per upstream, list and era.

use super::{Entry, ListKind};
use crate::upstream::UpstreamError;
use sluice_wire::revision::Era;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// One upstream's list at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// In the upstream's order, pages joined.
    pub entries: Arc<Vec<Entry>>,
    /// When it is to be asked again.
    pub fresh_until: Instant,
    /// Until when the upstream itself says that it holds; `None` when it has no such list.
    pub told_until: Option<Instant>,
    /// Why the last attempt failed, if it did; `entries` are then the last known ones.
    pub error: Option<UpstreamError>,
    /// Fetched at least once.
    pub known: bool,
}

impl Snapshot {
    /// May it be served without asking again?
    pub fn is_fresh(&self, now: Instant) -> bool {
        now < self.fresh_until
    }
}

/// All raw lists of a host.
pub struct RawLists {
    slots: Mutex<HashMap<(usize, ListKind, Era), Slot>>,
    epoch: AtomicU64,
}

/// A list that was read.
pub struct Fetched {
    pub entries: Vec<Entry>,
    pub ttl: Duration,
    /// For how long the upstream says that it holds.
    pub told: Option<Duration>,
    /// When the reading began.
    pub began: Instant,
}

#[derive(Clone)]
struct Slot {
    snapshot: Option<Snapshot>,
    /// When it was last said to have changed: what was read from before then on is old already.
    changed: Option<Instant>,
    /// Held while fetching: one fetch at a time, the others wait for its result.
    flight: Arc<tokio::sync::Mutex<()>>,
}

impl Default for RawLists {
    fn default() -> Self {
        Self { slots: Mutex::default(), epoch: AtomicU64::new(1) }
    }
}

/// How long a failed fetch is not repeated for lists; calls still go to the upstream.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl RawLists {
    /// Changes whenever any list's entries or availability change: what views are cached by.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// What is known now.
    pub fn find(&self, upstream: usize, kind: ListKind, era: Era) -> Option<Snapshot> {
        self.lock().get(&(upstream, kind, era)).and_then(|s| s.snapshot.clone())
    }

    /// The lock that makes fetching single-flight.
    pub fn flight(&self, upstream: usize, kind: ListKind, era: Era) -> Arc<tokio::sync::Mutex<()>> {
        self.lock().entry((upstream, kind, era)).or_insert_with(Slot::empty).flight.clone()
    }

    /// How long a list merged from all of them may be taken for fresh: as long as the first that is not.
    pub fn fresh_for(&self, kind: ListKind, era: Era, upstreams: usize) -> Duration {
        let now = Instant::now();
        let slots = self.lock();
        let left = |i| match slots.get(&(i, kind, era)).and_then(|slot| slot.snapshot.as_ref()) {
            Some(Snapshot { error: None, known: true, told_until, .. }) => told_until.map(|until| until.saturating_duration_since(now)),
            // One that is missing may be back at any moment.
            _ => Some(Duration::ZERO),
        };
        (0..upstreams).filter_map(left).min().unwrap_or_default()
    }

    /// A fetch succeeded. Whether the list is another than before.
    pub fn store(&self, upstream: usize, kind: ListKind, era: Era, read: Fetched) -> bool {
        let Fetched { entries, ttl, told, began } = read;
        let mut slots = self.lock();
        let slot = slots.entry((upstream, kind, era)).or_insert_with(Slot::empty);
        let is_overtaken = slot.changed.is_some_and(|at| at >= began);
        let until = |ttl| if is_overtaken { began } else { Instant::now() + ttl };
        let same = slot.snapshot.as_ref().is_some_and(|s| s.known && s.error.is_none() && same_entries(&s.entries, &entries));
        let fresh_until = until(ttl);
        let told_until = told.map(until);
        match &mut slot.snapshot {
            Some(old) if same => (old.fresh_until, old.told_until) = (fresh_until, told_until),
            other => {
                *other = Some(Snapshot { entries: Arc::new(entries), fresh_until, told_until, error: None, known: true });
                self.epoch.fetch_add(1, Relaxed);
            }
        }
        !same
    }

    /// A fetch failed: the last known entries stay, so a dead upstream's names still resolve to it.
    pub fn fail(&self, upstream: usize, kind: ListKind, era: Era, error: UpstreamError) {
        let mut slots = self.lock();
        let slot = slots.entry((upstream, kind, era)).or_insert_with(Slot::empty);
        let was_well = slot.snapshot.as_ref().is_none_or(|s| s.error.is_none());
        let snapshot = slot.snapshot.get_or_insert_with(|| Snapshot {
            entries: Arc::default(),
            fresh_until: Instant::now(),
            told_until: None,
            error: None,
            known: false,
        });
        snapshot.error = Some(error);
        snapshot.fresh_until = Instant::now() + RETRY_AFTER;
        if was_well {
            self.epoch.fetch_add(1, Relaxed);
        }
    }

    /// The upstream said that its list changed: the next reader asks again.
    pub fn invalidate(&self, upstream: usize, kind: ListKind) {
        let now = Instant::now();
        for ((u, k, _), slot) in self.lock().iter_mut() {
            if *u == upstream && *k == kind {
                slot.changed = Some(now);
                if let Some(s) = &mut slot.snapshot {
                    s.fresh_until = now;
                    s.told_until = s.told_until.map(|_| now);
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(usize, ListKind, Era), Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn empty() -> Self {
        Self { snapshot: None, changed: None, flight: Arc::default() }
    }
}

fn same_entries(a: &[Entry], b: &[Entry]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.digest == y.digest && x.original == y.original)
}
