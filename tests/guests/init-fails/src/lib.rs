//! Does not start, and says why.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::prelude::*;

struct InitFails;

impl Plugin for InitFails {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("init-fails", "0.1.0", "Does not start.").stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Err("the moon is in the wrong phase".into())
    }
}

impl OnRequest for InitFails {
    fn on_request(&self, _: &Head, _: &Exchange) -> Verdict {
        Verdict::Next
    }
}

sluice_sdk::export!(InitFails: on_request);
sluice_sdk::lean!();
