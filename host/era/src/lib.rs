//! One revision of MCP in the form of another.
//!
//! This room translates messages and reads handshakes: pure functions and state machines over
//! checked documents. It splices: what a revision does not ask to be changed leaves with the
//! sender's bytes. It never opens a socket, reads a clock, spawns a task or keeps a session.
//!
//! Toward an upstream: [`handshake`], [`probe`], [`capability`], [`request`], [`mirror`], [`rounds`], [`tasks`],
//! [`links`], [`listen`].
//! Toward a client: [`answer`], [`question`], [`handshake_down`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod capability;
pub mod handshake;
pub mod links;
pub mod listen;
pub mod mirror;
pub mod probe;
pub mod request;
pub mod rounds;
pub mod tasks;

pub mod answer;
pub mod handshake_down;
mod older;
pub mod question;
pub mod stream;
