//! Toward clients: what they may send, in which form they get their answers.
//!
//! A listener turns bytes into checked requests of one of the two eras, hands them to the chain,
//! and puts what comes back into the form that the client's revision and transport ask for. It
//! decides nothing about a call itself.
//!
//! Reading order: [`settings`], [`names`] (who may knock), [`http`], [`stdio`], `client` (what a
//! client says of itself), `sessions`, `records`, `streams` and `channels` (the legacy era's state), `front` (one
//! connection that carries both ways), `status` (codes to HTTP).

pub mod http;
pub mod names;
pub mod settings;
pub mod stdio;

mod channels;
mod client;
mod front;
mod methods;
mod outgoing;
mod questions;
mod records;
mod refusal;
mod sessions;
mod status;
mod streaming;
mod streams;

pub use http::{Listener, UnixEndpoint, serve};
pub use names::{BadName, Names};
pub use settings::{Eras, Limits, ListenRefused, Settings};
pub use stdio::serve_stdio;
