//! What a schema costs, before anybody pays for it.
//!
//! A schema is a small program, written by whoever wrote the server: references that lead to themselves, or each to two others, make it run
//! without end. So it is walked first as a validator would, but for nothing that is decided: every alternative of a schema on every
//! value that it is about. What takes too many steps is not validated at all.

use serde_json::{Map, Value};

/// Most steps of one check. A thousand take about a quarter of a millisecond, and a call has twenty.
pub const STEPS_MAX: usize = 40_000;
/// Most steps of one whose mistakes are told in detail, which takes as long again.
const TOLD_STEPS_MAX: usize = 20_000;
/// Most bytes that are copied for such detail: mistakes in alternatives hold copies of what they are about.
const TOLD_BYTES_MAX: usize = 1 << 20;
/// Most levels of schemas within one another, references followed.
const LEVELS_MAX: usize = 100;
/// Of a text, what a regular expression does in a step.
const STEP_BYTES: usize = 128;

/// It would take too long.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMuch;

/// Keywords of which each part is about the same value as the whole.
const IN_PLACE: [&str; 7] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];
/// Those of which each member is.
const IN_PLACE_BY_NAME: [&str; 2] = ["dependentSchemas", "dependencies"];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// What a check costs.
#[derive(Debug, PartialEq, Eq)]
pub struct Cost {
    /// There is room for its mistakes in detail.
    pub may_be_told: bool,
}

/// Steps that are left.
pub struct Work<'s> {
    root: &'s Value,
    left: usize,
    /// Bytes that would be copied for mistakes.
    copied: usize,
}

impl<'s> Work<'s> {
    /// Says whether a value can be validated in time. Without one: whether the schema comes to an end at all.
    pub fn check(root: &'s Value, value: Option<&Value>) -> Result<Cost, TooMuch> {
        let mut work = Work { root, left: STEPS_MAX, copied: 0 };
        work.visit(root, value, 1)?;
        Ok(Cost { may_be_told: work.left >= STEPS_MAX - TOLD_STEPS_MAX && work.copied <= TOLD_BYTES_MAX })
    }

    /// Notes that so many copies of a value would be made.
    fn copy(&mut self, value: &Value, copies: usize) -> Result<(), TooMuch> {
        let (mut nodes, mut bytes, mut left) = (0, 0, vec![value]);
        while let Some(value) = left.pop() {
            nodes += 1;
            bytes += size_of::<Value>();
            match value {
                Value::String(text) => bytes += text.len(),
                Value::Array(items) => left.extend(items),
                Value::Object(members) => {
                    bytes += names(members);
                    left.extend(members.values());
                }
                _ => {}
            }
        }
        self.copied = self.copied.saturating_add(bytes.saturating_mul(copies));
        self.spend(nodes / 4)
    }

    fn spend(&mut self, steps: usize) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(steps).ok_or(TooMuch)?;
        Ok(())
    }

    fn visit(&mut self, schema: &'s Value, value: Option<&Value>, level: usize) -> Result<(), TooMuch> {
        let Value::Object(keywords) = schema else { return self.spend(1) };
        if level > LEVELS_MAX {
            return Err(TooMuch);
        }
        let lists = ["enum", "required", "properties"].iter().filter_map(|name| keywords.get(*name)).map(length);
        self.spend(1 + lists.sum::<usize>())?;
        for target in REFERENCES.iter().filter_map(|name| keywords.get(*name)?.as_str()) {
            // One that leads nowhere is found when the schema is read.
            if let Some(target) = resolve(self.root, target) {
                self.visit(target, value, level + 1)?;
            }
        }
        for (name, part) in IN_PLACE.iter().filter_map(|name| Some((*name, keywords.get(*name)?))) {
            match (name, part) {
                ("anyOf" | "oneOf", Value::Array(parts)) => value.map_or(Ok(()), |value| self.copy(value, parts.len()))?,
                // Its mistake holds the schema.
                ("not", part) => self.copy(part, 1)?,
                _ => {}
            }
            match part {
                Value::Array(parts) => parts.iter().try_for_each(|part| self.visit(part, value, level + 1))?,
                part => self.visit(part, value, level + 1)?,
            }
        }
        for parts in IN_PLACE_BY_NAME.iter().filter_map(|name| keywords.get(*name)?.as_object()) {
            parts.values().try_for_each(|part| self.visit(part, value, level + 1))?;
        }
        match value {
            Some(Value::Object(members)) => self.members(keywords, members, level),
            Some(Value::Array(items)) => self.items(keywords, items, level),
            Some(Value::String(text)) if keywords.contains_key("pattern") => self.spend(text.len() / STEP_BYTES),
            _ => Ok(()),
        }
    }

    fn members(&mut self, keywords: &'s Map<String, Value>, members: &Map<String, Value>, level: usize) -> Result<(), TooMuch> {
        let named = keywords.get("properties").and_then(Value::as_object);
        let by_pattern = keywords.get("patternProperties").and_then(Value::as_object);
        if keywords.contains_key("additionalProperties") || keywords.contains_key("unevaluatedProperties") {
            self.copied = self.copied.saturating_add(names(members));
        }
        for (name, member) in members {
            self.spend(1 + name.len() / STEP_BYTES)?;
            if let Some(schema) = named.and_then(|named| named.get(name)) {
                self.visit(schema, Some(member), level + 1)?;
            }
            for schema in by_pattern.into_iter().flat_map(Map::values) {
                self.spend(name.len() / STEP_BYTES)?;
                self.visit(schema, Some(member), level + 1)?;
            }
            for schema in ["additionalProperties", "unevaluatedProperties"].iter().filter_map(|name| keywords.get(*name)) {
                self.visit(schema, Some(member), level + 1)?;
            }
            if let Some(schema) = keywords.get("propertyNames") {
                self.visit(schema, Some(&Value::String(name.clone())), level + 1)?;
            }
        }
        Ok(())
    }

    fn items(&mut self, keywords: &'s Map<String, Value>, items: &[Value], level: usize) -> Result<(), TooMuch> {
        for (at, item) in items.iter().enumerate() {
            self.spend(1)?;
            for schema in ["items", "prefixItems"].iter().filter_map(|name| keywords.get(*name)) {
                let schema = match schema {
                    Value::Array(each) => each.get(at),
                    schema => Some(schema),
                };
                schema.map_or(Ok(()), |schema| self.visit(schema, Some(item), level + 1))?;
            }
            for schema in ["additionalItems", "contains", "unevaluatedItems"].iter().filter_map(|name| keywords.get(*name)) {
                self.visit(schema, Some(item), level + 1)?;
            }
        }
        Ok(())
    }
}

