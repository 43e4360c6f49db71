//! JSON text, the form in which payloads cross the seam. Ask for the one member you need; parsing a whole message
//! in a guest costs more than everything else it does.

use alloc::string::String;

/// JSON text (RFC 8259).
pub type Json = String;

/// A JSON string with this content.
pub fn string(text: &str) -> Json {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                out.push_str("\\u00");
                for nibble in [c as u32 >> 4, c as u32 & 15] {
                    out.push(char::from_digit(nibble, 16).unwrap_or('0'));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
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
