//! What a key holds.

use std::time::Duration;
use tokio::time::Instant;

/// The three kinds of value.
pub(super) enum Value {
    Bytes(Box<[u8]>),
    Number(i64),
    Tokens { left: f64, at: Instant },
}

impl Value {
    /// Size that counts against the quota.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Number(_) => 8,
            Self::Tokens { .. } => 16,
        }
    }

    /// As `get` answers it; a token bucket cannot be read.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Some(bytes.to_vec()),
            Self::Number(number) => Some(number.to_string().into_bytes()),
            Self::Tokens { .. } => None,
        }
    }

    /// As `incr` sees it.
    pub(super) fn as_number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            Self::Tokens { .. } => None,
        }
    }
}

/// A value with its end.
pub(super) struct Entry {
    pub(super) value: Value,
    /// Gone from then on; none: stays.
    pub(super) until: Option<Instant>,
    /// The queue of ends has a note of this key, so it needs no second one.
    pub(super) is_queued: bool,
}

impl Entry {
    pub(super) fn new(value: Value, until: Option<Instant>) -> Self {
        Self { value, until, is_queued: false }
    }

    pub(super) fn lasting(value: Value, now: Instant, ttl: Option<Duration>) -> Self {
        // An end beyond the clock's range is no end.
        Self::new(value, ttl.and_then(|ttl| now.checked_add(ttl)))
    }
}
