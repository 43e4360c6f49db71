//! The settings, as `config.schema.json` describes them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// All settings.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The keys that are known.
    pub keys: Vec<KeyConfig>,
    /// Where a key is found.
    #[serde(default = "default_header")]
    pub header: String,
    /// What keys begin with.
    #[serde(default)]
    pub prefix: String,
    /// Of the challenge.
    #[serde(default = "default_realm")]
    pub realm: String,
    /// Of the challenge.
    #[serde(default)]
    pub resource_metadata: Option<String>,
}

/// One key.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Names the key in logs.
    pub id: String,
    /// `sha256:` and hex.
    pub hash: String,
    /// Who this is; else the id.
    #[serde(default)]
    pub subject: Option<String>,
    /// Whose this is.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Claims named `role`.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What the key may be used for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// RFC 3339.
    #[serde(default)]
    pub expires: Option<String>,
}

fn default_header() -> String {
    "authorization".to_string()
}

fn default_realm() -> String {
    "sluice".to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str(r#"{"keys":[]}"#).unwrap();
        let default = |name: &str| schema["properties"][name]["default"].clone();
        assert_eq!(default("header"), ours.header.as_str());
        assert_eq!(default("prefix"), ours.prefix.as_str());
        assert_eq!(default("realm"), ours.realm.as_str());
    }
}
