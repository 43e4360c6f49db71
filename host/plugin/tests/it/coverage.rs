//! A guest that no test names is a guest that proves nothing.

use crate::support::guests;
use std::{fs, path::Path};

#[test]
fn every_guest_has_a_test() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let sources: String = fs::read_dir(here)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"))
        .map(|entry| fs::read_to_string(entry.path()).unwrap())
        .collect();
    let unnamed: Vec<_> = guests::all().into_iter().filter(|(name, _)| !sources.contains(&format!("{name:?}"))).collect();
    assert!(unnamed.is_empty(), "no test loads {unnamed:?}");
}
