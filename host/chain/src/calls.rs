//! How often the hooks of one filter were called, and how long that took.

use crate::filter::Hook;
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Lives with the filter, so that a call costs two additions and no look-up.
#[derive(Debug, Default)]
pub struct Calls([Count; Hook::ALL.len()]);

#[derive(Debug, Default)]
struct Count {
    calls: AtomicU64,
    nanos: AtomicU64,
}

impl Calls {
    /// One more, refused by an open breaker or not.
    pub(crate) fn count(&self, hook: Hook, took: Duration) {
        let count = &self.0[hook as usize];
        count.calls.fetch_add(1, Relaxed);
        count.nanos.fetch_add(took.as_nanos() as u64, Relaxed);
    }

    /// Calls of this hook, and how long they took together.
    pub fn of(&self, hook: Hook) -> (u64, Duration) {
        let count = &self.0[hook as usize];
        (count.calls.load(Relaxed), Duration::from_nanos(count.nanos.load(Relaxed)))
    }
}
