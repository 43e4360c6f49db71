//! JSON that is read and written again, with its numbers as they are spelt and its members in their order.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use hifijson::SliceLexer;
use hifijson::token::Lex;
use hifijson::value;
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

/// The text of the member of this name.
pub fn text_of<'v>(value: &'v Value<'_>, name: &str) -> Option<&'v str> {
    member(value, name).and_then(text)
}

/// The member of this name is `true`.
pub fn is_true(value: &Value<'_>, name: &str) -> bool {
    matches!(member(value, name), Some(Value::Bool(true)))
}

/// A JSON string with this content, in as few pieces as there are signs to escape: documents are mostly texts.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    append_text(text, &mut out);
    out
}

fn append_text(text: &str, out: &mut String) {
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
            control => out.push_str(&format!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
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
        Value::String(text) => append_text(text, out),
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
                append_text(name, out);
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
        append_text(name, &mut self.0);
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
    fn what_was_read_is_written_as_it_was() {
        for text in ["[1.10,-0,1E400,123456789012345678901234567890]", r#"{"z":1,"a":{"":[]},"m":"q\"\\\n\u0001 é 🦀"}"#, r#""""#, "null"]
        {
            assert_eq!(write(&read(text).unwrap()), text);
        }
        for bad in ["", "{", "[1,]", "{\"a\":1} x", "\"\u{1}\"", r#""\ud800""#, &"[".repeat(57)] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn texts_are_quoted() {
        for text in ["", "plain", "a\"b\\", "\0\u{1f}\n\r\t", "é 漢 🦀\""] {
            assert_eq!(serde_json::from_str::<String>(&quote(text)).unwrap(), text);
        }
    }

    #[test]
    fn what_the_host_would_refuse_is_known() {
        for (text, nodes, yes) in [
            (r#"{"a":1,"b":{"a":2}}"#, 100, true),
            (r#"{"a":1,"\u0061":2}"#, 100, false),
            (r#"[{"a":[{"b":1,"b":1}]}]"#, 100, false),
            ("[1,2,3]", 4, true),
            ("[1,2,3]", 3, false),
        ] {
            assert_eq!(is_strict(&read(text).unwrap(), nodes), yes, "{text}");
        }
    }

    #[test]
    fn objects_and_lists_are_put_together() {
        assert_eq!(Object::default().finish(), "{}");
        assert_eq!(Object::default().with("a\"", "1").with("b", &texts(&["x"])).finish(), r#"{"a\"":1,"b":["x"]}"#);
        assert_eq!(list(&[]), "[]");
    }
}
