//! The plugin's own key-value buckets. Imports `sluice:filter/kv`.
//!
//! A bucket belongs to the plugin, not to a principal: put whoever it concerns into the key.

use alloc::string::ToString;

pub use crate::bindings::base::sluice::filter::kv::{Error, Op, Outcome};

/// An open bucket: `open`, `get`, `set`, `delete`, `incr`, `take`, `swap`, `batch`.
#[cfg(target_family = "wasm")]
pub use crate::bindings::base::sluice::filter::kv::Bucket;
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::FakeBucket as Bucket;

/// For a batch; each as the method of [`Bucket`] of that name.
impl Op {
    /// Answered by [`Outcome::Value`].
    pub fn get(key: &str) -> Self {
        Op::Get(key.to_string())
    }

    /// Answered by [`Outcome::Done`].
    pub fn set(key: &str, value: &[u8], ttl_ms: Option<u32>) -> Self {
        Op::Set((key.to_string(), value.to_vec(), ttl_ms))
    }

    /// Answered by [`Outcome::Done`].
    pub fn delete(key: &str) -> Self {
        Op::Delete(key.to_string())
    }

    /// Answered by [`Outcome::Count`].
    pub fn incr(key: &str, by: i64, ttl_ms: u32) -> Self {
        Op::Incr((key.to_string(), by, ttl_ms))
    }

    /// Answered by [`Outcome::WaitMs`].
    pub fn take(key: &str, cost: u32, burst: u32, per_second: f64) -> Self {
        Op::Take((key.to_string(), cost, burst, per_second))
    }

    /// Answered by [`Outcome::Swapped`].
    pub fn swap(key: &str, expect: Option<&[u8]>, value: &[u8], ttl_ms: Option<u32>) -> Self {
        Op::Swap((key.to_string(), expect.map(<[u8]>::to_vec), value.to_vec(), ttl_ms))
    }
}
