//! Keeps results of tools as small as a model needs them.
//!
//! [`rule`] says which tools are meant, [`result`] shapes one result with [`select`] and [`cut`], [`json`] reads and writes it, [`config`] reads
//! the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod cut;
pub mod json;
pub mod result;
pub mod rule;
pub mod select;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

use config::Config;
use rule::{Rule, Rules};

/// The result is longer than may pass.
pub const TOO_LONG: i32 = 4034;
/// The result could not be looked at or changed, so it does not pass either.
pub const NOT_SHAPED: i32 = 4035;

/// The plugin.
pub struct Shape(Rules);

impl Plugin for Shape {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("shape", env!("CARGO_PKG_VERSION"), "Keeps results of tools as small as a model needs them.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnCatalog, &["tools/list"], &[])
            .select(Hook::OnResponse, &["tools/call"], &[])
            .edits(&["/result/**"])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Rules::new(config).map(Shape)
    }
}

impl OnCatalog for Shape {
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        if kind != ListKind::Tools {
            return Answer::keep_all();
        }
        let promises = |at: u32| viewer.definition(at).is_some_and(|tool| tool.contains("\"outputSchema\""));
        let change = |(at, entry): (u32, &Entry)| match self.0.may_break(&entry.name, &entry.upstream) && promises(at) {
            true => Change::Patch(r#"{"outputSchema":null}"#.to_string()),
            false => Change::Keep,
        };
        (0..).zip(entries).map(change).collect::<Vec<_>>().into()
    }
}

impl OnResponse for Shape {
    fn on_response(&self, head: &Head, x: &Exchange) -> Verdict {
        if head.kind != Kind::Response || head.method != Method::ToolsCall {
            return Verdict::Next;
        }
        let name = head.name.as_deref().unwrap_or_default();
        match self.0.of(name, &x.upstream().unwrap_or_default()) {
            Some(rule) if !rule.is_idle_for(head.body_bytes as usize) => shape(rule, x),
            _ => Verdict::Next,
        }
    }
}

fn shape(rule: &Rule, x: &Exchange) -> Verdict {
    let parts = x.get_many(&["/result/content", "/result/structuredContent"]);
    let [content, structured] = parts.as_slice() else { return not_shaped() };
    if content.is_none() && structured.is_none() {
        // An error, or something else that has no content. Or the operator has taken `payload` away: then not even this is there.
        return if x.get("/jsonrpc").is_some() { Verdict::Next } else { not_shaped() };
    }
    let Some(shaped) = result::shape(rule, content.as_deref(), structured.as_deref()) else { return not_shaped() };
    if let (Some(bytes), Some(max)) = (shaped.too_long, rule.result_bytes_max) {
        let why = format!("the call ran, but its result has {bytes} bytes, and at most {max} may pass here; ask for less of it");
        return Rejection::new(TOO_LONG, &why).tool_result().into();
    }
    if shaped.edits.is_empty() {
        return Verdict::Next;
    }
    if x.stage(&shaped.edits).is_err() {
        return not_shaped();
    }
    // Losing the note is not worth losing the result.
    let _ = x.set_attr("left-out", &shaped.notes.label());
    Verdict::Next
}

fn not_shaped() -> Verdict {
    let why = "the call ran, but its result cannot be looked at here, so it does not pass; that is for whoever runs this gateway to change";
    Rejection::new(NOT_SHAPED, why).tool_result().into()
}

sluice_sdk::export!(Shape: on_catalog, on_response);
sluice_sdk::lean!();
