//! What one tenant may use of a plugin, so that it takes the plugin from nobody else.
//!
//! Instances are counted while they live, and with them their memory, tables and handles. CPU time and log lines flow: a tenant that has
//! used up its own waits, and the others do not. What is a tenant's is told by who asks, so it holds for the hooks of exchanges, and
//! not where everybody shares instances (scope `all`) or nobody is known yet.

use crate::{limits::Limits, v0_1::log::LogTap};
use sluice_chain::{
    fault::Fault,
    principal::{Principal, PrincipalKey},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Tenants that are told apart; those beyond have one share together.
const SHARES_MAX: usize = 4_096;
/// With fewer, nobody looks for those that are over.
const SWEPT_FROM: usize = 256;

/// Whose a share is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Tenant(Arc<str>),
    /// Without a tenant, each is one.
    Principal(PrincipalKey),
    /// All whom nobody vouches for, and all for whom there is no room.
    Others,
}

impl Owner {
    fn of(principal: &Principal) -> Self {
        match &principal.tenant {
            Some(tenant) => Self::Tenant(tenant.clone()),
            None if principal.is_anonymous() => Self::Others,
            None => Self::Principal(principal.key.clone()),
        }
    }
}

/// What one tenant uses just now.
pub(crate) struct Share {
    instances: AtomicUsize,
    cpu: Option<Mutex<Flow>>,
    pub(crate) log: LogTap,
}

/// CPU time that comes back at a steady rate. Below nothing: the tenant has to wait.
struct Flow {
    percent: f64,
    left_s: f64,
    at: Instant,
}

impl Flow {
    fn refilled(&mut self, now: Instant) -> f64 {
        let back = now.saturating_duration_since(self.at).as_secs_f64() * self.percent / 100.0;
        self.left_s = (self.left_s + back).min(self.percent / 100.0);
        self.at = now;
        self.left_s
    }
}

impl Share {
    fn new(limits: &Limits) -> Self {
        let percent = f64::from(limits.tenant_cpu_percent_max);
        let flow = |percent| Mutex::new(Flow { percent, left_s: percent / 100.0, at: Instant::now() });
        Self {
            instances: AtomicUsize::new(0),
            cpu: (percent > 0.0).then(|| flow(percent)),
            log: LogTap::new(limits.tenant_log_lines_per_second),
        }
    }

    /// May an exchange begin?
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Fault> {
        let Some(cpu) = &self.cpu else { return Ok(()) };
        let mut flow = cpu.lock().unwrap_or_else(PoisonError::into_inner);
        if flow.refilled(now) > 0.0 {
            return Ok(());
        }
        Err(Fault::Share(format!("{} % of a core of CPU time", flow.percent)))
    }

    /// A call has ended that took so much.
    pub(crate) fn spent(&self, cpu: impl FnOnce() -> Duration) {
        if let Some(flow) = &self.cpu {
            flow.lock().unwrap_or_else(PoisonError::into_inner).left_s -= cpu().as_secs_f64();
        }
    }

    /// One instance more, if there is room.
    fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let had = self.instances.fetch_add(1, Relaxed);
        let place = Place(self.clone());
        // Given back on refusal, so that two calls cannot both take the last place.
        (had < most).then_some(place)
    }
}

/// An instance's place in its tenant's share, as long as it lives.
pub(crate) struct Place(Arc<Share>);

impl std::ops::Deref for Place {
    type Target = Share;

    fn deref(&self) -> &Share {
        &self.0
    }
}

impl Place {
    pub(crate) fn is_of(&self, share: &Arc<Share>) -> bool {
        Arc::ptr_eq(&self.0, share)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.instances.fetch_sub(1, Relaxed);
    }
}

/// The shares of one plugin.
#[derive(Default)]
pub(crate) struct Shares(Mutex<Known>);

#[derive(Default)]
struct Known {
    shares: HashMap<Owner, Arc<Share>>,
    /// How many there may be before those that are over are looked for.
    swept_at: usize,
}

