//! The settings, as `config.schema.json` describes them.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `iss`.
    pub issuer: String,
    /// Who is told; the first that is about an upstream counts.
    pub gateways: Vec<GatewayConfig>,
    /// Where an assertion stands.
    #[serde(default = "default_header")]
    pub header: String,
    /// From `iat` to `exp`.
    #[serde(default = "default_lifetime")]
    pub lifetime_seconds: u64,
    /// Further claims that are told.
    #[serde(default)]
    pub claims: Vec<String>,
    /// Whose callers are told of; all, if none is named.
    #[serde(default)]
    pub authenticators: Vec<String>,
}

/// One gateway behind this one, or several that are one to callers.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Globs.
    pub upstreams: Vec<String>,
    /// `aud`.
    pub audience: String,
    /// Name of a granted secret.
    pub secret: String,
    /// How it signs.
    #[serde(default)]
    pub algorithm: Algorithm,
}

/// As JWS names them (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub enum Algorithm {
    /// A shared key.
    #[default]
    HS256,
    /// Ed25519.
    EdDSA,
}

fn default_header() -> String {
    "x-sluice-identity".to_string()
}

fn default_lifetime() -> u64 {
    30
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let gateway = r#"{"upstreams":["a"],"audience":"b","secret":"c"}"#;
        let ours: Config = serde_json::from_str(&alloc::format!(r#"{{"issuer":"i","gateways":[{gateway}]}}"#)).unwrap();
        let default = |name: &str| &schema["properties"][name]["default"];
        assert_eq!((default("header"), default("lifetime_seconds")), (&json!(ours.header), &json!(ours.lifetime_seconds)));
        assert_eq!((default("claims"), default("authenticators")), (&json!(ours.claims), &json!(ours.authenticators)));
        let algorithm = &schema["properties"]["gateways"]["items"]["properties"]["algorithm"]["default"];
        assert!(algorithm == "HS256" && ours.gateways[0].algorithm == Algorithm::HS256);
    }
}
