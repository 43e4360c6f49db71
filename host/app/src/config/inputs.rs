//! VS Code's `inputs`: values that its user is asked for. We have nobody to ask, so the
//! environment answers.

use std::collections::BTreeMap;

use super::expand::{Missing, not_set};
use super::problem::{Whose, quoted};
use super::reader::Reader;
use super::surroundings::Surroundings;
use super::tree::{Node, Value};

/// The declared inputs with their defaults.
#[derive(Clone, Default)]
pub(super) struct Inputs {
    defaults: BTreeMap<String, Option<String>>,
}

impl Inputs {
    /// Reads the list. What a client needs only for its prompt is not looked at.
    pub(super) fn read(node: &Node, reader: &mut Reader) -> Inputs {
        let mut inputs = Inputs::default();
        let mut keys: BTreeMap<String, String> = BTreeMap::new();
        for item in reader.list(node).unwrap_or_default() {
            let Some(id) = text_at(item, "id") else {
                reader.wrong(item.at, "an input without an id", None);
                continue;
            };
            if let Some(other) = keys.insert(variable(&id), id.clone()) {
                let what = format!("inputs {} and {} both read {}", quoted(&other), quoted(&id), variable(&id));
                reader.wrong(item.at, what, Some("give one of them another id".to_owned()));
            }
            inputs.defaults.insert(id, text_at(item, "default"));
        }
        inputs
    }

    /// From `SLUICE_INPUT_<ID>`, else the declared default.
    pub(super) fn value(&self, id: &str, surroundings: &Surroundings) -> Result<String, Missing> {
        let name = variable(id);
        let default = self.defaults.get(id).cloned().flatten();
        if let Some(value) = surroundings.variable(&name).map(str::to_owned).or(default) {
            return Ok(value);
        }
        let missing = not_set(&name);
        if self.defaults.contains_key(id) {
            let what = format!("input {} has no value: {}", quoted(id), missing.what);
            return Err(Missing { whose: Whose::Environment, what, suggestion: Some("set it".to_owned()) });
        }
        let what = format!("input {} is not declared under inputs, and {name} is not set", quoted(id));
        Err(Missing { whose: Whose::Environment, what, suggestion: Some(format!("set {name}")) })
    }
}

/// `github-token` is read from `SLUICE_INPUT_GITHUB_TOKEN`.
fn variable(id: &str) -> String {
    let upper = id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    format!("SLUICE_INPUT_{}", upper.collect::<String>())
}

fn text_at(item: &Node, key: &str) -> Option<String> {
    match &item.find(&[key])?.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}
