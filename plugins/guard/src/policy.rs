//! From settings to a ruling on one message.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::json::decode_string;
use sluice_sdk::patterns::Pattern;
use sluice_sdk::prelude::*;

use crate::config::{Action, Actions, Config, Messages};
use crate::detectors::{Detector, Family, Find, Look};
use crate::phrases::Phrases;
use crate::{hidden, places};

/// The message holds what must not pass.
pub const BLOCKED: i32 = 4033;
/// The message could not be looked through, so it does not pass either.
pub const NOT_EXAMINED: i32 = 4034;

/// What becomes of a message. Edits are staged by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It goes on.
    Pass,
    /// It does not.
    Refuse(Rejection),
}

/// The settings for messages, ready for use.
#[derive(Debug)]
pub struct Policy {
    actions: Messages,
    hosts: Vec<String>,
    phrases: Phrases,
    patterns: Vec<Pattern>,
    /// Of each pattern, the family that judges its hits.
    owners: Vec<Family>,
}

/// A string or a member's name, with all that was found in it.
type Found = BTreeMap<(String, bool), Vec<Find>>;

impl Policy {
    /// The patterns for what the settings look for.
    pub fn new(config: &Config) -> Self {
        let (mut patterns, mut owners) = (Vec::new(), Vec::new());
        for family in Family::of(&config.messages.on()) {
            for regex in family.candidates() {
                patterns.push(Pattern { regex, case_insensitive: false });
                owners.push(family);
            }
        }
        Policy { actions: config.messages, hosts: config.hosts.clone(), phrases: Phrases::default(), patterns, owners }
    }

    /// What the host is to look for; nothing if nothing is.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Looks through a message to the client, stages what is to change, and rules.
    pub fn rule(&self, head: &Head, x: &(impl Scan + Payload + Facts), set: &str) -> Ruling {
        if head.direction == Direction::ToServer || self.patterns.is_empty() {
            return Ruling::Pass;
        }
        let Ok(hits) = x.scan(set, &[]) else {
            return refuse(head, NOT_EXAMINED, "this message has too much in it that looks like hidden text or injected instructions");
        };
        if hits.is_empty() {
            return Ruling::Pass;
        }
        let found = self.sift(hits, x);
        if found.is_empty() {
            return Ruling::Pass;
        }
        note(x, &found);
        let worst = found.values().flatten().max_by_key(|find| self.actions.action(find.detector));
        if let Some(find) = worst.filter(|find| self.actions.action(find.detector) == Action::Block) {
            return refuse(head, BLOCKED, &format!("this message holds what is not let through: {}", find.detector.as_str()));
        }
        let edits = self.edits(x, &found);
        match edits {
            Some(edits) if edits.is_empty() || x.stage(&edits).is_ok() => Ruling::Pass,
            _ => refuse(head, NOT_EXAMINED, "hidden text in this message could not be taken out"),
        }
    }

    /// The real finds among the hits, by place, without those that are not looked for.
    fn sift(&self, hits: Vec<Hit>, x: &impl Payload) -> Found {
        let mut found = Found::new();
        let mut runs_both_ways: BTreeMap<String, bool> = BTreeMap::new();
        for hit in hits {
            let Some(family) = self.owners.get(hit.pattern as usize) else { continue };
            if places::is_protocol(&hit.pointer, hit.in_key) {
                continue;
            }
            // Only what turns text depends on the rest of the text.
            let is_bidi = *family == Family::Hidden && hidden::turns(&hit.text) && {
                let pointer = &hit.pointer;
                *runs_both_ways.entry(format!("{}{pointer}", hit.in_key)).or_insert_with(|| whole(x, pointer, hit.in_key))
            };
            let look = Look { hosts: &self.hosts, is_bidi, phrases: &self.phrases };
            let mut finds = Vec::new();
            family.find(&hit.text, look, &mut finds);
            finds.retain(|find| self.actions.action(find.detector) != Action::Off);
            if finds.is_empty() {
                continue;
            }
            for find in &mut finds {
                find.range.start += hit.start as usize;
                find.range.end += hit.start as usize;
            }
            found.entry((hit.pointer, hit.in_key)).or_default().extend(finds);
        }
        found.values_mut().for_each(once);
        found
    }

