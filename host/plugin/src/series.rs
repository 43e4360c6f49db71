//! The counters and timings a plugin keeps through `metrics`, bounded in number.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Upper bounds of the timing buckets, in milliseconds; above the last is one more.
pub const BUCKETS_MS: [f64; 12] = [0.1, 0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0];

const LABELS_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 128;

/// A counter's name with its labels, sorted by label name.
pub type CounterKey = (String, Vec<(String, String)>);

/// A timing as a histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timing {
    /// How many values fell into each of [`BUCKETS_MS`], not cumulative; the last is above all.
    pub counts: [u64; BUCKETS_MS.len() + 1],
    /// Of all values, in milliseconds.
    pub sum_ms: f64,
}

/// All series of one plugin. Names are without the prefix `sluice_plugin_` and the label `plugin`.
#[derive(Debug, Default)]
pub struct Series {
    max: usize,
    held: Mutex<Held>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    counters: BTreeMap<CounterKey, u64>,
    timings: BTreeMap<String, Timing>,
}

impl Series {
    /// Room for `max` series.
    pub fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// The counters as they stand.
    pub fn counters(&self) -> Vec<(CounterKey, u64)> {
        self.lock().counters.iter().map(|(key, count)| (key.clone(), *count)).collect()
    }

    /// The timings as they stand.
    pub fn timings(&self) -> Vec<(String, Timing)> {
        self.lock().timings.iter().map(|(name, timing)| (name.clone(), timing.clone())).collect()
    }

    /// Values not counted, because of their name or for want of room.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn add(&self, name: String, by: u64, mut labels: Vec<(String, String)>) {
        labels.sort_unstable();
        let fits = is_name(&name)
            && labels.len() <= LABELS_MAX
            && labels.iter().all(|(k, v)| is_name(k) && k != "plugin" && v.len() <= VALUE_BYTES_MAX)
            && labels.windows(2).all(|pair| pair[0].0 != pair[1].0);
        let mut held = self.lock();
        let key = (name, labels);
        let has_room = held.len() < self.max || held.counters.contains_key(&key);
        if !fits || !has_room || held.timings.contains_key(&key.0) {
            self.refused.fetch_add(1, Relaxed);
            return;
        }
        let count = held.counters.entry(key).or_default();
        *count = count.saturating_add(by);
    }

    pub(crate) fn record_ms(&self, name: String, ms: f64) {
        let mut held = self.lock();
        // One name is one kind of series.
        let is_counter = held.counters.keys().any(|(counter, _)| *counter == name);
        let has_room = held.len() < self.max || held.timings.contains_key(&name);
        if !is_name(&name) || !ms.is_finite() || ms < 0.0 || is_counter || !has_room {
            self.refused.fetch_add(1, Relaxed);
            return;
        }
        let timing = held.timings.entry(name).or_default();
        let bucket = BUCKETS_MS.iter().position(|bound| ms <= *bound).unwrap_or(BUCKETS_MS.len());
        timing.counts[bucket] += 1;
        timing.sum_ms += ms;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn len(&self) -> usize {
        self.counters.len() + self.timings.len()
    }
}

/// What Prometheus takes without quoting.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(key: &str, value: &str) -> (String, String) {
        (key.into(), value.into())
    }

    #[test]
    fn series_are_bounded_and_named_plainly() {
        let series = Series::new(3);
        for value in 0..10 {
            series.add("hits".into(), 2, vec![label("kind", &value.to_string())]);
        }
        series.add("hits".into(), 1, vec![label("kind", "0")]);
        assert_eq!(series.counters().len(), 3);
        assert_eq!(series.counters()[0].1, 3);
        assert_eq!(series.refused(), 7);
        for bad in ["", "Hits", "1x", "a-b", "a\nb", &"x".repeat(65)] {
            series.add(bad.into(), 1, vec![]);
        }
        series.add("x".into(), 1, vec![label("plugin", "forged")]);
        series.record_ms("hits".into(), 1.0);
        series.record_ms("t".into(), f64::NAN);
        assert_eq!(series.refused(), 16);
    }
}
