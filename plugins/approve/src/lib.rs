//! Asks the person behind the client before certain tools run.
//!
//! [`question`] is what the person reads, [`memory`] what is remembered of the answer, [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
pub mod memory;
pub mod question;

use alloc::format;
use alloc::string::{String, ToString};

use sluice_sdk::glob;
use sluice_sdk::log;
use sluice_sdk::prelude::*;

use config::{Config, Effect, RuleConfig};
use memory::{Call, Memory};

/// The person said no, or nothing.
pub const NOT_APPROVED: i32 = 4036;
/// Nobody can be asked about this call: it cannot be shown as it is.
pub const NOT_SHOWN: i32 = 4037;

const NAME: &str = "approve";

/// The plugin.
pub struct Approve {
    config: Config,
    memory: Memory,
}

impl Plugin for Approve {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new(NAME, env!("CARGO_PKG_VERSION"), "Asks the person behind the client before certain tools run.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnRequest, &["tools/call"], &[])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        if config.rules.iter().all(|rule| rule.effect == Effect::Pass) {
            return Err("no rule asks anybody; write one with effect = \"ask\", or leave the plugin out".to_string());
        }
        for (at, rule) in (1..).zip(&config.rules) {
            check(rule).map_err(|why| format!("rule {at}: {why}"))?;
        }
        let hides = config.rules.iter().position(|rule| rule.tools.is_empty() && rule.upstreams.is_empty());
        if let Some(at) = hides.filter(|at| at + 1 < config.rules.len()) {
            return Err(format!("rule {} is about all tools, so those behind it count for none; put it last", at + 1));
        }
        if config.expires_seconds == 0 || config.arguments_bytes_max == 0 {
            return Err("expires_seconds and arguments_bytes_max are at least 1".to_string());
        }
        Ok(Approve { config, memory: Memory::default() })
    }
}

fn check(rule: &RuleConfig) -> Result<(), String> {
    /// More does not fit the store's milliseconds.
    const REMEMBER_MAX: u32 = 30 * 86_400;
    if rule.tools.iter().chain(&rule.upstreams).any(|glob| glob.is_empty()) {
        return Err("an empty name is in tools or upstreams, which nothing is called".to_string());
    }
    if rule.effect == Effect::Pass && rule.remember_seconds > 0 {
        return Err("there is nothing to remember where nobody is asked".to_string());
    }
    if rule.remember_seconds > REMEMBER_MAX {
        return Err(format!("remember_seconds is at most {REMEMBER_MAX}"));
    }
    Ok(())
}

impl OnRequest for Approve {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        if head.kind != Kind::Request || head.method != Method::ToolsCall {
            return Verdict::Next;
        }
        let (tool, upstream) = (head.name.as_deref().unwrap_or_default(), x.upstream().unwrap_or_default());
        match self.config.rules.iter().find(|rule| is_about(rule, tool, &upstream)) {
            Some(rule) if rule.effect == Effect::Ask => self.approve(rule, tool, &upstream, x),
            _ => Verdict::Next,
        }
    }
}

impl Approve {
    fn approve(&self, rule: &RuleConfig, tool: &str, upstream: &str, x: &Exchange) -> Verdict {
        let arguments = match x.get("/params/arguments") {
            Some(arguments) => arguments,
            None if x.get("/jsonrpc").is_some() => "{}".to_string(),
            // Not even what every message has: the operator has taken `payload` away.
            None => return refuse(NOT_SHOWN, "not_shown", "nobody can be asked about this call, since its arguments cannot be read here"),
        };
        let principal = x.attr("principal.id");
        // Callers without a name are told apart by nothing, so nothing is remembered for them.
        let call = principal.as_deref().map(|principal| Call { principal, upstream, tool, arguments: &arguments });
        let call = call.filter(|_| rule.remember_seconds > 0);
        match x.elicited(NAME) {
            Some(Elicited::Accept(content)) => {
                if let Some(call) = call.filter(|_| question::wants_memory(&content)) {
                    self.remember(&call, rule.remember_seconds);
                }
                Verdict::Next
            }
            Some(Elicited::Decline) => {
                refuse(NOT_APPROVED, "declined", "the user was asked about this call and said no; do not try it again")
            }
            Some(Elicited::Cancel) => {
                refuse(NOT_APPROVED, "unanswered", "the user was asked about this call and did not answer, so it did not run")
            }
            None if call.as_ref().is_some_and(|call| self.knows(call)) => Verdict::Next,
            None => self.ask(tool, upstream, &arguments, if call.is_some() { rule.remember_seconds } else { 0 }),
        }
    }

    fn ask(&self, tool: &str, upstream: &str, arguments: &str, remember_seconds: u32) -> Verdict {
        let max = self.config.arguments_bytes_max as usize;
        if arguments.len() > max {
            let why = format!(
                "this call needs the user's yes, and its arguments are {} bytes where {max} can be shown; make them shorter",
                arguments.len()
            );
            return refuse(NOT_SHOWN, "not_shown", &why);
        }
        let asks = question::ask(tool, upstream, arguments, remember_seconds);
        Verdict::suspend(asks.within_ms(self.config.expires_seconds.saturating_mul(1000)))
    }

    /// A store that does not answer knows nothing: then the person is asked.
    fn knows(&self, call: &Call<'_>) -> bool {
        self.memory.knows(call).unwrap_or_else(|error| {
            log::warn(&format!("what was approved before cannot be looked up, so it is asked again: {error:?}"));
            false
        })
    }

    /// The yes is to this call in the first place, so it runs whether or not the store takes it.
    fn remember(&self, call: &Call<'_>, seconds: u32) {
        if let Err(error) = self.memory.keep(call, seconds) {
            log::warn(&format!("an approval cannot be remembered: {error:?}"));
        }
    }
}

fn is_about(rule: &RuleConfig, tool: &str, upstream: &str) -> bool {
    let fits = |globs: &[String], text: &str| globs.is_empty() || glob::any(globs, text);
    fits(&rule.tools, tool) && fits(&rule.upstreams, upstream)
}

/// In a way that the model can read.
fn refuse(code: i32, reason: &str, why: &str) -> Verdict {
    Rejection::new(code, why).data(format!(r#"{{"reason":"{reason}"}}"#)).tool_result().into()
}

sluice_sdk::export!(Approve: on_request);
sluice_sdk::lean!();
