//! The inside of a JSON string: finding its end and checking its escapes.

use super::DecodeError;
use super::error::{Refusal, refusal};

/// Words tried before switching to blocks; most keys and names end within these.
const WORDS: usize = 8;
/// Bytes of the first block and the longest. Each is twice the one before, so that a run costs
/// no more than its length, and `escape_into` stays linear in a text full of line ends.
const BLOCK: usize = 64;
const BLOCK_MAX: usize = 4096;
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
/// None of the bytes looked for has its high bit set, so bytes of `word` with it are no hits.
#[inline]
fn special_bits(word: u64) -> u64 {
    let quotes = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let slashes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let controls = word.wrapping_sub(ONES * 0x20);
    (quotes | slashes | controls) & !word & HIGHS
}

/// Offset of the first special byte at or after `at`, or the length of `bytes`.
///
/// The first word is looked at in place: most keys end in it.
#[inline(always)]
pub(super) fn plain_run(bytes: &[u8], at: usize) -> usize {
    match word_at(bytes, at) {
        Some(word) => match special_bits(word) {
            0 => words_run(bytes, at + 8),
            bits => at + (bits.trailing_zeros() / 8) as usize,
        },
        None => long_run(bytes, at),
    }
}

/// `plain_run` past the first word.
#[inline(never)]
fn words_run(bytes: &[u8], mut at: usize) -> usize {
    for _ in 1..WORDS {
        let Some(word) = word_at(bytes, at) else {
            break;
        };
        let bits = special_bits(word);
        if bits != 0 {
            return at + (bits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    long_run(bytes, at)
}

#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*word))
}

/// `plain_run` for long strings and for the last bytes of a text.
#[inline(never)]
fn long_run(bytes: &[u8], mut at: usize) -> usize {
    let mut length = BLOCK;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let block = rest.get(..length).unwrap_or(rest);
        // The least byte is vector code, the place of a control is not; few texts hold one.
        let found = match block.iter().copied().fold(u8::MAX, u8::min) {
            0x20.. => memchr::memchr2(b'"', b'\\', block),
            _ => block.iter().position(|&byte| is_special(byte)),
        };
        if let Some(found) = found {
            return at + found;
        }
        at += block.len();
        length = BLOCK_MAX.min(2 * length);
    }
    at
}

/// A string that passed.
pub(super) struct Checked {
    /// Offset after the closing quote.
    pub(super) end: u32,
    /// Whether any escape was met.
    pub(super) escaped: bool,
}

/// Checks a string whose opening quote stands just before `at`.
#[inline]
pub(super) fn check(bytes: &[u8], at: usize) -> Result<Checked, Refusal> {
    let end = plain_run(bytes, at);
    let (end, escaped) = match bytes.get(end) {
        Some(b'"') => (end + 1, false),
        _ => (check_on(bytes, end)?, true),
    };
    Ok(Checked { end: end as u32, escaped })
}

/// Checks the rest of a string from its first byte that is special but no quote; returns the
/// offset after the closing quote.
#[inline(never)]
fn check_on(bytes: &[u8], mut at: usize) -> Result<usize, Refusal> {
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = check_escape(bytes, at)?,
            Some(_) => return Err(refusal(DecodeError::Syntax { offset: at })),
            None => return Err(refusal(DecodeError::Truncated)),
        }
        at = plain_run(bytes, at);
    }
}

/// Checks the escape whose backslash stands at `at`; returns the offset after it.
fn check_escape(bytes: &[u8], at: usize) -> Result<usize, Refusal> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex4(bytes, at + 2)? {
            0xD800..=0xDBFF => check_low_half(bytes, at),
            0xDC00..=0xDFFF => Err(refusal(DecodeError::LoneSurrogate { offset: at })),
            _ => Ok(at + 6),
        },
        Some(_) => Err(refusal(DecodeError::Syntax { offset: at + 1 })),
        None => Err(refusal(DecodeError::Truncated)),
    }
}

/// After a high surrogate at `at`, exactly a low one must follow.
fn check_low_half(bytes: &[u8], at: usize) -> Result<usize, Refusal> {
    let lone = || refusal(DecodeError::LoneSurrogate { offset: at });
    match bytes.get(at + 6) {
        None => return Err(refusal(DecodeError::Truncated)),
        Some(b'\\') => {}
        Some(_) => return Err(lone()),
    }
    match bytes.get(at + 7) {
        None => return Err(refusal(DecodeError::Truncated)),
        Some(b'u') => {}
        Some(_) => return Err(lone()),
    }
    match hex4(bytes, at + 8)? {
        0xDC00..=0xDFFF => Ok(at + 12),
        _ => Err(lone()),
    }
}

/// Four hex digits at `at`.
fn hex4(bytes: &[u8], at: usize) -> Result<u32, Refusal> {
    let mut unit = 0;
    for offset in at..at + 4 {
        let byte = *bytes.get(offset).ok_or_else(|| refusal(DecodeError::Truncated))?;
        let digit = (byte as char).to_digit(16).ok_or_else(|| refusal(DecodeError::Syntax { offset }))?;
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

    #[test]
    fn a_run_ends_as_soon_in_texts_longer_than_any_block() {
        let length = 3 * BLOCK_MAX;
        let mut bytes = vec![b'x'; length];
        for at in [31, 63, 64, 127, 128, BLOCK_MAX - 1, BLOCK_MAX, length - 1] {
            for special in [b'"', b'\\', b'\n'] {
                bytes[at] = special;
                assert_eq!(plain_run(&bytes, 0), at, "{special} at {at}");
                // A second one behind it must not win.
                let last = std::mem::replace(&mut bytes[length - 1], b'\n');
                assert_eq!(plain_run(&bytes, 0), at, "{special} at {at}");
                (bytes[length - 1], bytes[at]) = (last, b'x');
            }
        }
    }
}
