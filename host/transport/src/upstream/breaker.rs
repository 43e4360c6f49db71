//! Stops trying an upstream that cannot be reached, for a while.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

const FAILURES_MAX: u32 = 5;
const REST_FIRST: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(60);

/// Opens after five connect failures in a row: one trial after 1 s, doubling to 60 s.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Whether there is anything to look up: keeps the healthy path free of the lock.
    is_troubled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rest: Duration,
    until: Option<Instant>,
    /// A trial is out and has not come back.
    is_trying: bool,
}

impl Breaker {
    /// Whether a request may go now; else how long it is until the next trial.
    pub(crate) fn admit(&self) -> Result<(), Duration> {
        if !self.is_troubled.load(Relaxed) {
            return Ok(());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match state.until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                // One trial at a time: the others rest until it has spoken, or for another while.
                state.until = Some(now + state.rest);
                state.is_trying = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// It was reached.
    pub(crate) fn reached(&self) {
        if self.is_troubled.swap(false, Relaxed) {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
        }
    }

    /// It could not be reached.
    pub(crate) fn unreachable(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_troubled.store(true, Relaxed);
        state.failures += 1;
        let is_resting = state.until.is_some();
        // Calls that left before the rest began come home late and say nothing new.
        if is_resting && !std::mem::take(&mut state.is_trying) || state.failures < FAILURES_MAX {
            return;
        }
        state.rest = if is_resting { (state.rest * 2).min(REST_MAX) } else { REST_FIRST };
        state.until = Some(Instant::now() + state.rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn trial_fails(breaker: &Breaker) {
        let rest = breaker.admit().expect_err("it rests");
        tokio::time::advance(rest).await;
        assert_eq!(breaker.admit(), Ok(()), "one trial");
        assert!(breaker.admit().is_err(), "and only one");
        breaker.unreachable();
    }

    #[tokio::test(start_paused = true)]
    async fn rests_after_five_failures_and_doubles() {
        let breaker = Breaker::default();
        for _ in 0..5 {
            assert_eq!(breaker.admit(), Ok(()));
            breaker.unreachable();
        }
        assert_eq!(breaker.admit(), Err(Duration::from_secs(1)));
        for _ in 0..20 {
            breaker.unreachable();
        }
        assert_eq!(breaker.admit(), Err(Duration::from_secs(1)), "stragglers do not count");
        trial_fails(&breaker).await;
        assert_eq!(breaker.admit(), Err(Duration::from_secs(2)));
        for _ in 0..8 {
            trial_fails(&breaker).await;
        }
        assert_eq!(breaker.admit(), Err(Duration::from_secs(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_success_forgets_all_failures() {
        let breaker = Breaker::default();
        for _ in 0..9 {
            breaker.unreachable();
        }
        breaker.reached();
        assert_eq!(breaker.admit(), Ok(()));
        breaker.unreachable();
        assert_eq!(breaker.admit(), Ok(()));
    }
}
