//! The settings, as `config.schema.json` describes them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::value::RawValue;

/// All settings.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// In the order of the list.
    pub tools: Vec<Tool>,
    /// Calls that one call of a tool may come to.
    #[serde(default = "default_calls")]
    pub calls_max: usize,
    /// Bytes of all results that it keeps, and of what it makes of them.
    #[serde(default = "default_bytes")]
    pub bytes_max: usize,
}

/// One tool.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// What clients call it.
    pub name: String,
    /// For people.
    pub title: Option<String>,
    /// For models.
    pub description: String,
    /// Hints.
    pub annotations: Option<Box<RawValue>>,
    /// What it takes.
    pub input_schema: Option<Box<RawValue>>,
    /// What it answers.
    pub output_schema: Option<Box<RawValue>>,
    /// One after the other.
    pub steps: Vec<Step>,
    /// Template of what it answers; without one it answers as its last step does.
    pub output: Option<Box<RawValue>>,
}

/// One call, or one for each item of a list.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What later steps call it.
    pub id: String,
    /// The operator's name of the server.
    pub upstream: String,
    /// The server's own name of the tool.
    pub tool: String,
    /// Template of an object.
    pub arguments: Option<Box<RawValue>>,
    /// All of these, or it is passed over.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// Pointer to a list.
    pub for_each: Option<String>,
    /// Items of that list.
    #[serde(default = "default_items")]
    pub items_max: usize,
    /// What a failure means.
    #[serde(default)]
    pub on_error: OnError,
    /// How long a call may take, if that is less than what is left of the hook's time.
    pub timeout_ms: Option<u32>,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The tool fails.
    #[default]
    Stop,
    /// It goes on, and the step has an `error`.
    Continue,
}

/// What has to hold of what stands at a pointer: one of these.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The pointer.
    pub value: String,
    /// Something other than `null` stands there, or not.
    pub exists: Option<bool>,
    /// It is this.
    pub equals: Option<Box<RawValue>>,
    /// It is not this, or nothing stands there.
    pub differs: Option<Box<RawValue>>,
    /// It is one of these.
    pub one_of: Option<Vec<Box<RawValue>>>,
}

fn default_calls() -> usize {
    32
}

fn default_bytes() -> usize {
    262_144
}

fn default_items() -> usize {
    10
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host fills in the schema's defaults; they must be ours.
    #[test]
    fn schema_and_code_agree() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
        let ours: Config =
            serde_json::from_str(r#"{"tools":[{"name":"a","description":"b","steps":[{"id":"s","upstream":"u","tool":"t"}]}]}"#).unwrap();
        assert_eq!(schema["properties"]["calls_max"]["default"], ours.calls_max);
        assert_eq!(schema["properties"]["bytes_max"]["default"], ours.bytes_max);
        let step = &schema["$defs"]["step"]["properties"];
        assert_eq!(step["items_max"]["default"], ours.tools[0].steps[0].items_max);
        assert_eq!((step["on_error"]["default"].as_str(), ours.tools[0].steps[0].on_error), (Some("stop"), OnError::Stop));
    }
}
