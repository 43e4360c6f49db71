//! The settings, as `config.schema.json` describes them.

use serde_json::Value;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is checked.
    #[serde(default)]
    pub tools: Vec<Definition>,
    /// Whether arguments are.
    #[serde(default = "yes")]
    pub arguments: bool,
    /// Whether structured results are.
    #[serde(default = "yes")]
    pub results: bool,
    /// What becomes of a tool with other schemas.
    #[serde(default)]
    pub on_change: Fate,
    /// What becomes of a tool without any here.
    #[serde(default)]
    pub on_new: Fate,
}

/// A tool as `tools/list` has it. Its other members are for people and models, and may be here.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// As it is listed.
    pub name: String,
    /// Of its arguments.
    pub input_schema: Value,
    /// Of its structured result.
    #[serde(default)]
    pub output_schema: Option<Value>,
}

/// What becomes of a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is neither listed nor called.
    #[default]
    Hide,
    /// It is.
    Keep,
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str("{}").unwrap();
        let default = |name: &str| schema["properties"][name]["default"].clone();
        let fate = |name: &str| serde_json::from_value::<Fate>(default(name)).unwrap();
        assert_eq!((default("arguments"), default("results")), (ours.arguments.into(), ours.results.into()));
        assert_eq!((fate("on_change"), fate("on_new")), (ours.on_change, ours.on_new));
        assert_eq!(default("tools").as_array().map(Vec::len), Some(ours.tools.len()));
        assert!(serde_json::from_str::<Config>(r#"{"argument":true}"#).is_err());
    }
}
