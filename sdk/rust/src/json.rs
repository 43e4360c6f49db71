//! JSON text, the form in which payloads cross the seam. Ask for the one member you need; parsing a whole message
//! in a guest costs more than everything else it does.

use alloc::string::String;

/// JSON text (RFC 8259).
pub type Json = String;

/// A JSON string with this content.
pub fn string(text: &str) -> Json {
    let mut out = String::with_capacity(text.len() + 2);
    append_string(text, &mut out);
    out
}

/// The same, behind what is there: in as few pieces as there are signs to escape, since most texts have none.
pub fn append_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| b < b' ' || b == b'"' || b == b'\\') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                out.push_str("\\u00");
                for nibble in [control >> 4, control & 15] {
                    out.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
                }
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// The content of a JSON string; nothing if the text is any other value.
pub fn decode_string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_both_ways() {
        for text in ["", "plain", "quote \" slash \\", "\u{0}\u{1f}\n\r\t", "é 漢 🦀 \u{2028}"] {
            assert_eq!(decode_string(&string(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn only_strings_decode() {
        for json in ["1", "null", "{}", "[\"a\"]", "\"open"] {
            assert_eq!(decode_string(json), None);
        }
    }
}
