//! The SDKs and their templates, as this binary carries them: a project needs neither a clone nor a registry that has them, and gets
//! those of the contract that this very host speaks.

use super::language::Language;
use anyhow::{Context as _, Result};
use std::borrow::Cow;
use toml::{Table, Value};

include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// Below its folder in the sources of Sluice.
const TEMPLATE: &str = "template/";

/// The files of a language's template.
pub(super) fn template(language: Language) -> impl Iterator<Item = (String, &'static [u8])> {
    below(language).filter_map(|(path, bytes)| Some((path.strip_prefix(TEMPLATE)?.to_owned(), bytes)))
}

/// The files of a language's SDK.
pub(super) fn files(language: Language) -> Result<Vec<(&'static str, Cow<'static, [u8]>)>> {
    let files = below(language).filter(|(path, _)| !path.starts_with(TEMPLATE));
    let standalone = |(path, bytes): (&'static str, &'static [u8])| match (language, path) {
        (Language::Rust, "Cargo.toml") => Ok((path, manifest(bytes)?.into_bytes().into())),
        _ => Ok((path, Cow::from(bytes))),
    };
    files.map(standalone).collect()
}

fn below(language: Language) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().filter_map(move |(path, bytes)| {
        let path = path.strip_prefix(language.folder())?.strip_prefix('/')?;
        Some((path, *bytes))
    })
}

/// A manifest of our workspace as one that stands alone, as `cargo package` makes it: what it takes from the workspace is written out.
fn manifest(bytes: &[u8]) -> Result<String> {
    let read = |text: &str| text.parse::<Table>().context("a manifest of ours");
    let (mut manifest, workspace) = (read(std::str::from_utf8(bytes)?)?, read(WORKSPACE)?);
    manifest.remove("lints");
    inherit(&mut manifest, &workspace["workspace"]);
    Ok(toml::to_string(&manifest)?)
}

fn inherit(table: &mut Table, workspace: &Value) {
    for (section, value) in table.iter_mut() {
        let source = if section.ends_with("dependencies") { "dependencies" } else { section };
        let Value::Table(entries) = value else { continue };
        let is_inherited = |entry: &Value| entry.get("workspace").and_then(Value::as_bool) == Some(true);
        for (key, entry) in entries.iter_mut().filter(|(_, entry)| is_inherited(entry)) {
            if let Some(found) = workspace.get(source).and_then(|source| source.get(key)) {
                *entry = found.clone();
            }
        }
        // `[target.'cfg(…)'.dependencies]`
        if section == "target" {
            entries.iter_mut().filter_map(|(_, target)| target.as_table_mut()).for_each(|target| inherit(target, workspace));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_an_sdk_with_the_contract_and_a_template() {
        for language in Language::ALL {
            let files = files(language).unwrap();
            let contract = match language {
                Language::Rust | Language::Js => "wit/filter.wit",
                Language::Python => "src/sluice/wit/filter.wit",
                Language::C => "include/contract.h",
            };
            assert!(files.iter().any(|(path, _)| *path == contract), "{language:?}: no {contract}");
            assert!(files.iter().all(|(path, _)| !path.contains("node_modules") && !path.contains("__pycache__")));
            assert!(template(language).any(|(path, _)| path == "plugin.toml"), "{language:?}");
        }
    }

    #[test]
    fn the_rust_sdk_stands_alone() {
        let files = files(Language::Rust).unwrap();
        let (_, bytes) = files.iter().find(|(path, _)| *path == "Cargo.toml").unwrap();
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(!text.contains("workspace") && text.contains("edition = \"2024\"") && text.contains("hmac = "), "{text}");
    }
}
