//! A tool as it is declared, with everything in it checked.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::json as quoted;

use crate::check::Schema;
use crate::config::{self, Condition, OnError};
use crate::json::{self, Value};
use crate::template::{Found, Known, Names, Pointer, Template};

/// One tool.
#[derive(Debug)]
pub struct Recipe {
    /// What clients call it.
    pub name: String,
    /// What clients see of it.
    pub definition: String,
    /// What it takes.
    pub input: Schema,
    /// One after the other.
    pub steps: Vec<Step>,
    /// What it answers; none: as its last step does.
    pub output: Option<Template>,
}

/// One call, or one for each item of a list.
#[derive(Debug)]
pub struct Step {
    /// What later steps call it.
    pub id: String,
    /// The server.
    pub upstream: String,
    /// Its tool.
    pub tool: String,
    /// Of an object.
    pub arguments: Template,
    /// All of these.
    pub when: Vec<Test>,
    /// To a list.
    pub for_each: Option<Pointer>,
    /// Of that list.
    pub items_max: usize,
    /// What a failure means.
    pub on_error: OnError,
    /// Of one call.
    pub timeout_ms: Option<u32>,
}

/// A condition.
#[derive(Debug)]
pub struct Test {
    value: Pointer,
    wanted: Wanted,
}

#[derive(Debug)]
enum Wanted {
    Exists(bool),
    /// JSON of each.
    OneOf(Vec<String>),
    Differs(String),
}

impl Test {
    fn read(condition: Condition, names: &Names<'_>) -> Result<Self, String> {
        let Condition { value, exists, equals, differs, one_of } = condition;
        let wanted = match (exists, equals, differs, one_of) {
            (Some(exists), None, None, None) => Wanted::Exists(exists),
            (None, Some(equals), None, None) => Wanted::OneOf([equals.get().to_string()].into()),
            (None, None, Some(differs), None) => Wanted::Differs(differs.get().to_string()),
            (None, None, None, Some(all)) => Wanted::OneOf(all.iter().map(|one| one.get().to_string()).collect()),
            _ => return Err("a condition has value and one of exists, equals, differs and one_of".to_string()),
        };
        Ok(Test { value: Pointer::read(&value, names)?, wanted })
    }

    /// Whether it holds.
    pub fn holds(&self, known: &Known<'_>) -> bool {
        let found = self.value.find(known);
        let is = |wanted: &str| match (found, json::read(wanted)) {
            (Some(Found::Value(value)), Some(wanted)) => json::same(value, &wanted),
            (Some(Found::Index(at)), Some(Value::Number((digits, _)))) => digits == at.to_string(),
            _ => false,
        };
        match &self.wanted {
            Wanted::Exists(exists) => found.is_some_and(|found| !matches!(found, Found::Value(Value::Null))) == *exists,
            Wanted::OneOf(all) => all.iter().any(|wanted| is(wanted)),
            Wanted::Differs(other) => !is(other),
        }
    }
}

/// A text that is JSON, since it came as that, and is perhaps nested too deep.
fn parsed(json: &str) -> Result<Value<'_>, String> {
    json::read(json).ok_or_else(|| format!("it is nested deeper than {} levels", json::DEPTH_MAX))
}

