//! Answers again what a server has answered a moment ago, to the caller it was answered to.
//!
//! [`rules`] says what may be kept, [`question`] who asked for what, [`entry`] what is kept, [`validity`] how long it is true, `json` reads and
//! writes, [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod entry;
mod json;
pub mod question;
pub mod rules;
pub mod validity;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::OnceCell;

use sluice_sdk::json::decode_string;
use sluice_sdk::kv::{Bucket, Op, Outcome};
use sluice_sdk::prelude::*;
use sluice_sdk::{clock, log, metrics};

use config::{Config, RuleConfig, Share};
use entry::{Found, Kept};
use question::{Context, Name, Question};
use rules::{About, Rules};
use validity::Kind as Thing;

/// Longer requests are not looked up: their answers would be read once.
const REQUEST_BYTES_MAX: u32 = 64 << 10;
/// Of a message around its result.
const ENVELOPE_BYTES: usize = 1024;

/// What is looked up.
const METHODS: &[&str] = &["tools/call", "resources/read"];
/// What says that something has changed.
const CHANGES: &[&str] = &["notifications/tools/list_changed", "notifications/resources/list_changed", "notifications/resources/updated"];

/// The plugin.
pub struct Cache {
    rules: Rules,
    /// Opened with the first request that needs it, so that a store which is down does not keep the plugin from starting.
    bucket: OnceCell<Bucket>,
}

/// Where an answer may be: with the caller it was answered to, or with more.
struct Place {
    is_shared: bool,
    name: Name,
    key: String,
}

impl Plugin for Cache {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("cache", env!("CARGO_PKG_VERSION"), "Answers again what a server has answered a moment ago.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnRequest, METHODS, &[])
            .select(Hook::OnResponse, METHODS, &[])
            .select(Hook::OnChunk, METHODS, &[])
            .select(Hook::OnNotification, CHANGES, &[])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Ok(Cache { rules: Rules::new(config)?, bucket: OnceCell::new() })
    }
}

impl OnRequest for Cache {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        if let Some((thing, upstream, name)) = subject(head, x) {
            match self.rules.about(thing, &upstream, name) {
                About::Keep(rule) => return self.look_up(rule, thing, &upstream, name, head, x).unwrap_or(Verdict::Next),
                // Also before it runs: it may run, and its answer never come.
                About::Write => self.note(|bucket| validity::written(bucket, &upstream)),
                About::Nothing => {}
            }
        }
        Verdict::Next
    }
}

impl OnResponse for Cache {
    fn on_response(&self, head: &Head, x: &Exchange) -> Verdict {
        if let Some((thing, upstream, name)) = subject(head, x) {
            match self.rules.about(thing, &upstream, name) {
                About::Keep(rule) => _ = self.keep(rule, thing, &upstream, name, head, x),
                About::Write => self.note(|bucket| validity::written(bucket, &upstream)),
                About::Nothing => {}
            }
        }
        Verdict::Next
    }
}

impl OnChunk for Cache {
    /// What is too long to be held is too long to be kept, but it may be the answer of a tool that changes things.
    fn on_chunk(&self, head: &Head, _: &Batch, x: &Exchange) -> ChunkVerdict {
        if let Some((thing, upstream, name)) = subject(head, x)
            && let About::Write = self.rules.about(thing, &upstream, name)
        {
            self.note(|bucket| validity::written(bucket, &upstream));
        }
        ChunkVerdict::Next
    }
}

impl OnNotification for Cache {
    fn on_notification(&self, head: &Head, x: &Exchange) -> NotificationVerdict {
        let upstream = x.upstream();
        match &head.method {
            Method::NotificationsToolsListChanged => self.note(|bucket| validity::changed(bucket, Thing::Tools, upstream.as_deref())),
            Method::NotificationsResourcesListChanged => {
                self.note(|bucket| validity::changed(bucket, Thing::Resources, upstream.as_deref()))
            }
            Method::NotificationsResourcesUpdated => match x.get("/params/uri").and_then(|uri| decode_string(&uri)) {
                Some(uri) => self.note(|bucket| validity::updated(bucket, &uri)),
                None => self.note(|bucket| validity::changed(bucket, Thing::Resources, None)),
            },
            _ => {}
        }
        NotificationVerdict::Next
    }
}

/// What a request, or an answer, is about.
fn subject<'h>(head: &'h Head, x: &Exchange) -> Option<(Thing, String, &'h str)> {
    let thing = match head.method {
        Method::ToolsCall => Thing::Tools,
        Method::ResourcesRead => Thing::Resources,
        _ => return None,
    };
    matches!(head.kind, Kind::Request | Kind::Response).then_some(())?;
    Some((thing, x.upstream()?, head.name.as_deref()?))
}

