//! What was found, and what was done to find it.

use std::{cell::RefCell, collections::BTreeMap, fmt::Write as _};

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// It holds what is another's.
    Leak,
    /// What is another's was not refused.
    Taken,
    /// What is one's own did not go as it goes when one is alone.
    Disturbed,
}

/// One finding, with the exchange that shows it.
pub struct Finding {
    pub wrong: Wrong,
    /// The kind of try.
    pub at: &'static str,
    pub why: String,
    pub exchange: String,
}

/// Findings that are kept whole; of more there is a count.
const KEPT_MAX: usize = 12;
const SHOWN_BYTES: usize = 2500;

#[derive(Default)]
pub struct Ledger {
    tries: RefCell<BTreeMap<&'static str, u64>>,
    counts: RefCell<BTreeMap<(&'static str, Wrong), u64>>,
    kept: RefCell<Vec<Finding>>,
}

impl Ledger {
    pub fn tried(&self, what: &'static str) {
        *self.tries.borrow_mut().entry(what).or_default() += 1;
    }

    pub fn wrong(&self, finding: Finding) {
        let key = (finding.at, finding.wrong);
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(key).or_default();
        *count += 1;
        // A few of each kind: the first may be many of one.
        if *count <= 2 && self.kept.borrow().len() < KEPT_MAX {
            println!("  {:?}: {}: {}", finding.wrong, finding.at, finding.why);
            self.kept.borrow_mut().push(finding);
        }
    }

    pub fn total(&self) -> u64 {
        self.counts.borrow().values().sum()
    }

    pub fn count(&self, what: &str) -> u64 {
        self.tries.borrow().get(what).copied().unwrap_or_default()
    }

    pub fn was_found(&self, at: &str, wrong: Wrong) -> bool {
        self.counts.borrow().keys().any(|(known, kind)| *known == at && *kind == wrong)
    }

    /// How many tries of each kind, and what came of them.
    pub fn table(&self) -> String {
        let mut out = String::new();
        for (what, tries) in self.tries.borrow().iter() {
            let _ = writeln!(out, "  {tries:>9}  {what}");
        }
        for ((at, wrong), count) in self.counts.borrow().iter() {
            let _ = writeln!(out, "  {count:>9}  {wrong:?}: {at}");
        }
        out
    }

    pub fn exchanges(&self) -> String {
        let mut out = String::new();
        for Finding { wrong, at, why, exchange } in self.kept.borrow().iter() {
            let _ = writeln!(out, "--- {wrong:?}: {at}: {why}\n{exchange}");
        }
        out
    }
}

/// An exchange to be read by people.
pub fn exchange(whose: &str, sent: &[u8], told: &[u8]) -> String {
    format!("{whose} sent:\n{}\nand was told:\n{}\n", shown(sent), shown(told))
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned();
    if bytes.len() > SHOWN_BYTES { format!("{text}… ({} bytes)", bytes.len()) } else { text }
}
