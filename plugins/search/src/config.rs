//! The settings, as `config.schema.json` describes them.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Globs of upstreams whose tools are found instead of listed.
    pub upstreams: Vec<String>,
    /// Globs of tools that stay listed.
    pub keep: Vec<String>,
    /// A list in which fewer would be hidden stays as it is.
    pub tools_min: usize,
    /// How many tools an answer describes.
    pub results: usize,
    /// Bytes of their descriptions and schemas.
    pub result_bytes_max: usize,
    /// Name of the tool that finds.
    pub search_tool: String,
    /// Name of the tool that calls.
    pub call_tool: String,
    /// Where meanings come from, besides words.
    pub embeddings: Option<Embeddings>,
}

/// A service that makes vectors of texts.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embeddings {
    /// Of the endpoint.
    pub url: String,
    /// Of its models.
    pub model: String,
    /// Name of the secret that is its bearer token.
    pub secret: Option<String>,
    /// Numbers of a vector.
    pub dimensions: Option<usize>,
    /// How long it may take.
    #[serde(default = "default_timeout")]
    pub timeout_ms: u32,
    /// Descriptions sent along with one question.
    #[serde(default = "default_texts")]
    pub texts_max: usize,
}

fn default_timeout() -> u32 {
    1500
}

fn default_texts() -> usize {
    24
}

impl Default for Config {
    fn default() -> Self {
        Config {
            upstreams: vec!["*".to_string()],
            keep: Vec::new(),
            tools_min: 20,
            results: 5,
            result_bytes_max: 32768,
            search_tool: "search_tools".to_string(),
            call_tool: "call_tool".to_string(),
            embeddings: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let default = |name: &str| schema["properties"][name]["default"].clone();
        let ours = Config::default();
        assert_eq!(default("upstreams"), serde_json::json!(ours.upstreams));
        assert_eq!(default("keep"), serde_json::json!(ours.keep));
        assert_eq!(default("search_tool"), ours.search_tool);
        assert_eq!(default("call_tool"), ours.call_tool);
        for (name, value) in [("tools_min", ours.tools_min), ("results", ours.results), ("result_bytes_max", ours.result_bytes_max)] {
            assert_eq!(default(name), value, "{name}");
        }
        let there: Embeddings = serde_json::from_str(r#"{"url":"https://e","model":"m"}"#).unwrap();
        let of = &schema["properties"]["embeddings"]["properties"];
        assert_eq!((&of["timeout_ms"]["default"], &of["texts_max"]["default"]), (&there.timeout_ms.into(), &there.texts_max.into()));
        assert!(serde_json::from_str::<Config>(r#"{"result":5}"#).is_err());
    }
}
