//! How much of a window is spent: a counter for each hour or day, which goes when the window is long over.

use alloc::format;
use alloc::string::String;

use sluice_sdk::kv::{Bucket, Error};

/// A window that begins at a full hour or day of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How long it is.
    pub seconds: u32,
}

impl Window {
    /// Milliseconds to its end.
    pub fn left_ms(self, now_s: u64) -> u32 {
        let length = u64::from(self.seconds);
        u32::try_from((length - now_s % length) * 1000).unwrap_or(u32::MAX)
    }

    /// Another one in each window.
    fn key(self, key: &str, now_s: u64) -> String {
        format!("{}:{key}", now_s / u64::from(self.seconds))
    }

    /// Adds, and says how much it is then.
    pub fn add(self, bucket: &Bucket, key: &str, amount: i64, now_s: u64) -> Result<i64, Error> {
        // Twice its length: clocks of replicas differ, and an end that comes late still finds it.
        bucket.incr(&self.key(key, now_s), amount, (self.seconds * 2).saturating_mul(1000))
    }
}
