//! One plugin in many versions: what it is called and how it behaves stands in its data, where a test writes something else.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use core::hint::black_box;

use sluice_sdk::prelude::*;

/// Text that the compiler must not look into. A test replaces what is behind the equals signs, byte for byte.
static VERSION: &str = "version=0.1.0";
static ACTS: &str = "acts=well....";

fn behind(text: &'static str) -> &'static str {
    black_box(text).split('=').nth(1).unwrap_or_default()
}

struct Versions;

impl Plugin for Versions {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("versions", behind(VERSION), "Behaves as its version does.").stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Versions)
    }
}

impl OnRequest for Versions {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        match behind(ACTS) {
            "traps..." => panic!("as this version does"),
            "slow...." => {
                // Several milliseconds on any machine.
                for round in 0..4_000_000_u64 {
                    black_box(round);
                }
                Verdict::Next
            }
            // One call in four is refused that the other version lets pass.
            "refuses." if x.get("/params/arguments/at").as_deref().is_some_and(|at| at.ends_with('3')) => {
                Rejection::new(4000, "this version says no").into()
            }
            _ => Verdict::Next,
        }
    }
}

sluice_sdk::export!(Versions: on_request);
sluice_sdk::lean!();
