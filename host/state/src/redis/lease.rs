//! Token buckets elsewhere, asked for in advance.
//!
//! A key that is asked for often is asked for in larger and larger leases: what a lease holds was taken from the bucket for all
//! replicas, so the limit is never exceeded by it. What of a lease is not used within [`LEASE`] is given up. So the error is on one side:
//! **at most a quarter of a burst, for each replica that asks for the key, may be refused early, and nothing is ever let through beyond the limit.** A
//! refusal holds for the time it named, since nobody gives tokens back, but is asked for again after a second; and at a fast limit it holds for up to
//! 50 ms, so that there is more than one token to be had then.

use crate::bucket::Rate;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

/// How long what was taken in advance is good.
const LEASE: Duration = Duration::from_secs(1);
/// Keys that may have a lease at once. Others are asked for one by one.
const KEYS_MAX: usize = 10_000;
/// Of a burst, at most this part is taken in advance.
const PART: f64 = 0.25;
/// And at most what comes back in this time, so that slow limits are not hoarded.
const AHEAD: Duration = Duration::from_secs(2);

/// A refusal holds until so many tokens have come back,
const SOME: f64 = 25.0;
/// or for so long.
const HELD: Duration = Duration::from_millis(50);

/// What is known here of the keys of one bucket.
#[derive(Default)]
pub(super) struct Leases(Mutex<HashMap<String, Lease>>);

struct Lease {
    /// Taken and not used.
    left: u32,
    until: Instant,
    /// How many were last asked for.
    size: u32,
    refused: Option<Refusal>,
    /// Closed when somebody has an answer that he waits for.
    asking: Option<Arc<Semaphore>>,
}

struct Refusal {
    /// There are fewer than so many tokens
    cost: u32,
    /// until then.
    until: Instant,
    /// It is asked again then: somebody may have cleared the store.
    asked_again: Instant,
}

/// How a question is answered.
pub(super) enum Ask<'l> {
    /// By the lease.
    Granted,
    /// By a refusal that still holds, in milliseconds.
    Wait(u32),
    /// By what another call is being told: ask again when this is closed.
    After(Arc<Semaphore>),
    /// By the bucket, which is to be asked for so many.
    For(u32, Asking<'l>),
}

