//! Lists as upstreams gave them, kept per upstream, list and era; and per principal, where credentials of its own decide what an
//! upstream shows.

use super::{Entry, ListKind};
use crate::{departures::Held, principal::PrincipalKey, upstream::UpstreamError};
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

/// Which list it is, and whose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its place in the estate.
    pub upstream: usize,
    /// Which list.
    pub kind: ListKind,
    /// Of the clients it was asked for.
    pub era: Era,
    /// The one principal that it was shown to, or those who came one way through other gateways; none: it is everybody's.
    pub owner: Option<PrincipalKey>,
}

/// All raw lists of a host.
pub struct RawLists {
    slots: Mutex<Slots>,
    /// Of everybody's lists.
    epoch: AtomicU64,
}

#[derive(Default)]
struct Slots {
    by_place: HashMap<Place, Slot>,
    /// Of the lists of one principal. The numbers are never given twice.
    epochs: HashMap<PrincipalKey, u64>,
    last_epoch: u64,
    /// Lists of one principal among them.
    owned: usize,
}

/// Most lists kept that are of one principal each; beyond it they are asked for again.
const OWNED_MAX: usize = 4_096;

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
    /// Changes whenever the entries or the availability of any list change that this principal may see, all of whose own lists are its
    /// alone: what views are cached by.
    pub fn epoch(&self, owner: Option<&PrincipalKey>) -> (u64, u64) {
        let own = owner.and_then(|owner| self.lock().epochs.get(owner).copied());
        (self.epoch.load(Relaxed), own.unwrap_or_default())
    }

    /// What is known now.
    pub fn find(&self, place: &Place) -> Option<Snapshot> {
        self.lock().by_place.get(place).and_then(|s| s.snapshot.clone())
    }

    /// The lock that makes fetching single-flight.
    pub fn flight(&self, place: &Place) -> Arc<tokio::sync::Mutex<()>> {
        self.lock().slot(place).flight.clone()
    }

    /// How long a list merged from these may be taken for fresh: as long as the first that is not.
    pub fn fresh_for(&self, places: impl Iterator<Item = Place>) -> Duration {
        let now = Instant::now();
        let slots = self.lock();
        let left = |place| match slots.by_place.get(&place).and_then(|slot| slot.snapshot.as_ref()) {
            Some(Snapshot { error: None, known: true, told_until, .. }) => told_until.map(|until| until.saturating_duration_since(now)),
            // One that is missing may be back at any moment.
            _ => Some(Duration::ZERO),
        };
        places.filter_map(left).min().unwrap_or_default()
    }

    /// A fetch succeeded. Whether the list is another than before.
    pub fn store(&self, place: &Place, read: Fetched) -> bool {
        let Fetched { entries, ttl, told, began } = read;
        let mut slots = self.lock();
        let slot = slots.slot(place);
        let is_overtaken = slot.changed.is_some_and(|at| at >= began);
        let until = |ttl| if is_overtaken { began } else { Instant::now() + ttl };
        let same = slot.snapshot.as_ref().is_some_and(|s| s.known && s.error.is_none() && same_entries(&s.entries, &entries));
        let fresh_until = until(ttl);
        let told_until = told.map(until);
        match &mut slot.snapshot {
            Some(old) if same => (old.fresh_until, old.told_until) = (fresh_until, told_until),
            other => {
                *other = Some(Snapshot { entries: Arc::new(entries), fresh_until, told_until, error: None, known: true });
                self.changed(&mut slots, place);
            }
        }
        !same
    }

    /// A fetch failed: the last known entries stay, so a dead upstream's names still resolve to it. One that waits for a person is asked
    /// again by the next reader: the person may be done.
    pub fn fail(&self, place: &Place, error: UpstreamError) {
        let mut slots = self.lock();
        let slot = slots.slot(place);
        let was_well = slot.snapshot.as_ref().is_none_or(|s| s.error.is_none());
        let snapshot = slot.snapshot.get_or_insert_with(|| Snapshot {
            entries: Arc::default(),
            fresh_until: Instant::now(),
            told_until: None,
            error: None,
            known: false,
        });
        let waits = matches!(&error, UpstreamError::Held(why) if matches!(**why, Held::Suspended { .. }));
        snapshot.error = Some(error);
        snapshot.fresh_until = Instant::now() + if waits { Duration::ZERO } else { RETRY_AFTER };
        // What a person is to do may be another thing than before.
        if was_well || waits {
            self.changed(&mut slots, place);
        }
    }

    fn changed(&self, slots: &mut Slots, place: &Place) {
        match &place.owner {
            None => drop(self.epoch.fetch_add(1, Relaxed)),
            Some(owner) => {
                slots.last_epoch += 1;
                let epoch = slots.last_epoch;
                slots.epochs.insert(owner.clone(), epoch);
            }
        }
    }

    /// The upstream said that its list changed: the next reader asks again.
    pub fn invalidate(&self, upstream: usize, kind: ListKind) {
        let now = Instant::now();
        for (place, slot) in &mut self.lock().by_place {
            if place.upstream == upstream && place.kind == kind {
                slot.changed = Some(now);
                if let Some(s) = &mut slot.snapshot {
                    s.fresh_until = now;
                    s.told_until = s.told_until.map(|_| now);
                }
            }
        }
    }

    /// The upstream at this place is gone.
    pub fn forget(&self, upstream: usize) {
        let mut slots = self.lock();
        let before = slots.by_place.len();
        slots.by_place.retain(|place, _| place.upstream != upstream);
        if slots.by_place.len() == before {
            return;
        }
        slots.owned = slots.by_place.keys().filter(|place| place.owner.is_some()).count();
        // Who else saw it, everybody but those whose lists are all their own, sees another view now.
        self.epoch.fetch_add(1, Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn slot(&mut self, place: &Place) -> &mut Slot {
        let is_new_owned = place.owner.is_some() && !self.by_place.contains_key(place);
        if is_new_owned && self.owned >= OWNED_MAX {
            self.by_place.retain(|place, _| place.owner.is_none());
            self.epochs.clear();
            self.owned = 0;
        }
        self.owned += usize::from(is_new_owned);
        self.by_place.entry(place.clone()).or_insert_with(Slot::empty)
    }
}

impl Slot {
    fn empty() -> Self {
        Self { snapshot: None, changed: None, flight: Arc::default() }
    }
}

/// The digest is of what the server sent. What clients of the other era are shown depends on more: a server that learns or forgets to run
/// tasks gives its tools another `execution`.
fn same_entries(a: &[Entry], b: &[Entry]) -> bool {
    let is_same = |x: &Entry, y: &Entry| {
        x.digest == y.digest && x.original == y.original && x.task == y.task && x.definition.len() == y.definition.len()
    };
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| is_same(x, y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::TaskSupport;
    use bytes::Bytes;

    fn entry(definition: &'static str, task: Option<TaskSupport>) -> Entry {
        Entry {
            name: "t".into(),
            upstream: Some(0),
            owner: "s".into(),
            original: "t".into(),
            definition: Bytes::from_static(definition.as_bytes()),
            digest: "d".into(),
            task,
        }
    }

    /// Neither changes the digest, which is of the server's own text.
    #[test]
    fn a_list_is_another_once_its_tools_run_as_tasks() {
        let lists = RawLists::default();
        let place = Place { upstream: 0, kind: ListKind::Tools, era: Era::Legacy, owner: None };
        let store = |entry: Entry| {
            let fetched = Fetched { entries: vec![entry], ttl: Duration::ZERO, told: None, began: Instant::now() };
            lists.store(&place, fetched)
        };
        assert!(store(entry("{}", None)));
        assert!(!store(entry("{}", None)), "the control");
        assert!(store(entry("{}", Some(TaskSupport::Optional))));
        assert!(store(entry(r#"{"execution":{}}"#, Some(TaskSupport::Optional))));
        let kept = lists.find(&place).unwrap().entries;
        assert_eq!(kept[0].task, Some(TaskSupport::Optional));
    }
}
