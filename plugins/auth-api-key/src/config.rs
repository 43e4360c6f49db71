//! The settings, as `config.schema.json` describes them.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// All settings.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Keys that are written here.
    #[serde(default)]
    pub keys: Vec<KeyConfig>,
    /// What `sluice key` writes; the host reads it from there (`config_files`).
    #[serde(default)]
    pub key_file: Option<KeyFile>,
    /// The secret that the digests of the key file are keyed with.
    #[serde(default)]
    pub pepper: Option<String>,
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

/// A file of keys.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// Those in it. None yet: nobody is let in.
    #[serde(default)]
    pub keys: Vec<KeyConfig>,
}

/// One key.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Names the key in logs.
    pub id: String,
    /// `sha256:` or `hmac-sha256:`, and hex.
    pub hash: String,
    /// The one before it, until everybody has the new one.
    #[serde(default)]
    pub previous: Option<Previous>,
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
    /// Further claims.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// RFC 3339.
    #[serde(default)]
    pub not_before: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    pub expires: Option<String>,
    /// Known, and let in no more.
    #[serde(default)]
    pub disabled: bool,
    /// When it was made: for people.
    #[serde(default)]
    pub created: Option<String>,
    /// What it is for: for people.
    #[serde(default)]
    pub note: Option<String>,
}

/// The key that another has taken the place of.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// As that of a key.
    pub hash: String,
    /// RFC 3339. From then on it is not valid.
    pub until: String,
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
