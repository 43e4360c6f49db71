//! Why a request is not signed, and what the client and the operator hear of it.

use alloc::format;
use alloc::string::{String, ToString};

use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, why};

/// The request cannot be signed, or AWS refuses the signature; the operator has to change something.
pub const OPERATOR: i32 = 5010;

/// One reason; every one is the operator's to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    /// Of the host, its clock or its settings.
    pub fn host(why: &str) -> Self {
        Problem(why.to_string())
    }

    /// Of a secret.
    pub fn secret(name: &str, error: secrets::Error) -> Self {
        Problem(format!("the secret {name:?} cannot be used: {}", why(error)))
    }

    /// Tells the operator why, and the client whose matter it is.
    pub fn reject(self, upstream: &str) -> Rejection {
        log::write(Level::Error, "a request is not signed", &[("upstream", upstream), ("why", &self.0)]);
        let said =
            format!("{upstream} cannot be used: the gateway cannot sign its requests to it; whoever runs it has to look into its log");
        Rejection::new(OPERATOR, &said)
    }
}

/// An upstream that does not take what was signed.
pub(crate) fn refused(upstream: &str, status: u16) -> Rejection {
    let fields = [("upstream", upstream), ("status", &status.to_string())];
    log::write(Level::Error, "a signature is refused: look at key, region, service and query, and at this host's clock", &fields);
    let said = format!("{upstream} cannot be used: it refuses the signatures of the gateway; whoever runs that has to look into its log");
    Rejection::new(OPERATOR, &said)
}
