//! The wire: bytes a peer sent, what they mean, and how to send others.
//!
//! This room turns bytes into checked, indexed messages and edits back into bytes.
//! It keeps what the sender wrote: an untouched message leaves byte for byte as it came,
//! and an edited one changes only where an edit says so.
//!
//! It never opens a socket, reads a clock, spawns a task or keeps a session.
//! Every bound is handed in by the caller, and nothing is trusted before it was checked:
//! a [`json::Document`] can only be made by the one strict pass.
//!
//! In reading order:
//!
//! 1. [`json`]: the strict pass, the index over the sender's bytes, reading values.
//! 2. [`patch`]: edits spliced onto the original bytes.
//! 3. [`id`]: request ids that keep their exact token.
//! 4. [`message`]: the JSON-RPC envelope, decoding and building.
//! 5. [`revision`], [`method`], [`code`], [`meta`]: the protocol's names and tables.
//! 6. [`header`]: the HTTP headers that mirror a body.
//! 7. [`line`](mod@line) and [`sse`]: the two framings.
//! 8. [`form`]: answers to a server's form.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod code;
pub mod form;
pub mod header;
pub mod id;
pub mod json;
pub mod line;
pub mod listen;
pub mod message;
pub mod meta;
pub mod method;
pub mod patch;
pub mod revision;
pub mod sse;

mod flat;
