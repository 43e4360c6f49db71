//! Definitions, which a model reads before anybody asks it anything.
//!
//! There is no payload and there are no patterns here, so a definition is walked through by itself: once without keeping anything, and
//! only where something is to be taken out a second time, for the patch.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;
use sluice_sdk::prelude::*;

use crate::clean::{join, strip};
use crate::config::{Action, Actions, Config, Definitions};
use crate::detectors::{Detector, Family, Find, Look};
use crate::lines::Lines;
use crate::phrases::Phrases;
use crate::share::Shares;
use crate::{lookalike, walk};

/// Members whose strings somebody sends back as they are: to change one would break what it is for.
const LOAD_BEARING: &[&str] =
    &["name", "uri", "uriTemplate", "mimeType", "enum", "const", "default", "pattern", "required", "$ref", "type"];

/// Longer ones are read by nobody, and would take the time of all others.
const DEFINITION_BYTES_MAX: usize = 64 << 10;

/// The settings for definitions, ready for use.
#[derive(Debug)]
pub struct Reader {
    actions: Definitions,
    families: Vec<Family>,
    hosts: Vec<String>,
    phrases: Phrases,
    lines: Lines,
}

/// What was found in one definition.
#[derive(Debug, Default)]
struct Seen {
    detectors: BTreeSet<Detector>,
    /// The strictest action for what was found.
    worst: Option<Action>,
    /// What is to be taken out stands where nothing can be.
    is_stuck: bool,
    /// Why it was not looked at, or not to its end. What nobody has looked at is not shown.
    unread: Option<&'static str>,
}

impl Reader {
    /// Ready to read.
    pub fn new(config: &Config) -> Self {
        let families = Family::of(&config.definitions.on());
        Reader { actions: config.definitions, families, hosts: config.hosts.clone(), phrases: Phrases::default(), lines: Lines::default() }
    }

    /// One change per entry. All servers are looked at in one call, with one budget: each has its share, and what it has beyond that is
    /// hidden, so that none can use up what the others need.
    pub fn rule(&self, kind: ListKind, entries: &[Entry], definition: impl Fn(u32) -> Option<String>) -> Vec<Change> {
        let confusable = self.actions.action(Detector::Confusable);
        let has_names = matches!(kind, ListKind::Tools | ListKind::Prompts) && confusable != Action::Off;
        if self.families.is_empty() && !has_names {
            return entries.iter().map(|_| Change::Keep).collect();
        }
        let mut all: Vec<(Seen, Change)> = entries.iter().map(|_| (Seen::unread("not examined"), Change::Hide)).collect();
        let mut shares = Shares::of(entries);
        while let Some((at, room)) = shares.next() {
            all[at] = if self.families.is_empty() {
                (Seen::default(), Change::Keep)
            } else {
                let text = definition(at as u32);
                shares.spend(text.as_ref().map_or(0, String::len));
                self.look(text.as_deref(), room)
            };
        }
        if has_names {
            // What is hidden anyway takes no name from anybody.
            let kept: Vec<_> = entries.iter().enumerate().filter(|(at, _)| all[*at].1 != Change::Hide).collect();
            for at in lookalike::all(&kept) {
                let (seen, change) = &mut all[at];
                seen.note(Detector::Confusable, confusable);
                // Nothing can be taken out of a name.
                if confusable > Action::Flag {
                    *change = Change::Hide;
                }
            }
        }
        self.lines.tell(kind, entries.iter().zip(&all).filter_map(|(entry, (seen, change))| Some((entry, seen.found()?, told(change)))));
        all.into_iter().map(|(_, change)| change).collect()
    }

