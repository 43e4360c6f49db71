//! Interceptors of an MCP server as a link of the chain (SEP-2624, a draft).
//!
//! [`policy`] decides, [`ask`] asks, [`payload`] is what is shown and what comes back, [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod ask;
pub mod config;
pub mod payload;
pub mod policy;

use alloc::string::String;

use sluice_sdk::prelude::*;

use config::{Config, Phase};

/// What events may name. Lists are shaped by `on-catalog`.
pub const METHODS: &[&str] = &["tools/call", "prompts/get", "resources/read", "resources/subscribe", "completion/complete"];

/// The plugin.
pub struct Interceptors(Config);

impl Plugin for Interceptors {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("interceptor", env!("CARGO_PKG_VERSION"), "Lets an MCP server judge and change messages.")
            .schema(include_str!("../config.schema.json"))
            .need("fetch", "to ask the interceptor server")
            .may_need("secret", "to show it who asks")
            .select(Hook::OnRequest, METHODS, &[])
            .select(Hook::OnResponse, METHODS, &[])
            .edits(&["/params/**", "/result/**", "/error/**"])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Ok(Interceptors(config))
    }
}

impl OnRequest for Interceptors {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        policy::judge(&self.0, x, head.method.as_str(), Phase::Request)
    }
}

impl OnResponse for Interceptors {
    fn on_response(&self, head: &Head, x: &Exchange) -> Verdict {
        policy::judge(&self.0, x, head.method.as_str(), Phase::Response)
    }
}

sluice_sdk::export!(Interceptors: on_request, on_response);
sluice_sdk::lean!();
