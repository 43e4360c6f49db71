//! Lets each caller call tools three times a minute.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::String;
use sluice_sdk::{kv::Bucket, log, prelude::*};

pub struct Thrice;

impl Plugin for Thrice {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("example-kv", "0.1.0", "Lets each caller call tools three times a minute.")
            .select(Hook::OnRequest, &["tools/call"], &[])
            .stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Thrice)
    }
}

impl OnRequest for Thrice {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        // One text for who asks, which no two callers share.
        let caller = x.attr("principal.id").unwrap_or_default();
        match Bucket::open("calls").and_then(|calls| calls.incr(&caller, 1, 60_000)) {
            Ok(..=3) => Verdict::Next,
            Ok(_) => Rejection::new(4290, "not more than three times a minute").into(),
            Err(_) => {
                log::warn("calls cannot be counted");
                Rejection::new(4291, "calls cannot be counted just now").into()
            }
        }
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Thrice: on_request);
