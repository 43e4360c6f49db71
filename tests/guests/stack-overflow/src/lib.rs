//! Calls itself until the stack is used up.

#![cfg_attr(target_family = "wasm", no_std)]

guest_misbehaving::misbehave!("stack-overflow", dive);
sluice_sdk::lean!();

fn dive() {
    core::hint::black_box(deeper(1));
}

/// The array keeps each frame big, and the sum after the call keeps it from being a loop.
#[allow(unconditional_recursion, reason = "that is the point")]
fn deeper(depth: u64) -> u64 {
    let frame = core::hint::black_box([depth; 32]);
    deeper(depth + 1) + core::hint::black_box(frame)[7]
}
