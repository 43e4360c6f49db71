//! Takes the structured part out of results for callers without the scope `raw`.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::String;
use sluice_sdk::prelude::*;

pub struct Plain;

impl Plugin for Plain {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("example-on-response", "0.1.0", "Takes the structured part out of results for callers without the scope raw.")
            .select(Hook::OnResponse, &["tools/call"], &[])
            .edits(&["/result/structuredContent"])
            .stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Plain)
    }
}

impl OnResponse for Plain {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        let scopes = x.attr("principal.scopes").unwrap_or_default();
        if scopes.split(' ').any(|scope| scope == "raw") || x.get("/result/structuredContent").is_none() {
            return Verdict::Next;
        }
        match x.stage(&[Edit::Remove("/result/structuredContent".into())]) {
            Ok(()) => Verdict::Next,
            Err(_) => Rejection::new(4031, "this result may not be shown").into(),
        }
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Plain: on_response);
