//! Knows callers by their API keys.
//!
//! [`policy`] finds the key and says who it is, [`config`] reads the settings, `time` reads expiry dates.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod policy;
mod time;

use alloc::string::String;

use sluice_sdk::clock;
use sluice_sdk::prelude::*;

use config::Config;
use policy::Keys;

/// The plugin.
pub struct AuthApiKey(Keys);

impl Plugin for AuthApiKey {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("auth-api-key", env!("CARGO_PKG_VERSION"), "Knows callers by their API keys.")
            .schema(include_str!("../config.schema.json"))
            .may_need("secret", "a pepper: digests of keys that only who has it can make")
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Keys::new(config).map(AuthApiKey)
    }
}

impl Authenticate for AuthApiKey {
    fn authenticate(&self, credential: &Credential, _: &Exchange) -> Outcome {
        self.0.identify(credential, clock::unix_seconds)
    }
}

sluice_sdk::export!(AuthApiKey: authenticate);
sluice_sdk::lean!();
