//! The settings, as `config.schema.json` describes them.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::detectors;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Built-in detectors to run.
    #[serde(default = "default_detectors")]
    pub detectors: Vec<String>,
    /// Detectors of the operator's own.
    #[serde(default)]
    pub patterns: Vec<OwnPattern>,
    /// Which way.
    #[serde(default)]
    pub directions: Directions,
    /// What becomes of a hit.
    #[serde(default)]
    pub action: Action,
    /// Exceptions from `action`, by detector.
    #[serde(default)]
    pub actions: BTreeMap<String, Action>,
    /// What `replace` writes.
    #[serde(default = "default_replacement")]
    pub replacement: String,
    /// Key of `hash` and `token`.
    #[serde(default)]
    pub salt: Option<String>,
    /// Data that is none: globs over a whole find.
    #[serde(default)]
    pub allow: Vec<String>,
    /// How long a token can be turned back.
    #[serde(default = "default_token_ttl_s")]
    pub token_ttl_s: u32,
    /// How much may be kept for one principal in that time.
    #[serde(default = "default_tokens_per_principal")]
    pub tokens_per_principal: u32,
}

/// A detector of the operator's own.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnPattern {
    /// What replacements and refusals call it.
    pub name: String,
    /// What to look for.
    pub regex: String,
    /// Whether upper and lower case are the same.
    #[serde(default)]
    pub case_insensitive: bool,
    /// What a candidate must be besides.
    #[serde(default)]
    pub check: Check,
}

/// What a candidate must be besides matching.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Nothing.
    #[default]
    None,
    /// Its digits have the check digit of ISO/IEC 7812.
    Luhn,
}

/// Which messages are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Directions {
    /// What goes to the server.
    Request,
    /// What comes back.
    Response,
    /// Both.
    #[default]
    Both,
}

/// What becomes of a hit, from the mildest to the strictest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The last characters stay.
    Mask,
    /// The same data gives the same text.
    Hash,
    /// A text that is turned back, for the same principal, in what the same server answers.
    Token,
    /// A fixed text.
    #[default]
    Replace,
    /// The message does not pass.
    Refuse,
}

fn default_detectors() -> Vec<String> {
    detectors::ALL.iter().filter(|d| d.by_default).map(|d| d.name.to_string()).collect()
}

fn default_replacement() -> String {
    "[REDACTED:{name}]".to_string()
}

fn default_token_ttl_s() -> u32 {
    3600
}

fn default_tokens_per_principal() -> u32 {
    2000
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str("{}").unwrap();
        let properties = &schema["properties"];
        let default = |name: &str| properties[name]["default"].clone();
        assert_eq!(default("detectors"), serde_json::json!(ours.detectors));
        assert_eq!(default("replacement"), ours.replacement.as_str());
        assert_eq!(serde_json::from_value::<Action>(default("action")).unwrap(), ours.action);
        assert_eq!(serde_json::from_value::<Directions>(default("directions")).unwrap(), ours.directions);

        let named: Vec<_> = detectors::ALL.iter().map(|d| d.name).collect();
        assert_eq!(properties["detectors"]["items"]["enum"], serde_json::json!(named));
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(serde_json::from_str::<Config>(r#"{"detector":[]}"#).is_err());
        assert!(serde_json::from_str::<Config>(r#"{"action":"drop"}"#).is_err());
    }
}
