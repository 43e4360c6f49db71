//! The settings, as `config.schema.json` describes them.

use alloc::string::String;
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where upstreams are.
    pub places: Vec<PlaceConfig>,
    /// Where the data of callers may go. The first that is about a caller counts.
    pub callers: Vec<CallerConfig>,
    /// What becomes of requests to an upstream that no place is about.
    #[serde(default)]
    pub unknown: Unknown,
}

/// Where some upstreams are.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceConfig {
    /// Globs.
    pub upstreams: Vec<String>,
    /// What is sent there may come to each of them.
    pub regions: Vec<String>,
}

/// Where the data of some callers may go.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerConfig {
    /// Globs, one of which the caller's tenant is.
    #[serde(default)]
    pub tenants: Option<Vec<String>>,
    /// Globs, one of which the caller is.
    #[serde(default)]
    pub subjects: Option<Vec<String>>,
    /// Globs.
    #[serde(default)]
    pub regions: Option<Vec<String>>,
    /// Whose values are regions.
    #[serde(default)]
    pub claim: Option<String>,
}

/// What becomes of requests to an upstream that no place is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// It may be anywhere.
    #[default]
    Refuse,
    /// The operator says that it does not matter.
    Allow,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str(r#"{"places":[],"callers":[]}"#).unwrap();
        let unknown = schema["properties"]["unknown"]["default"].clone();
        assert_eq!(serde_json::from_value::<Unknown>(unknown).unwrap(), ours.unknown);
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for bad in [
            r#"{}"#,
            r#"{"places":[]}"#,
            r#"{"places":[{"upstreams":["a"]}],"callers":[]}"#,
            r#"{"places":[],"callers":[{"region":["eu"]}]}"#,
            r#"{"places":[],"callers":[],"unknown":"hide"}"#,
        ] {
            assert!(serde_json::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
