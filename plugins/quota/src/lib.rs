//! How many calls at once, and how much in a minute, an hour or a day.
//!
//! [`policy`] decides what is asked of a store, [`places`] and [`spent`] ask it, [`config`] reads the settings. A plugin of its own beside
//! `rate-limit`: it is told of each call's end, which a rate need not be, and a hook that is not there costs nothing.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod places;
pub mod policy;
pub mod spent;

use alloc::string::String;
use core::cell::OnceCell;

use sluice_sdk::kv::{self, Bucket};
use sluice_sdk::plugin::Done;
use sluice_sdk::prelude::*;

use config::Config;
use policy::Limits;

/// Requests worth counting.
pub const METHODS: &[&str] = &["tools/call", "prompts/get", "resources/read", "completion/complete"];

/// The plugin.
pub struct Quota {
    limits: Limits,
    bucket_name: String,
    /// Opened with the first call that needs it, so that a store which is down does not keep the plugin from starting.
    bucket: OnceCell<Bucket>,
}

impl Quota {
    fn bucket(&self) -> Result<&Bucket, kv::Error> {
        if let Some(open) = self.bucket.get() {
            return Ok(open);
        }
        let new = Bucket::open(&self.bucket_name)?;
        Ok(self.bucket.get_or_init(|| new))
    }
}

impl Plugin for Quota {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("quota", env!("CARGO_PKG_VERSION"), "Limits how many calls run at once, and how much there is in a given time.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnRequest, METHODS, &[])
            .select(Hook::OnResponse, METHODS, &[])
            .select(Hook::OnDone, METHODS, &[])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        let bucket_name = config.bucket.clone();
        Ok(Quota { limits: Limits::new(config)?, bucket_name, bucket: OnceCell::new() })
    }
}

impl OnRequest for Quota {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        self.limits.begin(head, x, || self.bucket())
    }
}

/// Places are given back before the answer is on its way: whoever has it may call again at once.
impl OnResponse for Quota {
    fn on_response(&self, head: &Head, x: &Exchange) -> Verdict {
        self.limits.answered(head, x, || self.bucket());
        Verdict::Next
    }
}

impl OnDone for Quota {
    fn on_done(&self, head: &Head, done: &Done, x: &Exchange) {
        self.limits.end(head, done, x, || self.bucket());
    }
}

sluice_sdk::export!(Quota: on_request, on_response, on_done);
sluice_sdk::lean!();
