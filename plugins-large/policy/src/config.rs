//! The settings, as `config.schema.json` describes them.

use std::collections::BTreeMap;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What decides.
    pub policies: Texts,
    /// What arguments are, as a Cedar schema.
    #[serde(default)]
    pub schema: Option<String>,
    /// The claim whose values are roles.
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
}

/// Policies in Cedar's own words: one text, or several with names.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(untagged)]
pub enum Texts {
    /// Goes by the name `policies`.
    One(String),
    /// In the order of their names; what they say does not depend on it.
    Named(BTreeMap<String, String>),
}

impl Texts {
    /// Name and text of each.
    pub fn iter(&self) -> Vec<(&str, &str)> {
        match self {
            Texts::One(text) => vec![("policies", text)],
            Texts::Named(texts) => texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect(),
        }
    }
}

fn default_role_claim() -> String {
    "role".to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config = serde_json::from_str(r#"{"policies":""}"#).unwrap();
        let default = |name: &str| schema["properties"][name].get("default").cloned();
        assert_eq!(default("role_claim"), Some(ours.role_claim.into()));
        assert_eq!((default("schema"), ours.schema), (None, None));
        assert_eq!(schema["required"], serde_json::json!(["policies"]));
        let mut ours: Vec<_> = ["policies", "schema", "role_claim"].into();
        ours.retain(|name| schema["properties"].get(name).is_none());
        assert!(ours.is_empty(), "not in the schema: {ours:?}");
    }

    #[test]
    fn one_text_or_several() {
        let read = |json: &str| serde_json::from_str::<Config>(json);
        assert_eq!(read(r#"{"policies":"a"}"#).unwrap().policies.iter(), [("policies", "a")]);
        assert_eq!(read(r#"{"policies":{"b":"x","a":"y"}}"#).unwrap().policies.iter(), [("a", "y"), ("b", "x")]);
        for bad in [r#"{}"#, r#"{"policies":["a"]}"#, r#"{"policies":{"a":1}}"#, r#"{"policies":"","default":"allow"}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
