//! Warm instances, kept apart by who may meet them.

use crate::{budget::Turns, instance::Instance, plugin::Plugin, share::Share};
use sluice_chain::{
    fault::Fault,
    parted::Parted,
    principal::{Principal, PrincipalKey},
};
use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, LazyLock, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{sync::Semaphore, time::Instant};

/// Whose an instance is. Nobody else ever gets it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// First, since it tells most keys apart.
    hash: u64,
    owner: Owner,
}

#[derive(Debug, PartialEq, Eq)]
enum Owner {
    Exchange(u64),
    Principal(PrincipalKey),
    Tenant(Arc<str>),
    All,
}

impl Key {
    /// The key under a scope, or none for a fresh instance every time.
    pub(crate) fn new(scope: crate::Scope, exchange: u64, principal: &Principal) -> Option<Self> {
        use crate::Scope;
        match (scope, &principal.tenant) {
            (Scope::Call, _) => None,
            // Ids are the host's own, and their low bits are as good as any.
            (Scope::Exchange, _) => Some(Self { hash: exchange, owner: Owner::Exchange(exchange) }),
            (Scope::Tenant, Some(tenant)) => Some(Self::tenant(tenant)),
            (Scope::Principal | Scope::Tenant, _) => {
                Some(Self { hash: principal.key.hash_code(), owner: Owner::Principal(principal.key.clone()) })
            }
            (Scope::All, _) => Some(Self::all()),
        }
    }

    fn tenant(tenant: &Arc<str>) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self { hash: HASHER.hash_one(tenant), owner: Owner::Tenant(tenant.clone()) }
    }

    /// Of instances that may meet everybody.
    pub(crate) fn all() -> Self {
        Self { hash: 0, owner: Owner::All }
    }
}

struct Warm {
    key: Key,
    instance: Box<Instance>,
    since: Instant,
}

/// The warm instances of one plugin.
pub(crate) struct Pool {
    plugin: Arc<Plugin>,
    /// Each in the order of last use, so the front is what goes first.
    warm: Parted<Vec<Warm>>,
    /// Of one part.
    warm_max: usize,
}

impl Pool {
    pub(crate) fn new(plugin: Arc<Plugin>) -> Self {
        let warm: Parted<Vec<Warm>> = Parted::default();
        let warm_max = plugin.limits.warm_max.div_ceil(warm.parts());
        Self { plugin, warm, warm_max }
    }

    /// A warm instance of this key, the one this thread used last, or else another's.
    pub(crate) fn take(&self, key: &Key) -> Option<Box<Instance>> {
        self.warm.all().find_map(|mut part| {
            let at = part.iter().rposition(|warm| warm.key == *key)?;
            Some(part.remove(at).instance)
        })
    }

    /// Keep an instance whose call ended well, unless it has served long enough.
    pub(crate) fn put(&self, key: Key, mut instance: Box<Instance>) {
        let limits = &self.plugin.limits;
        instance.calls += 1;
        // When its last call began: no clock is read for this.
        let since = instance.store.data().budget.started();
        let is_old = since.saturating_duration_since(instance.born) >= limits.age;
        if is_old || instance.calls >= limits.calls_max || limits.warm_max == 0 {
            self.retired(1);
            return;
        }
        let mut part = self.warm.own();
        let oldest = (part.len() >= self.warm_max).then(|| part.remove(0));
        part.push(Warm { key, instance, since });
        drop(part);
        self.retired(usize::from(oldest.is_some()));
    }

    /// Drop the instance that was used longest ago in the first part that has one.
    pub(crate) fn evict_one(&self) -> bool {
        // The oldest of all would mean to take every lock; the oldest of one part is old enough.
        let oldest = self.warm.all().find_map(|mut part| (!part.is_empty()).then(|| part.remove(0)));
        self.retired(usize::from(oldest.is_some()));
        oldest.is_some()
    }

    /// Drop one of a tenant's.
    pub(crate) fn evict_one_of(&self, share: &Arc<Share>) -> bool {
        let is_its = |warm: &Warm| warm.instance.store.data().share.as_ref().is_some_and(|place| place.is_of(share));
        let oldest = self.warm.all().find_map(|mut part| {
            let at = part.iter().position(is_its)?;
            Some(part.remove(at))
        });
        self.retired(usize::from(oldest.is_some()));
        oldest.is_some()
    }

    /// Drop what was not used for a while.
    pub(crate) fn sweep(&self, now: Instant) {
        for mut part in self.warm.all() {
            let stale = |warm: &Warm| now.saturating_duration_since(warm.since) >= self.plugin.limits.idle;
            let old: Vec<_> = part.extract_if(.., |warm| stale(warm)).collect();
            drop(part);
            self.retired(old.len());
        }
    }

    fn retired(&self, count: usize) {
        if count == 0 {
            return;
        }
        self.plugin.figures.retired.fetch_add(count as u64, Relaxed);
    }
}

/// All pools of an engine, how many instances may live at once, and whose turn it is.
pub(crate) struct Pools {
    instances_max: usize,
    total: Arc<AtomicUsize>,
    turns: Turns,
    pools: Mutex<Vec<Weak<Pool>>>,
}

impl Pools {
    pub(crate) fn new(instances_max: usize, slow_max: usize) -> Self {
        Self { instances_max, total: Arc::default(), turns: Arc::new(Semaphore::new(slow_max)), pools: Mutex::default() }
    }

    /// Instances alive, of all plugins.
    pub(crate) fn total(&self) -> Arc<AtomicUsize> {
        self.total.clone()
    }

    /// Of guests whose first slice was not enough.
    pub(crate) fn turns(&self) -> Turns {
        self.turns.clone()
    }

    fn all(&self) -> Vec<Arc<Pool>> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn add(&self, pool: &Arc<Pool>) {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(pool));
    }

    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for pool in self.all() {
            pool.sweep(now);
        }
    }

    /// Make room for one more instance of `pool`'s plugin. Says whether it may be kept afterwards.
    pub(crate) fn room(&self, pool: &Pool) -> Result<bool, Fault> {
        let (plugin, limits) = (&pool.plugin, &pool.plugin.limits);
        let live = plugin.figures.live.load(Relaxed);
        if live >= limits.instances_max && !pool.evict_one() {
            if live >= limits.instances_max + limits.overflow_max {
                return Err(Fault::Saturated);
            }
            return Ok(false);
        }
        self.room_for_one()?;
        Ok(true)
    }

    /// Make room for one more instance of any plugin.
    pub(crate) fn room_for_one(&self) -> Result<(), Fault> {
        let is_full = self.total.load(Relaxed) >= self.instances_max;
        if is_full && !self.all().iter().any(|pool| pool.evict_one()) {
            return Err(Fault::Saturated);
        }
        Ok(())
    }
}
