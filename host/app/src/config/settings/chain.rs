//! The order of the filters, where the operator wants another than that of the directory.

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use sluice_registry::Reference;

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
    /// An `oci://` reference, or a URL with the digest of the file behind it.
    Fetched(Reference),
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
        if Reference::is_meant(&text) {
            return fetched(&text, node, reader).map(Link::Fetched);
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
            Link::Fetched(reference) => json!(reference.to_string()),
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

fn fetched(text: &str, node: &Node, reader: &mut Reader) -> Option<Reference> {
    match text.parse() {
        Ok(reference) => Some(reference),
        Err(error) => {
            reader.mismatch(node, "a reference of a plugin", Some(error.to_string()));
            None
        }
    }
}

fn named(name: &str, node: &Node, reader: &mut Reader) -> Option<String> {
    let fits = !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if !fits {
        let suggestion = "\"builtin:<name>\", the path of a .wasm file and oci://registry/repository:tag do as well".to_owned();
        reader.mismatch(node, "a name of a plugin", Some(suggestion));
    }
    fits.then(|| name.to_owned())
}