fn names(members: &Map<String, Value>) -> usize {
    members.keys().map(|name| name.len() + size_of::<String>()).sum()
}

fn length(list: &Value) -> usize {
    match list {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    }
}

/// What `#`, or `#/a/b`, means.
pub fn resolve<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    root.pointer(reference.strip_prefix('#')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TOLD: Result<Cost, TooMuch> = Ok(Cost { may_be_told: true });
    const UNTOLD: Result<Cost, TooMuch> = Ok(Cost { may_be_told: false });

    #[test]
    fn what_has_an_end_is_walked() {
        let tree = json!({"type": "object", "properties": {"value": {"type": "integer"}, "next": {"$ref": "#"}}});
        let chain = |links: usize| (0..links).fold(json!({"value": 1}), |next, _| json!({"value": 1, "next": next}));
        assert_eq!(Work::check(&tree, None), TOLD);
        assert_eq!(Work::check(&tree, Some(&chain(30))), TOLD);
        assert_eq!(Work::check(&tree, Some(&chain(60))), Err(TooMuch), "deeper than is walked");
        let rows = json!({"items": {"properties": {"a": {"enum": [1, 2, 3]}, "b": {"pattern": "^x"}}}});
        assert_eq!(Work::check(&rows, Some(&json!(vec![json!({"a": 1, "b": "x"}); 500]))), TOLD);
        assert_eq!(Work::check(&rows, Some(&json!(vec![json!({"a": 1, "b": "x"}); 8000]))), Err(TooMuch));
        assert_eq!(Work::check(&json!(true), Some(&json!({}))), TOLD);
    }

    #[test]
    fn what_has_none_is_not() {
        for loops in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}),
            json!({"dependentSchemas": {"x": {"$ref": "#"}}}),
            json!({"if": {"$recursiveRef": "#"}}),
        ] {
            assert_eq!(Work::check(&loops, None), Err(TooMuch), "{loops}");
        }
    }

    #[test]
    fn what_doubles_with_each_step_is_not() {
        let mut defs = json!({});
        for n in 0..30 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            defs[format!("d{n}")] = json!({"anyOf": [next, next]});
        }
        defs["d30"] = json!({"type": "string"});
        assert_eq!(Work::check(&json!({"$ref": "#/$defs/d0", "$defs": defs}), None), Err(TooMuch));
        let tree = json!({"anyOf": [{"properties": {"l": {"$ref": "#"}}}, {"properties": {"l": {"$ref": "#"}}}]});
        let deep = (0..25).fold(json!({}), |inner, _| json!({"l": inner}));
        assert_eq!((Work::check(&tree, None), Work::check(&tree, Some(&deep))), (TOLD, Err(TooMuch)));
    }

    /// Mistakes in alternatives hold copies of what they are about.
    #[test]
    fn large_values_under_many_alternatives_are_only_told_not_to_fit() {
        let either = |parts: usize| json!({"properties": {"x": {"anyOf": vec![json!({"type": "integer"}); parts]}}});
        let (short, long) = (json!({"x": "a"}), json!({"x": "a".repeat(300_000)}));
        assert_eq!((Work::check(&either(50), Some(&short)), Work::check(&either(2), Some(&long))), (TOLD, TOLD));
        assert_eq!(Work::check(&either(50), Some(&long)), UNTOLD);
        let nested = (0..8).fold(json!({"type": "integer"}), |part, _| json!({"oneOf": [part, part]}));
        assert_eq!(Work::check(&nested, Some(&json!("a"))), TOLD);
        assert_eq!(Work::check(&nested, Some(&json!("a".repeat(10_000)))), UNTOLD);
        let not = json!({"items": {"not": {"enum": vec!["a".repeat(100); 100]}}});
        assert_eq!((Work::check(&not, Some(&json!([1, 2]))), Work::check(&not, Some(&json!(vec![1; 150])))), (TOLD, UNTOLD));
        assert_eq!(Work::check(&json!({"items": true}), Some(&json!(vec![1; 15_000]))), UNTOLD, "many steps");
    }

    #[test]
    fn long_texts_cost_what_their_patterns_do() {
        let long = json!("x".repeat(4 << 20));
        assert_eq!(Work::check(&json!({"pattern": "^x*$"}), Some(&long)), UNTOLD);
        assert_eq!(Work::check(&json!({"allOf": [{"pattern": "^x*$"}, {"pattern": "y"}]}), Some(&long)), Err(TooMuch));
        assert_eq!(Work::check(&json!({"maxLength": 10}), Some(&long)), TOLD);
    }
}
