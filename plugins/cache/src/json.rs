//! JSON that is compared and written again, with its numbers as they are spelt.

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::document;
pub use sluice_sdk::document::{Member, Value, find, text};
use sluice_sdk::json::append_string;

/// Nested so deep at most: the host's own bound on messages.
const DEPTH_MAX: usize = 64;

/// The members of an object; nothing if the text is anything else, or nested too deep.
pub fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let read = document::read(text, DEPTH_MAX)?;
    if let Value::Object(members) = read { Some(members) } else { None }
}

/// A whole number that is not negative, however it is spelt; nothing if it is anything else.
pub fn whole(value: &Value<'_>) -> Option<u64> {
    let Value::Number((digits, _)) = value else { return None };
    digits.parse().ok()
}

/// One after another, with commas between them.
pub fn append_members(members: &[&Member<'_>], is_sorted: bool, out: &mut String) {
    let mut order: Vec<&Member<'_>> = members.to_vec();
    if is_sorted {
        order.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    for (at, (name, member)) in order.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        append_string(name, out);
        out.push(':');
        append(member, is_sorted, out);
    }
}

/// Without spaces or line feeds; with members in the order of their names if the order says nothing.
pub fn append(value: &Value<'_>, is_sorted: bool, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Number((digits, _)) => out.push_str(digits),
        Value::String(text) => append_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                append(item, is_sorted, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            append_members(&members.iter().collect::<Vec<_>>(), is_sorted, out);
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        let mut out = String::new();
        append_members(&members(text).unwrap().iter().collect::<Vec<_>>(), true, &mut out);
        out
    }

    #[test]
    fn the_order_of_members_and_spaces_say_nothing_and_all_else_does() {
        assert_eq!(canonical(r#" {"b":[{"d":null,"c":"\u00e9"}], "a":1.10}"#), r#""a":1.10,"b":[{"c":"é","d":null}]"#);
        for (a, b) in [(r#"{"a":1}"#, r#"{"a":1.0}"#), (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#), (r#"{"a":"1"}"#, r#"{"a":1}"#)] {
            assert_ne!(canonical(a), canonical(b));
        }
    }

    #[test]
    fn only_whole_objects_are_read() {
        for bad in ["", "[]", "1", "{", r#"{"a":1} x"#, r#"{"a":"\ud800"}"#, &alloc::format!("{{\"a\":{}", "[".repeat(65))] {
            assert!(members(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_whole_number_is_one() {
        let read = |text: &str| whole(&members(text).unwrap()[0].1);
        assert_eq!(read(r#"{"a":300000}"#), Some(300_000));
        for none in [r#"{"a":-1}"#, r#"{"a":1.5}"#, r#"{"a":"1"}"#, r#"{"a":null}"#, r#"{"a":99999999999999999999999}"#] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
