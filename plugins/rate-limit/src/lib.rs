//! Token buckets per caller, tool, upstream or anything else that is known of a call.
//!
//! [`policy`] decides, [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod policy;

use alloc::string::String;
use core::cell::OnceCell;

use sluice_sdk::kv::{self, Bucket};
use sluice_sdk::prelude::*;

use config::Config;
use policy::Limits;

/// Requests worth counting. Lists come from the host's own cache, and pings keep a connection alive.
pub const METHODS: &[&str] = &[
    "tools/call",
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "completion/complete",
    "sampling/createMessage",
    "elicitation/create",
    "tasks/*",
];

/// The plugin.
pub struct RateLimit {
    limits: Limits,
    bucket_name: String,
    /// Opened with the first call that needs it, so that a store which is down does not keep the plugin from starting.
    bucket: OnceCell<Bucket>,
}

impl Plugin for RateLimit {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("rate-limit", env!("CARGO_PKG_VERSION"), "Limits how often who may call what.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnRequest, METHODS, &[])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        let bucket_name = config.bucket.clone();
        Ok(RateLimit { limits: Limits::new(config)?, bucket_name, bucket: OnceCell::new() })
    }
}

impl OnRequest for RateLimit {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        self.limits.rule(head, x, |key, limit| {
            let bucket = match self.bucket.get() {
                Some(open) => open,
                None => {
                    let new = Bucket::open(&self.bucket_name)?;
                    self.bucket.get_or_init(|| new)
                }
            };
            bucket.take(key, limit.cost, limit.burst, limit.per_second)
        })
    }
}

/// What a store answers: 0, or the milliseconds until there is enough.
pub type Taken = Result<u32, kv::Error>;

sluice_sdk::export!(RateLimit: on_request);
sluice_sdk::lean!();
