//! The file beside a plugin, `10-auth.toml` for `10-auth.wasm`, and the files that settings of one may name.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::expand::Scope;
use super::inputs::Inputs;
use super::load;
use super::problem::{Problem, Report};
use super::reader::Reader;
use super::setting::Setting;
use super::settings::PluginSettings;
use super::tree::{Node, Position, Value};
use super::{Builtin, Surroundings};

/// A plugin's settings from the file beside it: the keys of `sluice.plugins.settings.<name>`.
#[derive(Clone, Debug)]
pub struct Sidecar {
    /// What it says.
    pub settings: PluginSettings,
    /// What the operator should know all the same.
    pub warnings: Vec<Problem>,
}

impl Sidecar {
    /// Checks the text of `file`, which need not exist. A relative path in it starts at the file's own directory.
    pub fn read(text: &str, file: &Path, surroundings: &Surroundings) -> Result<Sidecar, Report> {
        let (settings, warnings) = whole(text, file, surroundings)?;
        Ok(Sidecar { settings, warnings })
    }
}

/// The text of a file that `config_files` names.
pub fn member(text: &str, file: &Path, surroundings: &Surroundings) -> Result<Map<String, Json>, Report> {
    whole(text, file, surroundings).map(|(member, _)| member)
}

/// A file that is one setting, and what the operator should know all the same.
fn whole<T: Setting>(text: &str, file: &Path, surroundings: &Surroundings) -> Result<(T, Vec<Problem>), Report> {
    let base = surroundings.directory().join(file.parent().unwrap_or(Path::new("")));
    let nothing = Inputs::default();
    let scope = Scope { surroundings, inputs: &nothing, builtin: Builtin::default() };
    let mut reader = Reader::new(file.display().to_string(), base, scope);
    let read = load::tree(text, Some(file), &mut reader).and_then(|table| {
        let start = Position { line: 1, column: 1 };
        T::read(&Node { at: start, value: Value::Table(table) }, &mut reader)
    });
    let report = reader.report.sorted();
    match read {
        Some(read) if report.problems.is_empty() => Ok((read, report.warnings)),
        _ => Err(report),
    }
}
