//! The settings, as `config.schema.json` describes them.

use alloc::string::String;
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The first that is about a tool counts.
    pub rules: Vec<RuleConfig>,
}

/// What becomes of the results of some tools.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Of these names, as the client sees them.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Of these upstreams.
    #[serde(default)]
    pub upstreams: Vec<String>,
    /// What stays of data.
    #[serde(default)]
    pub select: Vec<String>,
    /// Of each array in data.
    #[serde(default)]
    pub items_max: Option<u32>,
    /// Of each text, and of each string in data.
    #[serde(default)]
    pub text_bytes_max: Option<u32>,
    /// Of content.
    #[serde(default)]
    pub blocks_max: Option<u32>,
    /// Of what is left.
    #[serde(default)]
    pub result_bytes_max: Option<u32>,
    /// Of the tools whose data is changed.
    #[serde(default)]
    pub output_schema: OutputSchema,
}

/// What becomes of a promise that is not kept any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputSchema {
    /// It is not given.
    #[default]
    Remove,
    /// The operator knows that it is kept.
    Keep,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: RuleConfig = serde_json::from_str("{}").unwrap();
        let rule = &schema["properties"]["rules"]["items"]["properties"];
        assert_eq!(serde_json::from_value::<OutputSchema>(rule["output_schema"]["default"].clone()).unwrap(), ours.output_schema);
        assert_eq!(schema["$defs"]["texts"]["default"], serde_json::json!([]));
        assert!(ours.tools.is_empty() && ours.upstreams.is_empty() && ours.select.is_empty());
        assert!(schema["$defs"]["max"].get("default").is_none() && ours.items_max.is_none() && ours.text_bytes_max.is_none());
        let named: Vec<_> = rule.as_object().unwrap().keys().collect();
        assert_eq!(named.len(), 8, "{named:?}");
    }

    #[test]
    fn unknown_settings_are_refused() {
        for bad in [r#"{}"#, r#"{"rules":[{"text_max":1}]}"#, r#"{"rules":[{"items_max":-1}]}"#, r#"{"rules":[{"output_schema":"drop"}]}"#]
        {
            assert!(serde_json::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
