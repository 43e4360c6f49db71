//! Knows callers by what a proxy in front signs about them: a short-lived JWT in a header of its own.
//!
//! In reading order: [`config`] (the settings), [`assertion`] (what is written), [`hop`] (whose it is and what it may say), [`policy`] (whether
//! it is for us, for now, and for the first time), [`refused`] (every reason for a no).

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod assertion;
pub mod config;
pub mod hop;
pub mod policy;
pub mod refused;

use alloc::string::String;

use sluice_sdk::clock;
use sluice_sdk::prelude::*;

use config::Config;
use policy::Policy;

/// The plugin.
pub struct AuthProxy(Policy);

impl Plugin for AuthProxy {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("auth-proxy", env!("CARGO_PKG_VERSION"), "Knows callers by what a proxy in front signs about them.")
            .schema(include_str!("../config.schema.json"))
            .may_need("secret", "the key that a hop signs with")
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Policy::new(config).map(AuthProxy)
    }
}

impl Authenticate for AuthProxy {
    fn authenticate(&self, credential: &Credential, x: &Exchange) -> Outcome {
        self.0.identify(credential, x, clock::unix_seconds)
    }
}

sluice_sdk::export!(AuthProxy: authenticate);
sluice_sdk::lean!();
