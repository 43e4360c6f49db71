//! Refuses one tool.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::String;
use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
pub struct Settings {
    tool: String,
}

pub struct Deny(Settings);

impl Plugin for Deny {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("example-on-request", "0.1.0", "Refuses one tool.")
            .schema(r#"{"type":"object","properties":{"tool":{"type":"string"}},"required":["tool"]}"#)
            .select(Hook::OnRequest, &["tools/call"], &[])
            .stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Deny(settings))
    }
}

impl OnRequest for Deny {
    fn on_request(&self, head: &Head, _: &Exchange) -> Verdict {
        match head.name.as_deref() == Some(&self.0.tool) {
            true => Rejection::new(4030, "this tool is switched off").into(),
            false => Verdict::Next,
        }
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Deny: on_request);
