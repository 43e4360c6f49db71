//! The order of the filters, where the operator wants another than that of the directory.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::config::reader::Reader;
use crate::config::setting::Setting;
use crate::config::tree::Node;

/// One filter of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// `builtin:<name>`: embedded in the binary.
    Builtin(String),
    /// The path of a `.wasm` file.
    File(PathBuf),
    /// A plugin of the directory, by name: `10-auth` or `auth` for `10-auth.wasm`.
    Named(String),
}

impl Setting for Link {
    fn schema() -> Json {
        json!({"type": "string", "minLength": 1})
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Link> {
        let text = String::read(node, reader)?;
        if let Some(name) = text.strip_prefix("builtin:") {
            return builtin(name, node, reader).map(Link::Builtin);
        }
        if text.contains('/') || text.ends_with(".wasm") {
            return PathBuf::read(node, reader).map(Link::File);
        }
        named(&text, node, reader).map(Link::Named)
    }

    fn show(&self) -> Json {
        match self {
            Link::Builtin(name) => json!(format!("builtin:{name}")),
            Link::File(path) => json!(path.to_string_lossy()),
            Link::Named(name) => json!(name),
        }
    }
}

fn builtin(name: &str, node: &Node, reader: &mut Reader) -> Option<String> {
    let known = reader.scope.builtin.plugins;
    if known.contains(&name) {
        return Some(name.to_owned());
    }
    let suggestion = reader.scope.builtin.suggest(name, known);
    reader.mismatch(node, "a builtin plugin", Some(suggestion));
    None
}

fn named(name: &str, node: &Node, reader: &mut Reader) -> Option<String> {
    let fits = !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if !fits {
        let suggestion = "\"builtin:<name>\" and the path of a .wasm file do as well".to_owned();
        reader.mismatch(node, "a name of a plugin", Some(suggestion));
    }
    fits.then(|| name.to_owned())
}
