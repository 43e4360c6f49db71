//! What a model reads: the tools that were found, and what they answer.

use alloc::format;
use alloc::string::{String, ToString};

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use sluice_sdk::json::{self, Json};

use crate::config::Config;
use crate::definition::Listed;
use crate::text_result;

/// What a model needs of a definition. Icons, output schemas and whatever else there is stays behind.
#[derive(serde::Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow, rename = "inputSchema")]
    input_schema: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

/// A result with these tools: names, and what the host says of them, best first.
pub fn found<'n>(tools: impl Iterator<Item = (&'n str, String)>, all: usize, config: &Config) -> Json {
    let (mut described, mut named) = (String::new(), String::new());
    for (name, listed) in tools {
        let tool = Listed::read(&listed).and_then(|listed| shown(name, listed.definition.get())).unwrap_or_default();
        let fits = !tool.is_empty() && described.len() + tool.len() <= config.result_bytes_max;
        let (list, item) = if fits { (&mut described, tool) } else { (&mut named, json::string(name)) };
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&item);
    }
    let mut text = format!(r#"{{"tools":[{described}]"#);
    if !named.is_empty() {
        text.push_str(&format!(r#","tooLongToDescribe":[{named}]"#));
    }
    if described.is_empty() && named.is_empty() {
        text.push_str(&format!(r#","note":"none of {all} tools is about that; ask in other words""#));
    }
    text.push('}');
    text_result(&text)
}

fn shown(name: &str, definition: &str) -> Option<String> {
    let Shown { description, input_schema, annotations } = serde_json::from_str(definition).ok()?;
    let mut out = format!(r#"{{"name":{}"#, json::string(name));
    for (member, value) in [("description", description), ("inputSchema", input_schema), ("annotations", annotations)] {
        if let Some(value) = value {
            out.push_str(&format!(r#","{member}":{}"#, value.get()));
        }
    }
    out.push('}');
    Some(out)
}

#[derive(serde::Deserialize)]
struct Result {
    #[serde(rename = "resultType")]
    kind: Option<String>,
    #[serde(rename = "inputRequests")]
    asks: Option<IgnoredAny>,
}

/// The result of a tool as an answer of this plugin; none if the tool asks for something first. A server of an earlier revision does not say
/// that it is complete.
pub fn complete(result: Json) -> Option<Json> {
    let read: Result = serde_json::from_str(&result).ok()?;
    match read.kind.as_deref() {
        Some("complete") => Some(result),
        Some(_) => None,
        None if read.asks.is_some() => None,
        None => {
            let members = result.trim().strip_prefix('{')?.trim_start();
            let comma = if members == "}" { "" } else { "," };
            Some(r#"{"resultType":"complete""#.to_string() + comma + members)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(result: &str) -> serde_json::Value {
        let result: serde_json::Value = serde_json::from_str(result).unwrap();
        serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
    }

    fn listed(definition: &str) -> String {
        format!(r#"{{"upstream":"u","tool":"t","definition":{definition}}}"#)
    }

    #[test]
    fn tools_are_described_as_far_as_there_is_room() {
        let long = listed(&format!(r#"{{"description":"{}"}}"#, "é".repeat(2000)));
        let plain = listed(r#"{"name":"a","description":"d","icons":[1],"outputSchema":{},"inputSchema":{"type":"object"}}"#);
        let tools = [("a", plain.clone()), ("long", long), ("b\"", plain)];
        let config = Config { result_bytes_max: 1024, ..Config::default() };
        let said = text(&found(tools.iter().map(|(name, json)| (*name, json.clone())), 9, &config));
        let one = |name: &str| serde_json::json!({"name": name, "description": "d", "inputSchema": {"type": "object"}});
        assert_eq!(said, serde_json::json!({"tools": [one("a"), one("b\"")], "tooLongToDescribe": ["long"]}));
        let none = text(&found([].into_iter(), 9, &config));
        assert!(none["note"].as_str().unwrap().contains("none of 9 tools"), "{none}");
    }

    #[test]
    fn results_say_that_they_are_complete() {
        for (result, expected) in [
            (r#"{"content":[]}"#, Some(r#"{"resultType":"complete","content":[]}"#)),
            (r#" { } "#, Some(r#"{"resultType":"complete"}"#)),
            (r#"{"content":[],"resultType":"complete"}"#, Some(r#"{"content":[],"resultType":"complete"}"#)),
            (r#"{"resultType":"input_required","inputRequests":{}}"#, None),
            (r#"{"inputRequests":{}}"#, None),
            ("[]", None),
        ] {
            let said = complete(result.to_string());
            assert_eq!(said.as_deref(), expected, "{result}");
            assert!(said.is_none_or(|said| serde_json::from_str::<serde_json::Value>(&said).is_ok()), "{result}");
        }
    }
}