impl Cache {
    fn bucket(&self) -> Option<&Bucket> {
        match self.bucket.get() {
            Some(open) => Some(open),
            None => {
                let new = Bucket::open("answers").ok()?;
                Some(self.bucket.get_or_init(|| new))
            }
        }
    }

    /// Something has changed. Where that cannot be written down, entries stay until their time is over.
    fn note(&self, write: impl Fn(&Bucket) -> bool) {
        if !self.bucket().is_some_and(write) {
            log::warn("a change could not be noted, so answers from before it may be given until their time is over");
        }
    }

    /// Where the answer may be, the caller's own place first.
    fn places(&self, rule: &RuleConfig, question: &Question, x: &Exchange) -> Vec<Place> {
        let shares = [Share::Principal, rule.share];
        let known = if rule.share == Share::Principal { &shares[..1] } else { &shares[..] };
        let place = |share: &Share| {
            let context = Context::of(*share, x)?;
            let name = question.within(&context);
            Some(Place { is_shared: *share != Share::Principal, key: context.place(&name, self.rules.entries_max), name })
        };
        known.iter().filter_map(place).collect()
    }

    /// The answer, if it is kept; otherwise notes what the coming one will be true of.
    fn look_up(&self, rule: &RuleConfig, thing: Thing, upstream: &str, name: &str, head: &Head, x: &Exchange) -> Option<Verdict> {
        // A round with answers, of whoever was asked, is a question of its own (2026-07-28 server/utilities/caching).
        if head.round > 0 || head.body_bytes > REQUEST_BYTES_MAX {
            return None;
        }
        let question = Question::new(head.method.as_str(), upstream, name, &x.get("/params")?)?;
        let places = self.places(rule, &question, x);
        if places.is_empty() {
            return None;
        }
        let (bucket, keys) = (self.bucket()?, validity::keys(thing, upstream, name));
        let ops: Vec<Op> = keys.iter().chain(places.iter().map(|place| &place.key)).map(|key| Op::get(key)).collect();
        let values = bucket.batch(&ops).ok()?.into_iter();
        let mut values = values.map(|value| if let Ok(Outcome::Value(value)) = value { Some(value) } else { None });
        let found: Vec<_> = values.by_ref().take(keys.len()).collect::<Option<_>>()?;
        let tokens = validity::tokens(bucket, &keys, &found)?;
        let now_s = clock::unix_seconds();
        for (place, kept) in places.iter().zip(values) {
            let Some(kept) = kept.flatten() else { continue };
            let Some(found) = Found::read(&kept, &place.name, &tokens) else { continue };
            let age_s = now_s.saturating_sub(found.since_s);
            // The store lets go of it in time; this is for a rule that allows less than it did.
            if age_s >= u64::from(rule.ttl_s) {
                continue;
            }
            metrics::add("hits", 1, &[]);
            let _ = x.set_attr("hit", if place.is_shared { "shared" } else { "own" });
            let _ = x.set_attr("age-s", &format!("{age_s}"));
            return Some(Verdict::Reply(found.result(now_s, self.rules.is_marked)));
        }
        metrics::add("misses", 1, &[]);
        let _ = x.set_attr("tokens", &tokens);
        None
    }

    /// Keeps an answer, if it is one and nothing speaks against it.
    fn keep(&self, rule: &RuleConfig, thing: Thing, upstream: &str, name: &str, head: &Head, x: &Exchange) -> Option<()> {
        // What was true when the request left: whatever has changed since has other tokens.
        let tokens = x.attr("cache.tokens")?;
        let bytes = head.body_bytes as usize;
        if head.round > 0 || bytes > self.rules.result_bytes_max + ENVELOPE_BYTES || self.rules.forbid(&x.attrs("")) {
            return None;
        }
        let result = x.get("/result")?;
        if result.len() > self.rules.result_bytes_max {
            return None;
        }
        let kept = Kept::new(&result, thing == Thing::Resources)?;
        let ttl_s = rules::ttl_s(rule, thing, kept.hint_ms);
        if ttl_s == 0 {
            return None;
        }
        let question = Question::new(head.method.as_str(), upstream, name, &x.asked("/params")?)?;
        // What a server does not call public is its caller's (2026-07-28 server/utilities/caching); tools have no such word for it.
        let may_share = kept.is_public.unwrap_or(thing == Thing::Tools);
        let place = self.places(rule, &question, x).into_iter().rfind(|place| may_share || !place.is_shared)?;
        let text = kept.write(&place.name, &tokens, clock::unix_seconds());
        // A store that is full, or down, keeps nothing; the answer is here all the same.
        self.bucket()?.set(&place.key, text.as_bytes(), Some(ttl_s.saturating_mul(1000))).ok()?;
        metrics::add("kept", 1, &[]);
        let _ = x.set_attr("kept-s", &format!("{ttl_s}"));
        Some(())
    }
}

sluice_sdk::export!(Cache: on_request, on_response, on_chunk, on_notification);
sluice_sdk::lean!();
