//! Arguments against the schema that a tool declares. What it says holds: a keyword that is not checked here is refused when it is read.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::json::{self, Value};

/// Part of a schema.
#[derive(Debug, Default)]
pub struct Schema {
    types: Vec<String>,
    /// JSON of each.
    allowed: Option<Vec<String>>,
    properties: Vec<(String, Schema)>,
    required: Vec<String>,
    /// Of members that are not among the properties; none: any.
    others: Option<Box<Others>>,
    items: Option<Box<Schema>>,
    /// What is counted, the least and the most of it.
    counts: Vec<(Counted, f64, f64)>,
}

#[derive(Debug)]
enum Others {
    No,
    Are(Schema),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Value,
    Characters,
    Items,
    Members,
}

/// Says nothing about what is allowed.
const NOTES: [&str; 8] = ["title", "description", "default", "examples", "format", "deprecated", "$comment", "$schema"];

impl Schema {
    /// Reads one. The text of an error is a sentence.
    pub fn read(value: &Value<'_>) -> Result<Self, String> {
        let mut schema = Schema::default();
        let members = match value {
            Value::Object(members) => members,
            Value::Bool(true) => return Ok(schema),
            _ => return Err(format!("{} is no schema", json::write(value))),
        };
        for (name, said) in members {
            let unusual = || format!("{name:?} cannot be {}", json::write(said).chars().take(100).collect::<String>());
            let texts = |list: &Value<'_>| -> Option<Vec<String>> {
                matches!(list, Value::Array(_))
                    .then(|| json::items(list).iter().map(|item| json::text(item).map(ToString::to_string)).collect())?
            };
            match &**name {
                "type" => {
                    let types = match json::text(said) {
                        Some(one) => alloc::vec![one.to_string()],
                        None => texts(said).ok_or_else(unusual)?,
                    };
                    let known = ["object", "array", "string", "number", "integer", "boolean", "null"];
                    if types.is_empty() || !types.iter().all(|name| known.contains(&name.as_str())) {
                        return Err(unusual());
                    }
                    schema.types = types;
                }
                "enum" | "const" if schema.allowed.is_some() => {
                    return Err("\"enum\" and \"const\" both say which values there are; keep one".to_string());
                }
                "enum" if !json::items(said).is_empty() => schema.allowed = Some(json::items(said).iter().map(json::write).collect()),
                "const" => schema.allowed = Some(alloc::vec![json::write(said)]),
                "properties" if matches!(said, Value::Object(_)) => {
                    for (name, property) in json::members(said) {
                        schema
                            .properties
                            .push((name.to_string(), Schema::read(property).map_err(|why| format!("properties.{name}: {why}"))?));
                    }
                }
                "required" => schema.required = texts(said).ok_or_else(unusual)?,
                "additionalProperties" => {
                    schema.others = match said {
                        Value::Bool(true) => None,
                        Value::Bool(false) => Some(Box::new(Others::No)),
                        other => Some(Box::new(Others::Are(Schema::read(other).map_err(|why| format!("{name}: {why}"))?))),
                    }
                }
                "items" => schema.items = Some(Box::new(Schema::read(said).map_err(|why| format!("items: {why}"))?)),
                _ if NOTES.contains(&&**name) => {}
                bound => {
                    let counted = match bound {
                        "minimum" | "maximum" => Counted::Value,
                        "minLength" | "maxLength" => Counted::Characters,
                        "minItems" | "maxItems" => Counted::Items,
                        "minProperties" | "maxProperties" => Counted::Members,
                        _ => return Err(format!("{bound:?} with that value is nothing that is checked here")),
                    };
                    let Value::Number((digits, _)) = said else { return Err(unusual()) };
                    let (number, is_least) = (json::number(digits), bound.starts_with("min"));
                    let (least, most) = if is_least { (number, f64::INFINITY) } else { (f64::NEG_INFINITY, number) };
                    schema.counts.push((counted, least, most));
                }
            }
        }
        Ok(schema)
    }

    /// Names of the members that it knows, if it knows all that there can be.
    pub fn closed(&self) -> Option<Vec<String>> {
        let is_closed = matches!(self.others.as_deref(), Some(Others::No));
        is_closed.then(|| self.properties.iter().map(|(name, _)| name.clone()).collect())
    }

    /// Whether it is of objects alone.
    pub fn is_of_objects(&self) -> bool {
        self.types == ["object"]
    }

    /// Whether a value is what it says; otherwise what is wrong, for a model to read.
    pub fn check(&self, value: &Value<'_>) -> Result<(), String> {
        self.check_at(value, "")
    }

    fn check_at(&self, value: &Value<'_>, place: &str) -> Result<(), String> {
        let shown = if place.is_empty() { "the arguments" } else { place };
        if !self.types.is_empty() && !self.types.iter().any(|name| is_of(value, name)) {
            return Err(format!("{shown}: this has to be of type {}", self.types.join(" or ")));
        }
        let is_allowed = |allowed: &String| json::read(allowed).is_some_and(|allowed| json::same(&allowed, value));
        if let Some(allowed) = self.allowed.as_ref().filter(|allowed| !allowed.iter().any(is_allowed)) {
            return Err(format!("{shown}: this has to be {}", allowed.join(" or ").chars().take(500).collect::<String>()));
        }
        for (counted, least, most) in &self.counts {
            let (count, what) = match (counted, value) {
                (Counted::Value, Value::Number((digits, _))) => (json::number(digits), "this"),
                (Counted::Characters, Value::String(text)) => (text.chars().count() as f64, "its length"),
                (Counted::Items, Value::Array(items)) => (items.len() as f64, "its length"),
                (Counted::Members, Value::Object(members)) => (members.len() as f64, "the number of its members"),
                _ => continue,
            };
            if count < *least {
                return Err(format!("{shown}: {what} has to be at least {least}"));
            }
            if count > *most {
                return Err(format!("{shown}: {what} has to be at most {most}"));
            }
        }
        if let (Value::Array(items), Some(of_items)) = (value, &self.items) {
            for (at, item) in items.iter().enumerate() {
                of_items.check_at(item, &format!("{place}/{at}"))?;
            }
        }
        if let Value::Object(members) = value {
            if let Some(missing) = self.required.iter().find(|name| json::member(value, name).is_none()) {
                return Err(format!("{shown}: {missing:?} is missing"));
            }
            for (name, member) in members {
                let place = || format!("{place}/{}", name.chars().take(64).collect::<String>());
                match (self.properties.iter().find(|(known, _)| known == name), self.others.as_deref()) {
                    (Some((_, schema)), _) | (None, Some(Others::Are(schema))) => schema.check_at(member, &place())?,
                    (None, Some(Others::No)) => return Err(format!("{}: there is no such member", place())),
                    (None, None) => {}
                }
            }
        }
        Ok(())
    }
}

