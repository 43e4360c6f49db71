//! The settings, as `config.schema.json` describes them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where no rule speaks.
    #[serde(default)]
    pub default: Effect,
    /// In no order.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
    /// The claim whose values are roles.
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// No.
    #[default]
    Deny,
    /// Yes, unless another says no.
    Allow,
}

/// One rule: whom and what it is about, in globs.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// What it says.
    pub effect: Effect,
    /// One of which the caller has.
    #[serde(default)]
    pub roles: Vec<String>,
    /// One of which the caller is.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// One of which is the caller's.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// By one of which the caller came.
    #[serde(default)]
    pub groups: Vec<String>,
    /// All of which the caller has.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Where it goes.
    #[serde(default)]
    pub upstreams: Vec<String>,
    /// Which tools.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Which prompts.
    #[serde(default)]
    pub prompts: Vec<String>,
    /// Which URIs and templates.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Which methods.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Of tools, only those that change nothing.
    #[serde(default)]
    pub read_only: bool,
}

fn default_role_claim() -> String {
    "role".to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str("{}").unwrap();
        let default = |name: &str| schema["properties"][name]["default"].clone();
        assert_eq!(serde_json::from_value::<Effect>(default("default")).unwrap(), ours.default);
        assert_eq!(default("rules").as_array().map(Vec::len), Some(ours.rules.len()));
        assert_eq!(default("role_claim"), ours.role_claim.as_str());
    }
}
