//! `cargo xtask mutations`: each named mutation of the host makes the test of its statement fail.
//!
//! All mutations are built into one copy of the tree, each behind a switch that a test's run sets: a mutation replaces
//! one expression by `if switched on { mutated } else { original }`. So there is one build, and with all switches off
//! each test must pass: the control.

use crate::{
    sources::place,
    statements::test_of,
    step::{cargo, root, target},
};
use anyhow::{Context as _, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

const LIST: &str = "tests/statements/mutations.txt";
const SWITCH: &str = "SLUICE_MUTATION";

/// One expression of the host, and what it becomes.
struct Mutation {
    statement: u32,
    what: String,
    file: String,
    from: String,
    to: String,
}

/// Runs the test of every mutation, without it and with it; or only those of the given statements.
pub fn run(arguments: &[String]) -> Result<()> {
    let only: Vec<u32> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    let all = read()?;
    let tree = target().join("mutations/tree");
    copy(&tree, &all)?;
    let (mut killed, mut survived) = (0, Vec::new());
    for mutation in all.iter().filter(|m| only.is_empty() || only.contains(&m.statement)) {
        let test = test_of(mutation.statement)?;
        let passes = |switch: &str| passes(&tree, &test, switch);
        ensure!(passes("")?, "{}: fails without its mutation, so it shows nothing", test.1);
        if passes(&mutation.statement.to_string())? {
            survived.push(mutation.statement);
            println!("{:>4} SURVIVED  {}  {}", mutation.statement, mutation.what, test.1);
        } else {
            killed += 1;
            println!("{:>4} killed    {}  {}", mutation.statement, mutation.what, test.1);
        }
    }
    println!("{killed} killed, {} survived", survived.len());
    ensure!(survived.is_empty(), "these statements' tests do not notice their mutation: {survived:?}");
    Ok(())
}

/// Blocks of `statement what`, `file`, `- original`, `+ mutated`; the marked lines may be several.
fn read() -> Result<Vec<Mutation>> {
    let text = std::fs::read_to_string(root().join(LIST)).context(LIST)?;
    let blocks = text.split("\n\n").map(str::trim).filter(|block| block.starts_with(|c: char| c.is_ascii_digit()));
    blocks.map(|block| parse(block).with_context(|| format!("{LIST}: {block}"))).collect()
}

fn parse(block: &str) -> Result<Mutation> {
    let mut lines = block.lines();
    let (number, what) = lines.next().and_then(|line| line.split_once(' ')).context("no \"number what\"")?;
    let file = lines.next().context("no file")?.to_owned();
    let marked = |mark: &str| {
        let lines: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix(mark)).collect();
        lines.join("\n")
    };
    let (from, to) = (marked("- "), marked("+ "));
    ensure!(!from.is_empty() && !to.is_empty(), "no \"- original\" and \"+ mutated\"");
    Ok(Mutation { statement: number.parse()?, what: what.to_owned(), file, from, to })
}

/// The sources with every mutation in its place, by path; fails where one does not apply.
fn mutated(all: &[Mutation]) -> Result<BTreeMap<String, String>> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for mutation in all {
        if !files.contains_key(&mutation.file) {
            let source = std::fs::read_to_string(root().join(&mutation.file)).with_context(|| mutation.file.clone())?;
            files.insert(mutation.file.clone(), source);
        }
        let Some(source) = files.get_mut(&mutation.file) else { continue };
        let times = source.matches(&mutation.from).count();
        if times != 1 {
            bail!("mutation {} does not apply: {} holds its original {times} times", mutation.statement, mutation.file);
        }
        let on = format!("std::env::var_os(\"{SWITCH}\").is_some_and(|on| on == \"{}\")", mutation.statement);
        *source = source.replace(&mutation.from, &format!("(if {on} {{ {} }} else {{ {} }})", mutation.to, mutation.from));
    }
    Ok(files)
}

/// Brings the copy up to date; what did not change keeps its time, so that little is built anew.
fn copy(tree: &Path, all: &[Mutation]) -> Result<()> {
    let mutated = mutated(all)?;
    let listed = Command::new("git").current_dir(root()).args(["ls-files", "-co", "--exclude-standard"]).output().context("git")?;
    for path in String::from_utf8(listed.stdout)?.lines() {
        let Ok(original) = std::fs::read(root().join(path)) else { continue };
        let wanted = mutated.get(path).map_or(original, |source| source.clone().into_bytes());
        let copy: PathBuf = tree.join(path);
        if std::fs::read(&copy).ok().as_ref() != Some(&wanted) {
            std::fs::create_dir_all(copy.parent().context("a path in the tree")?)?;
            std::fs::write(&copy, wanted)?;
        }
    }
    Ok(())
}

/// Whether this one test passes.
fn passes(tree: &Path, (path, name): &(String, String), switch: &str) -> Result<bool> {
    let mut command = cargo();
    command.current_dir(tree).env("CARGO_TARGET_DIR", target().join("mutations/target")).env(SWITCH, switch);
    command.args(["test", "--quiet", "--locked"]).args(place(path)?).args(["--", name]);
    let output = command.output().context("cargo test")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains("running 1 test"), "{name}: not run as one test\n{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_applies_and_has_its_test() {
        let all = read().expect("the list");
        mutated(&all).expect("each original stands once in its file");
        let mut statements: Vec<u32> = all.iter().map(|mutation| mutation.statement).collect();
        statements.sort_unstable();
        statements.dedup();
        assert_eq!(statements.len(), all.len(), "one a statement");
        assert!(all.len() >= 40, "{} mutations", all.len());
        for mutation in &all {
            let test = test_of(mutation.statement).expect("a statement with a test");
            place(&test.0).expect("a test of a room");
        }
        println!("{} mutations apply", all.len());
    }
}
