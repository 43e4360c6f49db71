//! The settings, as `config.schema.json` describes them.

use alloc::string::String;
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Of a call, the first that is about it counts.
    pub rules: Vec<RuleConfig>,
    /// How long an answer may take.
    #[serde(default = "default_expires")]
    pub expires_seconds: u32,
    /// Of the arguments, what is shown.
    #[serde(default = "default_arguments")]
    pub arguments_bytes_max: u32,
}

/// Tools that a person is asked about.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Of these names, as the client sees them.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Of these upstreams.
    #[serde(default)]
    pub upstreams: Vec<String>,
    /// What becomes of them.
    #[serde(default)]
    pub effect: Effect,
    /// How long a yes may be remembered for the very same call, if the person wants that; 0: not at all.
    #[serde(default)]
    pub remember_seconds: u32,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// A person is asked.
    #[default]
    Ask,
    /// It needs nobody's yes.
    Pass,
}

fn default_expires() -> u32 {
    300
}

fn default_arguments() -> u32 {
    4000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str(r#"{"rules":[{}]}"#).unwrap();
        let default = |name: &str| schema["properties"][name]["default"].clone();
        assert_eq!(
            (default("expires_seconds"), default("arguments_bytes_max")),
            (ours.expires_seconds.into(), ours.arguments_bytes_max.into())
        );
        let rule = &schema["properties"]["rules"]["items"]["properties"];
        assert_eq!(rule["remember_seconds"]["default"], ours.rules[0].remember_seconds);
        assert_eq!(serde_json::from_value::<Effect>(rule["effect"]["default"].clone()).unwrap(), ours.rules[0].effect);
        assert_eq!(schema["$defs"]["globs"]["default"], serde_json::json!([]));
        assert!(serde_json::from_str::<Config>(r#"{"rules":[{"tool":["a"]}]}"#).is_err() && serde_json::from_str::<Config>("{}").is_err());
    }
}
