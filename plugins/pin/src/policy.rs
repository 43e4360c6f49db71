//! From settings to a ruling on one entry.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use sluice_sdk::log::{self, Level};
use sluice_sdk::prelude::{Change, Entry};

use crate::config::{Config, List, Then};

/// Lines of one look at a list. Each is a host call, of which all servers together have one budget: a server with a thousand tools that
/// nobody approved must not cost the others their list.
const LINES_MAX: usize = 50;
/// Lines that an instance remembers to have written.
const TOLD_MAX: usize = 10_000;
/// Bytes of a name in a line.
const NAME_BYTES_MAX: usize = 256;

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
        let standings: Vec<_> = entries.iter().map(|entry| self.standing(list, entry)).collect();
        self.tell(list, entries, &standings);
        let change = |standing: &Standing| match self.then(standing) {
            Some(Then::Hide) => Change::Hide,
            Some(Then::Keep) | None => Change::Keep,
        };
        standings.iter().map(change).collect()
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

    /// What becomes of it; nothing if it is approved.
    fn then(&self, standing: &Standing) -> Option<Then> {
        match standing {
            Standing::Approved => None,
            Standing::Changed(_) => Some(self.config.on_change),
            Standing::New => Some(self.config.on_new),
        }
    }

    /// A line for each that has none yet, and one for all that there are too many of: those are told another time.
    fn tell(&self, list: List, entries: &[Entry], standings: &[Standing]) {
        let mut told = self.told.borrow_mut();
        let (mut lines, mut more) = (0, 0_usize);
        for (entry, standing) in entries.iter().zip(standings) {
            let Some(then) = self.then(standing) else { continue };
            let name = &entry.name[..entry.name.floor_char_boundary(NAME_BYTES_MAX)];
            let key = format!("{}\n{}\n{name}\n{}", entry.upstream, list.as_str(), entry.digest);
            if told.contains(&key) {
                continue;
            }
            if lines == LINES_MAX {
                more += 1;
                continue;
            }
            if told.len() >= TOLD_MAX {
                told.clear();
            }
            told.insert(key);
            lines += 1;
            let (what, approved) = match standing {
                Standing::Changed(approved) => ("a definition is not the approved one", approved.join(" ")),
                Standing::Approved | Standing::New => ("a definition was never approved", "none".to_string()),
            };
            let fields = [
                ("upstream", entry.upstream.as_str()),
                ("list", list.as_str()),
                ("entry", name),
                ("approved", &approved),
                ("digest", &entry.digest),
                ("is", if then == Then::Hide { "hidden" } else { "kept" }),
            ];
            log::write(Level::Warn, what, &fields);
        }
        if more > 0 {
            let fields = [("list", list.as_str()), ("more", &more.to_string())];
            log::write(Level::Warn, "more definitions are not approved than are told at once", &fields);
        }
    }
}
