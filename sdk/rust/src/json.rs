//! JSON text, the form in which payloads cross the seam. Ask for the one member you need; parsing a whole message
//! in a guest costs more than everything else it does.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

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

/// The members of an object; nothing if the text is any other value, or if in any object within a name stands twice: of two, readers differ
/// about which counts, so whoever signed or checked it may have read another.
///
/// ```
/// use sluice_sdk::json::object_once;
/// assert_eq!(object_once(br#"{"sub":"ada"}"#).unwrap()["sub"], "ada");
/// assert!(object_once(br#"{"sub":"ada","act":{"sub":"bob","sub":"eve"}}"#).is_none());
/// ```
pub fn object_once(json: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice::<Once>(json).ok()?.0 {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reading).map(Once)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Once(value))) = members.next_entry::<String, Once>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name that stands twice"));
            }
        }
        Ok(Value::Object(map))
    }
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
    fn an_object_says_each_thing_once() {
        let read = object_once(br#"{"a":[1,-2,1.5,true,null,"x"],"b":{"a":{}}}"#).unwrap();
        assert_eq!(Value::Object(read), serde_json::json!({"a": [1, -2, 1.5, true, null, "x"], "b": {"a": {}}}));
        for other in
            [r#"{"a":1,"a":1}"#, r#"{"b":{"a":1,"\u0061":2}}"#, r#"{"b":[{"a":1,"a":2}]}"#, "[]", "1", "", "{} {}", "{\"a\":1e999}"]
        {
            assert_eq!(object_once(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn only_strings_decode() {
        for json in ["1", "null", "{}", "[\"a\"]", "\"open"] {
            assert_eq!(decode_string(json), None);
        }
    }
}
