//! JSON that is read and written again, with its numbers as they are spelt and its members in their order.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::String;

use hifijson::SliceLexer;
use hifijson::token::Lex;
use hifijson::value;
use sluice_sdk::json;

/// Of any kind.
pub type Value<'a> = value::Value<&'a str, Cow<'a, str>>;

/// Nested so deep at most: less than the host's own bound on messages, since what is read here becomes part of one.
pub const DEPTH_MAX: usize = 56;

/// Reads all of a text; nothing if it is not JSON, or nested too deep.
pub fn read(text: &str) -> Option<Value<'_>> {
    let mut lexer = SliceLexer::new(text.as_bytes());
    lexer.exactly_one(SliceLexer::ws_peek, |next, lexer| value::parse_bounded(DEPTH_MAX, next, lexer)).ok()
}

/// The member of this name.
pub fn member<'v, 'a>(value: &'v Value<'a>, name: &str) -> Option<&'v Value<'a>> {
    members(value).iter().find(|(key, _)| key == name).map(|(_, member)| member)
}

/// All members of an object.
pub fn members<'v, 'a>(value: &'v Value<'a>) -> &'v [(Cow<'a, str>, Value<'a>)] {
    if let Value::Object(members) = value { members } else { &[] }
}

/// All items of a list.
pub fn items<'v, 'a>(value: &'v Value<'a>) -> &'v [Value<'a>] {
    if let Value::Array(items) = value { items } else { &[] }
}

/// The text of a string.
pub fn text<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    if let Value::String(text) = value { Some(text) } else { None }
}

/// What the tokens of a JSON pointer (RFC 6901) lead to.
pub fn at<'v, 'a>(value: &'v Value<'a>, tokens: &[String]) -> Option<&'v Value<'a>> {
    tokens.iter().try_fold(value, |value, token| match value {
        Value::Object(_) => member(value, token),
        // One spelling for each place.
        Value::Array(items) if token == "0" || !token.starts_with(['0', '+']) => items.get(token.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Whether both say the same. The order of members says nothing, and numbers are compared as numbers.
pub fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(of_a), Value::Object(of_b)) => {
            of_a.len() == of_b.len() && of_a.iter().all(|(name, a)| member(b, name).is_some_and(|b| same(a, b)))
        }
        (Value::Number((a, _)), Value::Number((b, _))) => a == b || (is_short(a) && is_short(b) && number(a) == number(b)),
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => a == b,
        _ => false,
    }
}

/// Two such numbers that look alike to floating point are alike.
fn is_short(digits: &str) -> bool {
    digits.len() <= 15
}

/// What digits mean, as far as floating point goes.
pub fn number(digits: &str) -> f64 {
    digits.parse().unwrap_or(f64::NAN)
}

/// Writes it without spaces. Not by hifijson's own `Display`, which leaves some control characters as they are.
pub fn write(value: &Value<'_>) -> String {
    let mut out = String::new();
    append(value, &mut out);
    out
}

/// The same, behind what is there.
pub fn append(value: &Value<'_>, out: &mut String) {
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

/// Whether the host would take it: no object has one name twice, and there are at most so many values and names.
pub fn is_strict(value: &Value<'_>, nodes_max: usize) -> bool {
    fn look(value: &Value<'_>, left: &mut usize) -> bool {
        let weight = 1 + members(value).len();
        if *left < weight {
            return false;
        }
        *left -= weight;
        let mut names = BTreeSet::new();
        members(value).iter().all(|(name, member)| names.insert(&**name) && look(member, left))
            && items(value).iter().all(|item| look(item, left))
    }
    look(value, &mut { nodes_max })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn what_was_read_is_written_as_it_was() {
        for text in ["[1.10,-0,1E400,123456789012345678901234567890]", r#"{"z":1,"a":{"":[]},"m":"q\"\\\n\u0001 é 🦀"}"#, "null"] {
            assert_eq!(write(&read(text).unwrap()), text);
        }
        for bad in ["", "{", "[1,]", "\"\u{1}\"", r#""\ud800""#, &"[".repeat(57)] {
            assert!(read(bad).is_none(), "{bad}");
        }
        assert!(!is_strict(&read(r#"[{"a":1,"\u0061":2}]"#).unwrap(), 100) && !is_strict(&read("[1,2,3]").unwrap(), 3));
        assert!(is_strict(&read(r#"[{"a":1,"b":{"a":2}}]"#).unwrap(), 100));
    }

    #[test]
    fn pointers_lead_to_one_place() {
        let value = read(r#"{"a":[1,{"b/c":2}],"":3}"#).unwrap();
        let at = |tokens: &[&str]| at(&value, &tokens.iter().map(ToString::to_string).collect::<Vec<_>>()).map(write);
        assert_eq!(at(&["a", "1", "b/c"]).as_deref(), Some("2"));
        assert_eq!(at(&[""]).as_deref(), Some("3"));
        for nowhere in [&["a", "2"][..], &["a", "01"], &["a", "-"], &["a", "+1"], &["b"], &["a", "0", "x"]] {
            assert_eq!(at(nowhere), None, "{nowhere:?}");
        }
    }

    #[test]
    fn what_says_the_same_is_the_same() {
        let same = |a: &str, b: &str| same(&read(a).unwrap(), &read(b).unwrap());
        assert!(same("1", "1.0") && same("10", "1e1") && same(r#"{"a":1,"b":[null]}"#, r#"{"b":[null],"a":1}"#));
        for (a, b) in [("1", "\"1\""), ("[1,2]", "[2,1]"), ("{}", "[]"), ("9007199254740993", "9007199254740992"), ("true", "false")] {
            assert!(!same(a, b), "{a} {b}");
        }
    }
}
