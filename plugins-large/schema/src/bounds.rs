//! Which schemas are read at all. Servers write them, and operators paste them, so what they may ask for is little: their own parts, in a few
//! dialects.

use serde_json::Value;

use crate::work::{Work, resolve};

/// Most values in one.
const NODES_MAX: usize = 4_000;
/// Most levels of one.
const LEVELS_MAX: usize = 40;
/// Most regular expressions in one: each is compiled.
const PATTERNS_MAX: usize = 50;
/// Most bytes of a regular expression.
const PATTERN_BYTES_MAX: usize = 1_000;

/// `$schema` of the dialects that are read. Without one it is the first (2025-11-25 and later, basic: JSON Schema usage).
const DIALECTS: [&str; 4] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft-07/schema",
];

/// Members whose values are data, whatever they look like.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "example"];

/// Says what is wrong with a schema, for its author.
pub fn check(schema: &Value) -> Result<(), String> {
    if let Some(dialect) = schema.get("$schema") {
        let is_known = dialect.as_str().is_some_and(|dialect| DIALECTS.contains(&dialect.trim_end_matches('#')));
        if !is_known {
            return Err("its `$schema` is none of draft 2020-12, 2019-09 and 07".to_string());
        }
    }
    let (mut left, mut nodes, mut patterns) = (vec![(schema, 1, false)], 0, 0);
    while let Some((value, level, is_data)) = left.pop() {
        nodes += 1;
        if nodes > NODES_MAX {
            return Err(format!("it has more than {NODES_MAX} values"));
        }
        if level > LEVELS_MAX {
            return Err(format!("it goes deeper than {LEVELS_MAX} levels"));
        }
        match value {
            Value::Array(items) => left.extend(items.iter().map(|item| (item, level + 1, is_data))),
            Value::Object(members) => {
                for (name, member) in members {
                    if !is_data {
                        patterns += keyword(schema, name, member, level)?;
                    }
                    left.push((member, level + 1, is_data || DATA.contains(&name.as_str())));
                }
            }
            _ => {}
        }
        if patterns > PATTERNS_MAX {
            return Err(format!("it has more than {PATTERNS_MAX} patterns"));
        }
    }
    Work::check(schema, None).map(|_| ()).map_err(|_| "its references lead to one another without end, or to too many".to_string())
}

/// One member; says how many patterns it has. What is a name of the author's, not a keyword, has a schema for its value and not a text.
fn keyword(root: &Value, name: &str, value: &Value, level: usize) -> Result<usize, String> {
    let pattern = |text: &str| match text.len() {
        0..=PATTERN_BYTES_MAX => Ok(1),
        _ => Err(format!("a pattern of it is longer than {PATTERN_BYTES_MAX} bytes")),
    };
    match (name, value) {
        ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => match resolve(root, target) {
            Some(_) => Ok(0),
            None if target.starts_with('#') => Err(format!("it refers to `{}`, which it does not have", short(target))),
            None => Err(format!("it refers to `{}`: only its own parts (`#/…`) are read", short(target))),
        },
        // From here on references would mean something else.
        ("$id", Value::String(_)) if level > 1 => Err("a part of it has an `$id` of its own".to_string()),
        // A second way to be referred to.
        ("$dynamicAnchor" | "$recursiveAnchor", Value::String(_) | Value::Bool(true)) => Err(format!("it uses `{name}`")),
        ("$schema", Value::String(_)) if level > 1 => Err("a part of it has a `$schema` of its own".to_string()),
        ("$vocabulary", Value::Object(_)) => Err("it describes a dialect".to_string()),
        ("pattern", Value::String(text)) => pattern(text),
        ("patternProperties", Value::Object(members)) => members.keys().map(|text| pattern(text)).sum(),
        _ => Ok(0),
    }
}

fn short(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn refused(schema: &Value, word: &str) {
        let said = check(schema).expect_err("accepted");
        assert!(said.contains(word), "{said}");
    }

    #[test]
    fn ordinary_schemas_are_read() {
        for schema in [
            json!({}),
            json!({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#", "additionalProperties": false}),
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/a", "$defs": {"a": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/a"}}}),
            json!({"properties": {"pattern": {"type": "string"}, "$ref": {"type": "string"}, "$id": {"type": "string"}}}),
            json!({"properties": {"a": {"default": {"$ref": "https://example.com", "pattern": "("}, "enum": [{"$id": "x"}]}}}),
            json!({"properties": {"next": {"$ref": "#"}}}),
        ] {
            assert_eq!(check(&schema), Ok(()), "{schema}");
        }
    }

    #[test]
    fn what_asks_for_more_is_not() {
        refused(&json!({"$schema": "http://json-schema.org/draft-04/schema#"}), "$schema");
        refused(&json!({"$schema": 7}), "$schema");
        for remote in ["https://example.com/s.json", "file:///etc/passwd", "other.json", "http://169.254.169.254/#/a", "//x"] {
            refused(&json!({"properties": {"a": {"$ref": remote}}}), "only its own parts");
        }
        refused(&json!({"properties": {"a": {"$ref": "#/$defs/none"}}}), "does not have");
        refused(&json!({"properties": {"a": {"$ref": "#anchor"}}}), "does not have");
        refused(&json!({"$defs": {"a": {"$id": "https://example.com/b"}}}), "$id");
        refused(&json!({"$dynamicAnchor": "a"}), "$dynamicAnchor");
        refused(&json!({"properties": {"a": {"$schema": "https://json-schema.org/draft/2020-12/schema"}}}), "$schema");
        refused(&json!({"$ref": "#"}), "without end");
    }

    #[test]
    fn bombs_are_not() {
        refused(&(0..50).fold(json!({}), |inner, _| json!({"items": inner})), "levels");
        refused(&json!({"enum": vec![0; 5000]}), "values");
        refused(&json!({"allOf": vec![json!({"pattern": "a"}); 51]}), "patterns");
        refused(&json!({"pattern": "a".repeat(1001)}), "longer");
        let many: serde_json::Map<_, _> = (0..51).map(|n| (format!("^a{n}"), json!({}))).collect();
        refused(&json!({"patternProperties": many}), "patterns");
    }
}
