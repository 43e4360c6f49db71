//! Gives requests to upstreams the headers that the operator wants them to have.
//!
//! [`policy`] says which, [`config`] reads the settings, `reserved` knows the headers that nobody sets.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod policy;
mod reserved;

use alloc::format;
use alloc::string::String;

use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{Secret, why};

use config::Config;
use policy::{Policy, Value};

/// A credential cannot be used; the operator has to change something.
pub const OPERATOR: i32 = 5010;

/// The plugin.
pub struct StaticHeader(Policy);

impl Plugin for StaticHeader {
    type Config = Config;

    fn manifest() -> Manifest {
        let summary = "Gives requests to upstreams the headers that the operator wants them to have.";
        Manifest::new("static-header", env!("CARGO_PKG_VERSION"), summary)
            .schema(include_str!("../config.schema.json"))
            .may_need("secret", "to send a credential")
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Policy::new(config).map(StaticHeader)
    }
}

impl OnOutbound for StaticHeader {
    fn on_outbound(&self, departure: &Departure, _: &Exchange) -> OutboundVerdict {
        let upstream = departure.upstream();
        let mut headers = Headers::new();
        for header in self.0.of(&upstream) {
            headers = match &header.value {
                Value::Text(text) => headers.text(&header.name, text),
                Value::Secret { prefix, name } => match Secret::open(name) {
                    Ok(secret) => headers.secret(&header.name, prefix, secret),
                    Err(error) => {
                        let fields = [("upstream", upstream.as_str()), ("secret", name), ("why", &why(error))];
                        log::write(Level::Error, "a secret cannot be used any more", &fields);
                        return unusable(&upstream).into();
                    }
                },
            };
        }
        headers.into()
    }
}

/// What a client hears: nothing about which secret it is.
fn unusable(upstream: &str) -> Rejection {
    let said =
        format!("{upstream} cannot be used: the gateway may not use the credential it has for it; whoever runs it has to change that");
    Rejection::new(OPERATOR, &said)
}

sluice_sdk::export!(StaticHeader: on_outbound);
sluice_sdk::lean!();
