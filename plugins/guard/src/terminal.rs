//! What a terminal obeys and nobody reads: escape sequences, control characters, a carriage return that overwrites its line.

use alloc::vec::Vec;

use crate::detectors::{Detector, Find};

/// The same as [`find`] looks for.
pub(crate) const CANDIDATES: &[&str] = &[concat!(
    r"(?:\x1B\[|\x{9B})[0-?]*[ -/]*[@-~]",
    r"|(?:\x1B[\]P^_X]|[\x{90}\x{98}\x{9D}-\x{9F}])[^\x00-\x08\x0A-\x1F\x7F-\x{9F}]*(?:\x07|\x1B\\|\x{9C})",
    r"|\x1B[ -/]*[0-~]?|[\x00-\x08\x0B\x0C\x0E-\x1A\x1C-\x1F\x7F\x{80}-\x{9F}]",
    r"|\r+[^\r\n]"
)];

/// All of it, in order.
pub(crate) fn find(text: &str, found: &mut Vec<Find>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let end = match byte {
            b'\t' | b'\n' => None,
            b'\r' => {
                let end = at + bytes[at..].iter().take_while(|byte| **byte == b'\r').count();
                if matches!(bytes.get(end), Some(byte) if *byte != b'\n') {
                    found.push(Find { range: at..end, detector: Detector::Terminal, instead: "\n" });
                }
                at = end;
                continue;
            }
            0x1B => Some(sequence(bytes, at + 1).unwrap_or(at + 1)),
            0..0x20 | 0x7F => Some(at + 1),
            // U+0080 to U+009F, of which some begin a sequence too.
            0xC2 if matches!(bytes.get(at + 1), Some(0x80..=0x9F)) => Some(eight_bit(bytes, at).unwrap_or(at + 2)),
            _ => None,
        };
        match end {
            Some(end) => {
                found.push(Find::unseen(at..end, Detector::Terminal));
                at = end;
            }
            None => at += 1,
        }
    }
}

/// Where a sequence ends whose ESC stands before `at`.
fn sequence(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'[' => control(bytes, at + 1).or(Some(at + 1)),
        b']' | b'P' | b'^' | b'_' | b'X' => string(bytes, at + 1).or(Some(at + 1)),
        _ => {
            let end = at + bytes[at..].iter().take_while(|byte| matches!(byte, 0x20..=0x2F)).count();
            match bytes.get(end) {
                Some(0x30..=0x7E) => Some(end + 1),
                _ => Some(end),
            }
        }
    }
}

fn eight_bit(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        0x9B => control(bytes, at + 2),
        0x90 | 0x98 | 0x9D..=0x9F => string(bytes, at + 2),
        _ => None,
    }
}

/// Parameters, intermediates, and the byte that ends them.
fn control(bytes: &[u8], at: usize) -> Option<usize> {
    let run = |from: usize, of: core::ops::RangeInclusive<u8>| from + bytes[from..].iter().take_while(|byte| of.contains(byte)).count();
    let end = run(run(at, 0x30..=0x3F), 0x20..=0x2F);
    matches!(bytes.get(end), Some(0x40..=0x7E)).then_some(end + 1)
}

/// A string up to BEL or its terminator. One that does not end, or in which something else begins, takes nothing along: so no part of a
/// text is looked through for more than one of them.
fn string(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += bytes[at..].iter().position(|byte| matches!(byte, 0..=8 | 10..=0x1F | 0x7F | 0xC2))?;
        match (bytes[at], bytes.get(at + 1)) {
            (0x07, _) => return Some(at + 1),
            (0x1B, Some(b'\\')) | (0xC2, Some(0x9C)) => return Some(at + 2),
            (0xC2, Some(0x80..=0x9F)) => return None,
            (0xC2, _) => at += 2,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::string::String;

    /// Each began a look to the end of the text.
    #[test]
    fn what_never_ends_is_read_once() {
        let text = "\u{9d}".repeat(20_000) + &"x".repeat(4 << 20);
        let begun = std::time::Instant::now();
        let mut found = Vec::new();
        find(&text, &mut found);
        let host = regex::Regex::new(CANDIDATES[0]).unwrap();
        assert_eq!((found.len(), host.find_iter(&text).count()), (20_000, 20_000));
        // 80 thousand million steps took minutes.
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn sequences_go_whole_and_text_stays() {
        for (text, left) in [
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b]8;;https://x.example\x07link\x1b]8;;\x1b\\", "link"),
            ("a\x1b]0;never ended", "a0;never ended"),
            ("\u{9b}2Jb\u{9d}0;t\u{9c}c", "bc"),
            ("done\rDELETE", "done\nDELETE"),
            ("dos\r\nlines\r\n", "dos\r\nlines\r\n"),
            ("tab\there\nand nul\0", "tab\there\nand nul"),
            ("é\u{85}x £", "éx £"),
            ("end\x1b", "end"),
            ("\x1b]0;£\x07t", "t"),
            ("\u{9d}a\u{9d}b\u{9c}c", "ac"),
        ] {
            let mut found = Vec::new();
            find(text, &mut found);
            let mut out = String::from(text);
            found.iter().rev().for_each(|find| out.replace_range(find.range.clone(), find.instead));
            assert_eq!(out, left, "{text:?}");
        }
    }
}
