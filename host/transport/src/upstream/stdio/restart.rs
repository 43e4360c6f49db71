//! How soon a child may be started again.

use crate::upstream::jitter::jitter;
use std::time::Duration;
use tokio::time::Instant;

const FIRST_MAX: Duration = Duration::from_millis(20);
const SECOND: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);

/// Back-off of one place for a child: almost at once, then 100 ms doubling to 60 s, jittered.
#[derive(Debug, Default)]
pub(super) struct Restart {
    failures: u32,
    not_before: Option<Instant>,
}

impl Restart {
    /// A child died. One that had been of use counts as the first failure in a row.
    pub(super) fn died(&mut self, was_useful: bool) {
        self.failures = if was_useful { 1 } else { self.failures.saturating_add(1) };
        let delay = match self.failures {
            0 | 1 => FIRST_MAX,
            n => SECOND.saturating_mul(1 << (n - 2).min(16)).min(LONGEST),
        };
        self.not_before = Some(Instant::now() + delay.mul_f64(jitter()));
    }

    /// How long to wait from now.
    pub(super) fn delay(&self) -> Duration {
        self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_restart_is_at_once_and_later_ones_wait_longer() {
        let mut restart = Restart::default();
        assert_eq!(restart.delay(), Duration::ZERO);
        for (failure, most) in [(1, 20), (2, 100), (3, 200), (4, 400), (5, 800)] {
            restart.died(false);
            let most = Duration::from_millis(most);
            assert!(restart.delay() <= most && restart.delay() >= most / 2, "failure {failure}");
        }
        for _ in 0..40 {
            restart.died(false);
        }
        assert!(restart.delay() <= LONGEST && restart.delay() >= LONGEST / 2);
        restart.died(true);
        assert!(restart.delay() <= FIRST_MAX, "it had worked");
    }
}
