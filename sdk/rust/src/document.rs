//! JSON as a tree, for plugins that have to read or write more of it than members by their pointers: its numbers as they are spelt, its members in
//! their order, and nothing of `std`. With the feature `document`.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::String;

use hifijson::SliceLexer;
use hifijson::token::Lex;
use hifijson::value;

use crate::json;

/// Of any kind.
pub type Value<'a> = value::Value<&'a str, Cow<'a, str>>;
/// A member of an object.
pub type Member<'a> = (Cow<'a, str>, Value<'a>);

/// Reads all of a text; nothing if it is not JSON (RFC 8259), or nested deeper than that. The host's own bound on messages is 64 levels.
pub fn read(text: &str, depth_max: usize) -> Option<Value<'_>> {
    let mut lexer = SliceLexer::new(text.as_bytes());
    lexer.exactly_one(SliceLexer::ws_peek, |next, lexer| value::parse_bounded(depth_max, next, lexer)).ok()
}

/// The member of this name.
pub fn member<'v, 'a>(value: &'v Value<'a>, name: &str) -> Option<&'v Value<'a>> {
    find(members(value), name)
}

/// The one of this name among these.
pub fn find<'v, 'a>(members: &'v [Member<'a>], name: &str) -> Option<&'v Value<'a>> {
    members.iter().find(|(key, _)| key == name).map(|(_, member)| member)
}

/// All members of an object; none of anything else.
pub fn members<'v, 'a>(value: &'v Value<'a>) -> &'v [Member<'a>] {
    if let Value::Object(members) = value { members } else { &[] }
}

/// All items of a list; none of anything else.
pub fn items<'v, 'a>(value: &'v Value<'a>) -> &'v [Value<'a>] {
    if let Value::Array(items) = value { items } else { &[] }
}

/// The text of a string.
pub fn text<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    if let Value::String(text) = value { Some(text) } else { None }
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
        Value::String(text) => json::append_string(text, out),
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
                json::append_string(name, out);
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

    #[test]
    fn what_was_read_is_written_as_it_was() {
        for text in [
            "null",
            "[1.10,-0,1E400,123456789012345678901234567890]",
            r#"{"z":1,"a":{"":[]},"m":"q\"\\\n\u0001\u0014\u001f é 🦀"}"#,
            r#""""#,
        ] {
            assert_eq!(write(&read(text, 64).unwrap()), text);
        }
        assert_eq!(write(&read(" [ true , false ] ", 64).unwrap()), "[true,false]");
        for bad in ["", "{", "[1,]", "{\"a\":1} x", "\"\u{1}\"", "nul", "01", r#""\ud800""#, &"[".repeat(65)] {
            assert!(read(bad, 64).is_none(), "{bad}");
        }
        let nested = |levels: usize| alloc::format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(56), 56).is_some() && read(&nested(57), 56).is_none());
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
            assert_eq!(is_strict(&read(text, 64).unwrap(), nodes), yes, "{text}");
        }
    }
}
