//! Names that look like others' (UTS 39).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use sluice_sdk::prelude::Entry;
use unicode_security::confusable_detection::skeleton;

/// Entries, by place, whose name looks like that of an earlier one without being it, or looks like ASCII and is not.
pub(crate) fn all(entries: &[Entry]) -> BTreeSet<usize> {
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    let mut alike = BTreeSet::new();
    for (at, entry) in entries.iter().enumerate() {
        let form: String = skeleton(&entry.name).collect();
        let is_disguised = form.is_ascii() && !entry.name.is_ascii();
        // Names that are the same are no disguise: who keeps which is decided elsewhere.
        let is_alike = *first.entry(form).or_insert(&entry.name) != entry.name;
        if is_disguised || is_alike {
            alike.insert(at);
        }
    }
    alike
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disguise_is_seen_through() {
        let names = ["read_file", "rеad_file", "write", "read_fi1e", "read_file", "ｗｒｉｔｅ", "größe", "сіты", "list", "lists"];
        let entries: alloc::vec::Vec<_> = names.iter().map(|name| Entry::new("s", name, "")).collect();
        let found: alloc::vec::Vec<_> = all(&entries).into_iter().map(|at| names[at]).collect();
        assert_eq!(found, ["rеad_file", "read_fi1e", "ｗｒｉｔｅ"]);
    }
}
