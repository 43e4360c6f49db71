//! The settings, as `config.schema.json` describes them.

use alloc::string::String;
use alloc::vec::Vec;

/// All settings.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Nothing is scored before.
    pub learn_s: u32,
    /// Nor before so many calls.
    pub learn_calls: u32,
    /// Of a call of a tool that is new to the caller.
    pub new_tool: u8,
    /// At most, for too many calls.
    pub volume: u8,
    /// At most, for an unusual order.
    pub sequence: u8,
    /// Globs of tools that are new to nobody.
    pub known: Vec<String>,
    /// How long a tool is new.
    pub fresh_s: u32,
    /// Calls are counted by.
    pub window_s: u32,
    /// Ends a sequence.
    pub gap_s: u32,
    /// Of what was learnt.
    pub half_life_s: u32,
    /// Written into the log from here on.
    pub alarm_at: u8,
    /// Refused from here on.
    pub refuse_at: Option<u8>,
    /// What becomes of a call that cannot be scored.
    pub on_store_error: OnStoreError,
}

/// What becomes of a call that cannot be scored, where calls are refused by their score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStoreError {
    /// It waits for better times.
    #[default]
    Refuse,
    /// It passes.
    Allow,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            learn_s: 259_200,
            learn_calls: 100,
            new_tool: 50,
            volume: 100,
            sequence: 100,
            known: Vec::new(),
            fresh_s: 3600,
            window_s: 300,
            gap_s: 600,
            half_life_s: 604_800,
            alarm_at: 50,
            refuse_at: None,
            on_store_error: OnStoreError::Refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_str, from_value, json};

    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: Value = from_str(include_str!("../config.schema.json")).unwrap();
        let ours = Config::default();
        let default = |name: &str| schema["properties"][name]["default"].clone();
        for (name, value) in [
            ("learn_s", json!(ours.learn_s)),
            ("learn_calls", json!(ours.learn_calls)),
            ("new_tool", json!(ours.new_tool)),
            ("volume", json!(ours.volume)),
            ("sequence", json!(ours.sequence)),
            ("known", json!(ours.known)),
            ("fresh_s", json!(ours.fresh_s)),
            ("window_s", json!(ours.window_s)),
            ("gap_s", json!(ours.gap_s)),
            ("half_life_s", json!(ours.half_life_s)),
            ("alarm_at", json!(ours.alarm_at)),
            ("refuse_at", json!(ours.refuse_at)),
        ] {
            assert_eq!(default(name), value, "{name}");
        }
        assert_eq!(from_value::<OnStoreError>(default("on_store_error")).unwrap(), ours.on_store_error);
        assert_eq!(schema["properties"].as_object().unwrap().len(), 13);
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for bad in [r#"{"learn":1}"#, r#"{"volume":300}"#, r#"{"refuse_at":-1}"#, r#"{"on_store_error":"skip"}"#] {
            assert!(from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
