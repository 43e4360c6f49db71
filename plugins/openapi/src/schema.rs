//! Schemas of a document as JSON Schema (2020-12) of a tool.
//!
//! What is referred to is written once, below `$defs`, so a schema is never longer than what the document has of it, however its references
//! are tied together, and one that holds itself stays what it is. Keywords that are not of JSON Schema are left out, and members that only
//! answers have of what is sent, and the other way round.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::document::{self, At, Document};
use crate::json::{self, Object, Value};

/// Schemas in the schema of one tool.
const NODES_MAX: usize = 4_000;

/// What a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Of what is sent.
    Request,
    /// Of what comes back.
    Response,
}

/// The schemas of a document. Each that is referred to is written once for all tools.
pub struct Schemas<'d, 'a> {
    document: &'d Document<'a>,
    /// By place.
    targets: BTreeMap<String, Target<'d, 'a>>,
    taken: BTreeSet<String>,
    written: BTreeMap<(Purpose, String), Rc<Written>>,
    /// Places of those that are known to be other than themselves.
    sound: BTreeSet<(Purpose, String)>,
}

/// What something refers to.
struct Target<'d, 'a> {
    name: String,
    schema: &'d Value<'a>,
}

/// A schema as a tool has it.
#[derive(Default)]
struct Written {
    json: String,
    nodes: usize,
    /// Places of what it refers to.
    refers: Vec<String>,
    /// Those of which it says that whatever it is is that as well.
    applied: Vec<String>,
}

/// What is being written.
struct Spot<'s> {
    purpose: Purpose,
    /// What is found on the way.
    found: &'s mut Written,
    /// It is said of the very value that all of it is about, not of a part.
    in_place: bool,
}

impl Spot<'_> {
    fn inside(&mut self) -> Spot<'_> {
        Spot { purpose: self.purpose, found: self.found, in_place: false }
    }

    fn same(&mut self) -> Spot<'_> {
        Spot { purpose: self.purpose, found: self.found, in_place: self.in_place }
    }
}

/// Writes the schemas of one tool.
pub struct Writer<'w, 'd, 'a> {
    schemas: &'w mut Schemas<'d, 'a>,
    purpose: Purpose,
    nodes: usize,
    refers: Vec<String>,
}

impl<'a> Writer<'_, '_, 'a> {
    /// One schema, which may refer to others.
    pub fn schema(&mut self, schema: &Value<'a>, place: &str) -> Result<String, String> {
        self.write(schema, place).map(Object::finish)
    }

    /// One schema of an object, as the root; so it refers to nothing by itself, and says that it is of an object.
    pub fn root(&mut self, schema: &Value<'a>, place: &str) -> Result<Object, String> {
        let document = self.schemas.document;
        let (schema, place) = document.follow(schema, place)?;
        let mut root = self.write(schema, &place)?;
        if json::member(schema, "type").is_none() {
            root.put("type", r#""object""#);
        }
        Ok(root)
    }

    fn write(&mut self, schema: &Value<'a>, place: &str) -> Result<Object, String> {
        let mut found = Written { nodes: self.nodes, ..Written::default() };
        let spot = Spot { purpose: self.purpose, found: &mut found, in_place: true };
        let written = self.schemas.write(schema, &At::Place(place), spot)?;
        self.nodes = found.nodes;
        self.refers.extend(found.refers);
        for to in found.applied {
            self.schemas.check_end(self.purpose, &to)?;
        }
        Ok(written)
    }

    /// What was referred to, for `$defs`; none if nothing was.
    pub fn definitions(mut self) -> Result<Option<String>, String> {
        let mut definitions = Object::default();
        let mut seen = BTreeSet::new();
        let mut next = core::mem::take(&mut self.refers);
        next.reverse();
        while let Some(place) = next.pop() {
            if !seen.insert(place.clone()) {
                continue;
            }
            self.schemas.check_end(self.purpose, &place)?;
            let written = self.schemas.written(self.purpose, &place)?;
            self.nodes += written.nodes;
            if self.nodes > NODES_MAX {
                return Err(too_many(&At::Place(&place)));
            }
            definitions.put(&self.schemas.targets[&place].name, &written.json);
            next.extend(written.refers.iter().rev().cloned());
        }
        Ok((!seen.is_empty()).then(|| definitions.finish()))
    }
}

fn too_many(place: &At<'_>) -> String {
    format!("{place}: there are more than {NODES_MAX} schemas in one tool up to here")
}

impl<'d, 'a> Schemas<'d, 'a> {
    /// Of this document.
    pub fn new(document: &'d Document<'a>) -> Self {
        let (targets, taken, written, sound) = Default::default();
        Schemas { document, targets, taken, written, sound }
    }