impl Leases {
    pub(super) fn ask<'l>(&'l self, key: &'l str, cost: u32, rate: &Rate) -> Ask<'l> {
        let now = Instant::now();
        let mut leases = self.lock();
        let Some(lease) = leases.get_mut(key) else {
            let is_room = leases.len() < KEYS_MAX || {
                leases.retain(|_, lease| lease.until > now || lease.asking.is_some());
                leases.len() < KEYS_MAX
            };
            if is_room {
                leases.insert(key.to_owned(), Lease { left: 0, until: now, size: 1, refused: None, asking: None });
            }
            let asking = leases.get_mut(key).map(|lease| lease.asking.insert(Arc::new(Semaphore::new(0))).clone());
            return Ask::For(cost, Asking { leases: self, key, asking });
        };
        if let Some(refusal) = lease.refused.as_ref().filter(|refusal| cost >= refusal.cost && now < refusal.asked_again) {
            let left = refusal.until.saturating_duration_since(now);
            return Ask::Wait(u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX));
        }
        if lease.until <= now {
            // More than was needed: the next is smaller.
            if lease.left > 0 {
                lease.size = (lease.size / 4).max(1);
            }
            lease.left = 0;
        }
        if lease.left >= cost {
            lease.left -= cost;
            return Ask::Granted;
        }
        if let Some(asking) = &lease.asking {
            return Ask::After(asking.clone());
        }
        let most = (rate.burst * PART).min(rate.per_second * AHEAD.as_secs_f64()) as u32;
        let asking = lease.asking.insert(Arc::new(Semaphore::new(0))).clone();
        Ask::For(lease.size.saturating_mul(2).min(most).max(cost), Asking { leases: self, key, asking: Some(asking) })
    }

    pub(super) fn forget(&self, key: &str) {
        if let Some(lease) = self.lock().get_mut(key) {
            (lease.left, lease.refused) = (0, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question under way. Whoever waits for it goes on when it ends, also without an answer.
pub(super) struct Asking<'l> {
    leases: &'l Leases,
    key: &'l str,
    /// None: there is no room for one more lease.
    asking: Option<Arc<Semaphore>>,
}

impl Asking<'_> {
    /// The bucket gave so many of those that it was asked for.
    pub(super) fn granted(self, cost: u32, tokens: u32, asked: u32) {
        self.note(|lease, now| {
            (lease.refused, lease.left, lease.size, lease.until) = (None, tokens - cost, asked, now + LEASE);
        });
    }

    /// It had not as many as `cost`, and named a time until it has. At a limit that is reached, the next question comes when there is
    /// something to be had.
    pub(super) fn refused(self, cost: u32, wait: u32, rate: &Rate) {
        let some = Duration::try_from_secs_f64(SOME / rate.per_second).unwrap_or(HELD).min(HELD);
        let wait = Duration::from_millis(wait.into()).max(some);
        self.note(|lease, now| {
            let asked_again = now + wait.min(LEASE);
            lease.refused = now.checked_add(wait).map(|until| Refusal { cost, until, asked_again });
            lease.until = asked_again;
        });
    }

    fn note(self, change: impl FnOnce(&mut Lease, Instant)) {
        if let Some(lease) = self.leases.lock().get_mut(self.key).filter(|_| self.asking.is_some()) {
            change(lease, Instant::now());
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Some(asking) = self.asking.take() else { return };
        if let Some(lease) = self.leases.lock().get_mut(self.key) {
            lease.asking = None;
        }
        asking.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the bucket is asked, and what it says; how many it was asked for.
    fn asked(leases: &Leases, cost: u32, rate: &Rate, wait: u32) -> u32 {
        let Ask::For(tokens, asking) = leases.ask("k", cost, rate) else { panic!("it is not asked") };
        if wait > 0 {
            asking.refused(cost, wait, rate)
        } else {
            asking.granted(cost, tokens, tokens)
        }
        tokens
    }

    #[tokio::test(start_paused = true)]
    async fn leases_grow_while_they_are_used_and_shrink_when_they_are_not() {
        let (leases, rate) = (Leases::default(), Rate::new(1, 400, 400.0).unwrap());
        for size in [1, 2, 4, 8, 16, 32, 64, 100, 100] {
            assert_eq!(asked(&leases, 1, &rate, 0), size, "at most a quarter of the burst");
            for _ in 1..size {
                assert!(matches!(leases.ask("k", 1, &rate), Ask::Granted));
            }
        }
        // One of a hundred was used: the next is no more than that, and so on.
        let mut last = asked(&leases, 1, &rate, 0);
        for _ in 0..3 {
            tokio::time::advance(LEASE).await;
            let next = asked(&leases, 1, &rate, 0);
            assert!(next <= last / 2, "{next} after {last}");
            last = next;
        }
        let (leases, slow) = (Leases::default(), Rate::new(1, 400, 0.5).unwrap());
        assert_eq!([asked(&leases, 1, &slow, 0), asked(&leases, 1, &slow, 0)], [1, 1], "what comes back slowly is not hoarded");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_holds_for_the_time_it_named() {
        let (leases, rate) = (Leases::default(), Rate::new(3, 4, 10.0).unwrap());
        assert_eq!(asked(&leases, 3, &rate, 250), 3);
        assert!(matches!(leases.ask("k", 3, &rate), Ask::Wait(250)));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(matches!(leases.ask("k", 4, &rate), Ask::Wait(150)));
        assert!(matches!(leases.ask("k", 1, &rate), Ask::For(1, _)), "fewer may be there");
        tokio::time::advance(Duration::from_millis(150)).await;
        assert!(matches!(leases.ask("k", 3, &rate), Ask::For(3, _)));
        let slow = Rate::new(1, 4, 0.001).unwrap();
        asked(&leases, 1, &slow, 600_000);
        tokio::time::advance(LEASE - Duration::from_millis(1)).await;
        assert!(matches!(leases.ask("k", 1, &slow), Ask::Wait(599_001)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(matches!(leases.ask("k", 1, &slow), Ask::For(..)), "somebody may have cleared it");
    }

    #[tokio::test(start_paused = true)]
    async fn one_asks_and_the_others_wait_for_what_it_is_told() {
        let (leases, rate) = (Leases::default(), Rate::new(1, 400, 400.0).unwrap());
        let Ask::For(1, first) = leases.ask("k", 1, &rate) else { panic!("it asks") };
        let Ask::After(answer) = leases.ask("k", 1, &rate) else { panic!("it waits") };
        assert!(!answer.is_closed());
        // Its caller has left.
        drop(first);
        assert!(answer.is_closed());
        assert!(matches!(leases.ask("k", 1, &rate), Ask::For(2, _)));
    }
}