fn is_of(value: &Value<'_>, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
        Value::Number((digits, _)) => name == "number" || (name == "integer" && is_whole(digits)),
    }
}

/// `1.0` is a whole number, too (JSON Schema, section 6.1.1 of validation).
fn is_whole(digits: &str) -> bool {
    let fraction = digits.split_once('.').map_or("", |(_, fraction)| fraction);
    !digits.contains(['e', 'E']) && fraction.bytes().all(|b| b == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_what_the_schema_says() {
        let schema = r#"{"type":"object","properties":{
            "n":{"type":"integer","minimum":1,"maximum":9},
            "s":{"type":["string","null"],"minLength":1,"maxLength":3,"description":"d"},
            "k":{"enum":["a",1]},"c":{"const":{"x":[1]}},
            "l":{"type":"array","items":{"type":"boolean"},"minItems":1,"maxItems":2},
            "m":{"additionalProperties":{"type":"number"},"maxProperties":1},"any":true},
            "required":["n"],"additionalProperties":false}"#;
        let schema = Schema::read(&json::read(schema).unwrap()).unwrap();
        assert!(schema.is_of_objects());
        assert_eq!(schema.closed().unwrap(), ["n", "s", "k", "c", "l", "m", "any"]);
        let closed = |schema: &str| Schema::read(&json::read(schema).unwrap()).unwrap().closed();
        assert_eq!(closed(r#"{"additionalProperties":false}"#), Some(Vec::new()));
        assert_eq!(closed(r#"{"properties":{"n":true}}"#), None);
        for (value, says) in [
            (r#"{"n":1}"#, ""),
            (r#"{"n":9.0,"s":"äöü","k":1.0,"c":{"x":[1]},"l":[true,false],"m":{"a":1e3},"any":{"b":[]}}"#, ""),
            (r#"{"n":1,"s":null}"#, ""),
            ("[]", "the arguments: this has to be of type object"),
            ("{}", "the arguments: \"n\" is missing"),
            (r#"{"n":0}"#, "/n: this has to be at least 1"),
            (r#"{"n":10}"#, "/n: this has to be at most 9"),
            (r#"{"n":1.5}"#, "/n: this has to be of type integer"),
            (r#"{"n":1e0}"#, "/n: this has to be of type integer"),
            (r#"{"n":1,"s":""}"#, "/s: its length has to be at least 1"),
            (r#"{"n":1,"s":"abcd"}"#, "/s: its length has to be at most 3"),
            (r#"{"n":1,"s":1}"#, "/s: this has to be of type string or null"),
            (r#"{"n":1,"k":"b"}"#, "/k: this has to be \"a\" or 1"),
            (r#"{"n":1,"c":{"x":[2]}}"#, "/c: this has to be {\"x\":[1]}"),
            (r#"{"n":1,"l":[]}"#, "/l: its length has to be at least 1"),
            (r#"{"n":1,"l":[true,1]}"#, "/l/1: this has to be of type boolean"),
            (r#"{"n":1,"m":{"a":"x"}}"#, "/m/a: this has to be of type number"),
            (r#"{"n":1,"m":{"a":1,"b":2}}"#, "/m: the number of its members has to be at most 1"),
            (r#"{"n":1,"o":1}"#, "/o: there is no such member"),
        ] {
            assert_eq!(schema.check(&json::read(value).unwrap()).err().unwrap_or_default(), says, "{value}");
        }
    }

    #[test]
    fn what_is_not_checked_is_not_taken() {
        for (schema, says) in [
            (r#"{"pattern":"^a"}"#, "\"pattern\""),
            (r##"{"properties":{"a":{"items":{"$ref":"#"}}}}"##, "properties.a: items: \"$ref\""),
            (r#"{"type":"file"}"#, "\"type\" cannot be \"file\""),
            (r#"{"type":[]}"#, "cannot be []"),
            (r#"{"enum":[]}"#, "\"enum\""),
            (r#"{"enum":["a"],"const":"a"}"#, "keep one"),
            (r#"{"const":"a","enum":["a","b"]}"#, "keep one"),
            (r#"{"required":"a"}"#, "\"required\" cannot be"),
            (r#"{"minimum":"1"}"#, "\"minimum\" cannot be"),
            (r#"{"x-mcp-header":"a"}"#, "x-mcp-header"),
            ("false", "is no schema"),
        ] {
            let error = Schema::read(&json::read(schema).unwrap()).unwrap_err();
            assert!(error.contains(says), "{schema}: {error}");
        }
    }
}
