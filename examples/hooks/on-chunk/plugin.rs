//! Hides account numbers in long results.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use sluice_sdk::patterns::{self, Pattern};
use sluice_sdk::prelude::*;

pub struct Accounts;

impl Plugin for Accounts {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("example-on-chunk", "0.1.0", "Hides account numbers in long results.")
            .select(Hook::OnChunk, &["tools/call"], &[])
            .edits(&["/result/**"])
            .overlap(64)
            .stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        patterns::define("accounts", &[Pattern { regex: "ACC-[0-9]{6,60}".to_string(), case_insensitive: false }])?;
        Ok(Accounts)
    }
}

impl OnChunk for Accounts {
    fn on_chunk(&self, _: &Head, batch: &Batch, _: &Exchange) -> ChunkVerdict {
        let Ok(hits) = batch.scan("accounts") else {
            return Rejection::new(4032, "this result cannot be looked through").into();
        };
        if hits.iter().any(|hit| hit.key) {
            return Rejection::new(4031, "this result holds account numbers where they cannot be hidden").into();
        }
        let splices = hits.iter().map(|hit| Splice::new(hit.chunk, hit.start..hit.end, "ACC-***"));
        splices.collect::<Vec<_>>().into()
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Accounts: on_chunk);
