//! The file beside a plugin: `10-auth.toml` for `10-auth.wasm`.

use std::path::Path;

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
        let base = surroundings.directory().join(file.parent().unwrap_or(Path::new("")));
        let nothing = Inputs::default();
        let scope = Scope { surroundings, inputs: &nothing, builtin: Builtin::default() };
        let mut reader = Reader::new(file.display().to_string(), base, scope);
        let settings = load::tree(text, Some(file), &mut reader).and_then(|table| {
            let start = Position { line: 1, column: 1 };
            PluginSettings::read(&Node { at: start, value: Value::Table(table) }, &mut reader)
        });
        let report = reader.report.sorted();
        match settings {
            Some(settings) if report.problems.is_empty() => Ok(Sidecar { settings, warnings: report.warnings }),
            _ => Err(report),
        }
    }
}
