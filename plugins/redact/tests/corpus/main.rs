//! How much of made-up data is found, and how much that only looks like it is taken for it: the figures of the page, which cannot say
//! anything else. All of it is the same in every run.

mod data;
mod dice;
mod harmless;

use data::{around, data};
use dice::Dice;
use harmless::HARMLESS;
use serde_json::json;
use sluice_plugin_redact::Redact;
use sluice_sdk::exchange::Edit;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};
use std::fmt::Write as _;

const EACH: usize = 160;
const EACH_HARMLESS: usize = 120;

/// Of these two each is a table of its own: they are off unless asked for.
const QUIET: [&str; 2] = ["ssn", "ipv4"];

/// Bytes of a text that are taken out.
fn taken(plugin: &Redact, text: &str) -> Vec<std::ops::Range<usize>> {
    let x = FakeExchange::new(&json!({"result": {"content": [{"type": "text", "text": text}]}}).to_string());
    assert_eq!(plugin.on_response(&testing::head("tools/call").answered(), &x), Verdict::Next);
    x.staged()
        .into_iter()
        .map(|edit| if let Edit::Splice((_, a, b, _)) = edit { a as usize..b as usize } else { panic!("{edit:?}") })
        .collect()
}

fn percent(part: usize, of: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / of as f64)
}

fn shown(what: &str, text: &str) {
    if std::env::var_os("REDACT_SHOWS").is_some() {
        println!("{what}: {text:?}");
    }
}

#[test]
fn the_page_has_the_figures() {
    let all: Vec<_> = sluice_plugin_redact::detectors::ALL.iter().map(|detector| detector.name).collect();
    let (by_default, with_all): (Redact, Redact) =
        (testing::plugin("{}").unwrap(), testing::plugin(&json!({"detectors": all}).to_string()).unwrap());
    let mut table = String::from("| data | found | |\n|---|---|---|\n");
    let (mut found_all, mut of_all) = (0, 0);
    for (at, kind) in all.iter().enumerate() {
        let mut dice = Dice(at as u64 + 1);
        let mut found = 0;
        for _ in 0..EACH {
            let (label, data) = data(kind, &mut dice);
            let (text, mut range) = around(&mut dice, &format!("{label}{data}"));
            range.start += label.len();
            // What names the data, or only leads to it, may stay.
            let kept =
                ["tel:", "Tel. ", "Phone: ", "SSN ", "https://"].iter().find(|kept| data.starts_with(**kept)).map_or(0, |kept| kept.len());
            let parts = taken(&with_all, &text);
            let is_taken = |byte: usize| parts.iter().any(|part| part.contains(&byte));
            let is_found = text[range.clone()]
                .bytes()
                .enumerate()
                .skip(kept)
                .all(|(at, byte)| !byte.is_ascii_alphanumeric() || is_taken(range.start + at));
            if !is_found {
                shown(kind, &text);
            }
            found += usize::from(is_found);
        }
        let _ = writeln!(table, "| `{kind}` | {found} of {EACH} | {} |", percent(found, EACH));
        (found_all, of_all) = (found_all + found, of_all + EACH);
    }
    let _ = writeln!(table, "| **together** | **{found_all} of {of_all}** | **{}** |", percent(found_all, of_all));

    let _ = write!(table, "\n| harmless | taken for data | | with `ssn` and `ipv4` |\n|---|---|---|---|\n");
    let (mut wrong_all, mut wrong_with_all, mut of_all) = (0, 0, 0);
    for (at, (name, make)) in HARMLESS.iter().enumerate() {
        let mut dice = Dice(1000 + at as u64);
        let (mut wrong, mut with) = (0, 0);
        for _ in 0..EACH_HARMLESS {
            let one = make(&mut dice);
            let (text, _) = around(&mut dice, &one);
            if !taken(&by_default, &text).is_empty() {
                wrong += 1;
                shown(name, &text);
            }
            with += usize::from(!taken(&with_all, &text).is_empty());
        }
        let _ = writeln!(table, "| {name} | {wrong} of {EACH_HARMLESS} | {} | {with} |", percent(wrong, EACH_HARMLESS));
        (wrong_all, wrong_with_all, of_all) = (wrong_all + wrong, wrong_with_all + with, of_all + EACH_HARMLESS);
    }
    let _ = writeln!(table, "| **together** | **{wrong_all} of {of_all}** | **{}** | **{wrong_with_all}** |", percent(wrong_all, of_all));
    println!("{table}");
    assert!(QUIET.iter().all(|quiet| all.contains(quiet)) && of_all >= 2_000);
    assert!(include_str!("../../README.md").contains(&table), "the page says something else; it has to say:\n\n{table}");
}
