//! A plugin's settings against its schema: defaults filled in, then validated.

use jsonschema::{Draft, PatternOptions};
use serde_json::{Map, Value};

/// Schemas and settings nest no deeper than this where defaults are filled in.
const DEPTH_MAX: usize = 32;
/// Mistakes named in one message.
const MISTAKES_MAX: usize = 5;

/// The settings with defaults, or everything that is wrong with them in one line.
pub(crate) fn complete(schema: &str, config: &Value) -> Result<Value, String> {
    let schema: Value = serde_json::from_str(schema).map_err(|error| format!("its config-schema is not JSON: {error}"))?;
    let mut config = config.clone();
    if !config.is_object() {
        return Err("the plugin's settings are not a table".into());
    }
    fill(&schema, &schema, &mut config, 0);
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        // Linear time: the schema is the plugin's.
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map_err(|error| format!("its config-schema is not a JSON Schema this host can check: {}", line(&error.to_string())))?;
    let mistakes: Vec<_> = validator.iter_errors(&config).take(MISTAKES_MAX).map(|error| mistake(&error)).collect();
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes.join("; ")) }
}

fn mistake(error: &jsonschema::ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let place = place.trim_start_matches('/').replace('/', ".");
    let text = line(&error.to_string());
    if place.is_empty() { text } else { format!("{place}: {text}") }
}

fn line(text: &str) -> String {
    text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Put `default`s where a value is missing: in objects, in what is in them, and in items of arrays.
fn fill(root: &Value, schema: &Value, value: &mut Value, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    let schema = follow(root, schema);
    match value {
        Value::Object(object) => fill_object(root, schema, object, depth),
        Value::Array(items) => {
            if let Some(each) = schema.get("items") {
                items.iter_mut().for_each(|item| fill(root, each, item, depth + 1));
            }
        }
        _ => {}
    }
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        fill(root, part, value, depth + 1);
    }
}

fn fill_object(root: &Value, schema: &Value, object: &mut Map<String, Value>, depth: usize) {
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let property = follow(root, property);
        if let (false, Some(default)) = (object.contains_key(name), property.get("default")) {
            object.insert(name.clone(), default.clone());
        }
        if let Some(value) = object.get_mut(name) {
            fill(root, property, value, depth + 1);
        }
    }
    if let Some(each @ Value::Object(_)) = schema.get("additionalProperties") {
        let known = schema.get("properties").and_then(Value::as_object);
        for (name, value) in object.iter_mut() {
            if !known.is_some_and(|known| known.contains_key(name)) {
                fill(root, each, value, depth + 1);
            }
        }
    }
}

/// What a reference within the schema points to; anything else is itself.
fn follow<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SCHEMA: &str = r##"{
        "type": "object",
        "properties": {
            "limit": {"type": "integer", "minimum": 1, "default": 10},
            "by": {"enum": ["principal", "tenant"], "default": "principal"},
            "rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}, "default": [{"match": "*"}]}
        },
        "$defs": {"rule": {"type": "object", "properties": {"match": {"type": "string"}, "deny": {"default": true}}}},
        "additionalProperties": false
    }"##;

    #[test]
    fn defaults_go_where_nothing_is() {
        let full = complete(SCHEMA, &json!({"limit": 3, "rules": [{"deny": false}, {}]})).unwrap();
        assert_eq!(full, json!({"limit": 3, "by": "principal", "rules": [{"deny": false}, {"deny": true}]}));
        assert_eq!(complete(SCHEMA, &json!({})).unwrap()["rules"], json!([{"match": "*", "deny": true}]));
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let error = complete(SCHEMA, &json!({"limit": 0, "by": "x", "typo": 1})).unwrap_err();
        for part in ["limit: ", "by: ", "typo"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains('\n'));
    }

    #[test]
    fn nothing_is_fetched_and_nonsense_is_refused() {
        for bad in ["", "{", r#"{"type": 7}"#, r#"{"$ref": "https://example.com/schema.json"}"#, r#"{"$ref": "file:///etc/passwd"}"#] {
            assert!(complete(bad, &json!({})).is_err(), "{bad}");
        }
        // A schema that refers to itself without end.
        let endless = r##"{"properties": {"a": {"$ref": "#", "default": {}}}}"##;
        let _ = complete(endless, &json!({}));
        let looped = r##"{"$ref": "#"}"##;
        let _ = complete(looped, &json!({}));
    }
}
