//! The project's own Rust sources, and the tests in them.

use crate::step::root;
use anyhow::{Context as _, Result, bail};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Every Rust source of the project, relative to its root, in order.
pub fn sources() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in ["host", "plugins", "sdk", "tests", "xtask"] {
        walk(&root().join(folder), &mut found)?;
    }
    let relative = |path: PathBuf| path.strip_prefix(root()).ok().map(|path| path.to_string_lossy().into_owned());
    let mut found: Vec<String> = found.into_iter().filter_map(relative).collect();
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "target" && name != "node_modules" {
                walk(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Every test that is run, by name, with the sources that have one of that name.
pub fn tests() -> Result<BTreeMap<String, Vec<String>>> {
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in sources()? {
        let source = std::fs::read_to_string(root().join(&path)).with_context(|| path.clone())?;
        for name in tests_of(&source) {
            tests.entry(name).or_default().push(path.clone());
        }
    }
    Ok(tests)
}

fn tests_of(source: &str) -> Vec<String> {
    let (mut found, mut is_test) = (Vec::new(), false);
    for line in source.lines().map(str::trim_start) {
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some(name) = function.filter(|_| is_test).and_then(|rest| rest.split('(').next()) {
            found.push(name.to_owned());
        }
        let goes_on = is_test && line.starts_with("#[") && !line.starts_with("#[ignore");
        is_test = line.starts_with("#[test]") || line.starts_with("#[tokio::test") || goes_on;
    }
    found
}

/// Cargo's words for where a test of the host or of the whole stands.
pub fn place(path: &str) -> Result<Vec<String>> {
    let parts: Vec<&str> = path.split('/').collect();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    // The binary has the project's own name.
    let package = |room: &str| if room == "app" { "sluice".to_owned() } else { format!("sluice-{room}") };
    match *parts {
        ["host", room, "src", ..] => Ok(words(&["-p", &package(room), "--lib"])),
        ["host", room, "tests", file, ..] => Ok(words(&["-p", &package(room), "--test", file.trim_end_matches(".rs")])),
        ["tests", "e2e", ..] => Ok(words(&["-p", "sluice-e2e", "--test", "it"])),
        _ => bail!("{path}: neither of the host's rooms nor of tests/e2e"),
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn only_what_is_run_is_a_test() {
        let source = "#[test]\nfn a() {}\n    #[tokio::test]\n    async fn b() {}\nfn c() {}\n#[test]\n#[ignore = \"x\"]\nfn d() {}\n#[test]\n#[should_panic]\nfn e() {}";
        assert_eq!(tests_of(source), ["a", "b", "e"]);
    }

    #[test]
    fn a_test_has_its_place() {
        assert_eq!(place("host/plugin/tests/it/cache.rs").unwrap(), ["-p", "sluice-plugin", "--test", "it"]);
        assert_eq!(place("host/app/src/chain/folder.rs").unwrap(), ["-p", "sluice", "--lib"]);
        assert_eq!(place("tests/e2e/tests/it/swap.rs").unwrap(), ["-p", "sluice-e2e", "--test", "it"]);
        assert!(place("plugins/redact/src/lib.rs").is_err());
    }
}
