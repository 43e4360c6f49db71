//! The inside of a JSON string: finding its end and checking its escapes.

use super::DecodeError;

/// Bytes looked at in one go once a string proved long.
const BLOCK: usize = 64;
/// Words tried before switching to blocks; most keys and names end within these.
const WORDS: usize = 4;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Whether a byte ends a plain run: quote, backslash or control.
#[inline]
fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// High bit set in the lowest byte of `word` that is special (and maybe in later bytes).
///
/// The subtractions may borrow into bytes *above* a true hit, so only the first hit counts.
#[inline]
fn special_bits(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let quotes = quote.wrapping_sub(ONES) & !quote;
    let slashes = slash.wrapping_sub(ONES) & !slash;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | slashes | controls) & HIGHS
}

/// Offset of the first special byte at or after `at`, or the length of `bytes`.
#[inline]
pub(super) fn plain_run(bytes: &[u8], mut at: usize) -> usize {
    for _ in 0..WORDS {
        let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return tail_run(bytes, at);
        };
        let bits = special_bits(u64::from_le_bytes(*word));
        if bits != 0 {
            return at + (bits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    long_run(bytes, at)
}

/// `plain_run` for long strings: whole blocks with no early exit, which the compiler turns
/// into vector compares, then words to find the exact byte.
fn long_run(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let mut any = 0u8;
        for &byte in block {
            any |= is_special(byte) as u8;
        }
        if any != 0 {
            break;
        }
        at += BLOCK;
    }
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let bits = special_bits(u64::from_le_bytes(*word));
        if bits != 0 {
            return at + (bits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    tail_run(bytes, at)
}

fn tail_run(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter()
        .position(|&byte| is_special(byte))
        .map_or(bytes.len(), |found| at + found)
}

/// Checks a string whose opening quote stands just before `at`.
///
/// Returns the offset after the closing quote and whether any escape was met.
#[inline]
pub(super) fn check(bytes: &[u8], mut at: usize) -> Result<(usize, bool), DecodeError> {
    let mut escaped = false;
    loop {
        at = plain_run(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok((at + 1, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = check_escape(bytes, at)?;
            }
            Some(_) => return Err(DecodeError::Syntax { offset: at }),
            None => return Err(DecodeError::Truncated),
        }
    }
}

/// Checks the escape whose backslash stands at `at`; returns the offset after it.
fn check_escape(bytes: &[u8], at: usize) -> Result<usize, DecodeError> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex4(bytes, at + 2)? {
            0xD800..=0xDBFF => check_low_half(bytes, at),
            0xDC00..=0xDFFF => Err(DecodeError::LoneSurrogate { offset: at }),
            _ => Ok(at + 6),
        },
        Some(_) => Err(DecodeError::Syntax { offset: at + 1 }),
        None => Err(DecodeError::Truncated),
    }
}

/// After a high surrogate at `at`, exactly a low one must follow.
fn check_low_half(bytes: &[u8], at: usize) -> Result<usize, DecodeError> {
    let lone = DecodeError::LoneSurrogate { offset: at };
    match bytes.get(at + 6) {
        None => return Err(DecodeError::Truncated),
        Some(b'\\') => {}
        Some(_) => return Err(lone),
    }
    match bytes.get(at + 7) {
        None => return Err(DecodeError::Truncated),
        Some(b'u') => {}
        Some(_) => return Err(lone),
    }
    match hex4(bytes, at + 8)? {
        0xDC00..=0xDFFF => Ok(at + 12),
        _ => Err(lone),
    }
}

/// Four hex digits at `at`.
fn hex4(bytes: &[u8], at: usize) -> Result<u32, DecodeError> {
    let mut unit = 0;
    for offset in at..at + 4 {
        let byte = *bytes.get(offset).ok_or(DecodeError::Truncated)?;
        let digit = (byte as char)
            .to_digit(16)
            .ok_or(DecodeError::Syntax { offset })?;
        unit = unit << 4 | digit;
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_at_the_first_special_byte_wherever_it_stands() {
        for length in 0..200 {
            let mut bytes = vec![0xC3u8; length];
            assert_eq!(plain_run(&bytes, 0), length);
            for at in 0..length {
                for special in [b'"', b'\\', 0, 0x1F] {
                    bytes[at] = special;
                    assert_eq!(plain_run(&bytes, 0), at, "{special} at {at} of {length}");
                }
                for plain in [0x20, 0x7F, 0x80, 0xFF, b'!', b'#', b'[', b']'] {
                    bytes[at] = plain;
                    assert_eq!(plain_run(&bytes, 0), length, "{plain} at {at}");
                }
            }
        }
    }
}
