//! Keeps personal data and secrets out of what goes to servers and what comes back.
//!
//! The host looks (`patterns`), this plugin judges each hit ([`detectors`]), joins those that overlap (`spans`) and
//! decides what becomes of them ([`policy`], for long answers `batch`): edits, or a refusal. JSON is parsed here only when a member's name has
//! to change (`names`). Data that is to come back is kept with the host (`token`), and comes back where no server gets at it (`address`).

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod address;
mod batch;
pub mod config;
pub mod detectors;
mod digits;
mod found;
mod names;
mod places;
pub mod policy;
mod spans;
mod token;
mod veil;

use alloc::string::String;

use sluice_sdk::patterns;
use sluice_sdk::prelude::*;

use config::Config;
use policy::{Policy, Ruling};

/// The plugin.
pub struct Redact(Policy);

/// The pattern sets' names with the host: for messages that are looked through, and for those in which tokens are turned back only.
const SET: &str = "redact";
const TOKENS_SET: &str = "tokens";
/// Of a window: longer than any key that is printed on one page.
const OVERLAP: u32 = 16_384;

impl Plugin for Redact {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("redact", env!("CARGO_PKG_VERSION"), "Keeps personal data and secrets out of messages.")
            .schema(include_str!("../config.schema.json"))
            .edits(&["/params/**", "/result/**", "/error/**"])
            .overlap(OVERLAP)
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        let policy = Policy::new(config)?;
        patterns::define(SET, policy.patterns())?;
        if policy.has_tokens() {
            patterns::define(TOKENS_SET, &[policy::token_pattern()])?;
        }
        Ok(Redact(policy))
    }
}

impl OnRequest for Redact {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        verdict(self.0.rule(head, x))
    }
}

impl OnResponse for Redact {
    fn on_response(&self, head: &Head, x: &Exchange) -> Verdict {
        verdict(self.0.rule(head, x))
    }
}

impl OnChunk for Redact {
    fn on_chunk(&self, head: &Head, batch: &Batch, x: &Exchange) -> ChunkVerdict {
        self.0.rule_batch(head, batch, x)
    }
}

impl OnNotification for Redact {
    fn on_notification(&self, head: &Head, x: &Exchange) -> NotificationVerdict {
        match self.0.rule(head, x) {
            Ruling::Pass => NotificationVerdict::Next,
            // A question or its answer is waited for, so someone must hear the no. Of a notification nobody does,
            // and it is not worth ending the call that sent it.
            Ruling::Refuse(no) if head.kind != Kind::Notification => no.into(),
            Ruling::Refuse(_) => NotificationVerdict::Drop,
        }
    }
}

fn verdict(ruling: Ruling) -> Verdict {
    match ruling {
        Ruling::Pass => Verdict::Next,
        Ruling::Refuse(no) => no.into(),
    }
}

sluice_sdk::export!(Redact: on_request, on_response, on_chunk, on_notification);
sluice_sdk::lean!();
