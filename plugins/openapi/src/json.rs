//! JSON that is read and written again, with its numbers as they are spelt and its members in their order.

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::document;
pub use sluice_sdk::document::{Value, append, is_strict, items, member, members, text, write};
use sluice_sdk::json::append_string;
pub use sluice_sdk::json::string as quote;

/// Nested so deep at most: less than the host's own bound on messages, since what is read here becomes part of one.
pub const DEPTH_MAX: usize = 56;

/// Reads all of a text; nothing if it is not JSON, or nested too deep.
pub fn read(text: &str) -> Option<Value<'_>> {
    document::read(text, DEPTH_MAX)
}

/// The text of the member of this name.
pub fn text_of<'v>(value: &'v Value<'_>, name: &str) -> Option<&'v str> {
    member(value, name).and_then(text)
}

/// The member of this name is `true`.
pub fn is_true(value: &Value<'_>, name: &str) -> bool {
    matches!(member(value, name), Some(Value::Bool(true)))
}

/// Members of an object, as they are written one by one.
#[derive(Default)]
pub struct Object(String);

impl Object {
    /// With one more, whose value is JSON text already.
    pub fn with(mut self, name: &str, json: &str) -> Self {
        self.put(name, json);
        self
    }

    /// One more, whose value is JSON text already.
    pub fn put(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        append_string(name, &mut self.0);
        self.0.push(':');
        self.0.push_str(json);
    }

    /// The object.
    pub fn finish(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}

/// A list of what is JSON text already.
pub fn list(items: &[String]) -> String {
    let mut out = String::from("[");
    out.push_str(&items.join(","));
    out.push(']');
    out
}

/// A list of texts.
pub fn texts<T: AsRef<str>>(texts: &[T]) -> String {
    let items: Vec<String> = texts.iter().map(|text| quote(text.as_ref())).collect();
    list(&items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_lists_are_put_together() {
        assert_eq!(Object::default().finish(), "{}");
        assert_eq!(Object::default().with("a\"", "1").with("b", &texts(&["x"])).finish(), r#"{"a\"":1,"b":["x"]}"#);
        assert_eq!(list(&[]), "[]");
    }
}
