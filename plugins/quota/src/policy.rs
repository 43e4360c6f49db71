//! Which limits a call falls under, and what to say when one is used up.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::glob::{self, matches};
use sluice_sdk::key::{self, Part};
use sluice_sdk::kv::{Bucket, Error};
use sluice_sdk::plugin::Done;
use sluice_sdk::prelude::*;
use sluice_sdk::{clock, json, metrics};

use crate::config::{self, Config, LimitConfig, Of, OnStoreError};
use crate::spent::Window;
use crate::{METHODS, places};

/// Over a limit.
pub const TOO_MANY: i32 = 4290;
/// The call could not be counted.
pub const NOT_COUNTED: i32 = 4291;
/// When to look again for a place: nobody knows how long the others take.
const PLACE_AFTER_MS: u32 = 1000;

/// All limits, ready for use.
#[derive(Debug)]
pub struct Limits {
    limits: Vec<Limit>,
    on_store_error: OnStoreError,
    answer: config::Answer,
}

/// One limit, ready for use.
#[derive(Debug)]
struct Limit {
    name: String,
    parts: Vec<Part>,
    methods: Vec<String>,
    names: Vec<String>,
    bound: Bound,
}

#[derive(Debug)]
enum Bound {
    Places { at_once: usize, lease_s: u32 },
    Amount { of: Of, max: u64, window: Window },
}

