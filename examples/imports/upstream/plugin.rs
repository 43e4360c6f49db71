//! Lets nothing be sent that a tool of another server finds fault with.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::String;
use sluice_sdk::{prelude::*, upstream};

#[derive(serde::Deserialize)]
struct Checked {
    #[serde(default, rename = "isError")]
    is_error: bool,
}

pub struct Scan;

impl Plugin for Scan {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("example-upstream", "0.1.0", "Lets nothing be sent that a tool of another server finds fault with.")
            .need("upstream:scanner check", "to have arguments checked")
            .select(Hook::OnRequest, &["tools/call"], &[])
            .stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Scan)
    }
}

impl OnRequest for Scan {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let arguments = x.get("/params/arguments").unwrap_or_else(|| "{}".into());
        let result = upstream::call_tool(x, "scanner", "check", &arguments, Some(2_000));
        match result.ok().and_then(|result| serde_json::from_str(&result).ok()) {
            Some(Checked { is_error: false }) => Verdict::Next,
            Some(Checked { is_error: true }) => Rejection::new(4030, "the scanner does not let this pass").into(),
            // In doubt it does not pass.
            None => Rejection::new(4031, "the scanner cannot be asked just now").into(),
        }
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Scan: on_request);
