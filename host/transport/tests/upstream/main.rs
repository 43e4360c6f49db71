//! The upstream half against servers that behave and servers that do not.
//!
//! Tests that prove a numbered statement of the protocol reference carry its number: `c46_…`.

mod builtin;
mod http_faults;
mod http_legacy;
mod http_modern;
mod pieces;
mod questions;
mod sse;
mod stdio;
mod subscriptions;
mod support;
mod tasks;
mod ways;
