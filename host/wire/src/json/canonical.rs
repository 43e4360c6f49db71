//! One way to write a value, whoever wrote it.

use std::collections::BTreeMap;

use super::text::quote_into;
use super::value::{Kind, Value};

/// The value with members in the order of their names, no white space, and only the escapes that are required. Numbers stay as they are
/// written. Two texts have the same form if and only if they differ in nothing else.
///
/// For a wholly indexed document: below the indexed depth there is nothing to order.
pub fn canonical(value: Value<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.span().len());
    write(&mut out, value);
    out
}

fn write(out: &mut Vec<u8>, value: Value<'_>) {
    match value.kind() {
        Kind::String => quote_into(out, &value.as_str().unwrap_or_default()),
        Kind::Array => {
            out.push(b'[');
            for (at, item) in value.items().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Kind::Object => {
            let members: BTreeMap<_, _> = value.members().map(|member| (member.key.decoded(), member.value)).collect();
            out.push(b'{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                quote_into(out, &name);
                out.push(b':');
                write(out, value);
            }
            out.push(b'}');
        }
        Kind::Null | Kind::Bool | Kind::Number => out.extend_from_slice(value.raw_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Document, IndexDepth, Limits};
    use super::canonical;

    fn form(text: &str) -> String {
        let document = Document::parse_value(text.to_owned().into(), &Limits::RESPONSE, IndexDepth::Full).unwrap();
        String::from_utf8(canonical(document.root())).unwrap()
    }

    #[test]
    fn only_what_means_something_is_left() {
        let written = r#" { "b" : [ 1.0 , {"y":null,"x":"\u00e9\n\/"} ] , "\u0061" : true } "#;
        assert_eq!(form(written), r#"{"a":true,"b":[1.0,{"x":"é\n/","y":null}]}"#);
        assert_eq!(form(&form(written)), form(written));
        for other in ["{}", "[]", "\"\"", "0", "[[],{}]"] {
            assert_eq!(form(other), other);
        }
        for (one, two) in [("[1,2]", "[2,1]"), ("1", "1.0"), (r#"{"a":1}"#, r#"{"A":1}"#), (r#"["1"]"#, "[1]"), (r#""é""#, r#""e\u0301""#)]
        {
            assert_ne!(form(one), form(two));
        }
    }
}
