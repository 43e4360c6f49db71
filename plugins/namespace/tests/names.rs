//! The plugin on whole lists.

// The digests are from an independent implementation of SHA-256 over upstream, zero byte, name.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_namespace::Namespace;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeViewer};

/// The names that `(upstream, name)` pairs are seen by; none for a hidden one.
fn names(config: &Value, upstreams: u32, entries: &[(&str, &str)]) -> Vec<Option<String>> {
    let plugin: Namespace = testing::plugin(&config.to_string()).unwrap();
    let entries: Vec<_> = entries.iter().map(|(upstream, name)| Entry::new(upstream, name, "")).collect();
    let answer = plugin.on_catalog(&FakeViewer::of(upstreams), ListKind::Tools, &entries);
    assert_eq!(answer.changes.len(), entries.len());
    let seen = answer.changes.into_iter().zip(entries).map(|(change, entry)| match change {
        Change::Keep => Some(entry.name),
        Change::Rename(name) => Some(name),
        Change::Hide => None,
        other => panic!("{other:?}"),
    });
    seen.collect()
}

#[track_caller]
fn check(config: Value, upstreams: u32, entries: &[(&str, &str)], expected: &[&str]) {
    let seen: Vec<_> = names(&config, upstreams, entries).into_iter().map(|name| name.unwrap_or_default()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn one_upstream_needs_no_prefix_and_two_do() {
    check(json!({}), 1, &[("git", "log")], &["log"]);
    check(json!({}), 2, &[("git", "log"), ("mail", "send")], &["git_log", "mail_send"]);
    check(json!({}), 2, &[("git", "log")], &["git_log"]);
}

#[test]
fn other_ways_to_prefix() {
    let both = [("git", "log"), ("mail", "log"), ("mail", "send")];
    check(json!({"prefix": "always"}), 1, &both[..1], &["git_log"]);
    check(json!({"prefix": "on-conflict"}), 2, &both, &["git_log", "mail_log", "send"]);
    check(json!({"prefix": "never"}), 2, &both, &["log", "log_8bcf9e29", "send"]);
    check(json!({"separator": "__"}), 2, &both[..1], &["git__log"]);
    check(json!({"template": "{name}.{upstream}"}), 2, &both[..1], &["log.git"]);
    check(json!({"prefix_once": true}), 2, &[("git", "git_log"), ("git", "gitlog")], &["git_log", "git_gitlog"]);
}

#[test]
fn an_ambiguous_join_is_told_apart() {
    check(json!({}), 2, &[("a_b", "c"), ("a", "b_c")], &["a_b_c", "a_b_c_662f0bbb"]);
    check(json!({}), 2, &[("a", "b_c"), ("a_b", "c")], &["a_b_c", "a_b_c_0c1d18f5"]);
}

#[test]
fn s101_names_of_128_characters_are_shortened_the_same_way_each_time_and_stay_apart() {
    let long: Vec<String> = (0..50).map(|at| format!("{}{at:02}", "n".repeat(126))).collect();
    let entries: Vec<(&str, &str)> = long.iter().map(|name| ("upstream", name.as_str())).collect();
    let seen = names(&json!({}), 2, &entries);
    assert_eq!(seen, names(&json!({}), 2, &entries));
    let seen: HashSet<String> = seen.into_iter().flatten().collect();
    assert_eq!(seen.len(), 50, "none is lost and none collides");
    assert!(seen.iter().all(|name| name.len() <= 64 && name.starts_with("upstream_n")), "{seen:?}");
}

#[test]
fn a_name_made_to_look_like_a_suffix_gains_nothing() {
    let entries = [("a_b", "c"), ("a", "b_c_662f0bbb"), ("a", "b_c")];
    check(json!({}), 2, &entries, &["a_b_c", "a_b_c_662f0bbb", "a_b_c_662f0bbbda83090c"]);
}

#[test]
fn what_a_name_cannot_hold_is_replaced_and_marked() {
    check(
        json!({}),
        1,
        &[("s", "héllo wörld"), ("s", "h_llo w_rld"), ("s", "")],
        &["h_llo_w_rld_57249693", "h_llo_w_rld_27291ce0", "_28a3d6d5"],
    );
}

#[test]
fn long_names_are_cut_to_the_limit() {
    let long = "x".repeat(128);
    for limit in [24, 64, 128] {
        let config = json!({"max_length": limit});
        let seen = names(&config, 2, &[("git", &long), ("git", &long[1..])]);
        let lengths: Vec<_> = seen.iter().map(|name| name.as_ref().unwrap().len()).collect();
        assert_eq!(lengths, if limit == 128 { [128, 128] } else { [limit, limit] });
        assert_ne!(seen[0], seen[1]);
    }
    check(json!({}), 1, &[("s", &long[..64])], &[&long[..64]]);
}

#[test]
fn a_name_given_twice_by_one_upstream_is_seen_once() {
    // The second would be the digest's, and so would be the third.
    let seen = names(&json!({}), 1, &[("s", "a"), ("s", "a"), ("s", "a"), ("s", "a"), ("s", "a"), ("s", "a")]);
    assert_eq!(seen.iter().flatten().collect::<HashSet<_>>().len(), seen.iter().flatten().count());
}

#[test]
fn placeholders_in_a_name_are_text() {
    check(json!({"prefix": "always"}), 1, &[("s", "{upstream}")], &["s__upstream__85686815"]);
}

#[test]
fn prompts_are_named_and_resources_are_not() {
    let plugin: Namespace = testing::plugin("{}").unwrap();
    let entries = [Entry::new("git", "log", "")];
    let ask = |kind| plugin.on_catalog(&FakeViewer::of(2), kind, &entries);
    assert_eq!(ask(ListKind::Prompts).changes, [Change::Rename("git_log".to_string())]);
    assert_eq!(ask(ListKind::Resources), Answer::keep_all());
    assert_eq!(ask(ListKind::ResourceTemplates), Answer::keep_all());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (config, says) in [
        (json!({"template": "{upstream}"}), "no {name}"),
        (json!({"template": "{name}"}), "no {upstream}"),
        (json!({"max_length": 8}), "at least 24"),
    ] {
        let error = testing::plugin::<Namespace>(&config.to_string()).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
}

fn config() -> impl Strategy<Value = Value> {
    let prefix = prop::sample::select(vec!["auto", "always", "on-conflict", "never"]);
    let separator = prop::sample::select(vec!["", "_", "__", "."]);
    (prefix, separator, 24_usize..=128, any::<bool>()).prop_map(|(prefix, separator, max_length, prefix_once)| {
        json!({"prefix": prefix, "separator": separator, "max_length": max_length, "prefix_once": prefix_once})
    })
}

/// Few letters, so that names meet often.
fn entries() -> impl Strategy<Value = Vec<(String, String)>> {
    let entry = ("[ab_]{1,3}", prop_oneof![4 => "[ab_é]{0,4}", 1 => "[ab]{20,90}"]);
    prop::collection::hash_set(entry, 0..40).prop_map(|set| set.into_iter().collect())
}

proptest! {
    #[test]
    fn every_entry_has_a_name_of_its_own(config in config(), entries in entries(), upstreams in 1_u32..4) {
        let entries: Vec<_> = entries.iter().map(|(u, n)| (u.as_str(), n.as_str())).collect();
        let seen = names(&config, upstreams, &entries);
        let max = config["max_length"].as_u64().unwrap() as usize;
        let mut distinct = HashSet::new();
        for name in &seen {
            let name = name.as_ref().expect("none is hidden");
            prop_assert!(!name.is_empty() && name.len() <= max);
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)));
            prop_assert!(distinct.insert(name), "{name} is two entries");
        }
        prop_assert_eq!(&seen, &names(&config, upstreams, &entries));

        // What comes later never takes a name away.
        if config["prefix"] != "on-conflict" {
            let half = entries.len() / 2;
            prop_assert_eq!(&seen[..half], &names(&config, upstreams, &entries[..half])[..]);
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
    testing::plugin::<Namespace>(&config).map(|_| ()).unwrap();
}
