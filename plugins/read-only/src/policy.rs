//! Which tools change nothing.
//!
//! The operator's `deny` counts first, then the operator's `allow`, then the word of the tool's server, if the operator trusts it.

use alloc::format;
use alloc::string::String;

use sluice_sdk::glob;
use sluice_sdk::prelude::*;

use crate::annotations;
use crate::config::{Config, Tools};

/// The caller may only read.
pub const READ_ONLY: i32 = 4033;

/// What a client may ask for without changing anything by it. A method that is not here is not known to be one of these, so it is refused.
///
/// `tools/call` is here because a call is resolved in the list that the caller is shown: what is hidden cannot be called.
const READS: [&str; 20] = [
    "initialize",
    "server/discover",
    "ping",
    "logging/setLevel",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
    "completion/complete",
    "tasks/get",
    "tasks/result",
    "tasks/list",
    "tasks/update",
    "tasks/cancel",
];

/// The settings, ready for use.
#[derive(Debug)]
pub struct Policy(Config);

impl Policy {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        for (list, entries) in [("allow", &config.allow), ("deny", &config.deny)] {
            for (at, tools) in (1..).zip(entries) {
                if tools.upstreams.is_empty() && tools.tools.is_empty() {
                    return Err(format!("{list}, entry {at} names neither upstreams nor tools; for all of them say tools = [\"*\"]"));
                }
                check_globs(&format!("{list}, entry {at}"), tools.upstreams.iter().chain(&tools.tools))?;
            }
        }
        check_globs("trust", config.trust.iter())?;
        if config.trust.is_empty() && config.allow.is_empty() && config.deny.is_empty() {
            let advice = "name upstreams in trust or tools in allow, or put tools = [\"*\"] into deny if that is meant";
            return Err(format!("trust, allow and deny are empty, so every tool would be hidden; {advice}"));
        }
        Ok(Policy(config))
    }

    /// Is this tool shown? Its definition is asked for last, and only of a server that is trusted.
    pub fn shows(&self, entry: &Entry, definition: impl FnOnce() -> Option<String>) -> bool {
        if names(&self.0.deny, entry) {
            return false;
        }
        if names(&self.0.allow, entry) {
            return true;
        }
        glob::any(&self.0.trust, &entry.upstream) && definition().is_some_and(|tool| annotations::say_read_only(&tool))
    }
}

/// Is this a request of a client that changes nothing?
pub fn reads(method: &str) -> bool {
    READS.contains(&method)
}

fn names(list: &[Tools], entry: &Entry) -> bool {
    let fits = |globs: &[String], text: &str| globs.is_empty() || glob::any(globs, text);
    list.iter().any(|tools| fits(&tools.upstreams, &entry.upstream) && fits(&tools.tools, &entry.name))
}

fn check_globs<'a>(place: &str, mut globs: impl Iterator<Item = &'a String>) -> Result<(), String> {
    match globs.any(|glob| glob.is_empty()) {
        true => Err(format!("{place} has an empty name, which nothing is called")),
        false => Ok(()),
    }
}

/// What whoever may only read is told.
pub fn refusal() -> Rejection {
    Rejection::new(READ_ONLY, "this gateway is read-only here, and does not know this method as one that only reads").status(403)
}