    /// For one tool.
    pub fn writer(&mut self, purpose: Purpose) -> Writer<'_, 'd, 'a> {
        Writer { schemas: self, purpose, nodes: 0, refers: Vec::new() }
    }

    /// What stands at a place that something refers to.
    fn written(&mut self, purpose: Purpose, place: &str) -> Result<Rc<Written>, String> {
        if let Some(known) = self.written.get(&(purpose, place.to_string())) {
            return Ok(known.clone());
        }
        let schema = self.targets.get(place).ok_or_else(|| document::dangling("#", place))?.schema;
        let mut found = Written::default();
        let object = self.write(schema, &At::Place(place), Spot { purpose, found: &mut found, in_place: true })?;
        found.json = object.finish();
        let written = Rc::new(found);
        self.written.insert((purpose, place.to_string()), written.clone());
        Ok(written)
    }

    /// A schema that is itself, and not a part of itself, has no end for who goes through it.
    fn check_end(&mut self, purpose: Purpose, from: &str) -> Result<(), String> {
        let mut open: Vec<(String, usize)> = [(from.to_string(), 0)].into();
        let mut within: BTreeSet<String> = [from.to_string()].into();
        while let Some((place, at)) = open.last_mut() {
            if self.sound.contains(&(purpose, place.clone())) {
                within.remove(place.as_str());
                open.pop();
                continue;
            }
            let (place, next) = (place.clone(), core::mem::replace(at, *at + 1));
            match self.written(purpose, &place)?.applied.get(next) {
                None => drop(self.sound.insert((purpose, place))),
                Some(to) if within.contains(to) => return Err(format!("{to}: this schema refers to itself without an end")),
                Some(to) => {
                    within.insert(to.clone());
                    open.push((to.clone(), 0));
                }
            }
        }
        Ok(())
    }

    /// The name of what a reference points to.
    fn define(&mut self, place: &At<'_>, to: &str, spot: &mut Spot<'_>) -> Result<String, String> {
        let name = match self.targets.get(to) {
            Some(target) => target.name.clone(),
            None => {
                let schema = self.document.at(to).ok_or_else(|| document::dangling(&place.to_string(), to))?;
                let last = to.rsplit('/').next().unwrap_or_default();
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
                let plain: String = last.chars().take(64).map(|c| if allowed(c) { c } else { '_' }).collect();
                let (mut name, mut more) = (plain.clone(), self.targets.len());
                while !self.taken.insert(name.clone()) {
                    name = format!("{plain}_{more}");
                    more += 1;
                }
                self.targets.insert(to.to_string(), Target { name: name.clone(), schema });
                name
            }
        };
        spot.found.refers.push(to.to_string());
        if spot.in_place {
            spot.found.applied.push(to.to_string());
        }
        Ok(name)
    }

