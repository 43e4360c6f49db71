//! Is a plugin in every way, but also wants something that no host has.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::prelude::*;

#[allow(unsafe_code, reason = "generated")]
mod evil {
    wit_bindgen::generate!({
        inline: "
            package test:evil;
            world evil { import evil:host/x; }
            package evil:host { interface x { run: func(); } }
        ",
        world: "test:evil/evil",
        generate_all,
    });
}

struct UnknownImport;

impl Plugin for UnknownImport {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("unknown-import", "0.1.0", "Wants what no host has.").stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(UnknownImport)
    }
}

impl OnRequest for UnknownImport {
    fn on_request(&self, _: &Head, _: &Exchange) -> Verdict {
        evil::evil::host::x::run();
        Verdict::Next
    }
}

sluice_sdk::export!(UnknownImport: on_request);
sluice_sdk::lean!();
