//! Finds hidden text, exfiltration and injected instructions in what servers say.
//!
//! [`detectors`] names what is looked for, each in a module of its own. In messages the host looks first (`patterns`), and [`policy`] has
//! the texts with hits judged; of definitions, where there are no patterns, [`definitions`] reads every string. [`config`] reads the
//! settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod ahead;
mod clean;
pub mod config;
pub mod definitions;
pub mod detectors;
mod hidden;
mod lines;
mod links;
mod lookalike;
mod markers;
mod markup;
pub mod phrases;
mod places;
pub mod policy;
mod rename;
mod share;
mod style;
mod table;
mod tag;
mod terminal;
mod url;
mod walk;
mod words;

use alloc::string::String;

use sluice_sdk::patterns;
use sluice_sdk::prelude::*;

use config::Config;
use definitions::Reader;
use policy::{Policy, Ruling};

/// The plugin.
pub struct Guard {
    messages: Policy,
    definitions: Reader,
}

/// The pattern set's name with the host.
const SET: &str = "guard";

/// What these answer is the catalogue, which `on-catalog` has been through.
const LISTS: [Method; 4] = [Method::ToolsList, Method::PromptsList, Method::ResourcesList, Method::ResourcesTemplatesList];

impl Plugin for Guard {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("guard", env!("CARGO_PKG_VERSION"), "Finds hidden text, exfiltration and injected instructions in what servers say.")
            .schema(include_str!("../config.schema.json"))
            .edits(&["/params/**", "/result/**", "/error/**"])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        let (messages, definitions) = (Policy::new(&config), Reader::new(&config));
        if !messages.patterns().is_empty() {
            patterns::define(SET, messages.patterns())?;
        }
        Ok(Guard { messages, definitions })
    }
}

impl OnResponse for Guard {
    fn on_response(&self, head: &Head, x: &Exchange) -> Verdict {
        if LISTS.contains(&head.method) {
            return Verdict::Next;
        }
        match self.messages.rule(head, x, SET) {
            Ruling::Pass => Verdict::Next,
            Ruling::Refuse(no) => no.into(),
        }
    }
}

impl OnNotification for Guard {
    fn on_notification(&self, head: &Head, x: &Exchange) -> NotificationVerdict {
        match self.messages.rule(head, x, SET) {
            Ruling::Pass => NotificationVerdict::Next,
            // A question is waited for, so someone must hear the no. Of a notification nobody does.
            Ruling::Refuse(no) if head.kind != Kind::Notification => no.into(),
            Ruling::Refuse(_) => NotificationVerdict::Drop,
        }
    }
}

impl OnCatalog for Guard {
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        self.definitions.rule(kind, entries, |at| viewer.definition(at)).into()
    }
}

sluice_sdk::export!(Guard: on_response, on_notification, on_catalog);
sluice_sdk::lean!();
