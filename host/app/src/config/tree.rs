//! A configuration as written: values with their places, whatever the syntax was.

use std::collections::HashMap;

/// Levels that a file may nest. Ours needs six; a plugin's settings need a few more.
pub(crate) const DEPTH_MAX: usize = 64;

/// A character of the text; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// What was written. A number keeps its spelling, since JSON, TOML and YAML disagree on its range.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Table(Table),
}

impl Value {
    /// For messages: "must be a number, not …".
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Table(_) => "an object",
        }
    }
}

impl Node {
    /// Whether a text stands for itself. What a variable holds is not repeated in a message.
    pub(crate) fn is_literal(&self) -> bool {
        !matches!(&self.value, Value::Text(text) if text.contains("${"))
    }

    /// The value below these keys, if all of them are there.
    pub(crate) fn find(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| match &node.value {
            Value::Table(table) => table.get(key),
            _ => None,
        })
    }
}

/// One key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Position,
    pub(crate) node: Node,
}

/// Keys in the order of the file, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
}

impl Table {
    /// Adds a key, or answers where it already is: then the first one stays.
    pub(crate) fn add(&mut self, entry: Entry) -> Result<(), Position> {
        if let Some(first) = self.index.get(&entry.key) {
            return Err(self.entries[*first].key_at);
        }
        self.index.insert(entry.key.clone(), self.entries.len());
        self.entries.push(entry);
        Ok(())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.index.get(key).map(|place| &self.entries[*place].node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}
