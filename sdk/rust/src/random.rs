//! Random numbers that nobody can guess. Imports `wasi:random/random`.

/// So many random bytes. Natively each call gives others, the same in every run of a test.
pub fn bytes<const N: usize>() -> [u8; N] {
    #[cfg(target_family = "wasm")]
    let drawn = crate::bindings::random::wasi::random::random::get_random_bytes(N as u64);
    #[cfg(not(target_family = "wasm"))]
    let drawn = crate::testing::draw(N);
    let mut out = [0; N];
    // The host gives what was asked for; a shorter answer must not pass for a random one.
    out.copy_from_slice(&drawn);
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_draw_is_like_another() {
        crate::testing::reset();
        let (one, other) = (super::bytes::<40>(), super::bytes::<40>());
        assert!(one != other && one[..32] != one[8..]);
        crate::testing::reset();
        assert_eq!(super::bytes::<40>(), one);
    }
}
