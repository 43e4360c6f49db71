//! The shared state behind the `kv` import: named buckets of keys with time to live, counters,
//! token buckets and compare-and-swap.
//!
//! [`Store`] and [`Bucket`] are what the plugin crate asks for; [`memory`] is the backend of a single
//! process, [`file`](mod@file) that of one that is started again, [`redis`] that of many. `contract` (behind the feature of that name) is the suite that every backend runs, so a
//! filter cannot tell which one it talks to. This crate knows nothing of plugins, exchanges or wasm.
//!
//! Reading order: [`bucket`], [`memory`], [`file`](mod@file), [`redis`], [`degrading`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod bucket;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod degrading;
pub mod file;
pub mod memory;
pub mod redis;

pub use bucket::{Bucket, Op, Outcome, Quota, StateError, Store};
