//! Definitions, which a model reads before anybody asks it anything.
//!
//! There is no payload and there are no patterns here, so a definition is walked through by itself: once without keeping anything, and
//! only where something is to be taken out a second time, for the patch.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::*;

use crate::config::{Action, Actions, Config, Definitions};
use crate::detectors::{Detector, Family, Find, Look};
use crate::phrases::Phrases;
use crate::{hidden, lookalike, policy};

/// Members whose strings somebody sends back as they are: to change one would break what it is for.
const LOAD_BEARING: &[&str] =
    &["name", "uri", "uriTemplate", "mimeType", "enum", "const", "default", "pattern", "required", "$ref", "type"];

/// Lines that an instance remembers to have written.
const TOLD_MAX: usize = 10_000;

/// The settings for definitions, ready for use.
#[derive(Debug)]
pub struct Reader {
    actions: Definitions,
    families: Vec<Family>,
    hosts: Vec<String>,
    phrases: Phrases,
    /// Lists are computed anew for each kind of viewer; what is said of an entry is the same each time.
    told: RefCell<BTreeSet<String>>,
}

/// What was found in one definition.
#[derive(Debug, Default)]
struct Seen {
    detectors: BTreeSet<Detector>,
    /// The strictest action for what was found.
    worst: Option<Action>,
    /// What is to be taken out stands where nothing can be.
    is_stuck: bool,
}

impl Reader {
    /// Ready to read.
    pub fn new(config: &Config) -> Self {
        let families = Family::of(&config.definitions.on());
        let (hosts, phrases) = (config.hosts.clone(), Phrases::default());
        Reader { actions: config.definitions, families, hosts, phrases, told: RefCell::default() }
    }

    /// One change per entry.
    pub fn rule(&self, kind: ListKind, entries: &[Entry], definition: impl Fn(u32) -> Option<String>) -> Vec<Change> {
        let has_names = matches!(kind, ListKind::Tools | ListKind::Prompts) && self.actions.action(Detector::Confusable) != Action::Off;
        let alike = if has_names { lookalike::all(entries) } else { BTreeSet::new() };
        let change = |(at, entry): (usize, &Entry)| {
            let mut seen = Seen::default();
            if alike.contains(&at) {
                let action = self.actions.action(Detector::Confusable);
                seen.note(Detector::Confusable, if action == Action::Strip { Action::Block } else { action });
            }
            let text = if self.families.is_empty() { None } else { definition(at as u32) };
            if let Some(text) = &text {
                self.read(text, &mut seen);
            }
            self.change(kind, entry, text.as_deref().unwrap_or_default(), &seen)
        };
        entries.iter().enumerate().map(change).collect()
    }

    fn change(&self, kind: ListKind, entry: &Entry, text: &str, seen: &Seen) -> Change {
        let patch = || serde_json::from_str(text).ok().and_then(|value| self.without(&value)).map(|patch| format!("{patch}"));
        let (change, what) = match seen.worst {
            None => return Change::Keep,
            Some(Action::Off | Action::Flag) => (Change::Keep, "kept"),
            Some(Action::Strip) if !seen.is_stuck => match patch() {
                Some(patch) => (Change::Patch(patch), "cleaned"),
                None => (Change::Hide, "hidden"),
            },
            Some(Action::Strip | Action::Block) => (Change::Hide, "hidden"),
        };
        self.tell(kind, entry, seen, what);
        change
    }

    fn read(&self, text: &str, seen: &mut Seen) {
        let mut each = |text: &str, is_load_bearing: bool| {
            for find in self.find(text) {
                let action = self.actions.action(find.detector);
                seen.note(find.detector, action);
                seen.is_stuck |= is_load_bearing && action == Action::Strip;
            }
        };
        let walk = Walk { each: &mut each, is_load_bearing: false };
        // The host has parsed it before.
        let _ = walk.deserialize(&mut serde_json::Deserializer::from_str(text));
    }

    fn find(&self, text: &str) -> Vec<Find> {
        let look = Look { hosts: &self.hosts, is_bidi: hidden::is_bidi(text), phrases: &self.phrases };
        let mut found = Vec::new();
        self.families.iter().for_each(|family| family.find(text, look, &mut found));
        found.retain(|find| self.actions.action(find.detector) != Action::Off);
        found
    }

    /// A merge patch that takes out what is to be; nothing if that is nothing. Arrays are replaced whole.
    fn without(&self, value: &Value) -> Option<Value> {
        match value {
            Value::String(text) => {
                let found = self.find(text);
                let finds = policy::join(found.iter().filter(|find| self.actions.action(find.detector) == Action::Strip));
                (!finds.is_empty()).then(|| Value::String(policy::strip(text, &finds)))
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

    fn tell(&self, kind: ListKind, entry: &Entry, seen: &Seen, what: &str) {
        let list = match kind {
            ListKind::Tools => "tools",
            ListKind::Prompts => "prompts",
            ListKind::Resources => "resources",
            ListKind::ResourceTemplates => "resource-templates",
        };
        let mut told = self.told.borrow_mut();
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        if !told.insert(format!("{}\n{list}\n{}\n{}", entry.upstream, entry.name, entry.digest)) {
            return;
        }
        let found: Vec<_> = seen.detectors.iter().map(|detector| detector.as_str()).collect();
        let found = found.join(" ");
        let fields = [
            ("upstream", entry.upstream.as_str()),
            ("list", list),
            ("entry", &entry.name),
            ("found", &found),
            ("digest", &entry.digest),
            ("is", what),
        ];
        log::write(Level::Warn, "a definition is suspicious", &fields);
    }
}

impl Seen {
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

/// Shows every string and every member's name to `each`, with whether it can be changed, and keeps none.
struct Walk<'w, F> {
    each: &'w mut F,
    is_load_bearing: bool,
}

impl<'de, F: FnMut(&str, bool)> DeserializeSeed<'de> for Walk<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&str, bool)> Visitor<'de> for Walk<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        (self.each)(text, self.is_load_bearing);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Walk { each: &mut *self.each, is_load_bearing: self.is_load_bearing })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(is_load_bearing) = members.next_key_seed(Name { each: &mut *self.each })? {
            // The properties of a schema may have these names too: then they hold an object, whose members speak for themselves.
            members.next_value_seed(Walk { each: &mut *self.each, is_load_bearing })?;
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

/// A member's name, and whether what it names can be changed.
struct Name<'w, F> {
    each: &'w mut F,
}

impl<'de, F: FnMut(&str, bool)> DeserializeSeed<'de> for Name<'_, F> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl<F: FnMut(&str, bool)> Visitor<'_> for Name<'_, F> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        (self.each)(name, true);
        Ok(LOAD_BEARING.contains(&name))
    }
}
