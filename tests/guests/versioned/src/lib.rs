//! A plugin whose version a test writes into the file: it says so in every answer.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use core::hint::black_box;

use sluice_sdk::prelude::*;

/// The five bytes between the `@`s are the version. Read so that the compiler does not know them.
static VERSION: [u8; 16] = *b"@version:0.1.0@@";

fn version() -> &'static str {
    core::str::from_utf8(&black_box(&VERSION)[9..14]).unwrap_or_default()
}

struct Versioned;

impl Plugin for Versioned {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("versioned", version(), "Says which version it is.").edits(&["/result/**"]).stateless()
    }

    fn new(_: NoConfig) -> Result<Self, alloc::string::String> {
        Ok(Versioned)
    }
}

impl OnResponse for Versioned {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        if x.get("/result/structuredContent").is_some() {
            let _ = x.stage(&[Edit::set("/result/structuredContent/version", alloc::format!("{:?}", version()))]);
        }
        Verdict::Next
    }
}

sluice_sdk::export!(Versioned: on_response);
sluice_sdk::lean!();
