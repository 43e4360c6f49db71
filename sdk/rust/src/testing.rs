//! A fake host in the process, so that plugins are tested like any other code.
//!
//! What hangs on an exchange is [`FakeExchange`]; kv, clock, patterns, log and metrics belong to the test's thread
//! and start empty with it.

mod chunk;
mod departure;
mod document;
mod exchange;
mod fetch;
mod host;
mod kv;
mod secrets;
mod upstream;
mod viewer;

pub use chunk::FakeBatch;
pub use departure::{FakeDeparture, sent};
pub use exchange::FakeExchange;
pub(crate) use fetch::send;
pub use fetch::{Sent, answer_fetches};
pub use host::{
    Counted, LogLine, advance_ms, break_kv, clock_ms, counts, grant_reveal, heal_kv, log_lines, reset, run_again, set_clock_ms, set_secret,
    timings, while_sleeping,
};
pub use kv::FakeBucket;
pub use secrets::FakeSecret;
pub(crate) use secrets::{open_own, put, remove};
pub use upstream::answer_calls;
pub(crate) use upstream::call_tool;
pub use viewer::FakeViewer;

pub(crate) use host::{define_patterns, draw, note_count, note_log, note_timing, slept};

use crate::exchange::{Direction, Head, Kind};
use crate::plugin::Plugin;

/// Makes a plugin from settings, as the host does. Defaults of the schema are not filled in here: give them.
pub fn plugin<P: Plugin>(config: &str) -> Result<P, String> {
    crate::plugin::start(config)
}

/// The head of a request with this method, from a modern client.
pub fn head(method: &str) -> Head {
    Head { exchange: 1, round: 0, direction: Direction::ToServer, kind: Kind::Request, method: method.into(), name: None, body_bytes: 0 }
}

/// Only in tests: in a component the host makes heads.
impl Head {
    /// With the name of a tool or prompt, or a URI.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_string());
        self
    }

    /// Of a later round.
    pub fn round(mut self, round: u32) -> Self {
        self.round = round;
        self
    }

    /// The head of the answer.
    pub fn answered(mut self) -> Self {
        self.direction = Direction::ToClient;
        self.kind = Kind::Response;
        self
    }
}
