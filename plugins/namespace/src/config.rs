//! The settings, as `config.schema.json` describes them.

use alloc::string::{String, ToString};

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which names get a prefix.
    #[serde(default)]
    pub prefix: Prefix,
    /// Between upstream and name.
    #[serde(default = "default_separator")]
    pub separator: String,
    /// How a name with its prefix is made.
    #[serde(default = "default_template")]
    pub template: String,
    /// Whether a name that has its prefix already gets no second one.
    #[serde(default)]
    pub prefix_once: bool,
    /// Longer names are cut.
    #[serde(default = "default_max_length")]
    pub max_length: usize,
}

/// Which names get a prefix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefix {
    /// All, if there are two or more upstreams.
    #[default]
    Auto,
    /// All.
    Always,
    /// Those that two upstreams have.
    OnConflict,
    /// None.
    Never,
}

fn default_separator() -> String {
    "_".to_string()
}

fn default_template() -> String {
    "{upstream}{separator}{name}".to_string()
}

fn default_max_length() -> usize {
    64
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
        let default = |name: &str| schema["properties"][name]["default"].clone();
        assert_eq!(from_value::<Prefix>(default("prefix")).unwrap(), ours.prefix);
        assert_eq!(default("separator"), ours.separator.as_str());
        assert_eq!(default("template"), ours.template.as_str());
        assert_eq!(default("prefix_once"), ours.prefix_once);
        assert_eq!(default("max_length"), json!(ours.max_length));
    }
}
