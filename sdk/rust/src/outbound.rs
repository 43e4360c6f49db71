//! Requests that are about to leave for an upstream: the types of the `on-outbound` hook.
//!
//! ```
//! use sluice_sdk::outbound::{Departs, Headers, OutboundVerdict};
//! use sluice_sdk::secrets::Secret;
//! # use sluice_sdk::testing::{self, FakeDeparture};
//! # testing::set_secret("github", b"t");
//! # let departure = &FakeDeparture::new("github", "https://api.example.com/mcp");
//! let verdict: OutboundVerdict = match Secret::open(&departure.upstream()) {
//!     Ok(token) => Headers::new().secret("authorization", "Bearer ", token).into(),
//!     Err(_) => Headers::new().into(),
//! };
//! # assert_eq!(testing::sent(&verdict), [("authorization".to_string(), "Bearer t".to_string())]);
//! ```

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::secrets::Secret;
use crate::verdict::{Rejection, Suspension};

pub use crate::bindings::base::sluice::filter::outbound::Challenge;

#[cfg(target_family = "wasm")]
pub use crate::bindings::base::sluice::filter::outbound::Departure;
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::FakeDeparture as Departure;

/// What can be asked about a request that is about to leave.
pub trait Departs {
    /// The operator's id of the upstream.
    fn upstream(&self) -> String;
    /// Where the request goes, without a query.
    fn url(&self) -> String;
    /// Of HTTP, upper case.
    fn method(&self) -> String;
    /// What is set so far, lower-case names; the values of secrets, and of what the operator configured, are empty.
    fn headers(&self) -> Vec<(String, String)>;
    /// Of the body.
    fn body_sha256(&self) -> Vec<u8>;
    /// How the upstream answered this request a moment ago; none when it was not sent yet.
    fn challenge(&self) -> Option<Challenge>;
    /// Of a request with a challenge: it was sent with this secret. If it was not, somebody has got another one since.
    fn refused(&self, secret: &Secret) -> bool;
}

#[cfg(target_family = "wasm")]
impl Departs for Departure {
    fn upstream(&self) -> String {
        Departure::upstream(self)
    }
    fn url(&self) -> String {
        Departure::url(self)
    }
    fn method(&self) -> String {
        Departure::method(self)
    }
    fn headers(&self) -> Vec<(String, String)> {
        Departure::headers(self)
    }
    fn body_sha256(&self) -> Vec<u8> {
        Departure::body_sha256(self)
    }
    fn challenge(&self) -> Option<Challenge> {
        Departure::challenge(self)
    }
    fn refused(&self, secret: &Secret) -> bool {
        Departure::refused(self, secret)
    }
}

/// The value of a header.
#[derive(Debug)]
pub enum Value {
    /// As it is.
    Text(String),
    /// A secret behind this text.
    Secret(String, Secret),
}

/// Headers that a request leaves with.
#[derive(Debug, Default)]
pub struct Headers(pub Vec<(String, Value)>);

impl Headers {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// And this one.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_string(), Value::Text(value.to_string())));
        self
    }

    /// And this one, whose value is `prefix` and a secret.
    pub fn secret(mut self, name: &str, prefix: &str, secret: Secret) -> Self {
        self.0.push((name.to_string(), Value::Secret(prefix.to_string(), secret)));
        self
    }
}

/// What `on_outbound` decides.
#[derive(Debug)]
pub enum OutboundVerdict {
    /// Go on, with these headers set.
    Next(Headers),
    /// The request does not leave.
    Reject(Rejection),
    /// Ask the person first; then the whole request chain runs again.
    Suspend(Suspension),
}

impl From<Headers> for OutboundVerdict {
    fn from(headers: Headers) -> Self {
        OutboundVerdict::Next(headers)
    }
}

impl From<Rejection> for OutboundVerdict {
    fn from(no: Rejection) -> Self {
        OutboundVerdict::Reject(no)
    }
}

impl From<Suspension> for OutboundVerdict {
    fn from(asks: Suspension) -> Self {
        OutboundVerdict::Suspend(asks)
    }
}

#[cfg(target_family = "wasm")]
const _: () = {
    use crate::bindings::on_outbound::exports::sluice::filter::on_outbound as wit;

    impl From<OutboundVerdict> for wit::OutboundVerdict {
        fn from(verdict: OutboundVerdict) -> Self {
            let value = |value| match value {
                Value::Text(text) => wit::Value::Text(text),
                Value::Secret(prefix, secret) => wit::Value::Secret((prefix, secret)),
            };
            match verdict {
                OutboundVerdict::Next(headers) => Self::Next(headers.0.into_iter().map(|(name, one)| (name, value(one))).collect()),
                OutboundVerdict::Reject(no) => Self::Reject(no),
                OutboundVerdict::Suspend(asks) => Self::Suspend(asks),
            }
        }
    }
};
