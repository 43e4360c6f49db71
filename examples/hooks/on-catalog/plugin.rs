//! Hides destructive tools from callers without the scope `admin`.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::String;
use sluice_sdk::prelude::*;

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Definition {
    annotations: Annotations,
}

#[derive(serde::Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Annotations {
    destructive_hint: bool,
}

pub struct Careful;

impl Plugin for Careful {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("example-on-catalog", "0.1.0", "Hides destructive tools from callers without the scope admin.").stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Careful)
    }
}

impl OnCatalog for Careful {
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        let scopes = viewer.attr("principal.scopes").unwrap_or_default();
        if kind != ListKind::Tools || scopes.split(' ').any(|scope| scope == "admin") {
            return Answer::keep_all();
        }
        let is_destructive = |at: u32| {
            let definition = viewer.definition(at).unwrap_or_default();
            serde_json::from_str::<Definition>(&definition).is_ok_and(|tool| tool.annotations.destructive_hint)
        };
        let change = |at| if is_destructive(at) { Change::Hide } else { Change::Keep };
        (0..entries.len() as u32).map(change).collect::<alloc::vec::Vec<_>>().into()
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Careful: on_catalog);
