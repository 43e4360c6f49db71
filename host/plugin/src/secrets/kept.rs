//! What plugins keep: in memory, by plugin, owner and name, each until its time is over.

use super::Secret;
use sluice_chain::principal::{Principal, PrincipalKey};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Names that one owner other than the plugin itself may have.
const OWN_MAX: usize = 64;

/// Whose a kept secret is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Plugin,
    Tenant(Arc<str>),
    Principal(PrincipalKey),
}

/// Who is asking, as far as owners go.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Option<PrincipalKey>,
    tenant: Option<Arc<str>>,
}

impl Caller {
    pub(crate) fn of(principal: &Principal) -> Self {
        // Somebody without a name is somebody else with the next request.
        let key = (!principal.is_anonymous()).then(|| principal.key.clone());
        Self { principal: key, tenant: principal.tenant.clone() }
    }

    pub(crate) fn principal(&self) -> Option<Owner> {
        self.principal.clone().map(Owner::Principal)
    }

    pub(crate) fn tenant(&self) -> Option<Owner> {
        self.tenant.clone().map(Owner::Tenant)
    }
}

/// There is no room, or the value is too long. The text names the bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeepError(pub(crate) String);

/// What each plugin keeps, by its name: a new version finds what the old one kept.
#[derive(Default)]
pub(crate) struct Shelves(Mutex<HashMap<Arc<str>, Arc<Shelf>>>);

impl Shelves {
    pub(crate) fn of(&self, plugin: &str) -> Arc<Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(plugin.into()).or_default().clone()
    }
}

/// What one plugin keeps.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Things>);

#[derive(Default)]
struct Things {
    by_owner: HashMap<Owner, HashMap<Box<str>, Kept>>,
    count: usize,
}

struct Kept {
    secret: Secret,
    until: Option<Instant>,
}

impl Kept {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Shelf {
    /// Keeps a secret, in the place of an earlier one of this name.
    pub(crate) fn put(&self, owner: Owner, name: &str, secret: Secret, ttl: Option<Duration>, max: usize) -> Result<(), KeepError> {
        let now = Instant::now();
        let kept = Kept { secret, until: ttl.map(|ttl| now + ttl) };
        let mut things = self.lock();
        let is_new = !things.by_owner.get(&owner).is_some_and(|own| own.contains_key(name));
        if is_new && things.is_full(&owner, max) {
            things.sweep(now);
            if things.is_full(&owner, max) {
                return Err(KeepError(format!("at most {OWN_MAX} secrets of one owner and {max} of one plugin are kept")));
            }
        }
        things.count += usize::from(is_new);
        things.by_owner.entry(owner).or_default().insert(name.into(), kept);
        Ok(())
    }

    pub(crate) fn find(&self, owner: &Owner, name: &str) -> Option<Secret> {
        let now = Instant::now();
        self.lock().by_owner.get(owner)?.get(name).filter(|kept| !kept.is_over(now)).map(|kept| kept.secret.clone())
    }

    pub(crate) fn remove(&self, owner: &Owner, name: &str) {
        let mut things = self.lock();
        if let Some(own) = things.by_owner.get_mut(owner)
            && own.remove(name).is_some()
        {
            if own.is_empty() {
                things.by_owner.remove(owner);
            }
            things.count -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Things> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Things {
    fn is_full(&self, owner: &Owner, max: usize) -> bool {
        let own = self.by_owner.get(owner).map_or(0, HashMap::len);
        self.count >= max || *owner != Owner::Plugin && own >= OWN_MAX
    }

    fn sweep(&mut self, now: Instant) {
        self.by_owner.retain(|_, own| {
            own.retain(|_, kept| !kept.is_over(now));
            !own.is_empty()
        });
        self.count = self.by_owner.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    fn of(subject: &str) -> Owner {
        Caller::of(&Principal::new("test", subject, None)).principal().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_its_owners_until_its_time_is_over() {
        let shelf = Shelf::default();
        shelf.put(of("ada"), "token", secret("a"), Some(Duration::from_secs(5)), 10).unwrap();
        shelf.put(of("bob"), "token", secret("b"), None, 10).unwrap();
        assert!(shelf.find(&of("ada"), "token").unwrap().equals(b"a"));
        assert!(shelf.find(&of("bob"), "token").unwrap().equals(b"b"));
        assert!(shelf.find(&Owner::Plugin, "token").is_none() && shelf.find(&of("ada"), "other").is_none());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(shelf.find(&of("ada"), "token").is_none());
        shelf.remove(&of("bob"), "token");
        assert!(shelf.find(&of("bob"), "token").is_none());
        assert!(Caller::of(&Principal::anonymous("x")).principal().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_makes_room_and_nothing_else_does() {
        let shelf = Shelf::default();
        let put = |owner, name: &str, ttl| shelf.put(owner, name, secret("s"), ttl, 100);
        for i in 0..OWN_MAX {
            put(of("ada"), &i.to_string(), Some(Duration::from_secs(i as u64 + 1))).unwrap();
        }
        assert!(put(of("ada"), "more", None).is_err());
        put(of("ada"), "0", None).unwrap();
        for i in 0..100 - OWN_MAX {
            put(Owner::Plugin, &i.to_string(), None).unwrap();
        }
        assert!(put(of("bob"), "more", None).is_err());
        tokio::time::advance(Duration::from_secs(2)).await;
        put(of("bob"), "more", None).unwrap();
        assert!(put(of("ada"), "0", None).is_ok() && shelf.lock().count == 100);
    }
}
