//! Knows callers by the certificates that they show to the listener (mutual TLS).
//!
//! [`policy`] says whose a certificate is, [`pattern`] which names fit, [`config`] reads the settings. The host has verified the certificate
//! before anybody is asked: against `tls.client_ca`, its time, and that its holder has the key.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod pattern;
pub mod policy;

use alloc::string::String;

use sluice_sdk::prelude::*;

use config::Config;
use policy::Rules;

/// The plugin.
pub struct AuthMtls(Rules);

impl Plugin for AuthMtls {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new(
            "auth-mtls",
            env!("CARGO_PKG_VERSION"),
            "Knows callers by their client certificates: SPIFFE IDs, other names, subjects.",
        )
        .schema(include_str!("../config.schema.json"))
        .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Rules::new(config).map(AuthMtls)
    }
}

impl Authenticate for AuthMtls {
    fn authenticate(&self, credential: &Credential, x: &Exchange) -> Outcome {
        self.0.identify(credential, x)
    }
}

sluice_sdk::export!(AuthMtls: authenticate);
sluice_sdk::lean!();
