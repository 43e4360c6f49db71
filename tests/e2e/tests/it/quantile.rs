//! Latencies of many calls, and what can be said of them.

use std::{fmt, time::Duration};

#[derive(Default, Clone)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn note(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// The value that this part of all does not exceed: 0.99 is p99.
    pub fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = (sorted.len() as f64 * part).ceil() as usize;
        sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |part| self.quantile(part).as_secs_f64() * 1e3;
        write!(f, "N={} p50={:.2} ms p99={:.2} ms max={:.2} ms", self.0.len(), ms(0.5), ms(0.99), ms(1.0))
    }
}

#[test]
fn a_quantile_is_the_value_that_many_do_not_exceed() {
    let mut latencies = Latencies::default();
    (1..=100).for_each(|ms| latencies.note(Duration::from_millis(ms)));
    for (part, ms) in [(0.5, 50), (0.99, 99), (1.0, 100)] {
        assert_eq!(latencies.quantile(part), Duration::from_millis(ms));
    }
}
