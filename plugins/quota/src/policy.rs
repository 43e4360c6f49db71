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
use sluice_sdk::{clock, json};

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
    Amount { of: Of, max: i64, window: Window },
}

/// What a limit says of a call.
enum Word {
    Pass,
    /// Look again after so many milliseconds.
    Wait(u32),
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

    /// Takes what the call needs of each limit it falls under; the first that has none refuses it. Places are given back with the end of
    /// this exchange also then, since its end is told to whoever saw its beginning.
    pub fn begin<'b>(&self, head: &Head, x: &impl Facts, bucket: impl Fn() -> Result<&'b Bucket, Error>) -> Verdict {
        for (at, limit) in self.limits.iter().enumerate().filter(|(_, limit)| limit.covers(head)) {
            let key = key::key(&limit.name, &limit.parts, head, x);
            match (bucket().and_then(|bucket| limit.begin(bucket, &key, head)), self.on_store_error) {
                (Ok(Word::Wait(ms)), _) => return self.refuse(head, &limit.name, ms),
                // Under which key is kept with the exchange: what it is made of may have changed by then.
                (Ok(Word::Pass), _) => {
                    let _ = x.set_attr(&kept(at), &key);
                }
                (Err(_), OnStoreError::Allow) => {}
                (Err(_), OnStoreError::Refuse) => {
                    let no = Rejection::new(NOT_COUNTED, "calls cannot be counted now; try again later");
                    return self.answer_with(head, no.status(503)).into();
                }
            }
        }
        Verdict::Next
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
    }

    /// The limits that let this exchange pass, each with the key it did so under.
    fn held(&self, x: &impl Facts, each: impl Fn(&Limit, &str) -> Result<(), Error>) {
        for (at, limit) in self.limits.iter().enumerate() {
            if let Some(key) = x.attr(&format!("quota.{}", kept(at))) {
                let _ = each(limit, &key);
            }
        }
    }

    fn refuse(&self, head: &Head, limit: &str, wait_ms: u32) -> Verdict {
        let seconds = wait_ms.div_ceil(1000);
        let no = Rejection::new(TOO_MANY, &format!("this is all there is of {limit} for now; try again in {seconds} s"))
            .data(format!(r#"{{"retryAfterMs":{wait_ms},"limit":{}}}"#, json::string(limit)))
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
        let amount = |max: u64, seconds| Bound::Amount { of: config.of, max: i64::try_from(max).unwrap_or(i64::MAX), window: Window { seconds } };
        let bound = match (config.at_once, config.per_hour, config.per_day) {
            (Some(at_once), None, None) if config.of == Of::Calls => Bound::Places { at_once: at_once as usize, lease_s: config.lease_s },
            (Some(_), None, None) => return Err(format!("limit {name}: what runs at once is calls")),
            (None, Some(max), None) => amount(max, 3_600),
            (None, None, Some(max)) => amount(max, 86_400),
            _ => return Err(format!("limit {name} needs one of at_once, per_hour, per_day")),
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

    fn begin(&self, bucket: &Bucket, key: &str, head: &Head) -> Result<Word, Error> {
        let now_s = clock::unix_seconds();
        match &self.bound {
            Bound::Places { at_once, lease_s } => {
                let is_in = places::enter(bucket, key, head.exchange, *at_once, now_s, *lease_s)?;
                Ok(if is_in { Word::Pass } else { Word::Wait(PLACE_AFTER_MS) })
            }
            // Let through in its first round.
            Bound::Amount { .. } if head.round > 0 => Ok(Word::Pass),
            Bound::Amount { of, max, window } => {
                let cost = i64::from(*of == Of::Calls);
                let spent = window.add(bucket, key, cost, now_s)?;
                // What is not known before is counted afterwards: calls that run already may go over it.
                let is_over = if *of == Of::Calls { spent > *max } else { spent >= *max };
                if is_over && cost != 0 {
                    window.add(bucket, key, -cost, now_s)?;
                }
                Ok(if is_over { Word::Wait(window.left_ms(now_s)) } else { Word::Pass })
            }
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
        window.add(bucket, key, cost, clock::unix_seconds()).map(|_| ())
    }
}

/// Whether a method or glob means anything that comes here.
fn is_ours(method: &str) -> bool {
    METHODS.iter().any(|ours| matches(method, ours) || matches(ours, method))
}
