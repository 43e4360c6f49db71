//! The words of a text.

use core::ops::Range;

/// What is no part of a word: ASCII but letters, digits and `_`, and the spaces and marks of other scripts.
const BETWEEN: &[(u32, u32)] = &[(0x80, 0xBF), (0x2000, 0x206F), (0x3000, 0x303F), (0xFF00, 0xFF0F), (0xFF1A, 0xFF20)];

pub(crate) fn is_between(c: char) -> bool {
    if c.is_ascii() {
        return !(c.is_ascii_alphanumeric() || c == '_');
    }
    let c = c as u32;
    BETWEEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// By place, from the first to the last.
pub(crate) struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Words<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        Words { text, at: 0 }
    }

    /// The first place from here where a character is between words, or is not.
    fn edge(&self, from: usize, between: bool) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = from;
        while let Some(byte) = bytes.get(at) {
            let (is_between, len) = if byte.is_ascii() {
                (!(byte.is_ascii_alphanumeric() || *byte == b'_'), 1)
            } else {
                let c = self.text[at..].chars().next().unwrap_or(' ');
                (is_between(c), c.len_utf8())
            };
            if is_between == between {
                break;
            }
            at += len;
        }
        at
    }
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.edge(self.at, false);
        self.at = self.edge(start, true);
        (start < self.at).then_some(start..self.at)
    }
}