impl Limits {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        let mut names = BTreeSet::new();
        let mut limits = Vec::with_capacity(config.limits.len());
        for limit in config.limits {
            if !names.insert(limit.name.clone()) {
                return Err(format!("two limits are named {}", limit.name));
            }
            limits.push(Limit::new(limit)?);
        }
        Ok(Limits { limits, on_store_error: config.on_store_error, answer: config.answer })
    }

    /// Takes what the call needs of each limit it falls under; the first that has none refuses it, and the others get back what they gave.
    pub fn begin<'b>(&self, head: &Head, x: &impl Facts, bucket: impl Fn() -> Result<&'b Bucket, Error>) -> Verdict {
        let now_s = clock::unix_seconds();
        let mut took: Vec<(usize, String)> = Vec::new();
        let mut verdict = Verdict::Next;
        for (at, limit) in self.limits.iter().enumerate().filter(|(_, limit)| limit.covers(head)) {
            let key = key::key(&limit.name, &limit.parts, head, x);
            match bucket().and_then(|bucket| limit.begin(bucket, &key, head, now_s)) {
                Ok(0) => took.push((at, key)),
                Ok(wait_ms) => {
                    verdict = self.refuse(head, x, limit, wait_ms);
                    break;
                }
                Err(_) => {
                    metrics::add("not_counted", 1, &[("limit", &limit.name)]);
                    if self.on_store_error == OnStoreError::Refuse {
                        let no = Rejection::new(NOT_COUNTED, "calls cannot be counted now; try again later");
                        verdict = self.answer_with(head, no.status(503)).into();
                        break;
                    }
                }
            }
        }
        for (at, key) in took {
            if verdict == Verdict::Next {
                // Under which key is kept with the exchange: what it is made of may have changed by then.
                let _ = x.set_attr(&kept(at), &key);
            } else if let Ok(bucket) = bucket() {
                let _ = self.limits[at].undo(bucket, &key, head, now_s);
            }
        }
        verdict
    }

    /// Gives places back. A store that cannot be reached loses them until the end of their lease.
    pub fn answered<'b>(&self, head: &Head, x: &impl Facts, bucket: impl Fn() -> Result<&'b Bucket, Error>) {
        self.held(x, |limit, key| limit.leave(bucket()?, key, head));
    }

    /// The same for calls that ended without an answer, and counts what the call turned out to cost.
    pub fn end<'b>(&self, head: &Head, done: &Done, x: &impl Facts, bucket: impl Fn() -> Result<&'b Bucket, Error>) {
        self.held(x, |limit, key| {
            limit.leave(bucket()?, key, head)?;
            limit.spend(bucket()?, key, done)
        });
        // A round begins without what was noted in the one before. If it ended before it came here, there are only the facts to go by.
        for (at, limit) in self.limits.iter().enumerate().filter(|(_, limit)| head.round > 0 && limit.covers(head)) {
            if x.attr(&format!("quota.{}", kept(at))).is_none()
                && let Ok(bucket) = bucket()
            {
                let _ = limit.leave(bucket, &key::key(&limit.name, &limit.parts, head, x), head);
            }
        }
    }

    /// The limits that let this exchange pass, each with the key it did so under.
    fn held(&self, x: &impl Facts, each: impl Fn(&Limit, &str) -> Result<(), Error>) {
        for (at, limit) in self.limits.iter().enumerate() {
            if let Some(key) = x.attr(&format!("quota.{}", kept(at))) {
                let _ = each(limit, &key);
            }
        }
    }

    fn refuse(&self, head: &Head, x: &impl Facts, limit: &Limit, wait_ms: u32) -> Verdict {
        let (name, whose) = (&limit.name, key::whose(&limit.parts));
        metrics::add("refused", 1, &[("limit", name)]);
        // A label more or less decides nothing.
        let _ = x.set_attr("refused", name);
        let seconds = wait_ms.div_ceil(1000);
        let no = Rejection::new(TOO_MANY, &format!("this is all there is of {name} ({whose}) for now; try again in {seconds} s"))
            .data(format!(r#"{{"retryAfterMs":{wait_ms},"limit":{},"whose":{}}}"#, json::string(name), json::string(&whose)))
            .status(429)
            .header("retry-after", &format!("{seconds}"));
        self.answer_with(head, no).into()
    }

    fn answer_with(&self, head: &Head, no: Rejection) -> Rejection {
        let readable = self.answer == config::Answer::ToolResult && head.method == Method::ToolsCall;
        if readable { no.tool_result() } else { no }
    }
}

/// Where the key of this limit is kept with the exchange.
fn kept(at: usize) -> String {
    format!("key-{at}")
}

impl Limit {
    fn new(config: LimitConfig) -> Result<Self, String> {
        let name = config.name;
        let amount = |max, seconds| Bound::Amount { of: config.of, max, window: Window { seconds, slides: config.sliding } };
        let bound = match (config.at_once, config.per_minute, config.per_hour, config.per_day) {
            (Some(_), None, None, None) if config.of != Of::Calls => return Err(format!("limit {name}: what runs at once is calls")),
            (Some(_), None, None, None) if config.sliding => return Err(format!("limit {name}: what runs at once is not sliding")),
            (Some(at_once), None, None, None) => Bound::Places { at_once: at_once as usize, lease_s: config.lease_s },
            (None, Some(max), None, None) => amount(max, 60),
            (None, None, Some(max), None) => amount(max, 3_600),
            (None, None, None, Some(max)) => amount(max, 86_400),
            _ => return Err(format!("limit {name} needs one of at_once, per_minute, per_hour, per_day")),
        };
        if let Some(method) = config.methods.iter().find(|method| !is_ours(method)) {
            return Err(format!("limit {name} names {method}, which this plugin does not count"));
        }
        let parts = config.key.iter().map(|part| Part::parse(part)).collect::<Result<_, _>>()?;
        Ok(Limit { name, parts, methods: config.methods, names: config.names, bound })
    }

    fn covers(&self, head: &Head) -> bool {
        let name = head.name.as_deref().unwrap_or_default();
        glob::any(&self.methods, head.method.as_str()) && (self.names.is_empty() || glob::any(&self.names, name))
    }

    /// 0: taken. Otherwise there is none for so many milliseconds, and nothing was taken.
    fn begin(&self, bucket: &Bucket, key: &str, head: &Head, now_s: u64) -> Result<u32, Error> {
        match &self.bound {
            Bound::Places { at_once, lease_s } => {
                let is_in = places::enter(bucket, key, head.exchange, *at_once, now_s, *lease_s)?;
                Ok(if is_in { 0 } else { PLACE_AFTER_MS })
            }
            Bound::Amount { .. } if head.round > 0 && was_here(bucket, head)? => Ok(0),
            Bound::Amount { of, max, window } => {
                // What is not known before is counted afterwards: calls that run already may go over it.
                let cost = i64::from(*of == Of::Calls);
                let wait_ms = window.wait_ms(window.add(bucket, key, cost, now_s)?, *max, now_s);
                if wait_ms > 0 && cost > 0 {
                    window.spend(bucket, key, -cost, now_s)?;
                }
                Ok(wait_ms)
            }
        }
    }

    /// For a call that another limit refused.
    fn undo(&self, bucket: &Bucket, key: &str, head: &Head, now_s: u64) -> Result<(), Error> {
        match &self.bound {
            Bound::Amount { of: Of::Calls, window, .. } => window.spend(bucket, key, -1, now_s),
            _ => self.leave(bucket, key, head),
        }
    }

    fn leave(&self, bucket: &Bucket, key: &str, head: &Head) -> Result<(), Error> {
        match &self.bound {
            Bound::Places { .. } => places::leave(bucket, key, head.exchange, clock::unix_seconds()),
            Bound::Amount { .. } => Ok(()),
        }
    }

    fn spend(&self, bucket: &Bucket, key: &str, done: &Done) -> Result<(), Error> {
        let Bound::Amount { of, window, .. } = &self.bound else { return Ok(()) };
        let cost = match of {
            Of::Calls => return Ok(()),
            Of::ResultKib => i64::from(done.response_bytes.div_ceil(1024)),
            Of::UpstreamSeconds => i64::try_from(done.upstream_micros.div_ceil(1_000_000)).unwrap_or(i64::MAX),
        };
        window.spend(bucket, key, cost, clock::unix_seconds())
    }
}

/// Whether this request was let through in an earlier round. A filter before this one may have asked a person first, so a later round
/// can be the first that comes here. Nothing says so but the store: it adds nothing where a filter runs again.
fn was_here(bucket: &Bucket, head: &Head) -> Result<bool, Error> {
    Ok(bucket.incr(&format!("round:{}:{}", head.exchange, head.round), 1, 1000)? == 0)
}

/// Whether a method or glob means anything that comes here.
fn is_ours(method: &str) -> bool {
    METHODS.iter().any(|ours| matches(method, ours) || matches(ours, method))
}
