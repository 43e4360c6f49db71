//! Hides definitions that changed or that nobody has approved.
//!
//! [`policy`] holds each entry against its pin, [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod policy;

use alloc::string::String;

use sluice_sdk::prelude::*;

use config::Config;
use policy::Pins;

/// The plugin.
pub struct Pin(Pins);

impl Plugin for Pin {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("pin", env!("CARGO_PKG_VERSION"), "Hides definitions that changed or that nobody has approved.")
            .schema(include_str!("../config.schema.json"))
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Pins::new(config).map(Pin)
    }
}

impl OnCatalog for Pin {
    fn on_catalog(&self, _: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        self.0.rule(kind.into(), entries).into()
    }
}

sluice_sdk::export!(Pin: on_catalog);
sluice_sdk::lean!();
