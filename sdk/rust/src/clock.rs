//! The time of day, as coarse as the host grants it. Imports `wasi:clocks/wall-clock`.
//!
//! Catalogue hooks have no clock worth asking: their answers are kept.

/// Seconds since 1970-01-01T00:00:00Z.
pub fn unix_seconds() -> u64 {
    #[cfg(target_family = "wasm")]
    return crate::bindings::clock::wasi::clocks::wall_clock::now().seconds;
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::clock_ms() / 1000;
}
