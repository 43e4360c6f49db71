//! Renames, hides, patches and adds as its settings say, and can answer what it added.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    #[serde(default)]
    rename: BTreeMap<String, String>,
    #[serde(default)]
    hide: BTreeSet<String>,
    /// JSON merge patches.
    #[serde(default)]
    patch: BTreeMap<String, String>,
    /// Definitions, as JSON text, of the tools it adds.
    #[serde(default)]
    add: Vec<String>,
    /// Answered by this plugin itself.
    own_name: Option<String>,
    /// Only viewers with this role see anything.
    role: Option<String>,
    /// One change too few: a fault.
    #[serde(default)]
    miscount: bool,
}

struct RenameCatalog(Settings);

impl Plugin for RenameCatalog {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("rename-catalog", "0.1.0", "Renames as told.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(RenameCatalog(settings))
    }
}

impl OnCatalog for RenameCatalog {
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        let settings = &self.0;
        if settings.role.is_some() && viewer.attr("principal.claim.role") != settings.role {
            return entries.iter().map(|_| Change::Hide).collect::<Vec<_>>().into();
        }
        let mut changes: Vec<_> = entries
            .iter()
            .map(|entry| match (settings.rename.get(&entry.name), settings.patch.get(&entry.name)) {
                _ if settings.hide.contains(&entry.name) => Change::Hide,
                (Some(name), Some(patch)) => Change::RenameAndPatch((name.clone(), patch.clone())),
                (Some(name), None) => Change::Rename(name.clone()),
                (None, Some(patch)) => Change::Patch(patch.clone()),
                (None, None) => Change::Keep,
            })
            .collect();
        if settings.miscount {
            changes.pop();
        }
        let added = if kind == ListKind::Tools { settings.add.clone() } else { Vec::new() };
        Answer { changes, added }
    }
}

impl OnRequest for RenameCatalog {
    fn on_request(&self, head: &Head, _: &Exchange) -> Verdict {
        if head.name.is_some() && head.name == self.0.own_name {
            return Verdict::Reply(r#"{"content":[{"type":"text","text":"answered by the plugin"}]}"#.into());
        }
        Verdict::Next
    }
}

sluice_sdk::export!(RenameCatalog: on_catalog, on_request);
sluice_sdk::lean!();
