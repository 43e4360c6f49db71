//! Who is calling: the types of the `authenticate` hook.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use crate::bindings::authenticate::exports::sluice::filter::authenticate::{Credential, Outcome, Principal};
use crate::verdict::Rejection;

impl Principal {
    /// A principal of no tenant, without scopes and claims, to be asked about again after `ttl_ms`.
    pub fn new(subject: &str, ttl_ms: u32) -> Self {
        Principal { subject: subject.to_string(), tenant: None, scopes: Vec::new(), claims: Vec::new(), ttl_ms }
    }
}

impl From<Principal> for Outcome {
    fn from(principal: Principal) -> Self {
        Outcome::Identified(principal)
    }
}

impl From<Rejection> for Outcome {
    fn from(no: Rejection) -> Self {
        Outcome::Challenge(no)
    }
}

/// A quoted string of an HTTP header (RFC 9110 §5.6.4), for `WWW-Authenticate`. What a header cannot carry is left out.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}
