//! Calls the host without end.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::kv::Bucket;
use sluice_sdk::patterns;
use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    /// "attr", "set-attr", "get", "text", "stage", "kv", "bucket" (keeps every handle) or "define".
    call: String,
}

struct FloodHost(Settings);

impl Plugin for FloodHost {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("flood-host", "0.1.0", "Calls the host without end.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(FloodHost(settings))
    }
}

impl OnRequest for FloodHost {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let mut kept = Vec::new();
        for turn in 0_u64.. {
            let name = alloc::format!("{turn}");
            match self.0.call.as_str() {
                "set-attr" => drop(x.set_attr(&name, &name)),
                "get" => drop(x.get("/params/arguments")),
                "text" => drop(x.text()),
                "stage" => drop(x.stage(&[Edit::set("/params/arguments/x", name)])),
                "kv" => drop(Bucket::open("flood").and_then(|bucket| bucket.set(&name, &[0; 1 << 16], None))),
                "bucket" => kept.push(Bucket::open("flood")),
                "define" => drop(patterns::define(&name, &[])),
                _ => drop(x.attr(&name)),
            }
        }
        Verdict::Next
    }
}

sluice_sdk::export!(FloodHost: on_request);
sluice_sdk::lean!();
