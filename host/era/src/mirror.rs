//! Headers of a modern request that repeat what its body says (mcp-protocol §2.4).
//!
//! Always computed from the body that leaves, never copied from a client.

use crate::request::PART;
use sluice_wire::{
    header::{Annotation, encode_value, scalar_value},
    json::{Document, Value},
    message::Message,
    method,
};
use std::borrow::Cow;

/// The value of `Mcp-Name`, encoded; none for methods that have no such header.
pub fn name<'a>(message: &'a Message, original_name: Option<&'a str>) -> Option<Cow<'a, str>> {
    let member = method::mirrored_name(message.method())?;
    if let Some(name) = original_name {
        return Some(encode_value(name));
    }
    match message.param(member)?.as_str()? {
        Cow::Borrowed(name) => Some(encode_value(name)),
        Cow::Owned(name) => Some(Cow::Owned(encode_value(&name).into_owned())),
    }
}

/// The `Mcp-Param-*` headers with their values, encoded. Absent and null arguments have none.
pub fn params(message: &Message, annotations: &[Annotation]) -> Vec<(String, String)> {
    if annotations.is_empty() {
        return Vec::new();
    }
    let Some(arguments) = message.param("arguments") else {
        return Vec::new();
    };
    let (limits, depth) = PART;
    // The message may be indexed to the arguments only; looking into them costs a pass of their own.
    match Document::parse_value(arguments.to_bytes(), &limits, depth) {
        Ok(document) => read(document.root(), annotations),
        Err(_) => Vec::new(),
    }
}

fn read(arguments: Value<'_>, annotations: &[Annotation]) -> Vec<(String, String)> {
    annotations
        .iter()
        .filter_map(|annotation| {
            let value = scalar_value(annotation.value_in(arguments)?)?;
            Some((annotation.header_name(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sluice_wire::{
        header::Scalar,
        json::{IndexDepth, Limits},
    };

    fn call(params: &str) -> Message {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let document = Document::parse(Bytes::from(text), &Limits::REQUEST, IndexDepth::Levels(3)).unwrap();
        Message::decode(document).unwrap()
    }

    fn annotation(header: &str, path: &[&str], kind: Scalar) -> Annotation {
        Annotation { header: header.into(), path: path.iter().map(|&key| key.into()).collect(), kind }
    }

    #[test]
    fn the_name_is_that_of_the_body_that_leaves() {
        let message = call(r#"{"name":"h\u00e9llo"}"#);
        assert_eq!(name(&message, None).unwrap(), "=?base64?aMOpbGxv?=");
        assert_eq!(name(&message, Some("plain")).unwrap(), "plain");
    }

    #[test]
    fn absent_and_null_arguments_have_no_header() {
        let message = call(r#"{"name":"t","arguments":{"a":null,"deep":{"er":{"n":42.0}},"s":" x","b":true}}"#);
        let annotations = [
            annotation("A", &["a"], Scalar::String),
            annotation("Gone", &["gone"], Scalar::String),
            annotation("N", &["deep", "er", "n"], Scalar::Integer),
            annotation("S", &["s"], Scalar::String),
            annotation("B", &["b"], Scalar::Boolean),
        ];
        let expected: Vec<(String, String)> = [("n", "42"), ("s", "=?base64?IHg=?="), ("b", "true")]
            .map(|(name, value)| (format!("mcp-param-{name}"), value.to_owned()))
            .into();
        assert_eq!(params(&message, &annotations), expected);
    }
}
