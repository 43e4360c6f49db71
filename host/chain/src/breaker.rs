//! Switches a filter off after repeated faults, and tries it again later.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// When a breaker opens and how long it rests.
#[derive(Clone, Debug)]
pub struct BreakerLimits {
    /// Faults in a row that open it.
    pub in_a_row: u32,
    /// Calls in a window before the share counts.
    pub window_calls: u32,
    /// Faults per hundred calls of the window that open it.
    pub window_percent: u32,
    /// The window.
    pub window: Duration,
    /// First rest.
    pub rest: Duration,
    /// Longest rest; each failed trial doubles it.
    pub rest_max: Duration,
}

impl Default for BreakerLimits {
    /// design.md §5: 5 in a row or 20 % of 20 in 30 s; trial after 1 s, doubling to 5 min.
    fn default() -> Self {
        Self {
            in_a_row: 5,
            window_calls: 20,
            window_percent: 20,
            window: Duration::from_secs(30),
            rest: Duration::from_secs(1),
            rest_max: Duration::from_secs(300),
        }
    }
}

/// A closed breaker costs two relaxed atomic operations a call.
#[derive(Debug)]
pub struct Breaker {
    limits: BreakerLimits,
    started: Instant,
    /// Milliseconds since `started` at which the next trial may run; 0 is closed.
    opens_at: AtomicU64,
    consecutive: AtomicU32,
    calls: AtomicU32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    faults: u32,
    rest: Duration,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(limits: BreakerLimits) -> Self {
        let now = Instant::now();
        let window = Mutex::new(Window { since: now, faults: 0, rest: limits.rest });
        Self { limits, started: now, opens_at: AtomicU64::new(0), consecutive: AtomicU32::new(0), calls: AtomicU32::new(0), window }
    }

    /// May a call run now? When open, one caller at a time gets a trial; the others learn how long to wait.
    pub fn admit(&self) -> Result<(), Duration> {
        let opens_at = self.opens_at.load(Relaxed);
        if opens_at == 0 {
            return Ok(());
        }
        let now = self.now_ms();
        if now < opens_at {
            return Err(Duration::from_millis(opens_at - now));
        }
        let rest = self.lock().rest;
        let next = now + millis(rest);
        match self.opens_at.compare_exchange(opens_at, next, Relaxed, Relaxed) {
            Ok(_) => Ok(()),
            Err(_) => Err(rest),
        }
    }

    /// Is it open, for status?
    pub fn is_open(&self) -> bool {
        self.opens_at.load(Relaxed) != 0
    }

    /// A call ended well.
    pub fn succeeded(&self) {
        self.calls.fetch_add(1, Relaxed);
        if self.consecutive.load(Relaxed) != 0 {
            self.consecutive.store(0, Relaxed);
        }
        if self.opens_at.load(Relaxed) != 0 {
            let mut window = self.lock();
            window.rest = self.limits.rest;
            window.faults = 0;
            window.since = Instant::now();
            self.calls.store(0, Relaxed);
            self.opens_at.store(0, Relaxed);
        }
    }

    /// A call ended in a fault. True when this one opened the breaker.
    pub fn failed(&self) -> bool {
        let mut window = self.lock();
        if window.since.elapsed() > self.limits.window {
            window.since = Instant::now();
            window.faults = 0;
            self.calls.store(0, Relaxed);
        }
        window.faults += 1;
        let calls = self.calls.fetch_add(1, Relaxed) + 1;
        let row = self.consecutive.fetch_add(1, Relaxed) + 1;
        if self.opens_at.load(Relaxed) != 0 {
            window.rest = (window.rest * 2).min(self.limits.rest_max);
            self.opens_at.store(self.now_ms() + millis(window.rest), Relaxed);
            return false;
        }
        let share = calls >= self.limits.window_calls && window.faults * 100 >= calls * self.limits.window_percent;
        if row < self.limits.in_a_row && !share {
            return false;
        }
        self.opens_at.store(self.now_ms() + millis(window.rest), Relaxed);
        true
    }

    fn now_ms(&self) -> u64 {
        // Never 0, which means closed.
        millis(self.started.elapsed()) + 1
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> Breaker {
        Breaker::new(BreakerLimits { rest: Duration::from_millis(20), rest_max: Duration::from_millis(80), ..BreakerLimits::default() })
    }

    #[test]
    fn five_in_a_row_open_it_and_a_good_trial_closes_it() {
        let breaker = quick();
        for n in 1..=5 {
            assert!(breaker.admit().is_ok());
            assert_eq!(breaker.failed(), n == 5);
        }
        assert!(breaker.admit().is_err());
        std::thread::sleep(Duration::from_millis(30));
        assert!(breaker.admit().is_ok(), "one trial");
        assert!(breaker.admit().is_err(), "not two");
        breaker.succeeded();
        assert!(breaker.admit().is_ok() && !breaker.is_open());
    }

    #[test]
    fn a_success_between_faults_keeps_it_closed_below_the_share() {
        let breaker = quick();
        for _ in 0..50 {
            for _ in 0..9 {
                breaker.succeeded();
            }
            assert!(!breaker.failed());
        }
    }

    #[test]
    fn one_in_four_opens_it_once_there_are_twenty_calls() {
        let breaker = quick();
        let opened = (0..20).any(|_| {
            (0..3).for_each(|_| breaker.succeeded());
            breaker.failed()
        });
        assert!(opened);
    }
}