    fn look(&self, text: Option<&str>, room: usize) -> (Seen, Change) {
        let text = match text {
            None => return (Seen::unread("missing"), Change::Hide),
            Some(text) if text.len() > DEFINITION_BYTES_MAX => return (Seen::unread("too long"), Change::Hide),
            Some(text) if text.len() > room => return (Seen::unread("not examined"), Change::Hide),
            Some(text) => text,
        };
        let seen = self.read(text);
        let patch = || serde_json::from_str(text).ok().and_then(|value| self.without(&value)).map(|patch| format!("{patch}"));
        let change = match seen.worst {
            _ if seen.unread.is_some() => Change::Hide,
            None | Some(Action::Off | Action::Flag) => Change::Keep,
            Some(Action::Strip) if !seen.is_stuck => patch().map_or(Change::Hide, Change::Patch),
            Some(Action::Strip | Action::Block) => Change::Hide,
        };
        (seen, change)
    }

    fn read(&self, text: &str) -> Seen {
        let mut seen = Seen::default();
        let read = walk::each_text(text, |text, path, in_key| {
            // The properties of a schema may have these names too: then they hold an object, whose members speak for themselves.
            let is_load_bearing = in_key || path.last().is_some_and(|name| LOAD_BEARING.contains(&name));
            for find in self.find(text) {
                let action = self.actions.action(find.detector);
                seen.note(find.detector, action);
                seen.is_stuck |= is_load_bearing && action == Action::Strip;
            }
        });
        // The host takes numbers of any size; what stands behind one that is too large was not seen here.
        seen.unread = read.is_err().then_some("unreadable");
        seen
    }

    fn find(&self, text: &str) -> Vec<Find> {
        let look = Look { families: &self.families, hosts: &self.hosts, phrases: &self.phrases, rare: None };
        let mut found = look.at(text);
        found.retain(|find| self.actions.action(find.detector) != Action::Off);
        found
    }

    /// A merge patch that takes out what is to be; nothing if that is nothing. Arrays are replaced whole.
    fn without(&self, value: &Value) -> Option<Value> {
        match value {
            Value::String(text) => {
                let found = self.find(text);
                let finds = join(found.iter().filter(|find| self.actions.action(find.detector) == Action::Strip));
                (!finds.is_empty()).then(|| Value::String(strip(text, &finds)))
            }
            Value::Array(items) => {
                let changed: Vec<_> = items.iter().map(|item| self.without(item).map(|patch| merged(item, patch))).collect();
                let is_changed = changed.iter().any(Option::is_some);
                let items = items.iter().zip(changed).map(|(item, changed)| changed.unwrap_or_else(|| item.clone()));
                is_changed.then(|| Value::Array(items.collect()))
            }
            Value::Object(members) => {
                let changed = members.iter().filter_map(|(name, value)| Some((name.clone(), self.without(value)?)));
                let changed: serde_json::Map<_, _> = changed.collect();
                (!changed.is_empty()).then_some(Value::Object(changed))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }
}

fn told(change: &Change) -> &'static str {
    match change {
        Change::Keep => "kept",
        Change::Hide => "hidden",
        Change::Rename(_) | Change::Patch(_) | Change::RenameAndPatch(_) => "cleaned",
    }
}

impl Seen {
    fn unread(why: &'static str) -> Self {
        Seen { unread: Some(why), ..Seen::default() }
    }

    /// For the log; nothing if there is nothing to say.
    fn found(&self) -> Option<String> {
        let all: Vec<_> = self.detectors.iter().map(|detector| detector.as_str()).chain(self.unread).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }

    fn note(&mut self, detector: Detector, action: Action) {
        self.detectors.insert(detector);
        self.worst = self.worst.max(Some(action));
    }
}

/// A value of an array with its patch applied.
fn merged(value: &Value, patch: Value) -> Value {
    match (value, patch) {
        (Value::Object(members), Value::Object(changed)) => {
            let mut members = members.clone();
            for (name, patch) in changed {
                let new = members.get(&name).map(|value| merged(value, patch));
                if let Some(new) = new {
                    members.insert(name, new);
                }
            }
            Value::Object(members)
        }
        (_, patch) => patch,
    }
}
