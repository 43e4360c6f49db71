//! Writing and reading JSON strings.

use std::borrow::Cow;
use std::ops::Range;

/// Appends `s` to `out` as the inside of a JSON string, without quotes.
///
/// Escapes only what RFC 8259 requires: quote, backslash and control characters.
pub fn escape_into(out: &mut Vec<u8>, s: &str) {
    let bytes = s.as_bytes();
    let mut from = 0;
    loop {
        let at = super::strings::plain_run(bytes, from);
        out.extend_from_slice(&bytes[from..at]);
        let Some(&byte) = bytes.get(at) else { return };
        push_escape(out, byte);
        from = at + 1;
    }
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0C => b'f',
        _ => {
            let digits = [HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]];
            out.extend_from_slice(b"\\u00");
            return out.extend_from_slice(&digits);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends `s` to `out` as a JSON string, with quotes.
pub fn quote_into(out: &mut Vec<u8>, s: &str) {
    out.reserve(s.len() + 2);
    out.push(b'"');
    escape_into(out, s);
    out.push(b'"');
}

/// Returns `s` as a JSON string, with quotes.
pub fn quote(s: &str) -> String {
    let mut out = Vec::new();
    quote_into(&mut out, s);
    String::from_utf8(out).expect("escaping a str keeps it UTF-8")
}

/// Decodes a JSON string token, with or without its quotes. Borrows when nothing is escaped.
///
/// Never fails: an escape that is malformed or half a surrogate pair becomes U+FFFD. Tokens
/// out of a [`Document`](super::Document) hold neither.
pub fn decode_str(raw: &str) -> Cow<'_, str> {
    let inside = raw.strip_prefix('"').map_or(raw, |rest| rest.strip_suffix('"').unwrap_or(rest));
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Cow::Borrowed(inside);
    }
    let mut out = String::with_capacity(inside.len());
    for piece in Pieces::new(inside.as_bytes()) {
        match piece {
            Piece::Run(range) => out.push_str(&inside[range]),
            Piece::Escape(_, decoded) => out.push(decoded),
        }
    }
    Cow::Owned(out)
}

/// One stretch of the inside of a JSON string. Ranges are bytes of the raw inside.
pub(crate) enum Piece {
    /// Bytes that stand for themselves.
    Run(Range<usize>),
    /// An escape and the character it stands for.
    Escape(Range<usize>, char),
}

/// Iterates over the stretches of the raw inside of a JSON string.
pub(crate) struct Pieces<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(raw: &'a [u8]) -> Self {
        Pieces { raw, at: 0 }
    }

    /// Starts in the middle; `at` must be the start of a stretch or inside a run.
    pub(crate) fn starting_at(raw: &'a [u8], at: usize) -> Self {
        Pieces { raw, at }
    }

    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.raw.get(at..at + 4)?;
        digits.iter().try_fold(0, |unit, &byte| Some(unit << 4 | (byte as char).to_digit(16)?))
    }

    /// The escape at the current backslash: its raw length and its character.
    fn escape(&self) -> (usize, char) {
        let short = match self.raw.get(self.at + 1) {
            Some(b'u') => return self.unicode_escape(),
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(&plain @ (b'"' | b'\\' | b'/')) => plain as char,
            // Only reachable through `decode_str` on a text nobody checked: step over the
            // backslash alone, so that what follows keeps its character boundaries.
            _ => return (1, char::REPLACEMENT_CHARACTER),
        };
        (2, short)
    }

    fn unicode_escape(&self) -> (usize, char) {
        let Some(high) = self.unit(self.at + 2) else {
            return (2, char::REPLACEMENT_CHARACTER);
        };
        if let Some(single) = char::from_u32(high) {
            return (6, single);
        }
        let low = (self.raw.get(self.at + 6..self.at + 8) == Some(b"\\u")).then(|| self.unit(self.at + 8)).flatten();
        match (high, low) {
            (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
                let scalar = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                let decoded = char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER);
                (12, decoded)
            }
            _ => (6, char::REPLACEMENT_CHARACTER),
        }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let from = self.at;
        match self.raw.get(from)? {
            b'\\' => {
                let (length, decoded) = self.escape();
                self.at += length;
                Some(Piece::Escape(from..self.at, decoded))
            }
            _ => {
                let rest = &self.raw[from..];
                self.at += memchr::memchr(b'\\', rest).unwrap_or(rest.len());
                Some(Piece::Run(from..self.at))
            }
        }
    }
}

/// Appends the decoded form of a raw inside to `out`.
pub(super) fn decode_into(out: &mut Vec<u8>, raw: &[u8]) {
    for piece in Pieces::new(raw) {
        match piece {
            Piece::Run(range) => out.extend_from_slice(&raw[range]),
            Piece::Escape(_, decoded) => {
                out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

/// Whether the raw inside decodes to `wanted`, without allocating.
pub(super) fn decodes_to(raw: &[u8], wanted: &[u8]) -> bool {
    let mut rest = wanted;
    for piece in Pieces::new(raw) {
        let mut buffer = [0; 4];
        let part = match piece {
            Piece::Run(range) => &raw[range],
            Piece::Escape(_, decoded) => decoded.encode_utf8(&mut buffer).as_bytes(),
        };
        match rest.strip_prefix(part) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_only_what_must_be() {
        assert_eq!(quote("a\"\\/\n\u{1}\u{7F}\u{2028}é"), "\"a\\\"\\\\/\\n\\u0001\u{7F}\u{2028}é\"");
    }

    #[test]
    fn decoding_accepts_quotes_or_none_and_borrows() {
        assert!(matches!(decode_str("\"plain\""), Cow::Borrowed("plain")));
        assert!(matches!(decode_str("plain"), Cow::Borrowed("plain")));
        assert_eq!(decode_str(r#""\ud83d\ude00\/\u00e9""#), "😀/é");
    }

    #[test]
    fn decoding_survives_what_nobody_checked() {
        for raw in ["\\", "\\u", "\\u12", "\\ud800", "\\ud800\\u0041", "\\é", "\\u00é0", "\"", "\\ud800\\"] {
            assert!(decode_str(raw).contains('\u{FFFD}') || raw == "\"", "{raw}");
        }
    }

    proptest! {
        #[test]
        fn quote_and_decode_are_inverse(s in any::<String>()) {
            let quoted = quote(&s);
            prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), s.clone());
            prop_assert_eq!(decode_str(&quoted), s);
        }

        #[test]
        fn decoding_any_text_never_panics(s in any::<String>()) {
            let _ = decode_str(&s);
        }
    }
}
