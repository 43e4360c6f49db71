//! Asks a person before a dangerous tool runs.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

const NAME: &str = "confirm";

/// The settings.
#[derive(serde::Deserialize)]
pub struct Config {
    tools: Vec<String>,
}

/// The plugin.
pub struct Confirm(Config);

impl Plugin for Confirm {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new(NAME, env!("CARGO_PKG_VERSION"), "Asks a person before a dangerous tool runs.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnRequest, &["tools/call"], &[])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Ok(Confirm(config))
    }
}

impl OnRequest for Confirm {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        let Some(tool) = head.name.as_ref().filter(|name| self.0.tools.contains(name)) else { return Verdict::Next };
        match x.elicited(NAME) {
            Some(Elicited::Accept(_)) => Verdict::Next,
            Some(Elicited::Decline) => refuse("the user said no to this tool"),
            Some(Elicited::Cancel) => refuse("the user was asked about this tool and did not answer"),
            None => {
                let server = x.upstream().unwrap_or_default();
                Verdict::suspend(Suspension::confirm(&format!("Run the tool {tool} of the server {server} now?")))
            }
        }
    }
}

/// In a way that the model can read.
fn refuse(why: &str) -> Verdict {
    Rejection::new(4031, why).tool_result().into()
}

sluice_sdk::export!(Confirm: on_request);
sluice_sdk::lean!();