impl Recipe {
    /// Checks what a schema cannot say. The text of an error begins with the setting.
    pub fn read(mut tool: config::Tool) -> Result<Self, String> {
        let input_json =
            tool.input_schema.as_ref().map_or(r#"{"type":"object","properties":{},"additionalProperties":false}"#, |schema| schema.get());
        let input = parsed(input_json).and_then(|schema| Schema::read(&schema)).map_err(|why| format!("input_schema: {why}"))?;
        if !input.is_of_objects() {
            return Err("input_schema: its type has to be object".to_string());
        }
        if tool.steps.is_empty() {
            return Err("steps: there is none".to_string());
        }
        let inputs = input.closed();
        let mut steps: Vec<Step> = Vec::new();
        let mut known: Vec<(String, bool)> = Vec::new();
        for step in core::mem::take(&mut tool.steps) {
            if known.iter().any(|(id, _)| *id == step.id) {
                return Err(format!("steps: two are called {:?}", step.id));
            }
            let before: Vec<(&str, bool)> = known.iter().map(|(id, is_list)| (id.as_str(), *is_list)).collect();
            let (id, is_list) = (step.id.clone(), step.for_each.is_some());
            steps.push(Step::read(step, inputs.as_deref(), &before).map_err(|why| format!("steps.{id}: {why}"))?);
            known.push((id, is_list));
        }
        let known: Vec<(&str, bool)> = known.iter().map(|(id, is_list)| (id.as_str(), *is_list)).collect();
        let output = match &tool.output {
            Some(output) => {
                let names = Names { input: inputs.as_deref(), steps: &known, has_item: false };
                Some(parsed(output.get()).and_then(|output| Template::read(&output, &names)).map_err(|why| format!("output: {why}"))?)
            }
            None => None,
        };
        let has_one_result = |last: &Step| last.for_each.is_none() && last.when.is_empty() && last.on_error == OnError::Stop;
        if output.is_none() && !steps.last().is_some_and(has_one_result) {
            return Err("output: it is needed where the last step may have no result, or many (when, for_each, on_error)".to_string());
        }
        if tool.output_schema.is_some() && !output.as_ref().is_some_and(Template::is_object) {
            return Err("output_schema: it promises an object, so output has to be one".to_string());
        }
        let definition = definition(&tool, input_json)?;
        Ok(Recipe { name: tool.name, definition, input, steps, output })
    }
}

impl Step {
    fn read(step: config::Step, inputs: Option<&[String]>, before: &[(&str, bool)]) -> Result<Self, String> {
        let names = Names { input: inputs, steps: before, has_item: step.for_each.is_some() };
        let arguments = step.arguments.as_ref().map_or("{}", |arguments| arguments.get());
        let arguments =
            parsed(arguments).and_then(|arguments| Template::read(&arguments, &names)).map_err(|why| format!("arguments: {why}"))?;
        if !arguments.is_object() && !matches!(arguments, Template::From { .. }) {
            return Err("arguments: they are an object".to_string());
        }
        let outside = Names { has_item: false, ..names };
        let for_each =
            step.for_each.as_ref().map(|pointer| Pointer::read(pointer, &outside)).transpose().map_err(|why| format!("for_each: {why}"))?;
        let names = Names { has_item: for_each.is_some(), ..outside };
        let when = step.when.into_iter().map(|condition| Test::read(condition, &names)).collect::<Result<_, _>>();
        Ok(Step {
            when: when.map_err(|why| format!("when: {why}"))?,
            id: step.id,
            upstream: step.upstream,
            tool: step.tool,
            arguments,
            for_each,
            items_max: step.items_max,
            on_error: step.on_error,
            timeout_ms: step.timeout_ms,
        })
    }
}

fn definition(tool: &config::Tool, input: &str) -> Result<String, String> {
    let mut out = format!(r#"{{"name":{}"#, quoted::string(&tool.name));
    let mut put = |name: &str, json: &str| out.push_str(&format!(r#","{name}":{json}"#));
    if let Some(title) = &tool.title {
        put("title", &quoted::string(title));
    }
    put("description", &quoted::string(&tool.description));
    put("inputSchema", input);
    if let Some(output) = &tool.output_schema {
        let schema = parsed(output.get()).map_err(|why| format!("output_schema: {why}"))?;
        if json::member(&schema, "type").and_then(json::text) != Some("object") {
            return Err("output_schema: its type has to be object".to_string());
        }
        put("outputSchema", output.get());
    }
    if let Some(annotations) = &tool.annotations {
        put("annotations", annotations.get());
    }
    out.push('}');
    Ok(out)
}
