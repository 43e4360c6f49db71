//! The plugin's own key-value buckets. Imports `sluice:filter/kv`.
//!
//! A bucket belongs to the plugin, not to a principal: put whoever it concerns into the key.

pub use crate::bindings::base::sluice::filter::kv::Error;

/// An open bucket: `open`, `get`, `set`, `delete`, `incr`, `take`, `swap`.
#[cfg(target_family = "wasm")]
pub use crate::bindings::base::sluice::filter::kv::Bucket;
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::FakeBucket as Bucket;
