//! JSON that is read and written again, with its numbers as they are spelt and its members in their order.

use alloc::string::String;

use sluice_sdk::document;
pub use sluice_sdk::document::{Value, append, is_strict, items, member, members, text, write};

/// Nested so deep at most: less than the host's own bound on messages, since what is read here becomes part of one.
pub const DEPTH_MAX: usize = 56;

/// Reads all of a text; nothing if it is not JSON, or nested too deep.
pub fn read(text: &str) -> Option<Value<'_>> {
    document::read(text, DEPTH_MAX)
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

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
