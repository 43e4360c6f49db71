//! TOML with the same keys.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Grafting, Parsed};
use crate::config::tree::{DEPTH_MAX, Entry, Node, Table, Value};

/// Mistakes after these many are mostly echoes of the first.
const MISTAKES_MAX: usize = 10;

pub(super) fn parse(text: &str) -> Parsed {
    let mut grafting = Grafting::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut broken = false;
    for error in errors.into_iter().take(MISTAKES_MAX) {
        let at = grafting.lines.at(error.span().map_or(0, |span| span.start));
        // A key twice leaves the rest of the tree as it was meant; other mistakes do not.
        broken |= error.message() != "duplicate key";
        let what = match error.message() {
            "duplicate key" => "this key stands here a second time".to_owned(),
            other => format!("not TOML: {other}"),
        };
        grafting.mistake(at, what);
    }
    let at = grafting.lines.at(0);
    let root = (!broken).then(|| Node { at, value: Value::Table(table(&mut grafting, document.into_inner(), 0)) });
    Parsed { root, mistakes: grafting.mistakes }
}

fn table(grafting: &mut Grafting, parsed: DeTable, depth: usize) -> Table {
    let mut pairs: Vec<_> = parsed.into_iter().collect();
    // The parser sorts by name; which server comes first in the file decides who keeps a clashing name.
    pairs.sort_by_key(|(key, _)| key.span().start);
    let mut table = Table::default();
    for (key, value) in pairs {
        let key_at = grafting.lines.at(key.span().start);
        if let Some(node) = graft(grafting, value, depth + 1) {
            grafting.add(&mut table, Entry { key: key.into_inner().into_owned(), key_at, node });
        }
    }
    table
}

fn graft(grafting: &mut Grafting, value: Spanned<DeValue>, depth: usize) -> Option<Node> {
    let at = grafting.lines.at(value.span().start);
    if depth > DEPTH_MAX {
        grafting.mistake(at, format!("nested deeper than {DEPTH_MAX} levels"));
        return None;
    }
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(flag) => Value::Bool(flag),
        // TOML has no null and dates mean nothing here: a date is the text it was written as.
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Float(float) => Value::Number(float.as_str().to_owned()),
        DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Number(number.to_string()),
            Err(_) => Value::Number(integer.to_string()),
        },
        DeValue::Array(array) => Value::List(array.into_iter().filter_map(|e| graft(grafting, e, depth + 1)).collect()),
        DeValue::Table(inner) => Value::Table(table(grafting, inner, depth)),
    };
    Some(Node { at, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::Position;

    #[test]
    fn the_order_is_that_of_the_file() {
        let parsed = parse("[mcpServers.zebra]\nurl = \"a\"\n[mcpServers.ant]\nurl = 'b'\n");
        let root = parsed.root.unwrap();
        let Value::Table(servers) = &root.find(&["mcpServers"]).unwrap().value else { panic!() };
        let names: Vec<_> = servers.iter().map(|e| (e.key.as_str(), e.key_at.line)).collect();
        assert_eq!(names, [("zebra", 1), ("ant", 3)]);
    }

    #[test]
    fn several_mistakes_are_shown_at_once() {
        let parsed = parse("a = 1\na = 2\nb = \nc = [1\n");
        let lines: Vec<_> = parsed.mistakes.iter().map(|m| m.at.line).collect();
        assert!(lines.contains(&2) && lines.contains(&3), "{:?}", parsed.mistakes);
        assert!(parsed.root.is_none());
    }

    #[test]
    fn a_key_twice_does_not_hide_the_rest() {
        let parsed = parse("a = 1\na = 2\n");
        assert_eq!(parsed.mistakes[0].at, Position { line: 2, column: 1 });
        assert!(parsed.root.is_some());
    }

    #[test]
    fn numbers_keep_their_value() {
        let root = parse("a = 0x10\nb = 1_000\nc = 1.5\n").root.unwrap();
        let number = |key: &str| match &root.find(&[key]).unwrap().value {
            Value::Number(n) => n.clone(),
            _ => panic!(),
        };
        assert_eq!((number("a"), number("b"), number("c")), ("16".into(), "1000".into(), "1.5".into()));
    }
}
