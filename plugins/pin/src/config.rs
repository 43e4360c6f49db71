//! The settings, as `config.schema.json` describes them.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::ListKind;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is held against the pins.
    #[serde(default = "default_lists")]
    pub lists: Vec<List>,
    /// What becomes of an entry whose definition changed.
    #[serde(default)]
    pub on_change: Then,
    /// What becomes of an entry that has no pin.
    #[serde(default)]
    pub on_new: Then,
    /// By upstream, list and name.
    #[serde(default)]
    pub pins: BTreeMap<String, BTreeMap<List, BTreeMap<String, Pin>>>,
}

/// One of the four lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum List {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    ResourceTemplates,
}

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// It is neither listed nor callable.
    #[default]
    Hide,
    /// It stays, and the log says so.
    Keep,
}

/// What was approved, in hex digits of SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub enum Pin {
    /// One definition.
    One(String),
    /// Several: a server may define a tool otherwise for clients of another era.
    Any(Vec<String>),
}

impl Pin {
    /// The approved digests.
    pub fn digests(&self) -> &[String] {
        match self {
            Pin::One(digest) => core::slice::from_ref(digest),
            Pin::Any(digests) => digests,
        }
    }
}

impl From<ListKind> for List {
    fn from(kind: ListKind) -> Self {
        match kind {
            ListKind::Tools => List::Tools,
            ListKind::Prompts => List::Prompts,
            ListKind::Resources => List::Resources,
            ListKind::ResourceTemplates => List::ResourceTemplates,
        }
    }
}

impl List {
    /// Its name in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            List::Tools => "tools",
            List::Prompts => "prompts",
            List::Resources => "resources",
            List::ResourceTemplates => "resource-templates",
        }
    }
}

fn default_lists() -> Vec<List> {
    [List::Tools, List::Prompts].into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_str, from_value, json};

    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: Value = from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = from_str("{}").unwrap();
        let properties = &schema["properties"];
        assert_eq!(from_value::<Vec<List>>(properties["lists"]["default"].clone()).unwrap(), ours.lists);
        assert_eq!(from_value::<Then>(properties["on_change"]["default"].clone()).unwrap(), ours.on_change);
        assert_eq!(from_value::<Then>(properties["on_new"]["default"].clone()).unwrap(), ours.on_new);
        assert_eq!((&properties["pins"]["default"], ours.pins.len()), (&json!({}), 0));

        let named = [List::Tools, List::Prompts, List::Resources, List::ResourceTemplates].map(List::as_str);
        assert_eq!(properties["lists"]["items"]["enum"], json!(named));
        let places: Vec<_> = properties["pins"]["additionalProperties"]["properties"].as_object().unwrap().keys().collect();
        assert_eq!(places.len(), named.len());
        assert!(named.iter().all(|name| places.iter().any(|place| place == name)));
    }

    #[test]
    fn unknown_settings_are_refused() {
        for bad in [r#"{"on_change":"flag"}"#, r#"{"pin":{}}"#, r#"{"pins":{"git":{"tool":{}}}}"#, r#"{"pins":{"git":{"tools":{"a":1}}}}"#]
        {
            assert!(from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
