//! Notices when a server says more than anybody can want to hear.

use super::shown::shown;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// So many notifications on one connection within a second are a flood.
const FLOOD: u32 = 1_000;
const WINDOW: Duration = Duration::from_secs(1);
/// It is said again after so long.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// Counts the notifications of one connection. They are heard all the same: what is kept of them does not grow with their
/// number (`sluice_chain::changes`).
#[derive(Debug, Default)]
pub(crate) struct Flood(Mutex<Option<Count>>);

#[derive(Debug)]
struct Count {
    since: Instant,
    heard: u32,
    said: Option<Instant>,
}

impl Flood {
    /// One more.
    pub(crate) fn note(&self, upstream: &str, method: &str) {
        let now = Instant::now();
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.get_or_insert(Count { since: now, heard: 0, said: None });
        if now.duration_since(count.since) >= WINDOW {
            (count.since, count.heard) = (now, 0);
        }
        count.heard += 1;
        if count.heard == FLOOD && count.said.is_none_or(|said| now.duration_since(said) >= SAID_AGAIN) {
            count.said = Some(now);
            tracing::warn!(upstream, method = %shown(method.as_bytes()), "a flood of notifications: {FLOOD} within a second; each fact is told once");
        }
    }
}
