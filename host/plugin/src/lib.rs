//! Runs wasm components as filters.
//!
//! A plugin is a file; a guest is one of its running instances; a filter is what the chain sees. This
//! crate turns the first into the last and bounds the one in between: its CPU and wall time, memory,
//! handles, host calls and the bytes it moves. It holds all of wasmtime and never sees a socket, a
//! session or a configuration file.
//!
//! Reading order: [`engine`] (one a process), [`settings`], [`grant`] and [`limits`], [`load`] (bytes to filter, with
//! [`artifact`], [`import`], [`compiler`], [`cache`], [`manifest`], [`schema`]; [`inspect`] stops halfway), [`filter`] (the hooks), `pool`, `instance`, `guest`, `snapshot` (instances as copies),
//! `budget`, [`secrets`], `blame` (a trap becomes a fault), `v0_1` (the contract's imports), `wasi` (what toolchains
//! import and get nothing from).
//!
//! Invariants:
//! - A guest call is never cancelled by dropping its future: epochs and bounded waits end it.
//! - Whatever goes wrong in a guest, its instance is discarded. Reuse is for calls that ended well.
//! - Machine code is only ever loaded from bytes that this binary compiled or sealed: see [`cache`] and [`compiler`].

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod artifact;
mod blame;
mod budget;
pub mod cache;
mod compile;
pub mod compiler;
pub mod engine;
#[cfg(debug_assertions)]
pub mod failpoint;
pub mod figures;
pub mod filter;
pub mod grant;
mod guest;
pub mod import;
pub mod inspect;
mod instance;
pub mod limits;
pub mod load;
pub mod manifest;
mod patterns;
mod plugin;
mod pool;
pub mod schema;
pub mod secrets;
pub mod series;
pub mod settings;
mod share;
mod snapshot;
mod ticker;
mod v0_1;
mod wasi;

pub use compile::Compiling;
pub use engine::{Engine, EngineError, Setup};
pub use filter::WasmFilter;
pub use grant::Grant;
pub use limits::Limits;
pub use load::LoadError;
pub use secrets::{Secret, Secrets};
pub use settings::{Power, Scope, Settings};