    fn write(&mut self, schema: &Value<'a>, place: &At<'_>, mut spot: Spot<'_>) -> Result<Object, String> {
        spot.found.nodes += 1;
        if spot.found.nodes > NODES_MAX {
            return Err(too_many(place));
        }
        let mut out = Object::default();
        let members = match schema {
            Value::Object(members) => members,
            Value::Bool(true) => return Ok(out),
            Value::Bool(false) => return Ok(out.with("not", "{}")),
            _ => return Err(format!("{place}: this is no schema")),
        };
        if let Some(to) = document::reference(schema) {
            let name = self.define(place, to, &mut spot)?;
            out.put("$ref", &json::quote(&format!("#/$defs/{name}")));
            // Of OpenAPI 3.0 whatever stands beside a reference counts for nothing.
            if self.document.is_3_0 {
                return Ok(out);
            }
        }
        let is_nullable = self.document.is_3_0 && json::is_true(schema, "nullable") && json::member(schema, "type").is_some();
        for (name, value) in members {
            self.keyword(name, value, schema, is_nullable, place, &mut spot, &mut out)?;
        }
        Ok(out)
    }

    #[allow(clippy::too_many_arguments, reason = "one keyword with all that may change its meaning")]
    fn keyword(
        &mut self,
        name: &str,
        value: &Value<'a>,
        schema: &Value<'a>,
        is_nullable: bool,
        place: &At<'_>,
        spot: &mut Spot<'_>,
        out: &mut Object,
    ) -> Result<(), String> {
        let at = &At::Member(place, name);
        match name {
            "type" => out.put(name, &types(value, is_nullable, at)?),
            "enum" => {
                let mut values: Vec<String> = json::items(value).iter().map(json::write).collect();
                if is_nullable && !values.iter().any(|value| value == "null") {
                    values.push("null".to_string());
                }
                out.put(name, &json::list(&values));
            }
            "properties" => {
                let mut properties = Object::default();
                for (name, property) in json::members(value) {
                    let place = At::Member(at, name);
                    if self.is_of_the_other_way(property, spot.purpose) {
                        continue;
                    }
                    properties.put(name, &self.write(property, &place, spot.inside())?.finish());
                }
                out.put(name, &properties.finish());
            }
            "required" => {
                let mut kept = Vec::new();
                for required in json::items(value).iter().filter_map(json::text) {
                    let property = json::member(schema, "properties").and_then(|properties| json::member(properties, required));
                    let is_left_out = match property {
                        Some(property) => self.is_of_the_other_way(property, spot.purpose),
                        None => false,
                    };
                    if !is_left_out {
                        kept.push(required);
                    }
                }
                if !kept.is_empty() {
                    out.put(name, &json::texts(&kept));
                }
            }
            "patternProperties" | "dependentSchemas" => {
                let is_of_parts = name == "patternProperties";
                let mut parts = Object::default();
                for (name, part) in json::members(value) {
                    parts.put(
                        name,
                        &self.write(part, &At::Member(at, name), if is_of_parts { spot.inside() } else { spot.same() })?.finish(),
                    );
                }
                out.put(name, &parts.finish());
            }
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                let is_of_parts = name == "prefixItems";
                let mut parts = Vec::new();
                for (index, part) in json::items(value).iter().enumerate() {
                    parts.push(self.write(part, &At::Item(at, index), if is_of_parts { spot.inside() } else { spot.same() })?.finish());
                }
                if !parts.is_empty() {
                    out.put(name, &json::list(&parts));
                }
            }
            "not" | "if" | "then" | "else" => out.put(name, &self.write(value, at, spot.same())?.finish()),
            "items" | "additionalProperties" | "contains" | "propertyNames" | "unevaluatedItems" | "unevaluatedProperties" => match value {
                Value::Bool(_) => out.put(name, &json::write(value)),
                _ => out.put(name, &self.write(value, at, spot.inside())?.finish()),
            },
            // In 3.0 they say of the bound beside them that it is not within.
            "exclusiveMinimum" | "exclusiveMaximum" if matches!(value, Value::Bool(_)) => {}
            "minimum" if json::is_true(schema, "exclusiveMinimum") => out.put("exclusiveMinimum", &json::write(value)),
            "maximum" if json::is_true(schema, "exclusiveMaximum") => out.put("exclusiveMaximum", &json::write(value)),
            "example" if json::member(schema, "examples").is_none() => out.put("examples", &json::list(&[json::write(value)])),
            "title" | "description" | "format" | "default" | "examples" | "const" | "deprecated" | "multipleOf" | "minimum" | "maximum"
            | "exclusiveMinimum" | "exclusiveMaximum" | "minLength" | "maxLength" | "pattern" | "minItems" | "maxItems" | "uniqueItems"
            | "minContains" | "maxContains" | "minProperties" | "maxProperties" | "dependentRequired" | "contentEncoding"
            | "contentMediaType" => out.put(name, &json::write(value)),
            _ => {}
        }
        Ok(())
    }

    /// A member that only answers have, in what is sent; or one that is only sent, in an answer.
    fn is_of_the_other_way(&self, property: &Value<'a>, purpose: Purpose) -> bool {
        let mark = if purpose == Purpose::Request { "readOnly" } else { "writeOnly" };
        // What is wrong with a reference is said where the property itself is written.
        let refers =
            || document::reference(property).is_some() && self.document.follow(property, "#").is_ok_and(|(to, _)| json::is_true(to, mark));
        json::is_true(property, mark) || refers()
    }
}

