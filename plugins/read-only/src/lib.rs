//! Lets through only what changes nothing.
//!
//! [`policy`] decides, [`config`] reads the settings, `annotations` reads what servers say of their tools.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod annotations;
pub mod config;
pub mod policy;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

use config::Config;
use policy::Policy;

/// The plugin.
pub struct ReadOnly(Policy);

impl Plugin for ReadOnly {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("read-only", env!("CARGO_PKG_VERSION"), "Lets through only what changes nothing.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnCatalog, &["tools/list"], &[])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Policy::new(config).map(ReadOnly)
    }
}

impl OnCatalog for ReadOnly {
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        if kind != ListKind::Tools {
            return Answer::keep_all();
        }
        let change = |(at, entry): (u32, &Entry)| {
            if self.0.shows(entry, || viewer.definition(at)) { Change::Keep } else { Change::Hide }
        };
        (0..).zip(entries).map(change).collect::<Vec<_>>().into()
    }
}

impl OnRequest for ReadOnly {
    fn on_request(&self, head: &Head, _: &Exchange) -> Verdict {
        // What a server asks of the client, and the answer to it, belong to a call that was let through.
        let is_asked = head.kind != Kind::Request || head.direction != Direction::ToServer;
        if is_asked || policy::reads(head.method.as_str()) { Verdict::Next } else { policy::refusal().into() }
    }
}

sluice_sdk::export!(ReadOnly: on_catalog, on_request);
sluice_sdk::lean!();
