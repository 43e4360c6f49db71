//! Calls itself until the stack is used up.

#![cfg_attr(target_family = "wasm", no_std)]

guest_misbehaving::misbehave!("stack-overflow", dive);
sluice_sdk::lean!();

fn dive() {
    // An end the compiler cannot know, and the stack cannot reach.
    let end = core::hint::black_box(u64::MAX);
    core::hint::black_box(deeper(0, end));
}

/// Only locals, so that the engine's own stack overflows and not the part of memory that Rust uses as one. The rotation
/// after the call keeps it from becoming a loop.
fn deeper(depth: u64, end: u64) -> u64 {
    if depth == end {
        return depth;
    }
    deeper(depth + 1, end).rotate_left(7) ^ depth
}
