//! Holds arguments and structured results against the schemas of tools.
//!
//! In reading order: [`config`] (the settings), [`tools`] (with their schemas read, and whether a server still lists them so), [`bounds`] and
//! [`work`] (which schemas are used, and on what), [`schema`] and [`expected`] (a value against one, in words), [`answer`] (what a client hears).

pub mod answer;
pub mod bounds;
pub mod config;
pub mod expected;
pub mod schema;
pub mod tools;
pub mod work;

use serde_json::Value;
use sluice_sdk::log;
use sluice_sdk::prelude::*;

use config::{Config, Fate};
use schema::Schema;
use tools::Tools;

/// The plugin.
pub struct SchemaCheck {
    tools: Tools,
    arguments: bool,
    results: bool,
    on_change: Fate,
    on_new: Fate,
}

impl Plugin for SchemaCheck {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("schema", env!("CARGO_PKG_VERSION"), "Holds arguments and structured results against the schemas of tools.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnCatalog, &["tools/list"], &[])
            .select(Hook::OnRequest, &["tools/call"], &[])
            .select(Hook::OnResponse, &["tools/call"], &[])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        let Config { tools, arguments, results, on_change, on_new } = config;
        Ok(SchemaCheck { tools: Tools::new(tools)?, arguments, results, on_change, on_new })
    }
}

impl OnCatalog for SchemaCheck {
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        if kind != ListKind::Tools {
            return Answer::keep_all();
        }
        let change = |(at, entry): (u32, &Entry)| match self.fate(entry, || viewer.definition(at).unwrap_or_default()) {
            Fate::Keep => Change::Keep,
            Fate::Hide => Change::Hide,
        };
        (0..).zip(entries).map(change).collect::<Vec<_>>().into()
    }
}

impl OnRequest for SchemaCheck {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        if head.kind != Kind::Request {
            return Verdict::Next;
        }
        let name = head.name.as_deref().unwrap_or_default();
        let Some(tool) = self.tools.find(name) else {
            return if self.on_new == Fate::Keep { Verdict::Next } else { answer::unknown(name) };
        };
        if !self.arguments {
            return Verdict::Next;
        }
        let given = x.get("/params/arguments").unwrap_or_else(|| "{}".to_string());
        match mistakes(&tool.input, &given) {
            None => answer::too_much(name),
            Some(mistakes) if mistakes.is_empty() => Verdict::Next,
            Some(mistakes) => answer::bad_arguments(name, &mistakes),
        }
    }
}

impl OnResponse for SchemaCheck {
    fn on_response(&self, head: &Head, x: &Exchange) -> Verdict {
        let name = head.name.as_deref().unwrap_or_default();
        let Some(schema) = self.tools.find(name).and_then(|tool| tool.output.as_ref()).filter(|_| self.results) else {
            return Verdict::Next;
        };
        let asked = ["/result", "/result/structuredContent", "/result/isError", "/result/resultType", "/result/task"];
        let [result, content, is_error, kind, task] = <[_; 5]>::try_from(x.get_many(&asked)).unwrap_or_default();
        // A tool that failed says so in words, and one that goes on has not answered yet.
        let goes_on = task.is_some() || kind.is_some_and(|kind| kind != r#""complete""#);
        if result.is_none() || is_error.as_deref() == Some("true") || goes_on {
            return Verdict::Next;
        }
        let Some(content) = content else {
            return answer::bad_result(name, &["(as a whole): is missing".to_string()]);
        };
        match mistakes(schema, &content) {
            None => answer::too_much(name),
            Some(mistakes) if mistakes.is_empty() => Verdict::Next,
            Some(mistakes) => answer::bad_result(name, &mistakes),
        }
    }
}

impl SchemaCheck {
    fn fate(&self, entry: &Entry, definition: impl Fn() -> String) -> Fate {
        let Some(tool) = self.tools.find(&entry.name) else { return self.on_new };
        if tool.is_listed_as(&definition()) {
            return Fate::Keep;
        }
        let fields = [("upstream", entry.upstream.as_str()), ("tool", entry.name.as_str())];
        let (fate, message) = match self.on_change {
            Fate::Hide => (Fate::Hide, "hidden: its server lists it with other schemas than the settings have"),
            Fate::Keep => (Fate::Keep, "its server lists it with other schemas than the settings have, by which it is checked"),
        };
        log::write(log::Level::Warn, message, &fields);
        fate
    }
}

/// A line for each; nothing, if it would take too long to say. What the host has read and goes deeper than is read here would, too.
fn mistakes(schema: &Schema, json: &str) -> Option<Vec<String>> {
    let value: Value = serde_json::from_str(json).ok()?;
    schema.mistakes(&value).ok()
}

sluice_sdk::export!(SchemaCheck: on_catalog, on_request, on_response);
