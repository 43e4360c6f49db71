//! JSON as clients write it: comments and trailing commas, nothing looser.

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{Grafting, Mistake, Parsed};
use crate::config::tree::{DEPTH_MAX, Entry, Node, Position, Table, Value};

pub(super) fn parse(text: &str) -> Parsed {
    let mut grafting = Grafting::of(text);
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let root = match parse_to_ast(text, &CollectOptions::default(), &options) {
        Ok(parsed) => parsed.value.and_then(|value| graft(&mut grafting, value, 0)),
        Err(error) => {
            let mistake = mistake(&grafting, &error);
            grafting.mistakes.push(mistake);
            None
        }
    };
    Parsed { root, mistakes: grafting.mistakes }
}

fn graft(grafting: &mut Grafting, value: ast::Value, depth: usize) -> Option<Node> {
    let at = grafting.lines.at(value.start());
    if depth > DEPTH_MAX {
        grafting.mistake(at, format!("nested deeper than {DEPTH_MAX} levels"));
        return None;
    }
    let value = match value {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
        ast::Value::NumberLit(literal) => Value::Number(literal.value.to_owned()),
        ast::Value::StringLit(literal) => Value::Text(literal.value.into_owned()),
        ast::Value::Array(array) => Value::List(array.elements.into_iter().filter_map(|e| graft(grafting, e, depth + 1)).collect()),
        ast::Value::Object(object) => Value::Table(table(grafting, object, depth)),
    };
    Some(Node { at, value })
}

fn table(grafting: &mut Grafting, object: ast::Object, depth: usize) -> Table {
    let mut table = Table::default();
    for property in object.properties {
        let key_at = grafting.lines.at(property.name.start());
        let key = property.name.into_string();
        if let Some(node) = graft(grafting, property.value, depth + 1) {
            grafting.add(&mut table, Entry { key, key_at, node });
        }
    }
    table
}

fn mistake(grafting: &Grafting, error: &ParseError) -> Mistake {
    let at = grafting.lines.at(error.range().start);
    let (what, suggestion) = match error.kind() {
        // The parser points at the bracket that was opened; that is the useful end of it.
        ParseErrorKind::UnterminatedObject => ("this { is never closed".to_owned(), None),
        ParseErrorKind::UnterminatedArray => ("this [ is never closed".to_owned(), None),
        ParseErrorKind::SingleQuotedStringsNotAllowed => ("text in single quotes".to_owned(), Some("JSON wants double quotes".to_owned())),
        ParseErrorKind::ExpectedStringObjectProperty => ("a key without quotes".to_owned(), Some("JSON wants \"key\": value".to_owned())),
        ParseErrorKind::ExpectedComma => ("a comma is missing here".to_owned(), None),
        kind => (format!("not JSON: {}", lower_first(&kind.to_string())), None),
    };
    Mistake { at: Position { ..at }, what, suggestion }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_text() {
        let parsed = parse("{ // pasted\n  \"a\": {\"b\": [1, true,]},\n}");
        assert!(parsed.mistakes.is_empty());
        let root = parsed.root.unwrap();
        let b = root.find(&["a", "b"]).unwrap();
        assert_eq!((b.at.line, b.at.column), (2, 14));
    }

    #[test]
    fn a_key_twice_is_a_mistake_and_the_first_stays() {
        let parsed = parse("{\"a\": 1,\n \"a\": 2}");
        assert_eq!(parsed.mistakes[0].what, "key \"a\" stands here a second time, first on line 1");
        assert_eq!(parsed.mistakes[0].at, Position { line: 2, column: 2 });
        let root = parsed.root.unwrap();
        assert!(matches!(&root.find(&["a"]).unwrap().value, Value::Number(n) if n == "1"));
    }

    #[test]
    fn mistakes_say_where() {
        let place = |text: &str| {
            let mistake = parse(text).mistakes.remove(0);
            (mistake.at.line, mistake.at.column, mistake.what)
        };
        assert_eq!(place("{\n \"a\": [1, 2"), (2, 7, "this [ is never closed".into()));
        assert_eq!(place("{\"a\": 1 \"b\": 2}"), (1, 8, "a comma is missing here".into()));
        assert_eq!(place("{a: 1}").2, "a key without quotes");
        assert_eq!(place(&"[".repeat(600)).2, "not JSON: maximum nesting depth exceeded");
        assert_eq!(place(&format!("{}1{}", "[".repeat(80), "]".repeat(80))).2, "nested deeper than 64 levels");
    }
}
