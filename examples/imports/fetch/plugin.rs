//! Asks a service of the operator whether a tool may be called.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::{String, ToString as _};
use sluice_sdk::{
    fetch::{self, Request},
    prelude::*,
};

#[derive(serde::Deserialize)]
pub struct Settings {
    url: String,
}

pub struct Ask(Settings);

impl Plugin for Ask {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("example-fetch", "0.1.0", "Asks a service of the operator whether a tool may be called.")
            .schema(r#"{"type":"object","properties":{"url":{"type":"string"}},"required":["url"]}"#)
            .need("fetch", "to ask it")
            .select(Hook::OnRequest, &["tools/call"], &[])
            .stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Ask(settings))
    }
}

impl OnRequest for Ask {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        let question = serde_json::json!({ "tool": head.name }).to_string();
        let request = Request::post(&self.0.url, question.as_bytes()).header("content-type", "application/json").within_ms(2_000);
        match fetch::send(x, &request, &[], &[]).map(|answer| answer.status) {
            Ok(200..=299) => Verdict::Next,
            Ok(403) => Rejection::new(4030, "the policy does not allow this call").into(),
            // In doubt it does not pass.
            _ => Rejection::new(4031, "the policy cannot be asked just now").into(),
        }
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Ask: on_request);
