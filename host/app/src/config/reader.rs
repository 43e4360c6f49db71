//! Walks a tree and keeps what is wrong with it. Reading goes on after each mistake: a value that
//! cannot be read is left at its default, and the operator sees everything in one run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::expand::{Missing, Piece, Scope, pieces};
use super::inputs::Inputs;
use super::problem::{Place, Problem, Report, Whose, nearest, quoted};
use super::secret::{Text, looks_secret};
use super::tree::{Entry, Node, Position, Table, Value};

/// One walk over one file.
pub(super) struct Reader<'a> {
    file: String,
    /// Where relative paths start: the directory of the file.
    pub(super) base: PathBuf,
    pub(super) scope: Scope<'a>,
    /// Which part of the file we are in.
    pub(super) whose: Whose,
    trail: Vec<String>,
    warned: BTreeSet<String>,
    pub(super) report: Report,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: String, base: PathBuf, scope: Scope<'a>) -> Reader<'a> {
        let (trail, warned, report) = Default::default();
        Reader { file, base, scope, whose: Whose::Setting, trail, warned, report }
    }

    /// The same walk, now that the inputs are known.
    pub(super) fn with_inputs<'b>(self, inputs: &'b Inputs) -> Reader<'b>
    where
        'a: 'b,
    {
        Reader { scope: Scope { inputs, ..self.scope }, ..self }
    }

    // === where we are ===

    pub(super) fn place(&self, at: Position) -> Place {
        Place::Text { file: self.file.clone(), line: at.line, column: at.column }
    }

    /// Reads below a key.
    pub(super) fn below<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '[' | ']'));
        self.trail.push(if plain && !key.is_empty() { key.to_owned() } else { quoted(key) });
        let value = read(self);
        self.trail.pop();
        value
    }

    /// `sluice.limits.call_timeout_ms`, `sluice.allowed_hosts[1]`.
    pub(super) fn path(&self) -> String {
        self.trail.join(".").replace(".[", "[")
    }

    // === what is wrong ===

    pub(super) fn wrong(&mut self, at: Position, what: impl Into<String>, suggestion: Option<String>) {
        self.wrong_of(self.whose, at, what, suggestion);
    }

    pub(super) fn wrong_of(&mut self, whose: Whose, at: Position, what: impl Into<String>, suggestion: Option<String>) {
        let place = self.place(at);
        self.report.problems.push(Problem { place, whose, what: what.into(), suggestion });
    }

    pub(super) fn warn(&mut self, at: Position, what: impl Into<String>, suggestion: Option<String>) {
        let place = self.place(at);
        self.report.warnings.push(Problem { place, whose: self.whose, what: what.into(), suggestion });
    }

    /// Warns unless this very thing was warned about before.
    pub(super) fn warn_once(&mut self, topic: &str, at: Position, what: impl Into<String>, suggestion: Option<String>) {
        if self.warned.insert(topic.to_owned()) {
            self.warn(at, what, suggestion);
        }
    }

    /// "sluice.listen must be …, not …".
    pub(super) fn mismatch(&mut self, node: &Node, wanted: &str, suggestion: Option<String>) {
        let what = match (&node.value, self.path()) {
            (Value::Text(text), path) if !looks_secret(text) => format!("{path} must be {wanted}, not {}", quoted(text)),
            (Value::Number(number), path) => format!("{path} must be {wanted}, not {number}"),
            (value, path) => format!("{path} must be {wanted}, not {}", value.kind()),
        };
        self.wrong(node.at, what, suggestion);
    }

    pub(super) fn unknown_key(&mut self, entry: &Entry, known: &[&str]) {
        let under = match self.path() {
            path if path.is_empty() => String::new(),
            path => format!(" under {path}"),
        };
        let suggestion = match nearest(&entry.key, known.iter().copied()) {
            Some(word) => format!("did you mean {}?", quoted(word)),
            None => format!("known are {}", known.join(", ")),
        };
        self.wrong(entry.key_at, format!("unknown key {}{under}", quoted(&entry.key)), Some(suggestion));
    }

    // === what is there ===

    pub(super) fn table<'n>(&mut self, node: &'n Node) -> Option<&'n Table> {
        match &node.value {
            Value::Table(table) => Some(table),
            _ => {
                self.mismatch(node, "an object", None);
                None
            }
        }
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            Value::Text(text) if !looks_secret(text) => {
                self.mismatch(node, "a list", Some(format!("write [{}]", quoted(text))));
                None
            }
            _ => {
                self.mismatch(node, "a list", None);
                None
            }
        }
    }

    pub(super) fn flag(&mut self, node: &Node) -> Option<bool> {
        if let Value::Bool(flag) = node.value {
            return Some(flag);
        }
        let meant = match &node.value {
            Value::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some("write true, without quotes"),
                "false" | "no" | "off" => Some("write false, without quotes"),
                _ => None,
            },
            _ => None,
        };
        self.mismatch(node, "true or false", meant.map(str::to_owned));
        None
    }

    /// A text with its references filled in.
    pub(super) fn text(&mut self, node: &Node) -> Option<Text> {
        let Value::Text(written) = &node.value else {
            let quotes = matches!(node.value, Value::Number(_) | Value::Bool(_));
            self.mismatch(node, "a text", quotes.then(|| "put it in quotes".to_owned()));
            return None;
        };
        if self.whose == Whose::Setting && looks_secret(written) {
            let what = format!("{} holds what looks like a secret", self.path());
            self.wrong(node.at, what, Some("keep it in the environment and write ${NAME}".to_owned()));
            return None;
        }
        self.expanded(written, node.at)
    }

    /// Fills the references of a written text in; each one without a value is a problem.
    pub(super) fn expanded(&mut self, written: &str, at: Position) -> Option<Text> {
        let pieces = match pieces(written) {
            Ok(pieces) => pieces,
            Err(missing) => {
                self.missing(at, missing);
                return None;
            }
        };
        let mut value = String::new();
        let mut whole = true;
        for piece in pieces {
            match piece {
                Piece::Literal(text) => value.push_str(&text),
                Piece::Reference(reference) => match self.scope.value(&reference) {
                    Ok(text) => value.push_str(&text),
                    Err(missing) => {
                        self.missing(at, missing);
                        whole = false;
                    }
                },
            }
        }
        whole.then(|| Text::new(written, value))
    }

    pub(super) fn missing(&mut self, at: Position, missing: Missing) {
        let whose = match missing.whose {
            Whose::Setting => self.whose,
            other => other,
        };
        let what = match self.path() {
            path if path.is_empty() => missing.what,
            path => format!("{path}: {}", missing.what),
        };
        self.wrong_of(whose, at, what, missing.suggestion);
    }
}
