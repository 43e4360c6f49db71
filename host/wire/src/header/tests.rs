//! Sentinel values, comparison with the body, and the rules on annotations.

use super::*;
use crate::json::{Document, IndexDepth, Limits};
use proptest::prelude::*;

fn parse(text: &str) -> Document {
    Document::parse_value(text.to_owned().into(), &Limits::REQUEST, IndexDepth::Full).unwrap()
}

#[test]
fn values_are_encoded_only_when_they_must() {
    for (value, encoded) in [
        ("", ""),
        ("plain", "plain"),
        ("two words\tand tab", "two words\tand tab"),
        (" lead", "=?base64?IGxlYWQ=?="),
        ("trail ", "=?base64?dHJhaWwg?="),
        ("é", "=?base64?w6k=?="),
        ("a\r\nb", "=?base64?YQ0KYg==?="),
        ("\u{7F}", "=?base64?fw==?="),
        ("=?base64?x?=", "=?base64?PT9iYXNlNjQ/eD89?="),
        ("=?base64?", "=?base64?"),
        ("=?BASE64?x?=", "=?BASE64?x?="),
    ] {
        assert_eq!(encode_value(value), encoded);
        assert_eq!(decode_value(encoded).unwrap(), value);
    }
    assert_eq!(decode_value(" x\t").unwrap(), "x");
    for (bad, error) in [
        ("=?base64?!?=", ValueError::Base64),
        ("=?base64?YQ?=", ValueError::Base64),
        ("=?base64?/w==?=", ValueError::Utf8),
        ("a\u{80}", ValueError::Literal),
        ("a\nb", ValueError::Literal),
    ] {
        assert_eq!(decode_value(bad), Err(error), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_string_travels_as_visible_ascii(value in any::<String>()) {
        let encoded = encode_value(&value);
        prop_assert!(encoded.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')));
        prop_assert_eq!(decode_value(&encoded).unwrap(), value.as_str());
        prop_assert_eq!(encoded.trim(), encoded.as_ref());
    }
}

#[test]
fn scalars_match_by_value() {
    for (header, value, matches) in [
        ("42", "42", true),
        ("42.0", "42", true),
        ("42", "42.0", true),
        ("4.2e1", "42", true),
        ("-0", "0", true),
        ("0", "0e9", true),
        ("100", "1e2", true),
        ("9007199254740993", "9007199254740992", false),
        ("042", "42", false),
        ("+42", "42", false),
        ("42.", "42", false),
        ("", "0", false),
        ("1e99999999999999999999", "1", false),
        ("true", "true", true),
        ("True", "true", false),
        ("1", "true", false),
        ("true", "\"true\"", true),
        ("42", "\"42\"", true),
        ("42.0", "\"42\"", false),
        ("=?base64?w6k=?=", "\"\\u00e9\"", true),
        ("=?base64?!?=", "\"!\"", false),
        ("", "\"\"", true),
        ("null", "null", false),
        ("[]", "[]", false),
    ] {
        let doc = parse(value);
        assert_eq!(matches_scalar(header, doc.root()), matches, "{header} {value}");
    }
}

#[test]
fn mirrored_values_match_what_they_mirror() {
    for (value, header) in [
        ("\" é\"", Some("=?base64?IMOp?=")),
        ("42.0", Some("42")),
        ("-0", Some("0")),
        ("-1.5e1", Some("-15")),
        ("9007199254740991", Some("9007199254740991")),
        ("9007199254740992", None),
        ("1e300", None),
        ("1.5", None),
        ("false", Some("false")),
        ("null", None),
        ("{}", None),
    ] {
        let doc = parse(value);
        let mirrored = scalar_value(doc.root());
        assert_eq!(mirrored.as_deref(), header, "{value}");
        assert!(mirrored.is_none_or(|header| matches_scalar(&header, doc.root())));
    }
}

#[test]
fn annotations_are_found_through_properties_alone() {
    let doc = parse(
        r#"{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "opts":{"type":"object","properties":{
                "n":{"type":"integer","x-mcp-header":"N"},
                "x-mcp-header":{"type":"boolean","x-mcp-header":"Odd"}}},
            "data":{"default":{"x-mcp-header":7},"enum":[{"x-mcp-header":""}]}},
          "$defs":{"x-mcp-header":{"type":"string"}}}"#,
    );
    let found = annotations(doc.root()).unwrap();
    let brief: Vec<_> = found.iter().map(|a| (a.header_name(), a.path.join("/"), a.kind)).collect();
    assert_eq!(
        brief,
        [
            ("mcp-param-region".into(), "region".into(), Scalar::String),
            ("mcp-param-n".into(), "opts/n".into(), Scalar::Integer),
            ("mcp-param-odd".into(), "opts/x-mcp-header".into(), Scalar::Boolean),
        ]
    );
    let arguments = parse(r#"{"region":"eu","opts":{"n":3}}"#);
    let values: Vec<_> = found.iter().map(|a| a.value_in(arguments.root()).map(|v| v.raw())).collect();
    assert_eq!(values, [Some("\"eu\""), Some("3"), None]);
}

