//! Names that look like others' (UTS 39).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use sluice_sdk::prelude::Entry;
use unicode_security::confusable_detection::skeleton;

/// Of longer names only the beginning is compared.
const NAME_BYTES_MAX: usize = 256;

/// Which of these entries, each with its place, have a name that looks like that of an earlier one without being it, or looks like ASCII
/// and is not.
pub(crate) fn all(entries: &[(usize, &Entry)]) -> BTreeSet<usize> {
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    let mut alike = BTreeSet::new();
    for (at, entry) in entries {
        let name = &entry.name[..entry.name.floor_char_boundary(NAME_BYTES_MAX)];
        let form: String = skeleton(name).collect();
        let is_disguised = form.is_ascii() && !name.is_ascii();
        // Names that are the same are no disguise: who keeps which is decided elsewhere.
        let is_alike = *first.entry(form).or_insert(name) != name;
        if is_disguised || is_alike {
            alike.insert(*at);
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
        let entries: alloc::vec::Vec<_> = entries.iter().enumerate().collect();
        let found: alloc::vec::Vec<_> = all(&entries).into_iter().map(|at| names[at]).collect();
        assert_eq!(found, ["rеad_file", "read_fi1e", "ｗｒｉｔｅ"]);
    }
}
