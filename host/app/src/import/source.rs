//! The files of other systems, read as ours are: with the place of everything.

use std::path::{Path, PathBuf};

use super::Origin;
use crate::config::Surroundings;
use crate::config::load;
use crate::config::problem::{Place, Problem, Whose};
use crate::config::syntax::{Syntax, parse};
use crate::config::tree::{Entry, Node, Position, Table, Value};

/// A file, and what stands in it.
pub(super) struct File {
    /// As the operator named it.
    pub(super) shown: String,
    /// Where it is.
    pub(super) path: PathBuf,
    /// Empty where it is no object of JSON, YAML or TOML.
    pub(super) root: Table,
    /// Lines `NAME=VALUE`, where it is made of those.
    pub(super) lines: Vec<Entry>,
}

impl File {
    pub(super) fn read(shown: &Path, surroundings: &Surroundings) -> Result<File, Problem> {
        let path = surroundings.directory().join(shown);
        File::of(&load::text(&path, shown)?, shown.display().to_string(), path)
    }

    /// A text as if it stood there.
    pub(super) fn of(text: &str, shown: String, path: PathBuf) -> Result<File, Problem> {
        let (root, lines) = (Table::default(), Vec::new());
        let mut file = File { shown, path, root, lines };
        let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".env") {
            file.lines = lines_of(text);
            return Ok(file);
        }
        let syntax = Syntax::of(&file.path, text);
        // A secret that a composition mounts has no extension, and a catalog may have none either.
        let parsed = parse(text, syntax.unwrap_or(Syntax::Yaml));
        if let Some(mistake) = parsed.mistakes.into_iter().next() {
            let place = file.at(mistake.at);
            return Err(Problem { place, whose: Whose::Syntax, what: mistake.what, suggestion: mistake.suggestion });
        }
        match parsed.root {
            Some(Node { value: Value::Table(table), .. }) => file.root = table,
            Some(Node { value: Value::Text(_), .. }) if syntax.is_none() && text.contains('=') => file.lines = lines_of(text),
            Some(Node { value: Value::Null, .. }) | None => {}
            Some(node) => {
                let what = format!("the file must be an object, not {}", node.value.kind());
                return Err(Problem { place: file.at(node.at), whose: Whose::Syntax, what, suggestion: None });
            }
        }
        Ok(file)
    }

    pub(super) fn at(&self, at: Position) -> Place {
        Place::Text { file: self.shown.clone(), line: at.line, column: at.column }
    }

    pub(super) fn whole(&self) -> Place {
        Place::File(self.shown.clone())
    }

    /// Where relative paths in it start.
    pub(super) fn folder(&self) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("/")).to_owned()
    }
}

/// The variables of an `.env` file; what has no `=` is none.
fn lines_of(text: &str) -> Vec<Entry> {
    let numbered = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
    let set = numbered.filter(|(line, _)| !line.starts_with('#')).filter_map(|(line, number)| Some((line.split_once('=')?, number)));
    let entry = |((name, value), line): ((&str, &str), u32)| {
        let (key_at, at) = (Position { line, column: 1 }, Position { line, column: name.chars().count() as u32 + 2 });
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        Entry { key: name.to_owned(), key_at, node: Node { at, value: Value::Text(value.to_owned()) } }
    };
    set.map(entry).collect()
}

/// Whose file it looks like.
pub(super) fn system(file: &File) -> Option<Origin> {
    const FASTMCP: [&str; 7] = ["tools", "include_tags", "exclude_tags", "auth", "authentication", "keep_alive", "sse_read_timeout"];
    let root = &file.root;
    if let Some(services) = root.get("services") {
        let services = table(services).into_iter().flat_map(Table::iter);
        return services.filter_map(|service| super::compose::system(&service.key, &service.node)).next();
    }
    if let Some(source) = root.get("source") {
        return source.find(&["path"]).map(|_| Origin::Fastmcp);
    }
    if let Some(Value::Table(servers)) = root.get("mcpServers").map(|node| &node.value) {
        let is_fastmcp = servers.iter().any(|server| FASTMCP.iter().any(|key| server.node.find(&[key]).is_some()));
        return Some(if is_fastmcp { Origin::Fastmcp } else { Origin::McpProxy });
    }
    if root.get("registry").is_some() || root.get("image").is_some() || !file.lines.is_empty() {
        return Some(Origin::Docker);
    }
    // FastMCP takes servers without the key around them.
    let is_server = |entry: &Entry| ["command", "url"].iter().any(|key| entry.node.find(&[key]).is_some());
    root.iter().any(is_server).then_some(Origin::Fastmcp)
}

pub(super) fn table(node: &Node) -> Option<&Table> {
    match &node.value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

pub(super) fn list(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => &[],
    }
}

/// A text, or what is one in effect.
pub(super) fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

pub(super) fn text_at(node: &Node, key: &str) -> Option<String> {
    text(node.find(&[key])?)
}

pub(super) fn flag_at(node: &Node, key: &str) -> Option<bool> {
    match node.find(&[key])?.value {
        Value::Bool(flag) => Some(flag),
        _ => None,
    }
}
