//! How many `subscriptions/listen` may be open.

use crate::principal::{Principal, PrincipalKey};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bounds on `subscriptions/listen`.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    /// Open ones of one principal; those of callers without a name count together and may be eight times as many.
    pub own_max: usize,
    /// Open ones of all principals.
    pub all_max: usize,
}

impl Default for Listening {
    /// 32 and 10,000.
    fn default() -> Self {
        Self { own_max: 32, all_max: 10_000 }
    }
}

/// How many times as many callers without a name may have together.
const UNNAMED: usize = 8;

/// The open ones, counted.
pub(crate) struct Places {
    limits: Listening,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// By principal; none for all callers without a name.
    own: HashMap<Option<PrincipalKey>, usize>,
}

/// One open subscription's place.
pub(crate) struct Place {
    owner: Option<PrincipalKey>,
    places: Arc<Places>,
}

impl Places {
    pub(crate) fn new(limits: Listening) -> Self {
        Self { limits, taken: Mutex::default() }
    }

    /// A place, if there is one left for this principal.
    pub(crate) fn take(self: &Arc<Self>, principal: &Principal) -> Option<Place> {
        let owner = (!principal.is_anonymous()).then(|| principal.key.clone());
        let own_max = if owner.is_some() { self.limits.own_max } else { self.limits.own_max.saturating_mul(UNNAMED) };
        let mut taken = self.lock();
        let own = taken.own.get(&owner).copied().unwrap_or_default();
        if taken.all >= self.limits.all_max || own >= own_max {
            return None;
        }
        taken.all += 1;
        taken.own.insert(owner.clone(), own + 1);
        drop(taken);
        Some(Place { owner, places: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Some(own) = taken.own.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                taken.own.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_has_so_many_and_all_together_so_many() {
        let places = Arc::new(Places::new(Listening { own_max: 2, all_max: 3 }));
        let [a, b] = ["a", "b"].map(|name| Principal::new("auth", name, None));
        let mut held: Vec<_> = (0..2).map(|_| places.take(&a).expect("room")).collect();
        assert!(places.take(&a).is_none(), "its own are taken");
        held.push(places.take(&b).expect("room for another"));
        assert!(places.take(&b).is_none(), "all are taken");
        held.remove(0);
        assert!(places.take(&b).is_some());
        drop(held);
        assert!(places.lock().own.is_empty() && places.lock().all == 0);
    }

    #[test]
    fn callers_without_a_name_share_theirs() {
        let places = Arc::new(Places::new(Listening { own_max: 1, all_max: 100 }));
        let take = |n: usize| places.take(&Principal::anonymous(&n.to_string()));
        let held: Vec<_> = (0..UNNAMED).map(|n| take(n).expect("room")).collect();
        assert!(take(UNNAMED).is_none());
        drop(held);
    }
}
