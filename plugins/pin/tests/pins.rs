//! The plugin on whole lists.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_pin::Pin;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeViewer};
use std::collections::HashMap;

fn digest(of: u8) -> String {
    format!("{of:02x}").repeat(32)
}

fn entry(upstream: &str, name: &str, of: u8) -> Entry {
    Entry::new(upstream, name, &digest(of))
}

fn ask(config: &Value, kind: ListKind, entries: &[Entry]) -> Answer {
    let plugin: Pin = testing::plugin(&config.to_string()).unwrap();
    plugin.on_catalog(&FakeViewer::of(1), kind, entries)
}

fn pinned() -> Value {
    json!({"pins": {"git": {"tools": {"log": digest(1), "push": [digest(2), digest(3)]}, "prompts": {"log": digest(4)}}}})
}

#[test]
fn what_was_approved_stays_and_everything_else_goes() {
    let entries = [
        entry("git", "log", 1),
        entry("git", "push", 2),
        entry("git", "push", 3),
        // Changed, new, of another server, and the digest of another entry.
        entry("git", "log", 9),
        entry("git", "pull", 1),
        entry("mail", "log", 1),
        entry("git", "push", 1),
    ];
    use Change::{Hide, Keep};
    assert_eq!(ask(&pinned(), ListKind::Tools, &entries).changes, [Keep, Keep, Keep, Hide, Hide, Hide, Hide]);
    assert_eq!(ask(&pinned(), ListKind::Prompts, &[entry("git", "log", 1), entry("git", "log", 4)]).changes, [Hide, Keep]);
    // A name of a letter more, or of another case, is another name.
    assert_eq!(ask(&pinned(), ListKind::Tools, &[entry("git", "Log", 1), entry("git", "log ", 1)]).changes, [Hide, Hide]);
}

#[test]
fn each_of_the_two_may_stay() {
    let entries = [entry("git", "log", 9), entry("git", "pull", 9)];
    for (change, new) in [("hide", "keep"), ("keep", "hide"), ("keep", "keep")] {
        let mut config = pinned();
        (config["on_change"], config["on_new"]) = (json!(change), json!(new));
        let expected = [change, new].map(|then| if then == "hide" { Change::Hide } else { Change::Keep });
        assert_eq!(ask(&config, ListKind::Tools, &entries).changes, expected, "{change} {new}");
    }
}

#[test]
fn lists_that_are_not_pinned_stay_whole() {
    let entries = [entry("git", "file:///a", 9)];
    assert_eq!(ask(&pinned(), ListKind::Resources, &entries), Answer::keep_all());
    let mut config = pinned();
    config["lists"] = json!(["resources"]);
    assert_eq!(ask(&config, ListKind::Resources, &entries).changes, [Change::Hide]);
    assert_eq!(ask(&config, ListKind::Tools, &entries), Answer::keep_all());
}

#[test]
fn the_log_names_what_changed_once() {
    testing::reset();
    let plugin: Pin = testing::plugin(&pinned().to_string()).unwrap();
    let entries = [entry("git", "log", 9), entry("git", "pull", 8), entry("git", "log", 1)];
    for _ in 0..3 {
        plugin.on_catalog(&FakeViewer::of(1), ListKind::Tools, &entries);
    }
    let lines = testing::log_lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let fields: HashMap<_, _> = lines[0].fields.iter().cloned().collect();
    let field = |name: &str| fields[name].clone();
    assert_eq!([field("upstream"), field("list"), field("entry"), field("is")], ["git", "tools", "log", "hidden"]);
    assert_eq!([field("approved"), field("digest")], [digest(1), digest(9)]);
    // A second change is a second line.
    plugin.on_catalog(&FakeViewer::of(1), ListKind::Tools, &[entry("git", "log", 7)]);
    assert_eq!(testing::log_lines().len(), 3);
}

/// Each line is a host call, and a list that makes too many of them is refused for all servers.
#[test]
fn a_server_with_many_tools_does_not_use_up_the_log() {
    testing::reset();
    let plugin: Pin = testing::plugin(&pinned().to_string()).unwrap();
    let mut entries: Vec<_> = (0..1_001).map(|at| entry("evil", &format!("t{at}"), 1)).collect();
    entries.push(entry("git", "log", 1));
    let changes = plugin.on_catalog(&FakeViewer::of(2), ListKind::Tools, &entries).changes;
    assert!(changes[..1_001].iter().all(|change| *change == Change::Hide) && changes[1_001] == Change::Keep);
    let lines = testing::log_lines();
    assert_eq!(lines.len(), 51);
    assert!(lines[50].fields.contains(&("more".into(), "951".into())), "{:?}", lines[50]);
    // The next look tells of the next.
    plugin.on_catalog(&FakeViewer::of(2), ListKind::Tools, &entries);
    assert!(testing::log_lines()[51].fields.contains(&("entry".into(), "t50".into())));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let short = json!({"pins": {"git": {"tools": {"log": "abc"}}}});
    let none = json!({"pins": {"git": {"tools": {"log": []}}}});
    let capitals = json!({"pins": {"git": {"tools": {"log": "A".repeat(64)}}}});
    for config in [short, none, capitals] {
        let error = testing::plugin::<Pin>(&config.to_string()).err().unwrap();
        assert!(error.contains("the pin of log of git is no SHA-256"), "{error}");
    }
}

proptest! {
    /// Whatever the lists and the pins are: what is shown is pinned, and what is pinned is shown.
    #[test]
    fn shown_is_pinned(
        pins in prop::collection::hash_map(("[ab]", "[abc]{1,2}"), 0_u8..4, 0..12),
        entries in prop::collection::vec(("[ab]", "[abc]{1,2}", 0_u8..4), 0..30),
    ) {
        let mut config = json!({"pins": {}});
        for ((upstream, name), of) in &pins {
            config["pins"][upstream]["tools"][name] = json!(digest(*of));
        }
        let list: Vec<_> = entries.iter().map(|(upstream, name, of)| entry(upstream, name, *of)).collect();
        let changes = ask(&config, ListKind::Tools, &list).changes;
        prop_assert_eq!(changes.len(), list.len());
        for ((upstream, name, of), change) in entries.iter().zip(changes) {
            let is_pinned = pins.get(&(upstream.clone(), name.clone())) == Some(of);
            prop_assert_eq!(change == Change::Keep, is_pinned);
        }
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    testing::plugin::<Pin>(&config).map(|_| ()).unwrap();
}
