//! Reads the head and lets everything pass: the least a filter can do, for measuring what one costs.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::prelude::*;

struct FactsOnly;

impl Plugin for FactsOnly {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("facts-only", "0.1.0", "Reads the head, changes nothing.").stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(FactsOnly)
    }
}

impl OnRequest for FactsOnly {
    fn on_request(&self, head: &Head, _: &Exchange) -> Verdict {
        // A name no tool has, so that the compiler cannot leave the head unread.
        if head.name.as_deref() == Some("\u{0}") {
            return Rejection::new(4000, "no tool has this name").into();
        }
        Verdict::Next
    }
}

sluice_sdk::export!(FactsOnly: on_request);
sluice_sdk::lean!();
