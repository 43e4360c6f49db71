//! Takes memory until there is none, and writes to all of it.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::vec::Vec;

guest_misbehaving::misbehave!("eat-memory", eat);
sluice_sdk::lean!();

fn eat() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(core::hint::black_box(alloc::vec![1_u8; 1 << 20]));
    }
}
