//! Reads two places of a request, one after the other, and lets it pass: for measuring what reading costs.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::prelude::*;

struct TwoReads;

impl Plugin for TwoReads {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("two-reads", "0.1.0", "Reads two places, changes nothing.").stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(TwoReads)
    }
}

impl OnRequest for TwoReads {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let (name, text) = (x.get("/params/name"), x.get("/params/arguments/text"));
        // Names and texts that no call has, so that the compiler cannot leave them unread, and a call in which there is nothing to
        // read shows: it is refused.
        match (name.as_deref(), text.as_deref()) {
            (None, _) | (_, None) => Rejection::new(4000, "there is nothing to read").into(),
            (Some("\u{0}"), _) | (_, Some("\u{0}")) => Rejection::new(4001, "no tool has this name").into(),
            _ => Verdict::Next,
        }
    }
}

sluice_sdk::export!(TwoReads: on_request);
sluice_sdk::lean!();