    /// Nothing if a member's name cannot be read.
    fn edits(&self, x: &impl Payload, found: &Found) -> Option<Vec<Edit>> {
        let mut edits = Vec::new();
        let mut given = BTreeSet::new();
        for ((pointer, in_key), finds) in found {
            let stripped = join(finds.iter().filter(|find| self.actions.action(find.detector) >= Action::Strip));
            if stripped.is_empty() {
                continue;
            }
            if *in_key {
                edits.push(rename(x, pointer, &stripped, &mut given)?);
            } else {
                let splice = |find: &Find| Edit::splice(pointer, find.range.start as u32..find.range.end as u32, find.instead);
                edits.extend(stripped.iter().map(splice));
            }
        }
        Some(edits)
    }
}

/// Two patterns may have found the same thing, which is there once.
fn once(finds: &mut Vec<Find>) {
    finds.sort_by_key(|find| (find.detector, find.range.start, core::cmp::Reverse(find.range.end)));
    finds.dedup_by(|find, kept| {
        let is_again = find.detector == kept.detector && find.range.start < kept.range.end;
        if is_again {
            kept.range.end = kept.range.end.max(find.range.end);
        }
        is_again
    });
}

/// Finds that overlap become one, since half of it left over is still hidden.
pub(crate) fn join<'f>(finds: impl Iterator<Item = &'f Find>) -> Vec<Find> {
    let mut finds: Vec<_> = finds.cloned().collect();
    finds.sort_by_key(|find| (find.range.start, core::cmp::Reverse(find.range.end)));
    let mut joined: Vec<Find> = Vec::with_capacity(finds.len());
    for find in finds {
        match joined.last_mut() {
            Some(last) if find.range.start < last.range.end => {
                last.range.end = last.range.end.max(find.range.end);
                last.instead = if last.instead.is_empty() { find.instead } else { last.instead };
            }
            _ => joined.push(find),
        }
    }
    joined
}

/// A text without what was found in it.
pub(crate) fn strip(text: &str, finds: &[Find]) -> String {
    let mut out = String::from(text);
    finds.iter().rev().for_each(|find| out.replace_range(find.range.clone(), find.instead));
    out
}

/// Another name for a member, that none beside it has: most parsers would lose one of two.
fn rename(x: &impl Payload, pointer: &str, finds: &[Find], given: &mut BTreeSet<String>) -> Option<Edit> {
    let (object, escaped) = pointer.rsplit_once('/')?;
    let name = escaped.replace("~1", "/").replace("~0", "~");
    name.get(finds.last()?.range.end..)?;
    let wanted = strip(&name, finds);
    let mut unique = wanted.clone();
    let mut number = 2;
    loop {
        let place = format!("{object}/{}", unique.replace('~', "~0").replace('/', "~1"));
        if x.get(&place).is_none() && given.insert(place) {
            return Some(Edit::splice_key(pointer, 0..name.len() as u32, &unique));
        }
        unique = format!("{wanted}#{number}");
        number += 1;
        if number > 100 {
            return None;
        }
    }
}

/// Whether a string or a name, of which a part is known, runs both ways.
fn whole(x: &impl Payload, pointer: &str, in_key: bool) -> bool {
    if in_key {
        return hidden::is_bidi(pointer);
    }
    x.get(pointer).and_then(|json| decode_string(&json)).is_some_and(|text| hidden::is_bidi(&text))
}

/// Labels, for filters that come after and for the audit log: how often each detector found something in this exchange.
fn note(x: &impl Facts, found: &Found) {
    let mut counts: BTreeMap<Detector, usize> = BTreeMap::new();
    for find in found.values().flatten() {
        *counts.entry(find.detector).or_default() += 1;
    }
    for (detector, count) in counts {
        let before = x.attr(&format!("guard.{}", detector.as_str())).and_then(|count| count.parse().ok()).unwrap_or(0_usize);
        // Losing the note is not worth losing the message.
        let _ = x.set_attr(detector.as_str(), &(before + count).to_string());
    }
}

fn refuse(head: &Head, code: i32, message: &str) -> Ruling {
    let no = Rejection::new(code, message);
    let is_of_a_call = head.method == Method::ToolsCall && head.kind == Kind::Response;
    Ruling::Refuse(if is_of_a_call { no.tool_result() } else { no })
}
