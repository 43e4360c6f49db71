//! A secret by reference: `env:NAME` or `file:PATH`.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::expand::{Scope, is_variable_name, not_set, pieces};
use super::inputs::Inputs;
use super::problem::{Report, Whose};
use super::reader::Reader;
use super::secret::{Secret, is_referred};
use super::setting::Setting;
use super::tree::{Node, Position, Value};
use super::{Builtin, Surroundings};

/// Nothing that is meant to be a secret is longer.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Under `sluice` a secret is a reference, or the start is refused.
impl Setting for Secret {
    fn schema() -> Json {
        json!({"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|\\$\\{.+\\})$"})
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Secret> {
        let Value::Text(written) = &node.value else {
            reader.mismatch(node, "\"env:NAME\" or \"file:PATH\"", None);
            return None;
        };
        if let Some(name) = written.strip_prefix("env:") {
            return by_variable(name, node, reader);
        }
        if let Some(path) = written.strip_prefix("file:") {
            let path = reader.expanded(path, node.at)?;
            let path = reader.base.join(path.value());
            return by_file(&path, node, reader);
        }
        let referred = pieces(written).is_ok_and(|pieces| pieces.len() == 1 && is_referred(&pieces));
        if referred {
            let text = reader.expanded(written, node.at)?;
            return filled(text.value().to_owned(), written, node, reader);
        }
        let path = reader.path();
        let variable = path.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let suggestion = format!("write \"env:{variable}\" and set that variable, or \"file:PATH\"");
        reader.wrong(node.at, format!("{path} holds an inline secret"), Some(suggestion));
        None
    }

    fn show(&self) -> Json {
        json!(self.origin())
    }
}

impl Secret {
    /// The secret of a reference outside a file of settings; `place` is what problems name. A relative path starts where we were started.
    pub fn by_reference(written: &str, place: &str, surroundings: &Surroundings) -> Result<Secret, Report> {
        let nothing = Inputs::default();
        let scope = Scope { surroundings, inputs: &nothing, builtin: Builtin::default() };
        let mut reader = Reader::new("the command line".to_owned(), surroundings.directory().to_owned(), scope);
        let node = Node { at: Position { line: 1, column: 1 }, value: Value::Text(written.to_owned()) };
        let read = reader.below(place, |reader| Secret::read(&node, reader));
        read.ok_or(reader.report)
    }
}

/// The variable of `env:NAME`.
pub(super) fn by_variable(name: &str, node: &Node, reader: &mut Reader) -> Option<Secret> {
    if !is_variable_name(name) {
        reader.mismatch(node, "\"env:NAME\" with the name of a variable", None);
        return None;
    }
    match reader.scope.surroundings.variable(name) {
        Some(value) => {
            let value = value.to_owned();
            filled(value, &format!("env:{name}"), node, reader)
        }
        None => {
            let mut missing = not_set(name);
            missing.suggestion = Some("set it before the start".to_owned());
            reader.missing(node.at, missing);
            None
        }
    }
}

/// The file of `file:PATH`, which nobody else may read.
fn by_file(path: &Path, node: &Node, reader: &mut Reader) -> Option<Secret> {
    let shown = path.display();
    let note = |reader: &mut Reader, what: String, suggestion: Option<String>| {
        let what = format!("{}: {what}", reader.path());
        reader.wrong_of(Whose::Disk, node.at, what, suggestion);
        None
    };
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) => return note(reader, format!("{shown} cannot be read: {error}"), None),
    };
    if !meta.is_file() || meta.len() > SECRET_BYTES_MAX {
        return note(reader, format!("{shown} is not a file of at most 64 KiB"), None);
    }
    if open_to_others(&meta) {
        let suggestion = format!("chmod 600 {shown}");
        return note(reader, format!("{shown} can be read by others"), Some(suggestion));
    }
    match std::fs::read_to_string(path) {
        // An editor ends the last line; no secret ends in a line break.
        Ok(text) => filled(text.trim_end_matches(['\r', '\n']).to_owned(), &format!("file:{shown}"), node, reader),
        Err(error) => note(reader, format!("{shown} cannot be read: {error}"), None),
    }
}

#[cfg(unix)]
fn open_to_others(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

fn filled(content: String, origin: &str, node: &Node, reader: &mut Reader) -> Option<Secret> {
    if content.is_empty() {
        let what = format!("{}: the secret {origin} is empty", reader.path());
        reader.wrong_of(Whose::Environment, node.at, what, None);
        return None;
    }
    Some(Secret::new(content, origin))
}
