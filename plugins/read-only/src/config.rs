//! The settings, as `config.schema.json` describes them.

use alloc::string::String;
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Upstreams whose annotations count.
    #[serde(default)]
    pub trust: Vec<String>,
    /// Tools that change nothing, whatever is said of them.
    #[serde(default)]
    pub allow: Vec<Tools>,
    /// Tools that are not shown, whatever is said of them.
    #[serde(default)]
    pub deny: Vec<Tools>,
}

/// Some tools, in globs.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// Of these upstreams.
    #[serde(default)]
    pub upstreams: Vec<String>,
    /// Of these names.
    #[serde(default)]
    pub tools: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str("{}").unwrap();
        assert!(ours.trust.is_empty() && ours.allow.is_empty() && ours.deny.is_empty());
        for definition in ["globs", "tools"] {
            assert_eq!(schema["$defs"][definition]["default"], serde_json::json!([]), "{definition}");
        }
        let named: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(named.len(), 3, "{named:?}");
    }

    #[test]
    fn unknown_settings_are_refused() {
        for bad in [r#"{"trusts":["a"]}"#, r#"{"allow":[{"tool":["a"]}]}"#, r#"{"trust":"a"}"#] {
            assert!(serde_json::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