impl Shares {
    /// The share of whoever asks.
    pub(crate) fn of(&self, principal: &Principal, limits: &Limits, now: Instant) -> Arc<Share> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut owner = Owner::of(principal);
        if let Some(share) = known.shares.get(&owner) {
            return share.clone();
        }
        if known.shares.len() >= known.swept_at {
            known.shares.retain(|_, share| Arc::strong_count(share) > 1 || share.is_owing(now));
            known.swept_at = (2 * known.shares.len()).clamp(SWEPT_FROM, SHARES_MAX);
        }
        if known.shares.len() >= SHARES_MAX {
            owner = Owner::Others;
        }
        known.shares.entry(owner).or_insert_with(|| Arc::new(Share::new(limits))).clone()
    }

    /// A place for one more instance of `share`; when it is full, `evict` drops one of its own that rests.
    pub(crate) fn place(share: &Arc<Share>, limits: &Limits, evict: impl FnOnce() -> bool) -> Result<Place, Fault> {
        let most = limits.tenant_instances_max;
        let place = share.enter(most).or_else(|| evict().then(|| share.enter(most)).flatten());
        place.ok_or_else(|| Fault::Share(format!("{most} instances at once")))
    }
}

impl Share {
    /// It has not got back yet what it took beyond its share, or could take at once.
    fn is_owing(&self, now: Instant) -> bool {
        self.cpu.as_ref().is_some_and(|cpu| {
            let mut flow = cpu.lock().unwrap_or_else(PoisonError::into_inner);
            flow.refilled(now) < flow.percent / 100.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { tenant_instances_max: 2, tenant_cpu_percent_max: 50, ..Limits::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn cpu_time_comes_back() {
        let share = Share::new(&limits());
        let now = Instant::now();
        assert!(share.admit(now).is_ok());
        share.spent(|| Duration::from_millis(750));
        assert!(matches!(share.admit(now), Err(Fault::Share(_))));
        assert!(share.admit(now + Duration::from_millis(400)).is_err());
        assert!(share.admit(now + Duration::from_millis(600)).is_ok());
        share.spent(|| Duration::from_millis(60));
        assert!(share.admit(now + Duration::from_millis(600)).is_err(), "nothing was saved up beyond a second's");
    }

    #[test]
    fn places_are_given_back() {
        let (shares, limits, now) = (Shares::default(), limits(), Instant::now());
        let [ada, bob, eve] = [("ada", "a"), ("bob", "a"), ("eve", "b")].map(|(who, tenant)| Principal::new("test", who, Some(tenant)));
        let share = |who| shares.of(who, &limits, now);
        let first = Shares::place(&share(&ada), &limits, || false).unwrap();
        let _second = Shares::place(&share(&bob), &limits, || false).unwrap();
        assert!(matches!(Shares::place(&share(&ada), &limits, || false), Err(Fault::Share(_))), "a tenant's principals share");
        assert!(Shares::place(&share(&eve), &limits, || false).is_ok());
        let mut resting = Some(first);
        assert!(Shares::place(&share(&ada), &limits, || resting.take().is_some()).is_ok());
    }

    #[test]
    fn those_without_a_name_and_those_beyond_the_bound_have_one_together() {
        let (shares, limits, now) = (Shares::default(), limits(), Instant::now());
        let share = |who: &Principal| shares.of(who, &limits, now);
        assert!(Arc::ptr_eq(&share(&Principal::anonymous("1")), &share(&Principal::anonymous("2"))));
        let [ada, bob] = ["ada", "bob"].map(|who| Principal::new("test", who, None));
        assert!(!Arc::ptr_eq(&share(&ada), &share(&bob)));
        // Forgotten when nothing of them is left, kept while something is.
        for number in 0..3 * SHARES_MAX {
            share(&Principal::new("test", &number.to_string(), None));
        }
        assert!(shares.0.lock().unwrap().shares.len() < SWEPT_FROM + 2);
        let held: Vec<_> = (0..SHARES_MAX + 8).map(|number| share(&Principal::new("held", &number.to_string(), None))).collect();
        assert!(Arc::ptr_eq(&held[SHARES_MAX + 1], &held[SHARES_MAX + 7]));
        assert!(!Arc::ptr_eq(&held[1], &held[7]));
    }
}
