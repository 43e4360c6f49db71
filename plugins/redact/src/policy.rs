//! From settings to a ruling on one message.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use sluice_sdk::patterns::Pattern;
use sluice_sdk::prelude::*;

use crate::config::{Action, Config, Directions};
use crate::spans::Span;
use crate::veil::Veil;
use crate::{detectors, names, places, spans};

/// The message holds data that must not pass.
pub const REFUSED: i32 = 4031;
/// The message could not be looked through, so it does not pass either.
pub const NOT_EXAMINED: i32 = 4032;

/// What becomes of a message. Edits are staged by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It goes on.
    Pass,
    /// It does not.
    Refuse(Rejection),
}

/// The settings, ready for use.
#[derive(Debug)]
pub struct Policy {
    watches: Vec<Watch>,
    patterns: Vec<Pattern>,
    /// Of each pattern, the watch it belongs to.
    owners: Vec<usize>,
    pub(crate) directions: Directions,
    veil: Veil,
}

/// One detector as it is used here.
#[derive(Debug)]
struct Watch {
    name: String,
    action: Action,
    check: fn(&str) -> Vec<Range<usize>>,
}

impl Policy {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        let mut watches = Vec::new();
        let mut patterns = Vec::new();
        let mut owners = Vec::new();
        let action = |name: &str| config.actions.get(name).copied().unwrap_or(config.action);
        // In the order of the table, whatever the settings' order: it decides who wins a tie.
        for built_in in detectors::ALL.iter().filter(|d| config.detectors.iter().any(|name| name == d.name)) {
            for regex in built_in.regexes {
                patterns.push(Pattern { regex: regex.to_string(), case_insensitive: false });
                owners.push(watches.len());
            }
            watches.push(Watch { name: built_in.name.to_string(), action: action(built_in.name), check: built_in.check });
        }
        if let Some(unknown) = config.detectors.iter().find(|name| detectors::named(name).is_none()) {
            return Err(format!("there is no detector {unknown}"));
        }
        for own in &config.patterns {
            if detectors::named(&own.name).is_some() || watches.iter().any(|watch| watch.name == own.name) {
                return Err(format!("two detectors are named {}", own.name));
            }
            owners.push(watches.len());
            watches.push(Watch { name: own.name.clone(), action: action(&own.name), check: detectors::all });
            patterns.push(Pattern { regex: own.regex.clone(), case_insensitive: own.case_insensitive });
        }
        if let Some(unknown) = config.actions.keys().find(|name| watches.iter().all(|watch| watch.name != **name)) {
            return Err(format!("actions names {unknown}, which is no detector that runs"));
        }
        if watches.is_empty() {
            return Err("there is nothing to look for: detectors and patterns are both empty".to_string());
        }
        if config.salt.is_none() && watches.iter().any(|watch| watch.action == Action::Hash) {
            return Err("the action hash needs a salt: without one, hashes of short data can be guessed".to_string());
        }
        let veil = Veil::new(config.replacement, config.salt);
        Ok(Policy { watches, patterns, owners, directions: config.directions, veil })
    }

    /// What the host is to look for.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Looks through a message, stages what is to change, and rules.
    pub fn rule(&self, head: &Head, x: &(impl Scan + Payload + Facts), set: &str) -> Ruling {
        let skipped = match head.direction {
            Direction::ToServer => Directions::Response,
            Direction::ToClient => Directions::Request,
        };
        if self.directions == skipped {
            return Ruling::Pass;
        }
        let Ok(hits) = x.scan(set, &[]) else {
            return refuse(head, NOT_EXAMINED, "this message has too much in it that looks like personal data or secrets");
        };
        if hits.is_empty() {
            return Ruling::Pass;
        }
        let found = self.sift(hits);
        if let Some(span) = found.values().flatten().find(|span| span.action == Action::Refuse) {
            let name = &self.watches[span.detector].name;
            return refuse(head, REFUSED, &format!("this message holds what looks like data of the kind {name}"));
        }
        if found.is_empty() {
            return Ruling::Pass;
        }
        let staged = self.edits(x, &found).is_some_and(|edits| x.stage(&edits).is_ok());
        if !staged {
            return refuse(head, NOT_EXAMINED, "personal data or secrets in this message could not be taken out");
        }
        self.note(head.kind, found.values().flatten(), x);
        Ruling::Pass
    }

    /// The real finds among the hits, by place.
    fn sift(&self, hits: Vec<Hit>) -> BTreeMap<(String, bool), Vec<Span>> {
        let mut found: BTreeMap<_, Vec<Span>> = BTreeMap::new();
        for hit in hits {
            let Some(owner) = self.owner(hit.pattern).filter(|_| !places::is_protocol(&hit.pointer, hit.in_key)) else { continue };
            let spans: Vec<_> = self
                .parts(owner, &hit.text)
                .map(|part| Span {
                    start: hit.start + part.start as u32,
                    end: hit.start + part.end as u32,
                    text: hit.text[part].to_string(),
                    detector: owner,
                    action: self.action(owner),
                })
                .collect();
            if !spans.is_empty() {
                found.entry((hit.pointer, hit.in_key)).or_default().extend(spans);
            }
        }
        for spans in found.values_mut() {
            *spans = spans::join(core::mem::take(spans));
        }
        found
    }

    /// Nothing if a name that has to change cannot be read.
    fn edits(&self, x: &impl Payload, found: &BTreeMap<(String, bool), Vec<Span>>) -> Option<Vec<Edit>> {
        let mut edits = Vec::new();
        let mut siblings: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for ((pointer, in_key), spans) in found {
            let parts = spans.iter().map(|span| (span.start, span.end, self.write(span)));
            if !in_key {
                edits.extend(parts.map(|(start, end, text)| Edit::splice(pointer, start..end, &text)));
                continue;
            }
            let (object, name) = names::split(pointer)?;
            if !siblings.contains_key(object) {
                siblings.insert(object, names::of_object(&x.get(object)?)?);
            }
            let wanted = names::splice(&name, &parts.collect::<Vec<_>>())?;
            let new = names::unique(wanted, siblings.get_mut(object)?);
            edits.push(Edit::splice_key(pointer, 0..name.len() as u32, &new));
        }
        Some(edits)
    }

    pub(crate) fn write(&self, span: &Span) -> String {
        self.veil.over(&span.text, self.name(span.detector), span.action)
    }

    /// The detector that a pattern is of.
    pub(crate) fn owner(&self, pattern: u32) -> Option<usize> {
        self.owners.get(pattern as usize).copied()
    }

    pub(crate) fn name(&self, detector: usize) -> &str {
        &self.watches[detector].name
    }

    pub(crate) fn action(&self, detector: usize) -> Action {
        self.watches[detector].action
    }

    /// What of a candidate is the data.
    pub(crate) fn parts(&self, detector: usize, text: &str) -> impl Iterator<Item = Range<usize>> + use<> {
        (self.watches[detector].check)(text).into_iter().filter(|part| !part.is_empty())
    }

    /// For the audit log: "email=2 iban=1", beside what was noted of this message before. Losing the note is not worth losing the message.
    pub(crate) fn note<'s>(&self, kind: Kind, found: impl Iterator<Item = &'s Span>, x: &impl Facts) {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for span in found {
            *counts.entry(span.detector).or_default() += 1;
        }
        if counts.is_empty() {
            return;
        }
        let before = x.attr(&format!("redact.{}", note_name(kind))).filter(|_| kind == Kind::Response).unwrap_or_default();
        for (name, count) in before.split(' ').filter_map(|part| part.rsplit_once('=')) {
            let known = self.watches.iter().position(|watch| watch.name == name);
            if let (Some(detector), Ok(count)) = (known, count.parse::<usize>()) {
                *counts.entry(detector).or_default() += count;
            }
        }
        let parts: Vec<_> = counts.iter().map(|(d, n)| format!("{}={n}", self.name(*d))).collect();
        let _ = x.set_attr(note_name(kind), &parts.join(" "));
    }
}

fn note_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "request",
        Kind::Response => "response",
        Kind::Notification => "notification",
        Kind::InputRequest => "input-request",
        Kind::InputResponse => "input-response",
    }
}

fn refuse(head: &Head, code: i32, message: &str) -> Ruling {
    Ruling::Refuse(no(head, code, message))
}

/// A refusal that who waits for it can read.
pub(crate) fn no(head: &Head, code: i32, message: &str) -> Rejection {
    let no = Rejection::new(code, message);
    let of_a_call = head.method == Method::ToolsCall && matches!(head.kind, Kind::Request | Kind::Response);
    if of_a_call { no.tool_result() } else { no }
}
