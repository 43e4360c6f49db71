//! A guest that no test names is a guest that proves nothing.

use crate::support::guests;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A guest is loaded by a test beside this one; a standard plugin by one of those, or in the whole host as an operator has it.
#[test]
fn every_guest_has_a_test() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (beside, whole_host) = (sources(&here.join("tests/it")), sources(&here.join("../../tests/e2e/tests/it")));
    let is_loaded = |(name, prefix): &(String, &str)| {
        let names = [format!("\"{name}\""), format!("\"builtin:{name}\"")];
        beside.contains(&names[0]) || *prefix == "sluice-plugin-" && names.iter().any(|name| whole_host.contains(name))
    };
    let unnamed: Vec<_> = guests::all().into_iter().filter(|guest| !is_loaded(guest)).collect();
    assert!(unnamed.is_empty(), "no test loads {unnamed:?}");
}

/// All Rust code below a folder.
fn sources(folder: &Path) -> String {
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).partition(|path| path.is_dir());
    let own = files.iter().filter(|path| path.extension().is_some_and(|e| e == "rs")).map(|path| fs::read_to_string(path).unwrap());
    own.chain(folders.iter().map(|folder| sources(folder))).collect()
}
