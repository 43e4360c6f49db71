//! From settings to a ruling on one entry.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::{Change, Entry};

use crate::config::{Config, List, Then};

/// Lines that an instance remembers to have written.
const TOLD_MAX: usize = 10_000;

/// How an entry stands to its pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is what was approved.
    Approved,
    /// It is something else than these.
    Changed(Vec<String>),
    /// Nobody has approved anything of this name.
    New,
}

/// The settings, ready for use.
#[derive(Debug)]
pub struct Pins {
    config: Config,
    /// Lists are computed anew for each kind of viewer; what is said of an entry is the same each time.
    told: RefCell<BTreeSet<String>>,
}

impl Pins {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        let all = config
            .pins
            .iter()
            .flat_map(|(upstream, lists)| lists.values().flat_map(move |names| names.iter().map(move |(name, pin)| (upstream, name, pin))));
        for (upstream, name, pin) in all {
            let is_digest = |digest: &String| digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if pin.digests().is_empty() || !pin.digests().iter().all(is_digest) {
                return Err(format!("the pin of {name} of {upstream} is no SHA-256 in 64 hex digits; sluice ls --pins writes them"));
            }
        }
        Ok(Pins { config, told: RefCell::default() })
    }

    /// One change per entry; none at all where this list is not pinned.
    pub fn rule(&self, list: List, entries: &[Entry]) -> Vec<Change> {
        if !self.config.lists.contains(&list) {
            return Vec::new();
        }
        entries.iter().map(|entry| self.rule_one(list, entry)).collect()
    }

    /// How an entry stands to its pin.
    pub fn standing(&self, list: List, entry: &Entry) -> Standing {
        let names = self.config.pins.get(&entry.upstream).and_then(|lists| lists.get(&list));
        match names.and_then(|names| names.get(&entry.name)) {
            None => Standing::New,
            Some(pin) if pin.digests().contains(&entry.digest) => Standing::Approved,
            Some(pin) => Standing::Changed(pin.digests().to_vec()),
        }
    }

    fn rule_one(&self, list: List, entry: &Entry) -> Change {
        let (then, what, approved) = match self.standing(list, entry) {
            Standing::Approved => return Change::Keep,
            Standing::Changed(approved) => (self.config.on_change, "a definition is not the approved one", approved.join(" ")),
            Standing::New => (self.config.on_new, "a definition was never approved", "none".to_string()),
        };
        self.tell(list, entry, what, &approved, then);
        match then {
            Then::Hide => Change::Hide,
            Then::Keep => Change::Keep,
        }
    }

    fn tell(&self, list: List, entry: &Entry, what: &str, approved: &str, then: Then) {
        let mut told = self.told.borrow_mut();
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        if !told.insert(format!("{}\n{}\n{}\n{}", entry.upstream, list.as_str(), entry.name, entry.digest)) {
            return;
        }
        let then = match then {
            Then::Hide => "hidden",
            Then::Keep => "kept",
        };
        let fields = [
            ("upstream", entry.upstream.as_str()),
            ("list", list.as_str()),
            ("entry", &entry.name),
            ("approved", approved),
            ("digest", &entry.digest),
            ("is", then),
        ];
        log::write(Level::Warn, what, &fields);
    }
}