#[test]
fn a_broken_annotation_spoils_the_tool() {
    fn name(error: AnnotationError) -> &'static str {
        match error {
            AnnotationError::NotString { .. } => "NotString",
            AnnotationError::NotToken { .. } => "NotToken",
            AnnotationError::Forbidden { .. } => "Forbidden",
            AnnotationError::Duplicate { .. } => "Duplicate",
            AnnotationError::WrongType { .. } => "WrongType",
            AnnotationError::Unreachable { .. } => "Unreachable",
            AnnotationError::TooMany { .. } => "TooMany",
            AnnotationError::Shallow => "Shallow",
        }
    }
    let on = |schema: &str| format!(r#"{{"properties":{{"p":{schema}}}}}"#);
    for (schema, expected) in [
        (on(r#"{"type":"string","x-mcp-header":1}"#), "NotString"),
        (on(r#"{"type":"string","x-mcp-header":""}"#), "NotToken"),
        (on(r#"{"type":"string","x-mcp-header":"a b"}"#), "NotToken"),
        (on(r#"{"type":"string","x-mcp-header":"a\r\nX: y"}"#), "NotToken"),
        (on(r#"{"type":"string","x-mcp-header":"é"}"#), "NotToken"),
        (on(r#"{"type":"string","x-mcp-header":"Authorization"}"#), "Forbidden"),
        (on(r#"{"type":"string","x-mcp-header":"COOKIE"}"#), "Forbidden"),
        (on(r#"{"type":"number","x-mcp-header":"N"}"#), "WrongType"),
        (on(r#"{"type":["string","null"],"x-mcp-header":"N"}"#), "WrongType"),
        (on(r#"{"x-mcp-header":"N"}"#), "WrongType"),
        (on(r#"{"type":"array","items":{"type":"string","x-mcp-header":"N"}}"#), "Unreachable"),
        (on(r#"{"anyOf":[{"type":"string","x-mcp-header":"N"}]}"#), "Unreachable"),
        (on(r#"{"items":{"properties":{"q":{"type":"string","x-mcp-header":"N"}}}}"#), "Unreachable"),
        (r#"{"x-mcp-header":"N","type":"string"}"#.into(), "Unreachable"),
        (r#"{"$defs":{"d":{"type":"string","x-mcp-header":"N"}}}"#.into(), "Unreachable"),
        (r#"{"properties":{"a":{"type":"string","x-mcp-header":"N"},"b":{"type":"string","x-mcp-header":"n"}}}"#.into(), "Duplicate"),
    ] {
        let doc = parse(&schema);
        assert_eq!(annotations(doc.root()).map_err(name), Err(expected), "{schema}");
    }
    let many: Vec<String> = (0..65).map(|n| format!(r#""p{n}":{{"type":"string","x-mcp-header":"H{n}"}}"#)).collect();
    let doc = parse(&format!(r#"{{"properties":{{{}}}}}"#, many.join(",")));
    assert_eq!(annotations(doc.root()).map_err(name), Err("TooMany"));
}

#[test]
fn annotations_cannot_hide_below_the_index() {
    let text = r#"{"properties":{"p":{"type":"string","x-mcp-header":1}}}"#;
    for levels in 0..3 {
        let doc = Document::parse_value(text.into(), &Limits::REQUEST, IndexDepth::Levels(levels)).unwrap();
        assert_eq!(annotations(doc.root()), Err(AnnotationError::Shallow), "{levels}");
    }
}
