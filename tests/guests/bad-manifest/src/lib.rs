//! Describes itself in ways that no host can accept: name, version, schema, selector of a hook it does not have.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::prelude::*;

struct BadManifest;

impl Plugin for BadManifest {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("../Bad Manifest", "one", "\u{1b}[2J")
            .schema(r#"{"type":"object","type":7"#)
            .select(Hook::OnDone, &["["], &[])
            .edits(&["no pointer"])
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(BadManifest)
    }
}

impl OnRequest for BadManifest {
    fn on_request(&self, _: &Head, _: &Exchange) -> Verdict {
        Verdict::Next
    }
}

sluice_sdk::export!(BadManifest: on_request);
sluice_sdk::lean!();
