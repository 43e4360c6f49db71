//! A server that is a child process. There is no shell anywhere: a command and its arguments.

use std::path::{Path, PathBuf};

use super::values::{Inline, secret};
use crate::config::problem::quoted;
use crate::config::reader::Reader;
use crate::config::secret::{Secret, Text, looks_secret};
use crate::config::tree::{Node, Table, Value};

/// A child process.
#[derive(Clone, Debug, PartialEq)]
pub struct Stdio {
    /// The program: a name to be found in `PATH`, or an absolute path.
    pub command: Text,
    /// Its arguments.
    pub args: Vec<Text>,
    /// What its environment has besides the allowlist.
    pub env: Vec<(String, Secret)>,
    /// Where it runs; absent: where we were started.
    pub cwd: Option<PathBuf>,
}

pub(super) fn read(command: &Node, table: &Table, inline: &mut Inline, reader: &mut Reader) -> Option<Stdio> {
    let found = reader.report.problems.len();
    let cwd = table.get("cwd").and_then(|node| reader.below("cwd", |reader| directory(node, reader)));
    let env = table.get("env").map(|node| reader.below("env", |reader| variables(node, inline, reader)));
    let args = table.get("args").map(|node| reader.below("args", |reader| arguments(node, inline, reader)));
    let path = env.iter().flatten().find(|(name, _)| name == "PATH").map(|(_, value)| value.reveal());
    let path = path.or(reader.scope.surroundings.variable("PATH")).unwrap_or_default().to_owned();
    let command = reader.below("command", |reader| program(command, cwd.as_deref(), &path, reader));
    // Half a command line is not a command line.
    let whole = reader.report.problems.len() == found;
    whole.then_some(())?;
    Some(Stdio { command: command?, args: args.unwrap_or_default(), env: env.unwrap_or_default(), cwd })
}

fn directory(node: &Node, reader: &mut Reader) -> Option<PathBuf> {
    let text = reader.text(node)?;
    if no_path(text.value(), node, reader) {
        return None;
    }
    let path = reader.scope.surroundings.directory().join(text.value());
    if !path.is_dir() {
        reader.warn(node.at, format!("{}: there is no directory {text}", reader.path()), None);
    }
    Some(path)
}

fn arguments(node: &Node, inline: &mut Inline, reader: &mut Reader) -> Vec<Text> {
    let Some(items) = reader.list(node) else { return Vec::new() };
    let mut args = Vec::new();
    for (at, item) in items.iter().enumerate() {
        reader.below(&format!("[{at}]"), |reader| {
            if let Value::Text(written) = &item.value
                && looks_secret(written)
            {
                inline.note(item.at, "args", reader);
            }
            let Some(text) = super::loose(item, reader) else { return };
            if text.value().contains('\0') {
                reader.wrong(item.at, format!("{} holds a NUL, which no argument can", reader.path()), None);
            }
            args.push(text);
        });
    }
    args
}

fn variables(node: &Node, inline: &mut Inline, reader: &mut Reader) -> Vec<(String, Secret)> {
    let Some(table) = reader.table(node) else { return Vec::new() };
    let mut variables = Vec::new();
    for entry in table.iter() {
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            let what = format!("{} is no name of a variable", quoted(&entry.key));
            reader.wrong(entry.key_at, what, None);
            continue;
        }
        let value = reader.below(&entry.key, |reader| {
            let value = secret(entry, inline, reader)?;
            if value.reveal().contains('\0') {
                reader.wrong(entry.node.at, format!("{} holds a NUL, which no variable can", reader.path()), None);
                return None;
            }
            Some(value)
        });
        variables.extend(value.map(|value| (entry.key.clone(), value)));
    }
    variables
}

fn program(node: &Node, cwd: Option<&Path>, search: &str, reader: &mut Reader) -> Option<Text> {
    let text = reader.text(node)?;
    let command = text.value();
    if no_path(command, node, reader) {
        return None;
    }
    if command.starts_with('-') {
        reader.mismatch(node, "a program", Some("the first argument belongs in args".to_owned()));
        return None;
    }
    let start = cwd.unwrap_or(reader.scope.surroundings.directory());
    let path = command.contains('/').then(|| start.join(command));
    let found = match &path {
        Some(path) => path.is_file(),
        None => std::env::split_paths(search).any(|directory| directory.join(command).is_file()),
    };
    if found {
        // A relative program would be looked up after the change of directory, or before, by system.
        let absolute = path.and_then(|path| path.to_str().map(str::to_owned));
        return Some(absolute.map_or_else(|| text.clone(), |path| Text::new(&path, path.clone())));
    }
    if command.contains(SHELL) || command.contains(char::is_whitespace) {
        let what = format!("{}: there is no program {}", reader.path(), shown(&text));
        reader.wrong(node.at, what, Some(split(command, &text)));
        return None;
    }
    let where_to = if path.is_some() { "is not there" } else { "is not in PATH" };
    reader.warn(node.at, format!("{}: the program {} {where_to}", reader.path(), shown(&text)), None);
    Some(text)
}

/// What only a shell would read.
const SHELL: [char; 14] = ['|', '&', ';', '<', '>', '(', ')', '$', '`', '"', '\'', '*', '?', '\n'];

fn split(command: &str, text: &Text) -> String {
    if command.contains(SHELL) {
        return "no shell reads this; to have one, write \"command\": \"sh\", \"args\": [\"-c\", \"…\"]".to_owned();
    }
    let words: Vec<_> = command.split_whitespace().map(quoted).collect();
    match words.split_first() {
        // What came from a variable is not repeated.
        Some((first, rest)) if text.to_string() == command && !rest.is_empty() => {
            format!("write \"command\": {first}, \"args\": [{}]", rest.join(", "))
        }
        _ => "write the program under command and each argument under args".to_owned(),
    }
}

fn shown(text: &Text) -> String {
    quoted(&text.to_string())
}

/// Empty, with a NUL, or with a `~` that only a shell would read.
fn no_path(value: &str, node: &Node, reader: &mut Reader) -> bool {
    let home = value.strip_prefix("~/");
    if let Some(rest) = home {
        let suggestion = node.is_literal().then(|| format!("write {}", quoted(&format!("${{HOME}}/{rest}"))));
        reader.wrong(node.at, format!("{}: no shell reads the ~", reader.path()), suggestion);
    } else if value.is_empty() || value.contains('\0') {
        reader.mismatch(node, "a path or the name of a program", None);
    }
    home.is_some() || value.is_empty() || value.contains('\0')
}
