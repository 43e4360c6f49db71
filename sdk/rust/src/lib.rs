//! Write Sluice plugins in Rust.
//!
//! A plugin is a type that implements [`Plugin`](plugin::Plugin) and the traits of the hooks it wants, handed to [`export!`]:
//!
//! ```
//! use sluice_sdk::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! struct Settings {
//!     tool: String,
//! }
//!
//! struct Deny(Settings);
//!
//! impl Plugin for Deny {
//!     type Config = Settings;
//!
//!     fn manifest() -> Manifest {
//!         Manifest::new("deny", "0.1.0", "Refuses one tool.")
//!             .schema(r#"{"type":"object","properties":{"tool":{"type":"string"}},"required":["tool"]}"#)
//!             .select(Hook::OnRequest, &["tools/call"], &[])
//!             .stateless()
//!     }
//!
//!     fn new(config: Settings) -> Result<Self, String> {
//!         Ok(Deny(config))
//!     }
//! }
//!
//! impl OnRequest for Deny {
//!     fn on_request(&self, head: &Head, _: &Exchange) -> Verdict {
//!         if head.name.as_deref() == Some(&self.0.tool) {
//!             return Rejection::new(4030, "this tool is switched off").into();
//!         }
//!         Verdict::Next
//!     }
//! }
//!
//! sluice_sdk::export!(Deny: on_request);
//!
//! // Natively the SDK is its own fake host, so a plugin is tested like any other code.
//! use sluice_sdk::testing::{self, FakeExchange};
//! let deny: Deny = testing::plugin(r#"{"tool":"rm"}"#).unwrap();
//! let head = testing::head("tools/call").name("rm");
//! assert!(matches!(deny.on_request(&head, &FakeExchange::default()), Verdict::Reject(_)));
//! ```
//!
//! Build it with `cargo build --target wasm32-wasip2`, `crate-type = ["cdylib"]`.
//!
//! **Powers.** What a plugin may do is what its binary imports, and it imports what it calls, nothing else: one
//! that never calls a method of [`Payload`](exchange::Payload) provably never reads arguments or results. The traits of [`exchange`]
//! are cut along these lines, so a function that takes `&impl Facts` says that it does without the payload.
//!
//! **Weight.** A plugin that uses `std` imports a dozen WASI interfaces, for printing and for panics that print. One
//! that starts with `#![cfg_attr(target_family = "wasm", no_std)]` and calls [`lean!`] imports none.
//!
//! Modules, in reading order: [`plugin`] (the traits to implement), [`manifest`], [`exchange`] (facts, payload,
//! scan), [`verdict`], [`identity`], [`catalog`], [`chunk`], [`http`], [`outbound`], then the powers without an exchange: [`kv`], [`secrets`],
//! [`fetch`], [`upstream`], [`patterns`], [`log`], [`metrics`], [`clock`], [`random`]; [`json`], [`glob`] and [`key`] for settings and
//! payloads, `document` where they are needed as a tree; and natively `testing`.

#![cfg_attr(target_family = "wasm", no_std)]
#![warn(missing_docs)]

extern crate alloc;

#[doc(hidden)]
pub mod bindings;
pub mod catalog;
pub mod chunk;
pub mod clock;
#[cfg(feature = "document")]
pub mod document;
pub mod exchange;
#[doc(hidden)]
pub mod export;
pub mod fetch;
pub mod glob;
pub mod http;
pub mod identity;
pub mod json;
pub mod key;
pub mod kv;
#[cfg(all(target_family = "wasm", feature = "lean"))]
#[doc(hidden)]
pub mod lean;
pub mod log;
pub mod manifest;
pub mod method;
pub mod metrics;
pub mod outbound;
pub mod patterns;
pub mod plugin;
pub mod random;
pub mod secrets;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod slot;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod upstream;
pub mod verdict;

/// What nearly every plugin names.
pub mod prelude {
    pub use crate::catalog::{Answer, Change, Entry, ListKind, Viewer, Views};
    pub use crate::chunk::{Batch, ChunkVerdict, Chunked, Splice};
    pub use crate::exchange::{AccessError, Direction, Edit, Elicited, Exchange, Facts, Head, Hit, Kind, Payload, Scan};
    pub use crate::http::{HttpRequest, HttpResponse};
    pub use crate::identity::{Credential, Outcome, Principal};
    pub use crate::manifest::{Hook, Manifest};
    pub use crate::method::Method;
    pub use crate::outbound::{Departs, Departure, Headers, OutboundVerdict};
    pub use crate::plugin::{
        Authenticate, NoConfig, OnCatalog, OnChunk, OnDone, OnHttp, OnNotification, OnOutbound, OnRequest, OnResponse, Plugin,
    };
    pub use crate::verdict::{NotificationVerdict, Rejection, Suspension, Verdict};
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
