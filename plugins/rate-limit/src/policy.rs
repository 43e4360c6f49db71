//! Which limits a call falls under, and what to say when one is used up.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::glob::{self, matches};
use sluice_sdk::key::{self, Part};
use sluice_sdk::prelude::*;
use sluice_sdk::{json, metrics};

use crate::config::{self, Config, LimitConfig, OnStoreError};
use crate::{METHODS, Taken};

/// Over a limit.
pub const TOO_MANY: i32 = 4290;
/// The call could not be counted.
pub const NOT_COUNTED: i32 = 4291;

/// All limits, ready for use.
#[derive(Debug)]
pub struct Limits {
    limits: Vec<Limit>,
    on_store_error: OnStoreError,
    answer: config::Answer,
}

/// One limit, ready for use.
#[derive(Debug)]
pub struct Limit {
    name: String,
    parts: Vec<Part>,
    methods: Vec<String>,
    names: Vec<String>,
    /// What one call takes.
    pub cost: u32,
    /// What the bucket holds.
    pub burst: u32,
    /// What comes back.
    pub per_second: f64,
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

    /// Takes from every bucket the call falls under; the first that is empty refuses it.
    pub fn rule(&self, head: &Head, x: &impl Facts, take: impl Fn(&str, &Limit) -> Taken) -> Verdict {
        for limit in self.limits.iter().filter(|limit| limit.covers(head)) {
            let key = key::key(&limit.name, &limit.parts, head, x);
            let taken = take(&key, limit);
            if taken.is_err() {
                metrics::add("not_counted", 1, &[("limit", &limit.name)]);
            }
            match (taken, self.on_store_error) {
                (Ok(0), _) | (Err(_), OnStoreError::Allow) => {}
                (Ok(wait_ms), _) => return self.refuse(head, x, limit, wait_ms),
                (Err(_), OnStoreError::Refuse) => {
                    let no = Rejection::new(NOT_COUNTED, "calls cannot be counted now; try again later");
                    return self.answer_with(head, no.status(503)).into();
                }
            }
        }
        Verdict::Next
    }

    fn refuse(&self, head: &Head, x: &impl Facts, limit: &Limit, wait_ms: u32) -> Verdict {
        let (name, whose) = (&limit.name, key::whose(&limit.parts));
        metrics::add("refused", 1, &[("limit", name)]);
        // A label more or less decides nothing.
        let _ = x.set_attr("refused", name);
        let seconds = wait_ms.div_ceil(1000);
        let no = Rejection::new(TOO_MANY, &format!("too many calls: the limit {name} ({whose}) is used up; try again in {seconds} s"))
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

impl Limit {
    fn new(config: LimitConfig) -> Result<Self, String> {
        let name = config.name;
        let (amount, seconds) = match (config.per_second, config.per_minute, config.per_hour) {
            (Some(amount), None, None) => (amount, 1.0),
            (None, Some(amount), None) => (amount, 60.0),
            (None, None, Some(amount)) => (amount, 3600.0),
            _ => return Err(format!("limit {name} needs one of per_second, per_minute, per_hour")),
        };
        if amount.is_nan() || amount <= 0.0 {
            return Err(format!("limit {name} would never let anything pass"));
        }
        // A float beyond u32 becomes its largest value.
        let burst = config.burst.unwrap_or((amount as u32).max(config.cost));
        if burst < config.cost || config.cost == 0 {
            return Err(format!("limit {name} holds {burst} at most, so a cost of {} makes no sense", config.cost));
        }
        if let Some(method) = config.methods.iter().find(|method| !is_ours(method)) {
            return Err(format!("limit {name} names {method}, which this plugin does not count"));
        }
        let parts = config.key.iter().map(|part| Part::parse(part)).collect::<Result<_, _>>()?;
        let (methods, names) = (config.methods, config.names);
        Ok(Limit { name, parts, methods, names, cost: config.cost, burst, per_second: amount / seconds })
    }

    fn covers(&self, head: &Head) -> bool {
        let name = head.name.as_deref().unwrap_or_default();
        glob::any(&self.methods, head.method.as_str()) && (self.names.is_empty() || glob::any(&self.names, name))
    }
}

/// Whether a method or glob means anything that comes here.
fn is_ours(method: &str) -> bool {
    METHODS.iter().any(|ours| matches(method, ours) || matches(ours, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_here_can_be_limited() {
        for method in ["tools/call", "*", "tools/*", "tasks/get", "prompts/get"] {
            assert!(is_ours(method), "{method}");
        }
        for method in ["tools/list", "ping", "tool/*"] {
            assert!(!is_ours(method), "{method}");
        }
    }
}
