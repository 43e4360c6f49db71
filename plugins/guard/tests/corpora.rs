//! How much of published attacks is found, and how much that is harmless is taken for one. Prints the figures of the page.
//!
//! The corpora are fetched, not kept: `python3 plugins/guard/tests/corpus/fetch.py FOLDER`, then
//! `GUARD_CORPORA=FOLDER cargo test -p sluice-plugin-guard --test corpora -- --ignored --nocapture`.

mod judged;

use judged::{is_hidden, labels};
use serde_json::{Value, json};
use sluice_plugin_guard::Guard;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What a reader can see, and a model obeys.
const WORDED: [&str; 2] = ["injection", "markers"];

/// The phrases were written with this one at hand,
const AGENTDOJO_FOUND: usize = 138;
/// and, as far as we know, without this one.
const BASTION_FOUND: usize = 32;
const PAGES: &str = "pages of crates";

struct Sample {
    source: String,
    is_attack: bool,
    text: String,
}

fn samples(folder: &Path) -> Vec<Sample> {
    let path = folder.join("corpus.jsonl");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; fetch.py writes it", path.display()));
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a row"));
    let sample = |row: Value| Sample {
        source: row["source"].as_str().expect("text").to_owned(),
        is_attack: row["is_attack"].as_bool().expect("a label"),
        text: row["text"].as_str().expect("text").to_owned(),
    };
    rows.map(sample).collect()
}

/// Pages that authors of libraries wrote: those of all crates that cargo has unpacked on this machine.
fn pages() -> Vec<Sample> {
    let home = std::env::var_os("CARGO_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cargo"), PathBuf::from);
    let registries = fs::read_dir(home.join("registry/src")).expect("cargo has unpacked something").flatten();
    let crates = registries.flat_map(|registry| fs::read_dir(registry.path()).into_iter().flatten().flatten());
    let page = |path: PathBuf| fs::read_to_string(path).ok().map(|text| Sample { source: PAGES.into(), is_attack: false, text });
    crates.filter_map(|folder| page(folder.path().join("README.md"))).collect()
}

fn percent(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}

#[test]
#[ignore = "needs corpora that are fetched; see above"]
fn figures() {
    let folder: PathBuf = std::env::var_os("GUARD_CORPORA").expect("GUARD_CORPORA names the folder").into();
    let plugin: Guard = testing::plugin("{}").unwrap();
    let mut samples = samples(&folder);
    samples.extend(pages());
    // By source and label: how many, how many worded like an attack, how many hidden as a definition; and by detector.
    let mut rows: BTreeMap<(bool, String), (usize, usize, usize, BTreeMap<String, usize>)> = BTreeMap::new();
    for sample in &samples {
        let source = if sample.source.starts_with("django") { "django" } else { &sample.source };
        let row = rows.entry((!sample.is_attack, source.to_owned())).or_default();
        let found = labels(&plugin, &sample.text);
        let is_worded = found.iter().any(|label| WORDED.contains(&label.as_str()));
        if std::env::var_os("GUARD_SHOWS").is_some() && is_worded != sample.is_attack {
            println!("{source}: {:?}", sample.text.chars().take(300).collect::<String>());
        }
        (row.0, row.1) = (row.0 + 1, row.1 + usize::from(is_worded));
        row.2 += usize::from(is_hidden(&plugin, &sample.text));
        found.into_iter().for_each(|label| *row.3.entry(label).or_default() += 1);
    }
    println!("{:<46} {:>7} {:>16} {:>16}  by detector", "", "texts", "worded", "hidden as tool");
    for ((is_harmless, source), (all, worded, hidden, by_detector)) in &rows {
        let kind = if *is_harmless { "harmless" } else { "attacks " };
        let by_detector: Vec<_> = by_detector.iter().map(|(label, count)| format!("{label} {count}")).collect();
        println!(
            "{kind} {source:<37} {all:>7} {worded:>7} ({:>5.1} %) {hidden:>6} ({:>5.1} %)  {}",
            percent(*worded, *all),
            percent(*hidden, *all),
            by_detector.join(", ")
        );
    }
    let sum = |is_harmless: bool| {
        rows.iter().filter(|((harmless, _), _)| *harmless == is_harmless).fold((0, 0), |sum, (_, row)| (sum.0 + row.0, sum.1 + row.1))
    };
    let ((attacks, found), (harmless, wrong)) = (sum(false), sum(true));
    println!(
        "found {found} of {attacks} attacks ({:.1} %), and took {wrong} of {harmless} harmless texts for one ({:.2} %)",
        percent(found, attacks),
        percent(wrong, harmless)
    );
    assert!(harmless > 30_000, "the corpora are whole");
    // What the page says. Pages of crates are whatever this machine has.
    let found = |of: &str| {
        let of_it = rows.iter().filter(|((is_harmless, source), _)| !*is_harmless && source.starts_with(of));
        of_it.fold((0, 0), |sum, (_, row)| (sum.0 + row.0, sum.1 + row.1))
    };
    let (agentdojo, bastion) = (found("agentdojo"), found("bastioncorpus"));
    assert!(agentdojo.0 == 276 && agentdojo.1 >= AGENTDOJO_FOUND, "{agentdojo:?}");
    assert!(bastion.0 == 118 && bastion.1 >= BASTION_FOUND, "{bastion:?}");
    for ((_, source), row) in rows.iter().filter(|((is_harmless, source), _)| *is_harmless && source != PAGES) {
        assert_eq!((row.1, row.2), (0, 0), "{source}: worded, and hidden");
    }
}

/// Emoji and the world's languages come through as they are, character by character; all but a few texts with a slip of somebody's in them
/// (a stray zero-width space, a joiner twice, an override), which are printed.
#[test]
#[ignore = "needs corpora that are fetched; see above"]
fn no_script_is_ruined() {
    let folder: PathBuf = std::env::var_os("GUARD_CORPORA").expect("GUARD_CORPORA names the folder").into();
    let plugin: Guard = testing::plugin("{}").unwrap();
    let (mut all, mut with_invisible, mut ruined) = (0, 0, Vec::new());
    let invisible = regex::Regex::new(r"[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]").unwrap();
    for sample in samples(&folder).into_iter().filter(|sample| sample.source == "emoji" || sample.source.starts_with("django")) {
        let x = FakeExchange::new(&json!({"result": {"content": [{"type": "text", "text": sample.text}]}}).to_string());
        plugin.on_response(&testing::head("tools/call").answered(), &x);
        (all, with_invisible) = (all + 1, with_invisible + usize::from(invisible.is_match(&sample.text)));
        if !x.staged().is_empty() {
            ruined.push(format!("{}: {:?}", sample.source, sample.text));
        }
    }
    println!("{all} texts, {with_invisible} with characters that nobody sees: {} changed", ruined.len());
    ruined.iter().for_each(|line| println!("  {line}"));
    assert!(ruined.len() * 200 <= with_invisible, "{} of {with_invisible}", ruined.len());
}
