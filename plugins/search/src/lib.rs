//! Finds tools by what they do, so that a model is shown few.
//!
//! [`listing`] says what stays in the list, [`index`] finds ([`words`] cuts texts, [`definition`] reads them, [`alike`] knows other words),
//! [`meaning`] goes by vectors where there is a service for them, [`answer`] writes what was found, and [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod alike;
pub mod answer;
pub mod config;
pub mod definition;
pub mod index;
pub mod listing;
pub mod meaning;
pub mod words;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use sluice_sdk::json::Json;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;
use sluice_sdk::upstream::{self, Error};

use config::Config;
use definition::{Definition, Listed};
use index::{Alike, Index};
use meaning::Vectors;

/// The arguments are not those of the tool.
const ASKED_WRONGLY: i32 = 4000;
/// There is no such tool.
const UNKNOWN: i32 = 4040;
/// The tool cannot be called in this way, or not just now.
const NOT_CALLED: i32 = 4030;

/// Changes with the list that the principal's calls are of.
const LIST: &str = "host.tools";
/// And one tool of it.
const TOOL: &str = "host.tool.";

/// The plugin.
pub struct Search {
    config: Config,
    alike: Alike,
    kept: RefCell<Kept>,
}

/// Of the principal's list, made when it is first asked about.
#[derive(Default)]
struct Kept {
    /// Which list it is of.
    list: String,
    index: Index,
    vectors: Vectors,
}

#[derive(serde::Deserialize)]
struct Question {
    query: String,
    limit: Option<usize>,
}

#[derive(serde::Deserialize)]
struct Call<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a serde_json::value::RawValue>,
}

/// Most tools that an answer describes.
const RESULTS_MAX: usize = 20;
/// Of a question. What is longer is cut.
const QUESTION_BYTES_MAX: usize = 2048;

impl Plugin for Search {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("search", env!("CARGO_PKG_VERSION"), "Finds tools by what they do, so that a model is shown few.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnRequest, &["tools/call"], &[])
            .need("upstream", "to call the tools that are found, as who asks")
            .may_need("fetch", "to ask an embeddings endpoint what texts mean, if the settings name one")
            .may_need("secret", "to show that endpoint who asks")
    }

    fn new(config: Config) -> Result<Self, String> {
        if config.search_tool == config.call_tool {
            return Err(format!("search_tool and call_tool are both {:?}: they need two names", config.call_tool));
        }
        Ok(Search { config, alike: Alike::new(), kept: RefCell::default() })
    }
}

impl OnCatalog for Search {
    fn on_catalog(&self, _: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        match kind {
            ListKind::Tools => listing::shape(&self.config, entries),
            _ => Answer::keep_all(),
        }
    }
}

impl OnRequest for Search {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        let Some(name) = head.name.as_deref().filter(|_| head.kind == Kind::Request) else { return Verdict::Next };
        let own = |own: &str| listing::is_own(own, name) && x.upstream().is_none();
        let arguments = || x.get("/params/arguments").unwrap_or_else(|| "{}".into());
        if own(&self.config.search_tool) {
            return self.find(&arguments(), x);
        }
        if own(&self.config.call_tool) {
            return self.call(&arguments(), x);
        }
        Verdict::Next
    }
}

impl Search {
    fn find(&self, arguments: &str, x: &Exchange) -> Verdict {
        let Ok(question) = serde_json::from_str::<Question>(arguments) else {
            return no(ASKED_WRONGLY, "arguments are {\"query\": \"what the tool should do\", \"limit\": how many}");
        };
        let Some(list) = x.attr(LIST) else {
            return no(NOT_CALLED, "the list of tools is not to be had just now; try again");
        };
        let mut kept = self.kept.borrow_mut();
        if kept.list != list {
            *kept = Kept { list, index: index_of(x), vectors: Vectors::default() };
        }
        let Kept { index, vectors, .. } = &mut *kept;
        let asked = index::start(&question.query, QUESTION_BYTES_MAX);
        let most = question.limit.unwrap_or(self.config.results).clamp(1, RESULTS_MAX);
        let found = match &self.config.embeddings {
            None => index.search(asked, &self.alike, most),
            Some(service) => vectors.search(service, asked, index, &self.alike, most, x),
        };
        let names: Vec<String> = found.into_iter().map(|found| found.name(index)).collect();
        let tools = names.iter().filter_map(|name| Some((name.as_str(), x.attr(&format!("{TOOL}{name}"))?)));
        Verdict::Reply(answer::found(tools, index.len(), &self.config))
    }

    fn call(&self, arguments: &str, x: &Exchange) -> Verdict {
        let Ok(call) = serde_json::from_str::<Call<'_>>(arguments) else {
            return no(ASKED_WRONGLY, "arguments are {\"name\": \"a tool that was found\", \"arguments\": {its arguments}}");
        };
        let shown = index::start(&call.name, 128);
        let listed = x.attr(&format!("{TOOL}{}", call.name));
        let Some(listed) = listed.as_deref().and_then(Listed::read) else {
            return no(UNKNOWN, &format!("there is no tool {shown:?} here; {} says which there are", self.config.search_tool));
        };
        let given = call.arguments.map_or("{}", |arguments| arguments.get());
        if !given.starts_with('{') {
            return no(ASKED_WRONGLY, &format!("\"arguments\" is an object: the arguments of {shown:?}"));
        }
        match upstream::call_tool(x, &listed.upstream, &listed.tool, given, None) {
            Ok(result) => match answer::complete(result) {
                Some(result) => Verdict::Reply(result),
                None => no(NOT_CALLED, &format!("{shown:?} asks a person first, and nobody can be asked in this way")),
            },
            Err(Error::Unknown) => no(UNKNOWN, &format!("there is no tool {shown:?} here any more")),
            Err(Error::Failed((_, why))) => no(NOT_CALLED, &why),
            Err(Error::Timeout) => no(NOT_CALLED, &format!("{shown:?} took too long; it may have run")),
            Err(Error::TooLarge) => no(NOT_CALLED, &format!("{shown:?} answers more than can be handed on; ask it for less")),
            Err(Error::Denied(why)) => {
                log::write(Level::Warn, "a tool that was found could not be called", &[("why", &why)]);
                no(NOT_CALLED, &format!("{shown:?} cannot be called just now"))
            }
        }
    }
}

/// What the calls of who asks can be of.
fn index_of(x: &Exchange) -> Index {
    let mut index = Index::default();
    for (key, json) in x.attrs(TOOL) {
        let (Some(name), Some(listed)) = (key.strip_prefix(TOOL), Listed::read(&json)) else { continue };
        index.add(name, &listed.upstream, &Definition::read(listed.definition.get()));
    }
    index
}

/// For the model to read.
fn no(code: i32, why: &str) -> Verdict {
    Rejection::new(code, why).tool_result().into()
}

/// A tool's result around one text.
pub(crate) fn text_result(text: &str) -> Json {
    format!(r#"{{"content":[{{"type":"text","text":{}}}],"resultType":"complete"}}"#, sluice_sdk::json::string(text))
}

sluice_sdk::export!(Search: on_catalog, on_request);
sluice_sdk::lean!();
