//! Tries to change what is not a plugin's to change, and notes what the host said.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::prelude::*;

const NOT_OURS: &[&str] = &[
    "/id",
    "/jsonrpc",
    "/method",
    "/params/_meta/io.modelcontextprotocol~1protocolVersion",
    "/params/_meta/io.modelcontextprotocol~1clientCapabilities",
    "/result/_meta/io.modelcontextprotocol~1related-task",
    "",
];

struct EditId;

impl Plugin for EditId {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("edit-id", "0.1.0", "Changes ids.").stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(EditId)
    }
}

fn try_all(x: &Exchange) -> Verdict {
    let tries = NOT_OURS.iter().flat_map(|pointer| {
        [Edit::set(pointer, "7".into()), Edit::remove(pointer), Edit::splice(pointer, 0..1, "x"), Edit::splice_key(pointer, 0..1, "x")]
    });
    let mut accepted = 0;
    let mut refused = 0;
    for edit in tries {
        match x.stage(&[edit]) {
            Ok(()) => accepted += 1,
            Err(_) => refused += 1,
        }
    }
    let _ = x.set_attr("accepted", &alloc::format!("{accepted}"));
    let _ = x.set_attr("refused", &alloc::format!("{refused}"));
    Verdict::Next
}

impl OnRequest for EditId {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        try_all(x)
    }
}

impl OnResponse for EditId {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        try_all(x)
    }
}

sluice_sdk::export!(EditId: on_request, on_response);
sluice_sdk::lean!();
