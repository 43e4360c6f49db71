//! What the real host keeps outside of exchanges, one for each test thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::log::Level;
use crate::patterns::Pattern;

use super::kv::Store;

/// One line a plugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How loud.
    pub level: Level,
    /// The text.
    pub message: String,
    /// Fields beside the text.
    pub fields: Vec<(String, String)>,
}

/// One addition to a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The counter.
    pub name: String,
    /// How much.
    pub by: u64,
    /// Its labels.
    pub labels: Vec<(String, String)>,
}

/// The host's own bound on what one scan may find.
pub(super) const HITS_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Host {
    pub(super) clock_ms: u64,
    pub(super) kv: Store,
    pub(super) kv_broken: Option<String>,
    pub(super) runs_again: bool,
    pub(super) fetches: Option<super::fetch::Answering>,
    pub(super) tools: Option<super::upstream::Answering>,
    pub(super) secrets: HashMap<String, Vec<u8>>,
    pub(super) reveals: Vec<String>,
    pub(super) kept: HashMap<(String, String), super::secrets::Kept>,
    pub(super) sets: HashMap<String, Vec<regex::Regex>>,
    draws: u64,
    sleeping: Option<Rc<dyn Fn()>>,
    log: Vec<LogLine>,
    counts: Vec<Counted>,
    timings: Vec<(String, f64)>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

pub(super) fn with<T>(use_it: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(use_it)
}

/// Forgets everything.
pub fn reset() {
    with(|host| *host = Host::default());
}

/// The clock: it starts at 1970 and stands still.
pub fn clock_ms() -> u64 {
    with(|host| host.clock_ms)
}

/// Sets the clock.
pub fn set_clock_ms(ms: u64) {
    with(|host| host.clock_ms = ms);
}

/// Lets time pass.
pub fn advance_ms(ms: u64) {
    with(|host| host.clock_ms += ms);
}

/// From now on this happens each time the plugin waits: what others do meanwhile.
pub fn while_sleeping(happens: impl Fn() + 'static) {
    with(|host| host.sleeping = Some(Rc::new(happens)));
}

/// From now on kv answers `unavailable`.
pub fn break_kv(reason: &str) {
    with(|host| host.kv_broken = Some(reason.to_string()));
}

/// kv answers again.
pub fn heal_kv() {
    with(|host| host.kv_broken = None);
}

/// Whether what comes now is the `on-request` of a request that this filter had in an earlier round: `incr` and `take` add nothing then.
pub fn run_again(is_so: bool) {
    with(|host| host.runs_again = is_so);
}

/// One of the operator's secrets, granted.
pub fn set_secret(name: &str, value: &[u8]) {
    with(|host| host.secrets.insert(name.to_string(), value.to_vec()));
}

/// From now on the plugin may see the secrets of this name.
pub fn grant_reveal(name: &str) {
    with(|host| host.reveals.push(name.to_string()));
}

/// What was logged so far.
pub fn log_lines() -> Vec<LogLine> {
    with(|host| host.log.clone())
}

/// What was counted so far.
pub fn counts() -> Vec<Counted> {
    with(|host| host.counts.clone())
}

/// What was timed so far, in milliseconds.
pub fn timings() -> Vec<(String, f64)> {
    with(|host| host.timings.clone())
}

pub(crate) fn slept(ms: u32) {
    let sleeping = with(|host| {
        host.clock_ms += u64::from(ms);
        host.sleeping.clone()
    });
    if let Some(happens) = sleeping {
        happens();
    }
}

/// As unlike as random bytes, and the same in each run.
pub(crate) fn draw(count: usize) -> Vec<u8> {
    with(|host| {
        let mut drawn = Vec::new();
        while drawn.len() < count {
            host.draws += 1;
            drawn.extend_from_slice(&Sha256::digest(host.draws.to_le_bytes()));
        }
        drawn.truncate(count);
        drawn
    })
}

pub(crate) fn note_log(level: Level, message: &str, fields: Vec<(String, String)>) {
    with(|host| host.log.push(LogLine { level, message: message.to_string(), fields }));
}

pub(crate) fn note_count(name: &str, by: u64, labels: Vec<(String, String)>) {
    with(|host| host.counts.push(Counted { name: name.to_string(), by, labels }));
}

pub(crate) fn note_timing(name: &str, ms: f64) {
    with(|host| host.timings.push((name.to_string(), ms)));
}

pub(crate) fn define_patterns(name: &str, patterns: &[Pattern]) -> Result<(), String> {
    if !(1..=1000).contains(&patterns.len()) {
        return Err(format!("a set has 1 to 1000 patterns, not {}", patterns.len()));
    }
    let compiled = patterns
        .iter()
        .map(|p| regex::RegexBuilder::new(&p.regex).case_insensitive(p.case_insensitive).build())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    with(|host| host.sets.insert(name.to_string(), compiled));
    Ok(())
}
