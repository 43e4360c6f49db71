//! `fixture.json`, which both fixture servers read: what is listed, and every answer that never varies.

use std::{collections::BTreeMap, sync::LazyLock};

use rmcp::{
    ErrorData,
    model::{Prompt, Resource, ResourceTemplate, Tool},
};
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../fixture.json")).expect("fixture.json is part of this crate"));

static TOOLS: LazyLock<BTreeMap<String, Tool>> = LazyLock::new(|| tools().into_iter().map(|tool| (tool.name.to_string(), tool)).collect());

pub fn tools() -> Vec<Tool> {
    let mut all: Vec<Tool> = listed("tools");
    all.extend(listed::<Tool>("taskTools"));
    all
}

/// What a tool asks whose call is a task, as an object of embedded requests.
pub fn task_questions(tool: &str) -> Option<&'static Value> {
    DOCUMENT["taskQuestions"].get(tool)
}

pub fn tool(name: &str) -> Option<Tool> {
    TOOLS.get(name).cloned()
}

pub fn prompts() -> Vec<Prompt> {
    listed("prompts")
}

pub fn resources() -> Vec<Resource> {
    listed("resources")
}

pub fn resource_templates() -> Vec<ResourceTemplate> {
    listed("resourceTemplates")
}

/// The result that a tool gives whatever it is asked.
pub fn result(tool: &str) -> Option<&'static Value> {
    DOCUMENT["results"].get(tool)
}

/// The elicitation of a tool that tells what was answered.
pub fn question(tool: &str) -> Option<&'static Value> {
    DOCUMENT["questions"].get(tool)
}

/// The rounds of questions that a tool or prompt asks.
pub fn rounds(name: &str) -> Option<&'static Value> {
    DOCUMENT["rounds"].get(name)
}

/// What a resource holds: fixed, or made from the one template.
pub fn contents(uri: &str) -> Option<Value> {
    let fixed = DOCUMENT["contents"].get(uri).cloned();
    fixed.or_else(|| {
        let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
        let text = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")}).to_string();
        Some(json!({"contents": [{"uri": uri, "mimeType": "application/json", "text": text}]}))
    })
}

/// A prompt's messages with `{argument}` filled in.
pub fn messages(prompt: &str, arguments: &BTreeMap<String, String>) -> Option<Value> {
    let mut messages = DOCUMENT["messages"].get(prompt)?.clone();
    fill(&mut messages, arguments);
    Some(messages)
}

/// Reads a whole result, marked as one. The SDK takes the mark off again for a legacy client.
pub fn complete<T: serde::de::DeserializeOwned>(mut result: Value) -> Result<T, ErrorData> {
    result["resultType"] = json!("complete");
    typed(result)
}

/// Reads a value of the SDK's own types from the document.
pub fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

fn listed<T: serde::de::DeserializeOwned>(name: &str) -> Vec<T> {
    serde_json::from_value(DOCUMENT[name].clone()).expect("fixture.json lists what the SDK can read")
}

fn fill(value: &mut Value, arguments: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            for (name, argument) in arguments {
                *text = text.replace(&format!("{{{name}}}"), argument);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, arguments)),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, arguments)),
        _ => {}
    }
}
