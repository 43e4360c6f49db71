//! One schema, read once.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::bounds;
use crate::expected::{self, piece};
use crate::work::{TooMuch, Work};

/// Most bytes of one regular expression when it is compiled, and of what it remembers while it runs.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// A schema that is within bounds, and what holds values against it.
pub struct Schema {
    value: Value,
    validator: Validator,
}

impl Schema {
    /// Reads one. The error says what is wrong with it, for whoever wrote it.
    pub fn read(value: Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err("it is no object".to_string());
        }
        bounds::check(&value)?;
        let validator = compile(&value)?;
        Ok(Schema { value, validator })
    }

    /// As it was written.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// A line for each mistake; none if a value fits.
    pub fn mistakes(&self, value: &Value) -> Result<Vec<String>, TooMuch> {
        let cost = Work::check(&self.value, Some(value))?;
        if self.validator.is_valid(value) {
            return Ok(Vec::new());
        }
        if !cost.may_be_told {
            return Ok(vec!["(as a whole): does not fit, and is too large to say where".to_string()]);
        }
        Ok(expected::mistakes(&self.validator, &self.value, value))
    }
}

fn compile(schema: &Value) -> Result<Validator, String> {
    let draft = match schema.get("$schema").and_then(Value::as_str) {
        Some(dialect) if dialect.contains("draft-07") => Draft::Draft7,
        Some(dialect) if dialect.contains("2019-09") => Draft::Draft201909,
        _ => Draft::Draft202012,
    };
    // Linear in the text, so without look-around; and small when compiled.
    let patterns = PatternOptions::regex().size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX);
    jsonschema::options()
        .with_draft(draft)
        .offline()
        // Notes for people, in the dialect that is the default.
        .should_validate_formats(false)
        .with_pattern_options(patterns)
        .build(schema)
        .map_err(|error| format!("it cannot be read: {}", piece(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mistakes(schema: Value, value: Value) -> Vec<String> {
        Schema::read(schema).unwrap_or_else(|error| panic!("{error}")).mistakes(&value).unwrap()
    }

    #[track_caller]
    fn check(schema: Value, value: Value, expected: &[&str]) {
        assert_eq!(mistakes(schema, value), expected);
    }

    #[test]
    fn what_fits_has_no_mistakes() {
        let pay = json!({"type": "object", "properties": {"amount": {"type": "integer", "maximum": 100}}, "required": ["amount"]});
        check(pay.clone(), json!({"amount": 100, "more": 1}), &[]);
        check(pay, json!({"amount": 1.0}), &[]);
        check(json!({}), json!({"a": null}), &[]);
    }

    #[test]
    fn each_mistake_says_where_and_what_is_expected() {
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["to", "a/b"], "properties": {
            "to": {"type": "string", "pattern": "^[a-z]+@"}, "a/b": true, "amount": {"type": ["integer", "null"], "minimum": 1},
            "kind": {"enum": ["a", "b"]}, "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"const": 7}}}, "maxItems": 2},
        }});
        let told =
            mistakes(schema.clone(), json!({"to": "SECRET", "amount": "SECRET", "kind": "SECRET", "list": [{"n": 1}], "colour": "SECRET"}));
        let mut told: Vec<_> = told.iter().map(String::as_str).collect();
        told.sort_unstable();
        assert_eq!(
            told,
            [
                "/amount: must be null or an integer, not a string",
                "/a~1b: is missing",
                "/colour: is not known here; there are to, a/b, amount, kind, list",
                r#"/kind: must be one of "a", "b""#,
                "/list/0/n: must be 7",
                r#"/to: must match the regular expression "^[a-z]+@""#,
            ]
        );
        check(schema.clone(), json!("x"), &["(as a whole): must be an object, not a string"]);
        check(
            schema,
            json!({"to": "a@", "a/b": 1, "list": [1, 2, 3]}),
            &[
                "/list: must have at most 2 items",
                "/list/0: must be an object, not this number",
                "/list/1: must be an object, not this number",
                "/list/2: must be an object, not this number",
            ],
        );
    }

    #[test]
    fn alternatives_say_what_each_lacks() {
        let schema = json!({"properties": {"x": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["id"]}]}}});
        check(
            schema.clone(),
            json!({"x": 1}),
            &["/x: fits none of 2 alternatives: (1) must be a string, not this number; (2) must be an object, not this number"],
        );
        check(schema, json!({"x": {}}), &["/x: fits none of 2 alternatives: (1) must be a string, not an object; (2) /x/id is missing"]);
        let many = json!({"oneOf": vec![json!({"type": "string"}); 9]});
        check(many.clone(), json!({}), &["(as a whole): fits none of 9 alternatives"]);
        check(many, json!("x"), &["(as a whole): fits more than one of several alternatives, and must fit one"]);
    }

    #[test]
    fn nothing_of_a_value_is_repeated_and_nothing_is_without_end() {
        let name = "n".repeat(5000);
        let told = mistakes(
            json!({"additionalProperties": false, "properties": {"k": {"enum": vec!["option"; 500]}}}),
            json!({"k": "SECRET", name: "SECRET", "a\nb": 1}),
        );
        assert!(
            told.len() == 3 && told.iter().all(|line| line.len() < 500 && !line.contains("SECRET") && !line.contains('\n')),
            "{told:?}"
        );
        let hundred: Value = (0..100).map(|n| (format!("m{n}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(mistakes(json!({"properties": {"a": true}, "additionalProperties": false}), hundred).len(), 8);
    }

    #[test]
    fn of_large_values_under_alternatives_nothing_is_told() {
        let schema = json!({"anyOf": vec![json!({"type": "integer"}); 5]});
        check(schema, json!("a".repeat(1 << 20)), &["(as a whole): does not fit, and is too large to say where"]);
    }

    #[test]
    fn references_are_followed() {
        let tree = json!({"$defs": {"node": {"type": "object", "required": ["v"], "properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"});
        check(tree, json!({"v": 1, "next": {"v": 1, "next": {}}}), &["/next/next/v: is missing"]);
        let seven = json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "string"}}, "items": [{"$ref": "#/definitions/a"}]});
        check(seven, json!([1]), &["/0: must be a string, not this number"]);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let refused = |schema: Value| Schema::read(schema).err().expect("read");
        assert!(refused(json!({"type": "strin"})).starts_with("it cannot be read"));
        assert!(refused(json!({"pattern": "(?=a)b"})).starts_with("it cannot be read"), "look-around is not linear");
        assert!(refused(json!({"pattern": "(a{1000}){1000}"})).starts_with("it cannot be read"));
        assert!(refused(json!({"properties": {"a": {"$ref": "https://example.com/a"}}})).contains("only its own parts"));
        assert_eq!(refused(json!(true)), "it is no object");
    }

    /// Some libraries read such a schema for ever, before a value comes.
    #[test]
    fn schemas_that_double_are_read_in_time_or_not_at_all() {
        let mut defs = json!({});
        for n in 0..35 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            defs[format!("d{n}")] = json!({"properties": {"a": next, "b": next}});
        }
        defs["d35"] = json!({"type": "string"});
        let schema = json!({"$ref": "#/$defs/d0", "$defs": defs});
        let began = std::time::Instant::now();
        let read = Schema::read(schema).unwrap_or_else(|error| panic!("{error}"));
        let deep = (0..35).fold(json!(1), |inner, _| json!({"a": inner}));
        assert_eq!(read.mistakes(&deep).unwrap(), [format!("{}: must be a string, not this number", "/a".repeat(35))]);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }

    #[test]
    fn a_pattern_that_would_backtrack_does_not() {
        let schema = Schema::read(json!({"pattern": "^(a+)+$"})).unwrap();
        let began = std::time::Instant::now();
        assert_eq!(schema.mistakes(&json!(format!("{}!", "a".repeat(50_000)))).unwrap().len(), 1);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
