//! JSON that is read, cut and written again, with its numbers as they are spelt and its members in their order.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::document;
pub use sluice_sdk::document::{Value, items, member, text, write};

/// Nested so deep at most: the host's own bound on messages, and texts in them are bound alike.
const DEPTH_MAX: usize = 64;

/// Reads all of a text; nothing if it is not JSON, or nested too deep.
pub fn read(text: &str) -> Option<Value<'_>> {
    document::read(text, DEPTH_MAX)
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
