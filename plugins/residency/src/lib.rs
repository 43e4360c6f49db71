//! Callers reach servers in the regions that their data may go to, and no others.
//!
//! [`policy`] knows who reaches what, [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod policy;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

use config::Config;
use policy::Policy;

/// The upstream is in a region that the caller's data may not go to, or nobody knows where it is.
pub const OUTSIDE: i32 = 4038;

/// The plugin.
pub struct Residency(Policy);

impl Plugin for Residency {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("residency", env!("CARGO_PKG_VERSION"), "Lets callers reach servers in the regions that their data may go to.")
            .schema(include_str!("../config.schema.json"))
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Policy::new(config).map(Residency)
    }
}

impl OnCatalog for Residency {
    fn on_catalog(&self, viewer: &Viewer, _: ListKind, entries: &[Entry]) -> Answer {
        let reach = self.0.reach(|key| viewer.attr(key));
        let change = |entry: &Entry| match self.0.may_reach(reach.as_ref(), &self.0.regions(&entry.upstream)) {
            true => Change::Keep,
            false => Change::Hide,
        };
        entries.iter().map(change).collect::<Vec<_>>().into()
    }
}

impl OnRequest for Residency {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        // What goes to no upstream in particular brings none of the caller's data to one.
        let Some(upstream) = x.upstream() else { return Verdict::Next };
        let regions = self.0.regions(&upstream);
        if !self.0.may_reach(self.0.reach(|key| x.attr(key)).as_ref(), &regions) {
            return Rejection::new(OUTSIDE, "your data may not go to where this server is").status(403).into();
        }
        // For the filters that come after; a request is worth more than the note of where it goes.
        let _ = x.set_attr("regions", &regions.into_iter().collect::<Vec<_>>().join(" "));
        Verdict::Next
    }
}

sluice_sdk::export!(Residency: on_catalog, on_request);
sluice_sdk::lean!();
