//! Never says what it is.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::prelude::*;

struct DescribeSpins;

impl Plugin for DescribeSpins {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        let mut turns = 0_u64;
        loop {
            turns = core::hint::black_box(turns.wrapping_add(1));
            if turns == 0 {
                return Manifest::new("describe-spins", "0.1.0", "");
            }
        }
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(DescribeSpins)
    }
}

sluice_sdk::export!(DescribeSpins);
sluice_sdk::lean!();
