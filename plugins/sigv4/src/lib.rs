//! Signs requests to AWS services (Signature Version 4).
//!
//! [`signer`] says who signs what and signs, [`canonical`] writes the request in the form that is signed, [`moment`] the time, [`problem`] says
//! why not, [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod canonical;
pub mod config;
pub mod moment;
pub mod problem;
pub mod signer;

use alloc::string::String;

use sluice_sdk::clock;
use sluice_sdk::prelude::*;

use config::Config;
use signer::Signers;

/// The plugin.
pub struct Sigv4(Signers);

impl Plugin for Sigv4 {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("sigv4", env!("CARGO_PKG_VERSION"), "Signs requests to AWS services (Signature Version 4).")
            .schema(include_str!("../config.schema.json"))
            .need("secret", "the key that signs")
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Signers::new(config).map(Sigv4)
    }
}

impl OnOutbound for Sigv4 {
    fn on_outbound(&self, departure: &Departure, _: &Exchange) -> OutboundVerdict {
        let upstream = departure.upstream();
        let Some(signer) = self.0.of(&upstream) else { return Headers::new().into() };
        if let Some(challenge) = departure.challenge() {
            // Another signature of the same key would be refused alike.
            return problem::refused(&upstream, challenge.status).into();
        }
        match signer.sign(departure, clock::unix_seconds()) {
            Ok(headers) => headers.into(),
            Err(problem) => problem.reject(&upstream).into(),
        }
    }
}

sluice_sdk::export!(Sigv4: on_outbound);
sluice_sdk::lean!();
