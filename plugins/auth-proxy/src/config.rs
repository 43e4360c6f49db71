//! The settings, as `config.schema.json` describes them.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// All settings.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where an assertion is found.
    #[serde(default = "default_header")]
    pub header: String,
    /// What we are called.
    pub audiences: Vec<String>,
    /// Who is believed.
    pub hops: Vec<HopConfig>,
    /// From `iat` to `exp`, at most.
    #[serde(default = "default_lifetime")]
    pub lifetime_seconds: u64,
    /// By how much clocks may differ.
    #[serde(default = "default_leeway")]
    pub leeway_seconds: u64,
    /// How often an assertion is good.
    #[serde(default)]
    pub replay: Replay,
    /// Of the challenge.
    #[serde(default = "default_realm")]
    pub realm: String,
}

/// One hop in front.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopConfig {
    /// `iss`.
    pub issuer: String,
    /// Names of secrets; HS256.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Ed25519, base64url; EdDSA.
    #[serde(default)]
    pub public_keys: Vec<String>,
    /// Globs of names in its own certificate.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Before its subjects.
    #[serde(default)]
    pub subject_prefix: String,
    /// Whose all its callers are.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Globs of the tenants that it may name.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Globs of the roles that it may give.
    #[serde(default = "all")]
    pub roles: Vec<String>,
    /// Globs of the scopes that it may give.
    #[serde(default = "all")]
    pub scopes: Vec<String>,
    /// Names of claims that are taken over.
    #[serde(default)]
    pub claims: Vec<String>,
}

/// How often an assertion is good.
#[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replay {
    /// As often as it is shown while it lives.
    #[default]
    Bounded,
    /// For one request.
    Once,
}

fn default_header() -> String {
    "x-sluice-identity".to_string()
}

fn default_lifetime() -> u64 {
    60
}

fn default_leeway() -> u64 {
    5
}

fn default_realm() -> String {
    "sluice".to_string()
}

fn all() -> Vec<String> {
    vec!["*".to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str(r#"{"audiences":["a"],"hops":[{"issuer":"e"}]}"#).unwrap();
        let default = |name: &str| &schema["properties"][name]["default"];
        assert_eq!(*default("header"), json!(ours.header));
        assert_eq!(*default("lifetime_seconds"), json!(ours.lifetime_seconds));
        assert_eq!(*default("leeway_seconds"), json!(ours.leeway_seconds));
        assert_eq!(*default("realm"), json!(ours.realm));
        assert!(*default("replay") == "bounded" && ours.replay == Replay::Bounded);
        let hop = &schema["properties"]["hops"]["items"]["properties"];
        assert_eq!((&hop["roles"]["default"], &hop["scopes"]["default"]), (&json!(ours.hops[0].roles), &json!(ours.hops[0].scopes)));
    }
}
