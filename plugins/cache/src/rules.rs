//! What may be kept, and what changes things.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::glob;

use crate::config::{Config, RuleConfig, WriteConfig};
use crate::validity::Kind;

/// All settings, ready for use.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<RuleConfig>,
    writes: Vec<WriteConfig>,
    unless_labels: Vec<String>,
    /// Longer results are not kept.
    pub result_bytes_max: usize,
    /// Places of one context.
    pub entries_max: u32,
    /// Whether a kept answer says so.
    pub is_marked: bool,
}

/// What is to be done about a request.
#[derive(Debug)]
pub enum About<'r> {
    /// Its answer may be kept.
    Keep(&'r RuleConfig),
    /// It may change what its upstream knows.
    Write,
    /// Nothing.
    Nothing,
}

impl Rules {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        for (at, rule) in (1..).zip(&config.rules) {
            if rule.tools.is_empty() && rule.resources.is_empty() {
                return Err(format!("rule {at} names neither tools nor resources"));
            }
            if rule.resources.is_empty() && rule.without_hint_s > 0 {
                return Err(format!("rule {at} has without_hint_s and no resources; answers of tools have no hints"));
            }
            if rule.without_hint_s > rule.ttl_s {
                return Err(format!("rule {at} has a without_hint_s beyond its ttl_s"));
            }
        }
        Ok(Rules {
            rules: config.rules,
            writes: config.writes,
            unless_labels: config.unless_labels,
            result_bytes_max: config.result_bytes_max as usize,
            entries_max: config.entries_max,
            is_marked: config.mark,
        })
    }

    /// What is to be done about a request for this.
    pub fn about(&self, kind: Kind, upstream: &str, name: &str) -> About<'_> {
        let is_there = |globs: &[String]| globs.is_empty() || glob::any(globs, upstream);
        let is_about = |rule: &&RuleConfig| {
            let names = if kind == Kind::Tools { &rule.tools } else { &rule.resources };
            glob::any(names, name) && is_there(&rule.upstreams)
        };
        if let Some(rule) = self.rules.iter().find(is_about) {
            return About::Keep(rule);
        }
        let writes = self.writes.iter().any(|write| glob::any(&write.tools, name) && is_there(&write.upstreams));
        if writes && kind == Kind::Tools { About::Write } else { About::Nothing }
    }

    /// Whether another filter has labelled the exchange so that its answer is not kept.
    pub fn forbid(&self, labels: &[(String, String)]) -> bool {
        labels.iter().any(|(key, _)| glob::any(&self.unless_labels, key))
    }
}

/// How long an answer is kept, in seconds; 0: not at all.
pub fn ttl_s(rule: &RuleConfig, kind: Kind, hint_ms: Option<u64>) -> u32 {
    let hint_s = match (hint_ms, kind) {
        (Some(ms), _) => u32::try_from(ms / 1000).unwrap_or(u32::MAX),
        (None, Kind::Tools) => rule.ttl_s,
        (None, Kind::Resources) => rule.without_hint_s,
    };
    hint_s.min(rule.ttl_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_makes_it_less_and_never_more() {
        let rule: RuleConfig = serde_json::from_str(r#"{"ttl_s":60,"without_hint_s":5,"resources":["*"]}"#).unwrap();
        for (kind, hint_ms, expected) in [
            (Kind::Tools, None, 60),
            (Kind::Tools, Some(7999), 7),
            (Kind::Resources, None, 5),
            (Kind::Resources, Some(0), 0),
            (Kind::Resources, Some(999), 0),
            (Kind::Resources, Some(30_000), 30),
            (Kind::Resources, Some(u64::MAX), 60),
        ] {
            assert_eq!(ttl_s(&rule, kind, hint_ms), expected, "{kind:?} {hint_ms:?}");
        }
    }
}
