//! One call of a tool: its steps one after the other, within their bounds.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use serde::de::IgnoredAny;
use sluice_sdk::exchange::Exchange;
use sluice_sdk::json as quoted;
use sluice_sdk::log::{self, Level};
use sluice_sdk::upstream::{self, Error};

use crate::config::OnError;
use crate::json::{self, Value};
use crate::recipe::{Recipe, Step};
use crate::template::{Found, Known, Ran};

/// Values in what a tool answers; the host takes some more in one message.
const NODES_MAX: usize = 150_000;
/// Of what a server says went wrong.
const ERROR_BYTES_MAX: usize = 2048;

/// What a call may come to.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Calls of other tools.
    pub calls_max: usize,
    /// Bytes of their results, and of what is made of them.
    pub bytes_max: usize,
}

/// A call that failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// In which step; none: when all had run.
    pub step: Option<String>,
    /// For a model to read.
    pub message: String,
}

/// The `result` of a call with these arguments, which are what the tool says.
pub fn run(recipe: &Recipe, input: &Value<'_>, bounds: Bounds, x: &Exchange) -> Result<String, Failure> {
    let run = Run { recipe, bounds, x, input, calls: Cell::new(0), bytes: Cell::new(0) };
    run.from(0, None, "")
}

struct Run<'r, 'a> {
    recipe: &'r Recipe,
    bounds: Bounds,
    x: &'r Exchange,
    input: &'r Value<'a>,
    calls: Cell<usize>,
    bytes: Cell<usize>,
}

/// Of one call.
enum Outcome {
    Skipped,
    Result(String),
    Failed(String),
}

