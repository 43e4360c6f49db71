//! The time of day, as coarse as the host grants it, and waiting. The first imports `wasi:clocks/wall-clock`, the second
//! `wasi:clocks/monotonic-clock` and `wasi:io/poll`.
//!
//! Catalogue hooks have no clock worth asking: their answers are kept.

/// Seconds since 1970-01-01T00:00:00Z.
pub fn unix_seconds() -> u64 {
    #[cfg(target_family = "wasm")]
    return crate::bindings::clock::wasi::clocks::wall_clock::now().seconds;
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::clock_ms() / 1000;
}

/// Waits, at most for what is left of this hook's time: a wait that is longer ends the call. Others are served meanwhile.
pub fn sleep_ms(ms: u32) {
    #[cfg(target_family = "wasm")]
    crate::bindings::clock::wasi::clocks::monotonic_clock::subscribe_duration(u64::from(ms) * 1_000_000).block();
    #[cfg(not(target_family = "wasm"))]
    crate::testing::slept(ms);
}
