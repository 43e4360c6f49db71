//! Scores calls by how unlike they are what their caller usually does.
//!
//! [`score`] weighs a call, [`habits`] is what is known of a caller, [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod habits;
pub mod score;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::OnceCell;

use sha2::{Digest, Sha256};
use sluice_sdk::kv::{Bucket, Op, Outcome};
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;
use sluice_sdk::{clock, glob, metrics};

use config::{Config, OnStoreError};
use habits::Habits;
use score::{Call, Score};

/// The call is too unlike what its caller does.
pub const UNUSUAL: i32 = 4039;
/// The call could not be scored.
pub const NOT_SCORED: i32 = 4292;

/// What is looked at. Resources and prompts of an upstream count as one tool each: of them there may be any number.
const METHODS: &[&str] = &["tools/call", "resources/read", "prompts/get"];
/// Who vouches for callers that nobody vouches for. They are others with each request, so nothing is usual for them.
const NOBODY: &str = "host-anonymous";
/// How often a call is learnt from anew because another of the same caller was quicker.
const TRIES: usize = 4;
/// What is kept of somebody who does not call is kept for so many half-lives: then it is forgotten anyway.
const HALF_LIVES: u32 = 4;

/// The plugin.
pub struct Anomaly {
    config: Config,
    /// Opened with the first call, so that a store which is down does not keep the plugin from starting.
    bucket: OnceCell<Bucket>,
}

impl Plugin for Anomaly {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("anomaly", env!("CARGO_PKG_VERSION"), "Scores calls by how unlike they are what their caller usually does.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnRequest, METHODS, &[])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        if config.new_tool == 0 && config.volume == 0 && config.sequence == 0 {
            return Err("new_tool, volume and sequence are all 0, so nothing would ever be scored".to_string());
        }
        if config.new_tool > 100 || config.volume > 100 || config.sequence > 100 {
            return Err("new_tool, volume and sequence are at most 100".to_string());
        }
        Ok(Anomaly { config, bucket: OnceCell::new() })
    }
}

impl OnRequest for Anomaly {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        let (Some(upstream), Some(caller)) = (x.upstream(), caller(x)) else { return Verdict::Next };
        let name = head.name.as_deref().filter(|_| head.method == Method::ToolsCall);
        let tool = habits::tool(&upstream, name.unwrap_or(head.method.as_str()));
        let is_known = name.is_some_and(|name| glob::any(&self.config.known, name));
        match self.score(&caller, head, |nth, now_s| Call { tool, is_known, nth, now_s }) {
            Some(score) => self.rule(head, x, &score),
            None if self.config.refuse_at.is_some() && self.config.on_store_error == OnStoreError::Refuse => {
                Rejection::new(NOT_SCORED, "calls cannot be looked at now; try again later").status(503).into()
            }
            None => Verdict::Next,
        }
    }
}

/// Who it is, in few characters, as all keys of its own begin.
fn caller(x: &Exchange) -> Option<String> {
    let id = x.attr("principal.id").filter(|_| x.attr("principal.authority").as_deref() != Some(NOBODY))?;
    Some(Sha256::digest(id)[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Anomaly {
    fn bucket(&self) -> Option<&Bucket> {
        match self.bucket.get() {
            Some(open) => Some(open),
            None => {
                let new = Bucket::open("habits").ok()?;
                Some(self.bucket.get_or_init(|| new))
            }
        }
    }

    /// Scores a call, and learns from it if it may pass. Nothing: the store does not answer.
    fn score(&self, caller: &str, head: &Head, call: impl Fn(u32, u64) -> Call) -> Option<Score> {
        let (bucket, now_s) = (self.bucket()?, clock::unix_seconds());
        let window_s = self.config.window_s.max(1);
        let count = format!("{caller}-{}", now_s / u64::from(window_s));
        let ops = [Op::incr(&count, 1, window_s.saturating_mul(2000)), Op::get(caller)];
        let mut outcomes = bucket.batch(&ops).ok()?.into_iter();
        let (Some(Ok(Outcome::Count(nth))), Some(Ok(Outcome::Value(mut kept)))) = (outcomes.next(), outcomes.next()) else { return None };
        let call = call(u32::try_from(nth).unwrap_or(u32::MAX), now_s);
        let mut tries = 0;
        loop {
            let mut habits = kept.as_deref().and_then(Habits::read).unwrap_or_else(|| Habits::new(now_s));
            if head.round > 0 && habits.exchange == head.exchange {
                return Some(Score { total: habits.score, is_again: true, ..Score::default() });
            }
            let score = score::weigh(&self.config, &mut habits, call);
            (habits.exchange, habits.score) = (head.exchange, score.total);
            tries += 1;
            // What is refused is not to become usual.
            if tries > TRIES || self.refuses(&score) {
                return Some(score);
            }
            let ttl_ms = self.config.half_life_s.saturating_mul(1000 * HALF_LIVES);
            if bucket.swap(caller, kept.as_deref(), &habits.write(), Some(ttl_ms)).ok()? {
                return Some(score);
            }
            kept = bucket.get(caller).ok()?;
        }
    }

    fn refuses(&self, score: &Score) -> bool {
        self.config.refuse_at.is_some_and(|from| score.total >= from)
    }

    fn rule(&self, head: &Head, x: &Exchange, score: &Score) -> Verdict {
        let (total, reasons) = (format!("{}", score.total), reasons(score));
        // Of the label and the call, the call is worth more.
        let _ = x.set_attr("score", &total);
        let _ = x.set_attr("reasons", &reasons);
        if score.total >= self.config.alarm_at {
            // For the conditions of other filters, which know texts and no numbers.
            let _ = x.set_attr("alarm", "yes");
        }
        if score.total >= self.config.alarm_at && !score.is_again {
            let exchange = format!("{}", head.exchange);
            let fields = [("exchange", exchange.as_str()), ("score", &total), ("reasons", &reasons)];
            log::write(Level::Warn, "a call is unlike what its caller usually does", &fields);
            score.reasons.iter().for_each(|(reason, _)| metrics::add("alarms", 1, &[("reason", reason)]));
        }
        if self.refuses(score) {
            let no = "this call is unlike those you usually make, and is not let through; ask whoever runs this gateway";
            return Rejection::new(UNUSUAL, no).status(403).into();
        }
        Verdict::Next
    }
}

/// `new-tool:50 volume:20`, or `learning`, `earlier-round`, or nothing.
fn reasons(score: &Score) -> String {
    match (score.is_learning, score.is_again) {
        (true, _) => return "learning".to_string(),
        (_, true) => return "earlier-round".to_string(),
        _ => {}
    }
    score.reasons.iter().map(|(reason, part)| format!("{reason}:{part}")).collect::<Vec<_>>().join(" ")
}

sluice_sdk::export!(Anomaly: on_request);
sluice_sdk::lean!();
