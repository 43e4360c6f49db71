//! One name for each entry, and one entry for each name.
//!
//! A name is made of the entry alone: upstream, separator, own name; what a tool's name may not hold becomes `_`; and
//! if that lost anything, or the result is too long, it ends in the first hex digits of a digest over upstream and
//! name. So the same entry has the same name tomorrow and on another replica. Only where two entries still meet
//! (`a_b` + `c` and `a` + `b_c`) does order count: the later one gets the digest as well.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use sluice_sdk::prelude::{Change, Entry};

use crate::config::{Config, Prefix};

/// Hex digits that tell two names apart; doubled while they do not.
const SUFFIX_DIGITS: usize = 8;

/// The shortest limit that leaves something of a name beside a longer suffix.
const MAX_LENGTH_MIN: usize = 24;

/// The settings, ready for use.
#[derive(Debug)]
pub struct Namer {
    config: Config,
}

impl Namer {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        if !config.template.contains("{name}") {
            return Err("the template has no {name}: all entries of a server would be one".to_string());
        }
        if config.prefix != Prefix::Never && !config.template.contains("{upstream}") {
            return Err("the template has no {upstream}, so it keeps nothing apart; set prefix to never".to_string());
        }
        if config.max_length < MAX_LENGTH_MIN {
            return Err("max_length is at least 24".to_string());
        }
        Ok(Namer { config })
    }

    /// One change per entry.
    pub fn name(&self, entries: &[Entry], upstreams: impl Fn() -> u32) -> Vec<Change> {
        let prefix_all = match self.config.prefix {
            Prefix::Auto => upstreams() >= 2,
            Prefix::Always => true,
            Prefix::OnConflict | Prefix::Never => false,
        };
        let shared = if self.config.prefix == Prefix::OnConflict { shared_names(entries) } else { BTreeSet::new() };
        let mut taken = BTreeSet::new();
        let mut change = |entry: &Entry| {
            let prefixed = prefix_all || shared.contains(entry.name.as_str());
            match self.free_name(entry, prefixed, &mut taken) {
                Some(name) if name == entry.name => Change::Keep,
                Some(name) => Change::Rename(name),
                // The same upstream names the same thing twice. Which of the two is called is its secret.
                None => Change::Hide,
            }
        };
        entries.iter().map(&mut change).collect()
    }

    fn free_name(&self, entry: &Entry, prefixed: bool, taken: &mut BTreeSet<String>) -> Option<String> {
        let (wanted, exact) = self.wanted(entry, prefixed);
        let max = self.config.max_length;
        if exact && wanted.len() <= max && taken.insert(wanted.clone()) {
            return Some(wanted);
        }
        let digest = digest(entry);
        let mut digits = SUFFIX_DIGITS;
        while digits < max.min(digest.len()) {
            let kept = wanted.len().min(max - digits - 1);
            let mut name = wanted[..kept].to_string();
            name.push('_');
            name.push_str(&digest[..digits]);
            if taken.insert(name.clone()) {
                return Some(name);
            }
            digits *= 2;
        }
        None
    }

    /// The name in plain ASCII, and whether nothing was lost on the way there.
    fn wanted(&self, entry: &Entry, prefixed: bool) -> (String, bool) {
        let Config { separator, template, prefix_once, .. } = &self.config;
        let rest = entry.name.strip_prefix(&entry.upstream);
        let has_prefix = *prefix_once && rest.is_some_and(|rest| rest.starts_with(separator));
        let full = if prefixed && !has_prefix {
            fill(template, &[("{upstream}", &entry.upstream), ("{separator}", separator), ("{name}", &entry.name)])
        } else {
            entry.name.clone()
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let plain: String = full.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
        let exact = !plain.is_empty() && plain == full;
        (plain, exact)
    }
}

/// In one pass, so that a placeholder in a server's name stays text.
fn fill(template: &str, values: &[(&str, &String)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(c) = rest.chars().next() {
        match values.iter().find(|(place, _)| rest.starts_with(place)) {
            Some((place, value)) => {
                out.push_str(value);
                rest = &rest[place.len()..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// Names that more than one upstream has.
fn shared_names(entries: &[Entry]) -> BTreeSet<&str> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for entry in entries {
        if *owners.entry(&entry.name).or_insert(&entry.upstream) != entry.upstream {
            shared.insert(entry.name.as_str());
        }
    }
    shared
}

/// The zero byte keeps the two apart: the id of an upstream, from the operator's file, never holds one.
fn digest(entry: &Entry) -> String {
    let mut hash = Sha256::new();
    hash.update(entry.upstream.as_bytes());
    hash.update([0]);
    hash.update(entry.name.as_bytes());
    let mut out = String::new();
    for byte in hash.finalize() {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
    }
    out
}
