//! The settings, as `config.schema.json` describes them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Asked in this order; the first that is used up refuses.
    pub limits: Vec<LimitConfig>,
    /// What to do with a call that cannot be counted.
    #[serde(default)]
    pub on_store_error: OnStoreError,
    /// How a `tools/call` is refused.
    #[serde(default)]
    pub answer: Answer,
    /// Where the counts are.
    #[serde(default = "default_bucket")]
    pub bucket: String,
}

/// One limit.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// Named in refusals.
    pub name: String,
    /// What shares it.
    #[serde(default = "default_key")]
    pub key: Vec<String>,
    /// Globs.
    #[serde(default = "default_methods")]
    pub methods: Vec<String>,
    /// Globs.
    #[serde(default)]
    pub names: Vec<String>,
    /// Exactly one of these four.
    #[serde(default)]
    pub at_once: Option<u32>,
    /// Exactly one of these four.
    #[serde(default)]
    pub per_minute: Option<u64>,
    /// Exactly one of these four.
    #[serde(default)]
    pub per_hour: Option<u64>,
    /// Exactly one of these four.
    #[serde(default)]
    pub per_day: Option<u64>,
    /// The minute, hour or day up to now, not that of the clock.
    #[serde(default)]
    pub sliding: bool,
    /// What a minute, an hour or a day counts.
    #[serde(default)]
    pub of: Of,
    /// After how long a place is free again whatever happens.
    #[serde(default = "default_lease")]
    pub lease_s: u32,
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// Those that were let through.
    #[default]
    Calls,
    /// What clients get back, in KiB, begun ones counted.
    ResultKib,
    /// What servers take, in seconds, begun ones counted.
    UpstreamSeconds,
}

/// What to do with a call that cannot be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStoreError {
    /// It waits for better times.
    #[default]
    Refuse,
    /// It passes.
    Allow,
}

/// How a `tools/call` is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// As an error.
    #[default]
    Error,
    /// As a result that models can read.
    ToolResult,
}

fn default_bucket() -> String {
    "quota".to_string()
}

fn default_key() -> Vec<String> {
    alloc::vec!["principal".to_string()]
}

fn default_methods() -> Vec<String> {
    alloc::vec!["tools/call".to_string()]
}

fn default_lease() -> u32 {
    600
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_str, from_value, json};

    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: Value = from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = from_str(r#"{"limits":[{"name":"a"}]}"#).unwrap();
        let properties = &schema["properties"];
        assert_eq!(properties["bucket"]["default"], ours.bucket.as_str());
        assert_eq!(from_value::<OnStoreError>(properties["on_store_error"]["default"].clone()).unwrap(), ours.on_store_error);
        assert_eq!(from_value::<Answer>(properties["answer"]["default"].clone()).unwrap(), ours.answer);

        let limit = &properties["limits"]["items"]["properties"];
        assert_eq!(limit["key"]["default"], json!(ours.limits[0].key));
        assert_eq!(limit["methods"]["default"], json!(ours.limits[0].methods));
        assert_eq!(limit["names"]["default"], json!(ours.limits[0].names));
        assert_eq!(limit["sliding"]["default"], json!(ours.limits[0].sliding));
        assert_eq!(limit["lease_s"]["default"], json!(ours.limits[0].lease_s));
        assert_eq!(from_value::<Of>(limit["of"]["default"].clone()).unwrap(), ours.limits[0].of);
    }
}
