//! Counts calls by how they ended.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::String;
use sluice_sdk::{
    metrics,
    plugin::{Done, Ending},
    prelude::*,
};

pub struct Count;

impl Plugin for Count {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("example-on-done", "0.1.0", "Counts calls by how they ended.").select(Hook::OnDone, &["tools/call"], &[]).stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Count)
    }
}

impl OnDone for Count {
    fn on_done(&self, _: &Head, done: &Done, _: &Exchange) {
        let ended = if done.outcome == Ending::Answered { "well" } else { "badly" };
        metrics::add("calls", 1, &[("ended", ended)]);
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Count: on_done);
