//! The settings, as `config.schema.json` describes them.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// All settings.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The first one that fits counts.
    pub rules: Vec<RuleConfig>,
    /// What a credential beside the certificate means.
    #[serde(default)]
    pub credentials: Credentials,
}

/// From a name to a principal.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// A kind and a pattern.
    pub name: String,
    /// Who this is.
    #[serde(default = "default_subject")]
    pub subject: String,
    /// Whose this is.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Claims named `role`.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What the caller may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Further claims.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
}

/// What a credential beside the certificate means.
#[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// It says more than the certificate does: the next authenticator is asked.
    #[default]
    Next,
    /// It is not looked at.
    Ignore,
}

fn default_subject() -> String {
    "{0}".to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str(r#"{"rules":[{"name":"DNS:a"}]}"#).unwrap();
        assert!(schema["properties"]["credentials"]["default"] == "next" && ours.credentials == Credentials::Next);
        assert_eq!(schema["properties"]["rules"]["items"]["properties"]["subject"]["default"], ours.rules[0].subject.as_str());
    }
}
