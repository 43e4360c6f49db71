//! Counters of one plugin, for metrics and status.

use sluice_chain::fault::Fault;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The kinds of [`Fault`] a guest can cause, in the order of [`Figures::faults`].
pub const FAULT_KINDS: [&str; 7] = ["trap", "deadline", "limit", "bad_reply", "instantiate", "saturated", "share"];

/// What a plugin's guests did so far. All counters only rise, but `live`.
#[derive(Debug, Default)]
pub struct Figures {
    /// Instances made.
    pub created: AtomicU64,
    /// Calls that found a warm instance.
    pub reused: AtomicU64,
    /// Calls that had to make one.
    pub missed: AtomicU64,
    /// Instances dropped because of age, count or room.
    pub retired: AtomicU64,
    /// Instances dropped because their call went wrong.
    pub discarded: AtomicU64,
    /// Instances alive.
    pub live: AtomicUsize,
    /// Highest linear memory of one instance, in bytes.
    pub memory_peak: AtomicUsize,
    /// Log lines dropped by the rate limit.
    pub log_dropped: AtomicU64,
    faults: [AtomicU64; FAULT_KINDS.len()],
}

impl Figures {
    /// Faults by kind, in the order of [`FAULT_KINDS`].
    pub fn faults(&self) -> [(&'static str, u64); FAULT_KINDS.len()] {
        std::array::from_fn(|i| (FAULT_KINDS[i], self.faults[i].load(Relaxed)))
    }

    pub(crate) fn count_fault(&self, fault: &Fault) {
        if let Some(i) = FAULT_KINDS.iter().position(|kind| *kind == fault.kind()) {
            self.faults[i].fetch_add(1, Relaxed);
        }
    }
}
