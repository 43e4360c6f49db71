//! Keeps the names of several servers apart.
//!
//! [`policy`] gives every tool and prompt the one name it is seen and called by, [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod policy;

use alloc::string::String;

use sluice_sdk::prelude::*;

use config::Config;
use policy::Namer;

/// The plugin.
pub struct Namespace(Namer);

impl Plugin for Namespace {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("namespace", env!("CARGO_PKG_VERSION"), "Keeps the names of several servers apart.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnCatalog, &["tools/list", "prompts/list"], &[])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Namer::new(config).map(Namespace)
    }
}

impl OnCatalog for Namespace {
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        match kind {
            ListKind::Tools | ListKind::Prompts => self.0.name(entries, || viewer.upstreams()).into(),
            // A URI is the server's own and means the same to everyone.
            ListKind::Resources | ListKind::ResourceTemplates => Answer::keep_all(),
        }
    }
}

sluice_sdk::export!(Namespace: on_catalog);
sluice_sdk::lean!();
