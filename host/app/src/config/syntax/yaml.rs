//! YAML 1.2 with the same keys. Anchors, aliases and tags are refused: a few lines of them can
//! stand for gigabytes, and this file has no use for them.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{Grafting, Parsed};
use crate::config::problem::quoted;
use crate::config::tree::{DEPTH_MAX, Entry, Node, Position, Table, Value};

pub(super) fn parse(text: &str) -> Parsed {
    let mut growth = Growth { grafting: Grafting::of(text), open: Vec::new(), root: None, documents: 0 };
    for event in Parser::new_from_str(text) {
        let grown = event.map_err(Stop::from).and_then(|(event, span)| growth.grow(event, span));
        if let Err(Stop { at, what, suggestion }) = grown {
            growth.grafting.mistakes.push(super::Mistake { at, what, suggestion });
            return Parsed { root: None, mistakes: growth.grafting.mistakes };
        }
    }
    Parsed { root: growth.root, mistakes: growth.grafting.mistakes }
}

/// A mistake after which the rest of the text means nothing.
struct Stop {
    at: Position,
    what: String,
    suggestion: Option<String>,
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Stop {
        let at = position(error.marker());
        Stop { at, what: format!("not YAML: {}", error.info()), suggestion: None }
    }
}

/// A list or mapping whose end has not come yet.
enum Open {
    List { at: Position, items: Vec<Node> },
    Table { at: Position, table: Table, key: Option<(String, Position)> },
}

struct Growth<'t> {
    grafting: Grafting<'t>,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
}

impl Growth<'_> {
    fn grow(&mut self, event: Event, span: Span) -> Result<(), Stop> {
        let at = position(&span.start);
        let stop = |what: &str, suggestion: &str| Err(Stop { at, what: what.to_owned(), suggestion: Some(suggestion.to_owned()) });
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.documents == 0 => {
                self.documents = 1;
                Ok(())
            }
            Event::DocumentStart(_) => stop("a second YAML document", "one file is one document"),
            Event::Alias(_) => stop("a YAML alias", "write the value out"),
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                stop("a YAML tag", "leave it away; quotes make a text of anything")
            }
            Event::Scalar(text, style, _, None) => self.scalar(text.into_owned(), style, at),
            Event::SequenceStart(..) => self.enter(Open::List { at, items: Vec::new() }, at),
            Event::MappingStart(..) => self.enter(Open::Table { at, table: Table::default(), key: None }, at),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { at, items }) => self.put(Node { at, value: Value::List(items) }),
                Some(Open::Table { at, table, .. }) => self.put(Node { at, value: Value::Table(table) }),
                None => Ok(()),
            },
        }
    }

    fn enter(&mut self, open: Open, at: Position) -> Result<(), Stop> {
        if let Some(Open::Table { key: None, .. }) = self.open.last() {
            return Err(Stop { at, what: "a key that is not a text".to_owned(), suggestion: None });
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Stop { at, what: format!("nested deeper than {DEPTH_MAX} levels"), suggestion: None });
        }
        self.open.push(open);
        Ok(())
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, at: Position) -> Result<(), Stop> {
        if let Some(Open::Table { key: key @ None, .. }) = self.open.last_mut() {
            *key = Some((text, at));
            return Ok(());
        }
        let value = match style {
            ScalarStyle::Plain => plain(text),
            _ => Value::Text(text),
        };
        self.put(Node { at, value })
    }

    fn put(&mut self, node: Node) -> Result<(), Stop> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Table { table, key, .. }) => {
                if let Some((key, key_at)) = key.take() {
                    if key == "<<" {
                        let what = format!("{} merges, which only an alias could feed", quoted("<<"));
                        return Err(Stop { at: key_at, what, suggestion: Some("write the keys out".to_owned()) });
                    }
                    self.grafting.add(table, Entry { key, key_at, node });
                }
            }
        }
        Ok(())
    }
}

/// What an unquoted word means in the core schema of YAML 1.2: `no` and `on` are texts.
fn plain(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(&text).map_or(Value::Text(text), Value::Number),
    }
}

fn number(text: &str) -> Option<String> {
    let radix = |digits: &str, radix| u128::from_str_radix(digits, radix).ok().map(|n| n.to_string());
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts_like_one = unsigned.strip_prefix('.').unwrap_or(unsigned).starts_with(|c: char| c.is_ascii_digit());
    let is_one = starts_like_one && text.parse::<f64>().is_ok_and(f64::is_finite);
    is_one.then(|| text.strip_prefix('+').unwrap_or(text).to_owned())
}

fn position(marker: &saphyr_parser::Marker) -> Position {
    Position { line: marker.line().max(1) as u32, column: marker.col() as u32 + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_plain_words() {
        let root = parse("a:\n  b: [1, yes, 'true']\n  c: ~\n").root.unwrap();
        let b = root.find(&["a", "b"]).unwrap();
        assert_eq!(b.at, Position { line: 2, column: 6 });
        let Value::List(items) = &b.value else { panic!() };
        let kinds: Vec<_> = items.iter().map(|i| i.value.kind()).collect();
        assert_eq!(kinds, ["a number", "a text", "a text"]);
        assert_eq!(root.find(&["a", "c"]).unwrap().value.kind(), "null");
    }

    #[test]
    fn what_can_blow_up_is_refused() {
        let stop = |text: &str| parse(text).mistakes.remove(0).what;
        assert_eq!(stop("a: &x [1]\nb: *x\n"), "a YAML alias");
        assert_eq!(stop("a: !!python/object x\n"), "a YAML tag");
        assert_eq!(stop("a: 1\n---\nb: 2\n"), "a second YAML document");
        assert_eq!(stop(&"[".repeat(200)), "nested deeper than 64 levels");
        assert_eq!(stop("? [a]\n: b\n"), "a key that is not a text");
    }

    #[test]
    fn a_key_twice_is_a_mistake() {
        let mistake = parse("a: 1\na: 2\n").mistakes.remove(0);
        assert_eq!((mistake.at.line, mistake.at.column), (2, 1));
    }

    #[test]
    fn numbers_are_those_of_the_core_schema() {
        assert_eq!(number("0x1F"), Some("31".into()));
        assert_eq!(number("0o17"), Some("15".into()));
        assert_eq!(number("+12"), Some("12".into()));
        assert_eq!(number("1e3"), Some("1e3".into()));
        for text in ["1.2.3", "nan", "inf", "infinity", "-", ".", "0xzz", "12:30"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