fn types(value: &Value<'_>, is_nullable: bool, place: &At<'_>) -> Result<String, String> {
    let mut names: Vec<&str> = match value {
        Value::Array(items) => items.iter().filter_map(json::text).collect(),
        one => json::text(one).into_iter().collect(),
    };
    let known = |name: &&str| ["object", "array", "string", "number", "integer", "boolean", "null"].contains(name);
    if names.is_empty() || !names.iter().all(known) {
        return Err(format!("{place}: {} is no type of JSON Schema", json::write(value).chars().take(100).collect::<String>()));
    }
    if is_nullable && !names.contains(&"null") {
        names.push("null");
    }
    Ok(if names.len() == 1 { json::quote(names[0]) } else { json::texts(&names) })
}

/// Whether everything that a schema allows is an object.
pub fn is_object(document: &Document<'_>, schema: &Value<'_>) -> bool {
    fn look<'a>(document: &Document<'a>, schema: &Value<'a>, depth: usize) -> bool {
        let Ok((schema, _)) = document.follow(schema, "#") else { return false };
        if document.is_3_0 && json::is_true(schema, "nullable") {
            return false;
        }
        match json::member(schema, "type") {
            Some(Value::Array(names)) => names.len() == 1 && json::text(&names[0]) == Some("object"),
            Some(name) => json::text(name) == Some("object"),
            None if json::member(schema, "properties").is_some() => true,
            None => {
                let parts = json::member(schema, "allOf").map(json::items).unwrap_or_default();
                depth < 8 && parts.iter().any(|part| look(document, part, depth + 1))
            }
        }
    }
    look(document, schema, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn document(version: &str, schemas: &Json) -> String {
        json!({"openapi": version, "components": {"schemas": schemas}}).to_string()
    }

    fn written(version: &str, purpose: Purpose, schemas: &Json) -> Result<Json, String> {
        let text = document(version, schemas);
        let document = Document::read(&text)?;
        let mut schemas = Schemas::new(&document);
        let mut writer = schemas.writer(purpose);
        let place = "#/components/schemas/a";
        let schema = writer.schema(document.at(place).unwrap(), place)?;
        let mut schema: Json = serde_json::from_str(&schema).unwrap();
        if let Some(definitions) = writer.definitions()? {
            schema["$defs"] = serde_json::from_str(&definitions).unwrap();
        }
        Ok(schema)
    }

    #[test]
    fn schemas_of_3_0_become_json_schema() {
        for (schema, expected) in [
            (json!({"type": "string", "nullable": true, "enum": ["a"]}), json!({"type": ["string", "null"], "enum": ["a", null]})),
            (json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true}), json!({"type": "integer", "exclusiveMinimum": 1})),
            (json!({"maximum": 1.5, "exclusiveMaximum": false}), json!({"maximum": 1.5})),
            (json!({"type": "string", "example": "x", "xml": {}, "x-mcp-header": "A"}), json!({"type": "string", "examples": ["x"]})),
            (json!({"nullable": true, "allOf": [{"type": "string"}]}), json!({"allOf": [{"type": "string"}]})),
            (json!({"type": "array", "items": {"type": "boolean"}}), json!({"type": "array", "items": {"type": "boolean"}})),
            (json!({"additionalProperties": false, "discriminator": {"propertyName": "k"}}), json!({"additionalProperties": false})),
        ] {
            assert_eq!(written("3.0.3", Purpose::Request, &json!({"a": schema})).unwrap(), expected, "{schema}");
        }
    }

    #[test]
    fn those_of_3_1_stay_what_they_are() {
        let schema = json!({"type": ["string", "null"], "const": "x", "exclusiveMinimum": 3, "prefixItems": [true, false],
            "if": {"const": 1}, "then": false, "patternProperties": {"^a": {"type": "null"}}});
        let expected = json!({"type": ["string", "null"], "const": "x", "exclusiveMinimum": 3, "prefixItems": [{}, {"not": {}}],
            "if": {"const": 1}, "then": {"not": {}}, "patternProperties": {"^a": {"type": "null"}}});
        assert_eq!(written("3.1.0", Purpose::Request, &json!({"a": schema})).unwrap(), expected);
    }

    #[test]
    fn each_way_has_its_own_members() {
        let schemas = json!({
            "a": {"properties": {"id": {"$ref": "#/components/schemas/id"}, "secret": {"writeOnly": true}, "name": {}},
                "required": ["id", "secret", "name"]},
            "id": {"readOnly": true, "type": "string"},
        });
        let sent = written("3.0.0", Purpose::Request, &schemas).unwrap();
        assert_eq!(sent, json!({"properties": {"secret": {}, "name": {}}, "required": ["secret", "name"]}));
        let came = written("3.0.0", Purpose::Response, &schemas).unwrap();
        assert_eq!(came["required"], json!(["id", "name"]));
        assert_eq!(came["properties"], json!({"id": {"$ref": "#/$defs/id"}, "name": {}}));
    }

    #[test]
    fn what_holds_itself_is_written_once() {
        let schemas = json!({
            "a": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/a"}, "b": {"$ref": "#/components/schemas/b"}}},
            "b": {"type": "array", "items": {"$ref": "#/components/schemas/b"}},
        });
        let schema = written("3.0.0", Purpose::Request, &schemas).unwrap();
        assert_eq!(schema["properties"]["next"], json!({"$ref": "#/$defs/a"}));
        assert_eq!(schema["$defs"]["a"]["properties"], schema["properties"]);
        assert_eq!(schema["$defs"]["b"], json!({"type": "array", "items": {"$ref": "#/$defs/b"}}));
    }

    #[test]
    fn no_two_definitions_are_called_alike() {
        let schemas = json!({
            "a": {"properties": {"1": {"$ref": "#/components/schemas/x_2"}, "2": {"$ref": "#/components/schemas/x"}, "3": {"$ref": "#/components/more/x"}}},
            "x": {"type": "string"}, "x_2": {"type": "integer"},
        });
        let text = json!({"openapi": "3.1.0", "components": {"schemas": schemas, "more": {"x": {"type": "boolean"}}}}).to_string();
        let document = Document::read(&text).unwrap();
        let mut made = Schemas::new(&document);
        let mut writer = made.writer(Purpose::Request);
        let root = writer.schema(document.at("#/components/schemas/a").unwrap(), "#/components/schemas/a").unwrap();
        let (root, definitions): (Json, Json) =
            (serde_json::from_str(&root).unwrap(), serde_json::from_str(&writer.definitions().unwrap().unwrap()).unwrap());
        let kind = |property: &str| {
            let name = root["properties"][property]["$ref"].as_str().unwrap().trim_start_matches("#/$defs/");
            definitions[name]["type"].as_str().unwrap()
        };
        assert_eq!(["1", "2", "3"].map(kind), ["integer", "string", "boolean"], "{root} {definitions}");
    }

    #[test]
    fn what_is_itself_is_refused_with_its_place() {
        let to = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        for (schemas, place) in [
            (json!({"a": to("a")}), "#/components/schemas/a: "),
            (json!({"a": {"items": to("b")}, "b": to("c"), "c": {"allOf": [to("b")]}}), "#/components/schemas/"),
            (json!({"a": {"properties": {"x": to("b")}}, "b": {"anyOf": [{"not": to("b")}]}}), "#/components/schemas/b: "),
        ] {
            let error = written("3.1.0", Purpose::Request, &schemas).unwrap_err();
            assert!(error.starts_with(place) && error.contains("without an end"), "{error}");
        }
        // The control: one that is another twice over is fine.
        let schemas = json!({"a": {"allOf": [to("b"), to("c")]}, "b": to("d"), "c": to("d"), "d": {"properties": {"x": to("a")}}});
        assert!(written("3.1.0", Purpose::Request, &schemas).is_ok());
    }

    /// References to references, each twice: filled in they would be 2^40 schemas.
    #[test]
    fn a_bomb_is_as_long_as_it_is_written() {
        let mut schemas = json!({"a": {"$ref": "#/components/schemas/s0"}, "s40": {"type": "string"}});
        for at in 0..40 {
            let next = json!({"$ref": format!("#/components/schemas/s{}", at + 1)});
            schemas[format!("s{at}")] = json!({"properties": {"x": next, "y": next}, "allOf": [next]});
        }
        let schema = written("3.0.0", Purpose::Request, &schemas).unwrap();
        assert!(schema.to_string().len() < document("3.0.0", &schemas).len());
        let many: Vec<Json> = (0..NODES_MAX).map(|at| json!({"minimum": at})).collect();
        let error = written("3.0.0", Purpose::Request, &json!({"a": {"anyOf": many}})).unwrap_err();
        assert!(error.starts_with("#/components/schemas/a/anyOf/") && error.contains("more than 4000"), "{error}");
    }

    #[test]
    fn what_is_no_schema_is_named() {
        for (schema, says) in [
            (json!({"properties": {"x/y": 3}}), "#/components/schemas/a/properties/x~1y: this is no schema"),
            (json!({"items": {"type": "file"}}), "#/components/schemas/a/items/type: \"file\" is no type"),
            (json!({"type": []}), "#/components/schemas/a/type: [] is no type"),
            (json!({"allOf": [{"$ref": "#/nowhere"}]}), "#/components/schemas/a/allOf/0: \"#/nowhere\" is not in the document"),
        ] {
            let error = written("3.1.0", Purpose::Request, &json!({"a": schema})).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }

    #[test]
    fn objects_are_known() {
        for (schema, yes) in [
            (json!({"type": "object"}), true),
            (json!({"properties": {}}), true),
            (json!({"allOf": [{}, {"$ref": "#/components/schemas/b"}]}), true),
            (json!({"type": "object", "nullable": true}), false),
            (json!({"type": "array"}), false),
            (json!({"oneOf": [{"type": "object"}]}), false),
            (json!({"$ref": "#/components/schemas/loop"}), false),
            (json!({}), false),
        ] {
            let rest = json!({"a": schema, "b": {"type": "object"}, "loop": {"$ref": "#/components/schemas/loop"}});
            let text = document("3.0.0", &rest);
            let document = Document::read(&text).unwrap();
            assert_eq!(is_object(&document, document.at("#/components/schemas/a").unwrap()), yes, "{schema}");
        }
    }
}
