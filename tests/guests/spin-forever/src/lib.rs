//! Never comes back.

#![cfg_attr(target_family = "wasm", no_std)]

guest_misbehaving::misbehave!("spin-forever", spin);
sluice_sdk::lean!();

fn spin() {
    let mut turns = 0_u64;
    loop {
        turns = core::hint::black_box(turns.wrapping_add(1));
    }
}
