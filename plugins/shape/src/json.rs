//! JSON that is read, cut and written again, with its numbers as they are spelt and its members in their order.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use hifijson::SliceLexer;
use hifijson::token::Lex;
use hifijson::value;
use sluice_sdk::json;

/// Of any kind.
pub type Value<'a> = value::Value<&'a str, Cow<'a, str>>;

/// Nested so deep at most: the host's own bound on messages, and texts in them are bound alike.
const DEPTH_MAX: usize = 64;

/// Reads all of a text; nothing if it is not JSON, or nested too deep.
pub fn read(text: &str) -> Option<Value<'_>> {
    let mut lexer = SliceLexer::new(text.as_bytes());
    lexer.exactly_one(SliceLexer::ws_peek, |next, lexer| value::parse_bounded(DEPTH_MAX, next, lexer)).ok()
}

/// The member of this name.
pub fn member<'v, 'a>(value: &'v Value<'a>, name: &str) -> Option<&'v Value<'a>> {
    let Value::Object(members) = value else { return None };
    members.iter().find(|(key, _)| key == name).map(|(_, member)| member)
}

/// The text of a string.
pub fn text<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    if let Value::String(text) = value { Some(text) } else { None }
}

/// Whether both say the same; the order of members says nothing.
pub fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(of_a), Value::Object(of_b)) => {
            // Mostly in the same order, and then each is found where it is looked for first.
            let finds =
                |at: usize, key: &str| of_b.get(at).filter(|(name, _)| name == key).map(|(_, found)| found).or_else(|| member(b, key));
            of_a.len() == of_b.len() && of_a.iter().enumerate().all(|(at, (key, a))| finds(at, key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Writes it without spaces. Not by hifijson's own `Display`, which leaves some control characters as they are.
pub fn write(value: &Value<'_>) -> String {
    let mut out = String::new();
    append(value, &mut out);
    out
}

fn append(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Number((digits, _)) => out.push_str(digits),
        Value::String(text) => out.push_str(&json::string(text)),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                append(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (at, (name, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&json::string(name));
                out.push(':');
                append(member, out);
            }
            out.push('}');
        }
    }
}

/// All items of a list that is a value's.
pub fn items<'v, 'a>(value: &'v Value<'a>) -> &'v [Value<'a>] {
    if let Value::Array(items) = value { items } else { &[] }
}

/// A new string.
pub fn string<'a>(text: String) -> Value<'a> {
    Value::String(Cow::Owned(text))
}

/// A new object.
pub fn object<'a>(members: Vec<(&'static str, Value<'a>)>) -> Value<'a> {
    Value::Object(members.into_iter().map(|(name, member)| (Cow::Borrowed(name), member)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_written_as_it_was() {
        for text in [
            "null",
            "[1.10,-0,1E400,123456789012345678901234567890]",
            r#"{"z":1,"a":{"":[]},"m":"q\"\\\n\u0001\u0014\u001f é 🦀"}"#,
            r#""""#,
        ] {
            assert_eq!(write(&read(text).unwrap()), text);
        }
        assert_eq!(write(&read(" [ true , false ] ").unwrap()), "[true,false]");
        for bad in ["", "{", "[1,]", "{\"a\":1} x", "\"\u{1}\"", "nul", "01", r#""\ud800""#, &"[".repeat(65)] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_order_of_members_says_nothing_and_all_else_does() {
        let same_text = |a: &str, b: &str| same(&read(a).unwrap(), &read(b).unwrap());
        assert!(same_text(r#"{"a":1,"b":[{"c":"\u00e9","d":null}]}"#, r#"{"b":[{"d":null,"c":"é"}],"a":1}"#));
        for (a, b) in
            [(r#"{"a":1}"#, r#"{"a":1,"b":2}"#), (r#"{"a":1,"b":2}"#, r#"{"a":1,"c":2}"#), ("[1,2]", "[2,1]"), ("1", "1.0"), ("[]", "{}")]
        {
            assert!(!same_text(a, b), "{a} {b}");
        }
    }
}
