//! Makes tools of an HTTP API that an OpenAPI document describes.
//!
//! In reading order: [`config`] (the settings), [`document`] and [`schema`] (what a document says), [`operation`] (which tools it makes),
//! [`listing`] (who is shown them), [`request`] and [`style`] (arguments as HTTP), [`answer`] (HTTP as a result); [`json`] reads and writes.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod answer;
pub mod config;
pub mod document;
pub mod json;
pub mod listing;
pub mod operation;
pub mod request;
pub mod schema;
pub mod style;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::catalog::without_prefix;
use sluice_sdk::fetch::{self, Error, Place};
use sluice_sdk::log::{self, Level};
use sluice_sdk::metrics;
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::Secret;

use config::{Api, Config};
use document::Document;
use operation::{Operation, Room};

/// The arguments are not those of the tool.
pub const ASKED_WRONGLY: i32 = 4000;
/// The API cannot be reached, or not in this way.
pub const NOT_REACHED: i32 = 5020;
/// The operator has not granted what is needed.
pub const NOT_GRANTED: i32 = 5030;
/// The API took too long.
pub const TOO_SLOW: i32 = 5040;

/// The plugin.
pub struct OpenApi {
    config: Config,
    /// Each with the name of its API.
    tools: Vec<(String, Operation)>,
    by_name: BTreeMap<String, usize>,
}

impl Plugin for OpenApi {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new(listing::PLUGIN, env!("CARGO_PKG_VERSION"), "Makes tools of HTTP APIs that OpenAPI documents describe.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnCatalog, &["tools/list"], &[])
            .select(Hook::OnRequest, &["tools/call"], &[])
            .need("fetch", "to call the APIs")
            .may_need("secret", "to show the APIs who asks")
            .stateless()
    }

    fn new(mut config: Config) -> Result<Self, String> {
        config.check()?;
        let documents = core::mem::take(&mut config.documents);
        let mut tools = Vec::new();
        let mut room = Room::default();
        for (name, api) in &config.apis {
            let said = |what: String| format!("document_{name}: {what}");
            let document = documents.get(name).map_or("{}", |document| document.get());
            let operations = operation::read(&Document::read(document).map_err(said)?, api, &mut room).map_err(said)?;
            tools.extend(operations.into_iter().map(|operation| (name.clone(), operation)));
        }
        operation::check_names(tools.iter().map(|(_, operation)| operation))?;
        let by_name = tools.iter().enumerate().map(|(at, (_, operation))| (operation.name.clone(), at)).collect();
        Ok(OpenApi { config, tools, by_name })
    }
}

impl OnCatalog for OpenApi {
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        if kind != ListKind::Tools {
            return Answer::keep_all();
        }
        let is_shown: BTreeMap<&str, bool> =
            self.config.apis.iter().map(|(name, api)| (name.as_str(), listing::shows(&self.config, api, |key| viewer.attr(key)))).collect();
        let tools = self.tools.iter().filter(|(api, _)| is_shown.get(api.as_str()) == Some(&true));
        let (answer, hidden) = listing::shape(entries, tools.map(|(_, tool)| (tool.name.as_str(), tool.definition.as_str())));
        for name in hidden {
            log::write(
                Level::Warn,
                "a tool of somebody else's is hidden, because one of an API is called so; give the API a prefix",
                &[("tool", name)],
            );
        }
        answer
    }
}

impl OnRequest for OpenApi {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        let asked = head.name.as_deref().filter(|_| head.kind == Kind::Request && x.upstream().is_none());
        let Some((name, tool)) = asked.and_then(|name| self.tool(name)) else { return Verdict::Next };
        let Some(api) = self.config.apis.get(name).filter(|api| listing::shows(&self.config, api, |key| x.attr(key))) else {
            // Of somebody who is not shown it, another plugin has one of that name.
            return Verdict::Next;
        };
        call(name, api, tool, x)
    }
}

impl OpenApi {
    /// By the name that a call comes with.
    fn tool(&self, name: &str) -> Option<(&String, &Operation)> {
        let at = self.by_name.get(name).or_else(|| self.by_name.get(without_prefix(listing::PLUGIN, name)?))?;
        let (api, operation) = self.tools.get(*at)?;
        Some((api, operation))
    }
}

fn call(name: &str, api: &Api, tool: &Operation, x: &Exchange) -> Verdict {
    let arguments = x.get("/params/arguments").unwrap_or_else(|| "{}".into());
    let request = match request::make(tool, api, &arguments) {
        Ok(request) => request,
        Err(why) => return no(ASKED_WRONGLY, &why),
    };
    let what = request::shown(tool);
    let mut secrets = Vec::new();
    for auth in &api.auth {
        match Secret::open(&auth.secret) {
            Ok(secret) => secrets.push((
                match (&auth.header, &auth.user) {
                    (Some(header), _) => Place::header(&header.to_ascii_lowercase(), &auth.prefix),
                    (None, user) => Place::basic(user.as_deref().unwrap_or_default()),
                },
                secret,
            )),
            Err(error) => {
                log::write(
                    Level::Warn,
                    "an API was not called, because a secret cannot be used",
                    &[("api", name), ("why", &format!("{error:?}"))],
                );
                return no(NOT_GRANTED, &format!("{what} cannot be called just now"));
            }
        }
    }
    let placed: Vec<(Place, &Secret)> = secrets.iter().map(|(place, secret)| (place.clone(), secret)).collect();
    match fetch::send(x, &request, &placed, &[]) {
        Ok(response) => {
            metrics::add("answers", 1, &[("api", name), ("status", &answer::class(response.status))]);
            Verdict::Reply(answer::result(tool, &response))
        }
        Err(error) => {
            metrics::add("answers", 1, &[("api", name), ("status", "none")]);
            match error {
                Error::Denied(why) => {
                    log::write(Level::Warn, "an API was not called", &[("api", name), ("why", &why)]);
                    no(NOT_GRANTED, &format!("{what} cannot be called just now"))
                }
                Error::Unreachable(_) => no(NOT_REACHED, &format!("{what} cannot be reached just now")),
                Error::Timeout => no(TOO_SLOW, &format!("{what} took too long; it may have run")),
                Error::TooLarge => no(NOT_REACHED, &format!("{what} answers more than can be handed on; ask it for less")),
            }
        }
    }
}

/// For the model to read.
fn no(code: i32, why: &str) -> Verdict {
    Rejection::new(code, why).tool_result().into()
}

sluice_sdk::export!(OpenApi: on_catalog, on_request);
sluice_sdk::lean!();
