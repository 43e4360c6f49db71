//! Tells gateways behind this one who is calling: each request leaves with a JWT of its own, signed with a key that no guest sees, as
//! `auth-proxy` believes it there.
//!
//! In reading order: [`config`] (the settings), [`policy`] (who is told, and of whom), [`assertion`] (what is written).

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod assertion;
pub mod config;
pub mod policy;

use alloc::string::String;

use sluice_sdk::clock;
use sluice_sdk::prelude::*;
use sluice_sdk::random;

use config::Config;
use policy::Policy;

/// The plugin.
pub struct ForwardIdentity(Policy);

impl Plugin for ForwardIdentity {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("forward-identity", env!("CARGO_PKG_VERSION"), "Tells gateways behind this one who is calling, signed.")
            .schema(include_str!("../config.schema.json"))
            .need("secret", "to sign what it tells")
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Policy::new(config).map(ForwardIdentity)
    }
}

impl OnOutbound for ForwardIdentity {
    fn on_outbound(&self, departure: &Departure, x: &Exchange) -> OutboundVerdict {
        self.0.decide(departure, x, clock::unix_seconds, random::bytes)
    }
}

sluice_sdk::export!(ForwardIdentity: on_outbound);
sluice_sdk::lean!();
