//! The settings, as `config.schema.json` describes them.

use alloc::string::String;
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The first that is about an upstream counts.
    pub signers: Vec<SignerConfig>,
}

/// How requests to some upstreams are signed.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerConfig {
    /// Which.
    pub upstreams: Vec<String>,
    /// AWS's name of the service.
    pub service: String,
    /// AWS's name of the region.
    pub region: String,
    /// Whose key it is. No secret.
    pub access_key_id: String,
    /// The operator's secret of this name.
    pub secret_access_key: String,
    /// Of credentials that end: the operator's secret of this name.
    #[serde(default)]
    pub session_token: Option<String>,
    /// What stands behind the `?` of the upstream's URL.
    #[serde(default)]
    pub query: String,
    /// Whether the body is part of what is signed.
    #[serde(default)]
    pub payload: Payload,
}

/// Whether the body is part of what is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// It is.
    #[default]
    Signed,
    /// It is not, and the request says so. For services that want that.
    Unsigned,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let least = r#"{"upstreams":["a"],"service":"s","region":"r","access_key_id":"A","secret_access_key":"k"}"#;
        let ours: SignerConfig = serde_json::from_str(least).unwrap();
        let signer = &schema["properties"]["signers"]["items"];
        assert_eq!(signer["properties"]["query"]["default"], ours.query.as_str());
        assert_eq!(serde_json::from_value::<Payload>(signer["properties"]["payload"]["default"].clone()).unwrap(), ours.payload);
        assert!(ours.session_token.is_none() && signer["properties"]["session_token"].get("default").is_none());
        for required in signer["required"].as_array().unwrap() {
            let mut without: serde_json::Value = serde_json::from_str(least).unwrap();
            without.as_object_mut().unwrap().remove(required.as_str().unwrap()).unwrap();
            assert!(serde_json::from_value::<SignerConfig>(without).is_err(), "{required}");
        }
        assert!(serde_json::from_str::<SignerConfig>(&least.replace("service", "servcie")).is_err());
    }
}
