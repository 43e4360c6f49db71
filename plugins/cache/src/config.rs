//! The settings, as `config.schema.json` describes them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What may be kept. The first that is about a request counts.
    pub rules: Vec<RuleConfig>,
    /// Tools after which nothing is true any more.
    #[serde(default)]
    pub writes: Vec<WriteConfig>,
    /// Globs of labels that keep an answer from being kept.
    #[serde(default = "default_unless_labels")]
    pub unless_labels: Vec<String>,
    /// Longer results are not kept.
    #[serde(default = "default_result_bytes_max")]
    pub result_bytes_max: u32,
    /// Of one caller, and of what is shared.
    #[serde(default = "default_entries_max")]
    pub entries_max: u32,
    /// Whether a kept answer says so.
    #[serde(default = "default_mark")]
    pub mark: bool,
}

/// What may be kept, and for how long.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Globs.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Globs.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Globs. None: all.
    #[serde(default)]
    pub upstreams: Vec<String>,
    /// At most so long.
    pub ttl_s: u32,
    /// A resource of which the server does not say how long.
    #[serde(default)]
    pub without_hint_s: u32,
    /// Who is answered with it.
    #[serde(default)]
    pub share: Share,
}

/// Who is answered with an answer that is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// The caller it was answered to.
    #[default]
    Principal,
    /// Everybody of the tenant.
    Tenant,
    /// Everybody.
    All,
}

/// Tools that change what their upstream knows.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteConfig {
    /// Globs.
    pub tools: Vec<String>,
    /// Globs. None: all.
    #[serde(default)]
    pub upstreams: Vec<String>,
}

fn default_unless_labels() -> Vec<String> {
    ["*.no-store", "bypassed.*", "guard.*"].map(|glob| glob.to_string()).to_vec()
}

fn default_result_bytes_max() -> u32 {
    32768
}

fn default_entries_max() -> u32 {
    256
}

fn default_mark() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_str, from_value, json};

    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: Value = from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = from_str(r#"{"rules":[{"ttl_s":1}]}"#).unwrap();
        let default = |name: &str| schema["properties"][name]["default"].clone();
        assert_eq!(default("writes"), json!([]));
        assert!(ours.writes.is_empty());
        assert_eq!(default("unless_labels"), json!(ours.unless_labels));
        assert_eq!(default("result_bytes_max"), json!(ours.result_bytes_max));
        assert_eq!(default("entries_max"), json!(ours.entries_max));
        assert_eq!(default("mark"), json!(ours.mark));
        let rule = &schema["properties"]["rules"]["items"]["properties"];
        assert_eq!(rule["without_hint_s"]["default"], json!(ours.rules[0].without_hint_s));
        assert_eq!(from_value::<Share>(rule["share"]["default"].clone()).unwrap(), ours.rules[0].share);
        assert_eq!(schema["$defs"]["texts"]["default"], json!(ours.rules[0].tools));
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for bad in [
            r#"{}"#,
            r#"{"rules":[{"tools":["a"]}]}"#,
            r#"{"rules":[{"ttl_s":-1}]}"#,
            r#"{"rules":[{"ttl_s":1,"share":"everyone"}]}"#,
            r#"{"rules":[{"ttl_s":1,"ttl":1}]}"#,
            r#"{"rules":[{"ttl_s":1}],"writes":[{}]}"#,
        ] {
            assert!(from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
