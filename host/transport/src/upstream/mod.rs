//! Toward servers: stdio children, Streamable HTTP, and servers built in.
//!
//! Each kind is a [`Carrier`]; [`Watched`] makes it an [`Upstream`](sluice_chain::upstream::Upstream)
//! with health, breaker and counters. A carrier speaks the client's era when the server can, and
//! translates when it cannot; whoever calls never learns which.
//!
//! In reading order: [`Watched`], [`call`], [`inflight`], [`eras`], `watch` (changes), then [`stdio`], [`http`], [`builtin`].

pub mod builtin;
pub mod http;
pub mod stdio;

mod breaker;
mod call;
mod capabilities;
mod counters;
mod eras;
mod flood;
mod inflight;
mod jitter;
mod limits;
mod outline;
mod questions;
mod rounds;
mod shown;
mod speaker;
mod tasks;
mod watch;
mod watched;

pub use builtin::NAMES as BUILTIN_NAMES;
pub use counters::{Counters, Reading};
pub use eras::EraChoice;
pub use limits::{CallLimits, Sharing};
pub use watched::{Carrier, Watched};

use sluice_chain::upstream::UpstreamError;
use sluice_era::request::RequestError;
use sluice_wire::{message::Message, revision::Revision};

/// What we call ourselves on connections that several clients share.
pub(crate) const OWN_INFO: &str = concat!(r#"{"name":"sluice","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// Era's complaint at this door.
pub(crate) fn unsendable(error: RequestError, message: &Message, to: Revision) -> UpstreamError {
    match error {
        RequestError::CannotCross => UpstreamError::CannotCross { era: to.era(), method: message.method().to_owned() },
        other => UpstreamError::BadReply { reason: other.to_string() },
    }
}
