//! The settings, as `config.schema.json` describes them.

use alloc::string::String;
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Of one name, the first that is about an upstream counts.
    pub headers: Vec<HeaderConfig>,
}

/// A header for some upstreams.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderConfig {
    /// Which.
    pub upstreams: Vec<String>,
    /// The header's, in any case.
    pub name: String,
    /// What it says; or:
    #[serde(default)]
    pub value: Option<String>,
    /// The operator's secret of this name,
    #[serde(default)]
    pub secret: Option<String>,
    /// behind this text.
    #[serde(default)]
    pub prefix: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_are_refused() {
        let read = |text: &str| serde_json::from_str::<Config>(text);
        assert!(read(r#"{"headers":[{"upstreams":["a"],"name":"x","value":"1"}]}"#).is_ok());
        for bad in [
            "{}",
            r#"{"headers":[{"name":"x","value":"1"}]}"#,
            r#"{"headers":[{"upstreams":["a"],"value":"1"}]}"#,
            r#"{"headers":[{"upstreams":["a"],"name":"x","values":"1"}]}"#,
            r#"{"headers":[{"upstreams":"a","name":"x","value":"1"}]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