impl Run<'_, '_> {
    /// The steps from this one on. Each looks into what those before it left, which stay where they are meanwhile.
    fn from(&self, at: usize, before: Option<&Ran<'_>>, last: &str) -> Result<String, Failure> {
        let Some(step) = self.recipe.steps.get(at) else { return self.output(before, last) };
        let fail = |item: Option<usize>, why: &str| self.failure(at, item, why);
        let outside = Known { input: self.input, steps: before, item: None };
        let items: Vec<Option<(&Value<'_>, usize)>> = match &step.for_each {
            None => vec![None],
            Some(pointer) => match pointer.must(&outside).map_err(|why| fail(None, &why))? {
                Found::Value(Value::Array(items)) if items.len() <= step.items_max => items.iter().zip(0..).map(Some).collect(),
                Found::Value(Value::Array(items)) => {
                    return Err(fail(None, &format!("the list has {} items, and {} are the most", items.len(), step.items_max)));
                }
                _ => return Err(fail(None, "what it goes through is no list")),
            },
        };
        let mut outcomes = Vec::with_capacity(items.len());
        for item in items {
            let known = Known { item, ..outside };
            let outcome = if step.when.iter().all(|test| test.holds(&known)) { self.call(step, &known) } else { Ok(Outcome::Skipped) };
            let place = item.map(|(_, at)| at);
            match outcome {
                Ok(Outcome::Failed(why)) if step.on_error == OnError::Stop => return Err(fail(place, &why)),
                Ok(outcome) => outcomes.push(outcome),
                // A bound is one whatever the step says.
                Err(why) => return Err(fail(place, &why)),
            }
        }
        let results: Vec<Option<Value<'_>>> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Result(result) => json::read(result),
                _ => None,
            })
            .collect();
        let texts: Vec<String> = results.iter().map(|result| result.as_ref().map(texts).unwrap_or_default()).collect();
        let mut left: Vec<Value<'_>> =
            outcomes.iter().zip(results).zip(&texts).map(|((outcome, result), text)| left_behind(outcome, result, text)).collect();
        let value = match (&step.for_each, left.pop()) {
            (None, Some(one)) => one,
            (_, last) => {
                left.extend(last);
                Value::Object(vec![(Cow::Borrowed("results"), Value::Array(left))])
            }
        };
        let last = match outcomes.last() {
            Some(Outcome::Result(result)) => result,
            _ => "",
        };
        self.from(at + 1, Some(&Ran { at, value: &value, before }), last)
    }

    /// One call. An error is one of a bound.
    fn call(&self, step: &Step, known: &Known<'_>) -> Result<Outcome, String> {
        let calls = self.calls.get();
        if calls == self.bounds.calls_max {
            return Err(format!("more than {calls} calls would be made (calls_max)"));
        }
        let arguments = match step.arguments.fill(known, self.bounds.bytes_max) {
            Ok(arguments) if arguments.starts_with('{') => arguments,
            Ok(_) => return Ok(Outcome::Failed("its arguments are no object".to_string())),
            Err(why) => return Ok(Outcome::Failed(why)),
        };
        self.calls.set(calls + 1);
        let result = match upstream::call_tool(self.x, &step.upstream, &step.tool, &arguments, step.timeout_ms) {
            Ok(result) => result,
            Err(error) => return Ok(Outcome::Failed(self.said(step, error))),
        };
        let bytes = self.bytes.get() + result.len();
        if bytes > self.bounds.bytes_max {
            return Err(format!("results come to more than {} bytes (bytes_max)", self.bounds.bytes_max));
        }
        self.bytes.set(bytes);
        Ok(match Ending::of(&result) {
            Ending::Complete => Outcome::Result(result),
            Ending::Failed => {
                let mut why = json::read(&result).as_ref().map(texts).unwrap_or_default();
                cut(&mut why);
                Outcome::Failed(if why.is_empty() { "it failed, and does not say why".to_string() } else { why })
            }
            Ending::Asks => Outcome::Failed("it asks a person first, and nobody can be asked in this way".to_string()),
            Ending::Unreadable => Outcome::Failed("its result is nested too deep".to_string()),
        })
    }

    fn said(&self, step: &Step, error: Error) -> String {
        match error {
            Error::Unknown => "there is no such tool".to_string(),
            Error::Failed((_, mut why)) => {
                cut(&mut why);
                why
            }
            Error::Timeout => "it took too long; it may have run".to_string(),
            Error::TooLarge => "it answers more than can be handed on".to_string(),
            Error::Denied(why) => {
                let fields = [("tool", self.recipe.name.as_str()), ("step", &step.id), ("why", &why)];
                log::write(Level::Warn, "a step could not be called", &fields);
                "it cannot be called just now".to_string()
            }
        }
    }

    fn output(&self, steps: Option<&Ran<'_>>, last: &str) -> Result<String, Failure> {
        let Some(template) = &self.recipe.output else { return Ok(complete(last)) };
        let known = Known { input: self.input, steps, item: None };
        let fail = |why: &str| Failure { step: None, message: format!("every step ran, and the answer could not be made: {why}") };
        let made = template.fill(&known, self.bounds.bytes_max).map_err(|why| fail(&why))?;
        let value = json::read(&made)
            .filter(|value| json::is_strict(value, NODES_MAX))
            .ok_or_else(|| fail("it is nested too deep, or too much"))?;
        let text = json::text(&value).unwrap_or(&made);
        let content = format!(r#"[{{"type":"text","text":{}}}]"#, quoted::string(text));
        let structured = match value {
            Value::Object(_) => format!(r#","structuredContent":{made}"#),
            _ => String::new(),
        };
        Ok(format!(r#"{{"content":{content}{structured},"resultType":"complete"}}"#))
    }

    fn failure(&self, at: usize, item: Option<usize>, why: &str) -> Failure {
        let step = &self.recipe.steps[at];
        let item = item.map(|at| format!(", item {at}")).unwrap_or_default();
        let before: Vec<&str> = self.recipe.steps[..at].iter().map(|step| step.id.as_str()).collect();
        let done = match (before.is_empty(), self.calls.get()) {
            (true, 0) => "Nothing was called before.".to_string(),
            (true, calls) => format!("{calls} calls were made."),
            (false, calls) => format!("What came before is done and stays so: {} ({calls} calls in all).", before.join(", ")),
        };
        let message =
            format!("Step {} ({} of {}){item}: {why}. {done}", step.id, step.tool, step.upstream, why = why.trim_end_matches('.'));
        Failure { step: Some(step.id.clone()), message }
    }
}

/// How a call ended.
enum Ending {
    Complete,
    Failed,
    Asks,
    Unreadable,
}

#[derive(serde::Deserialize)]
struct Marks {
    #[serde(rename = "isError", default)]
    is_error: bool,
    #[serde(rename = "resultType")]
    kind: Option<String>,
    #[serde(rename = "inputRequests")]
    asks: Option<IgnoredAny>,
}

impl Ending {
    /// A server of an earlier revision does not say that a result is complete.
    fn of(result: &str) -> Self {
        match serde_json::from_str::<Marks>(result) {
            Ok(Marks { is_error: true, .. }) => Ending::Failed,
            Ok(Marks { kind: Some(kind), .. }) if kind != "complete" => Ending::Asks,
            Ok(Marks { kind: None, asks: Some(_), .. }) => Ending::Asks,
            Ok(_) if json::read(result).is_some() => Ending::Complete,
            _ => Ending::Unreadable,
        }
    }
}

/// A result of a tool as one of ours.
fn complete(result: &str) -> String {
    let has_kind = serde_json::from_str::<Marks>(result).is_ok_and(|marks| marks.kind.is_some());
    let members = result.trim().strip_prefix('{').unwrap_or("}").trim_start();
    if has_kind {
        return result.to_string();
    }
    let comma = if members == "}" { "" } else { "," };
    format!(r#"{{"resultType":"complete"{comma}{members}"#)
}

/// All texts of a result.
fn texts(result: &Value<'_>) -> String {
    let content = json::member(result, "content").map(json::items).unwrap_or_default();
    let texts: Vec<&str> = content.iter().filter_map(|item| json::member(item, "text").and_then(json::text)).collect();
    texts.join("\n")
}

/// What later steps can name.
fn left_behind<'v>(outcome: &'v Outcome, result: Option<Value<'v>>, text: &'v str) -> Value<'v> {
    let mut members = Vec::new();
    match (outcome, result) {
        (Outcome::Result(_), Some(Value::Object(result))) => {
            let mut structured = None;
            for (name, member) in result {
                match &*name {
                    "structuredContent" => structured = Some(member),
                    "content" => members.push((Cow::Borrowed("content"), member)),
                    _ => {}
                }
            }
            // Many a server answers with JSON in a text.
            let in_text = || json::read(text).filter(|value| matches!(value, Value::Object(_) | Value::Array(_)));
            if let Some(structured) = structured.or_else(in_text) {
                members.push((Cow::Borrowed("structured"), structured));
            }
            members.push((Cow::Borrowed("text"), Value::String(Cow::Borrowed(text))));
        }
        (Outcome::Failed(why), _) => members.push((Cow::Borrowed("error"), Value::String(Cow::Borrowed(why)))),
        _ => {}
    }
    members.push((Cow::Borrowed("skipped"), Value::Bool(matches!(outcome, Outcome::Skipped))));
    Value::Object(members)
}

fn cut(text: &mut String) {
    if text.len() > ERROR_BYTES_MAX {
        text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX));
        text.push('…');
    }
}
