//! Text ⇒ tree, in three syntaxes. Each reader goes on after a mistake where its parser can.

mod json;
mod toml;
mod yaml;

use std::cell::Cell;
use std::path::Path;

use super::tree::{Entry, Node, Position, Table};

/// Larger files are refused unread; a long one has a few thousand lines.
pub(super) const TEXT_BYTES_MAX: u64 = 1 << 20;

const START: Position = Position { line: 1, column: 1 };

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    Json,
    Toml,
    Yaml,
}

impl Syntax {
    /// By the file's extension; without a known one, by its first character.
    pub(crate) fn of(file: &Path, text: &str) -> Option<Syntax> {
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "json" | "jsonc" => Some(Syntax::Json),
            "toml" => Some(Syntax::Toml),
            "yaml" | "yml" => Some(Syntax::Yaml),
            _ if text.trim_start_matches('\u{feff}').trim_start().starts_with('{') => Some(Syntax::Json),
            _ => None,
        }
    }
}

/// A mistake in the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) at: Position,
    pub(crate) what: String,
    pub(crate) suggestion: Option<String>,
}

/// What came out: mistakes do not mean that there is no tree.
pub(crate) struct Parsed {
    pub(crate) root: Option<Node>,
    pub(crate) mistakes: Vec<Mistake>,
}

/// Reads the text. Never panics and never nests deeper than `DEPTH_MAX`.
pub(crate) fn parse(text: &str, syntax: Syntax) -> Parsed {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match syntax {
        Syntax::Json => json::parse(text),
        Syntax::Toml => toml::parse(text),
        Syntax::Yaml => yaml::parse(text),
    }
}

/// Turns byte offsets into places. Asked from front to back, as a tree is walked, it looks at each
/// character once, however long a line is.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    /// The last answer, and the offset that it was for.
    last: Cell<(usize, Position)>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Lines<'t> {
        let after_breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Lines { text, starts: std::iter::once(0).chain(after_breaks).collect(), last: Cell::new((0, START)) }
    }

    fn at(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let (from, before) = match self.last.get() {
            (at, last) if last.line == line as u32 && at <= offset => (at, last.column - 1),
            _ => (self.starts[line - 1], 0),
        };
        let passed = self.text.get(from..offset).map_or(0, |text| text.chars().count());
        let position = Position { line: line as u32, column: before + passed as u32 + 1 };
        self.last.set((offset, position));
        position
    }
}

/// Collects mistakes while a parser's own tree becomes ours.
struct Grafting<'t> {
    lines: Lines<'t>,
    mistakes: Vec<Mistake>,
}

impl<'t> Grafting<'t> {
    fn of(text: &'t str) -> Grafting<'t> {
        Grafting { lines: Lines::of(text), mistakes: Vec::new() }
    }

    fn mistake(&mut self, at: Position, what: impl Into<String>) {
        self.mistakes.push(Mistake { at, what: what.into(), suggestion: None });
    }

    /// A key twice means one thing to us and another to the client that reads the same file.
    fn add(&mut self, table: &mut Table, entry: Entry) {
        let (key, at) = (entry.key.clone(), entry.key_at);
        if let Err(first) = table.add(entry) {
            self.mistake(at, duplicate(&key, first));
        }
    }
}

fn duplicate(key: &str, first: Position) -> String {
    format!("key {} stands here a second time, first on line {}", super::problem::quoted(key), first.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_characters() {
        let lines = Lines::of("ab\nçd\n");
        assert_eq!(lines.at(0), Position { line: 1, column: 1 });
        assert_eq!(lines.at(3), Position { line: 2, column: 1 });
        assert_eq!(lines.at(5), Position { line: 2, column: 2 });
        assert_eq!(lines.at(99), Position { line: 3, column: 1 });
        for offset in [6, 5, 2, 0, 1] {
            assert_eq!(lines.at(offset), Lines::of("ab\nçd\n").at(offset), "{offset}");
        }
    }

    #[test]
    fn a_syntax_is_known_by_its_extension() {
        assert_eq!(Syntax::of(Path::new("a.JSON"), ""), Some(Syntax::Json));
        assert_eq!(Syntax::of(Path::new("a.yml"), "{"), Some(Syntax::Yaml));
        assert_eq!(Syntax::of(Path::new("mcp"), "\u{feff} {"), Some(Syntax::Json));
        assert_eq!(Syntax::of(Path::new("mcp.conf"), "a = 1"), None);
    }
}
