//! Keeps those that failed together from trying again together.

/// Between a half and one, to multiply a waiting time with.
pub(crate) fn jitter() -> f64 {
    let mut byte = [0; 2];
    // Without randomness there is no jitter, and that is all.
    let _ = getrandom::fill(&mut byte);
    0.5 + f64::from(u16::from_le_bytes(byte)) / f64::from(u16::MAX) / 2.0
}
