//! Masks mail addresses in results.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::{string::String, vec::Vec};
use sluice_sdk::{
    patterns::{self, Pattern},
    prelude::*,
};

const ADDRESS: &str = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+";

pub struct Mask;

impl Plugin for Mask {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("example-patterns", "0.1.0", "Masks mail addresses in results.")
            .select(Hook::OnResponse, &["tools/call"], &[])
            .edits(&["/result/**"])
            .stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        patterns::define("addresses", &[Pattern { regex: ADDRESS.into(), case_insensitive: false }])?;
        Ok(Mask)
    }
}

/// What was found is replaced where it stands, in a text or in the name of a member.
fn masked(hit: Hit) -> Edit {
    let place = (hit.pointer, hit.start, hit.end, "[address]".into());
    if hit.in_key { Edit::SpliceKey(place) } else { Edit::Splice(place) }
}

impl OnResponse for Mask {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        let hits = x.scan("addresses", &["/result"]);
        let staged = hits.and_then(|hits| x.stage(&hits.into_iter().map(masked).collect::<Vec<_>>()));
        match staged {
            Ok(()) => Verdict::Next,
            // What cannot be examined does not pass.
            Err(_) => Rejection::new(4033, "this result cannot be examined").into(),
        }
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Mask: on_response);
