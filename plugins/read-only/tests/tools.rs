//! The plugin on whole lists and requests.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_read_only::ReadOnly;
use sluice_plugin_read_only::policy::READ_ONLY;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};

const TOOLS: &[(&str, &str)] = &[("git", "get_log"), ("git", "push"), ("mail", "get_mail"), ("mail", "send")];

fn plugin(config: &Value) -> ReadOnly {
    testing::plugin(&config.to_string()).unwrap()
}

/// The `upstream/name`s that are shown, where servers say this of their tools.
fn shown_as(config: &Value, kind: ListKind, said: impl Fn(&str) -> Value) -> Vec<String> {
    let definitions: Vec<String> = TOOLS.iter().map(|(_, name)| json!({"name": name, "annotations": said(name)}).to_string()).collect();
    let definitions: Vec<&str> = definitions.iter().map(String::as_str).collect();
    let viewer = FakeViewer::of(2).with_definitions(&definitions);
    let entries: Vec<_> = TOOLS.iter().map(|(upstream, name)| Entry::new(upstream, name, "")).collect();
    let answer = plugin(config).on_catalog(&viewer, kind, &entries);
    if answer.changes.is_empty() {
        return TOOLS.iter().map(|(upstream, name)| format!("{upstream}/{name}")).collect();
    }
    assert_eq!(answer.changes.len(), entries.len());
    let seen = answer.changes.iter().zip(&entries).filter(|(change, _)| matches!(change, Change::Keep));
    seen.map(|(_, entry)| format!("{}/{}", entry.upstream, entry.name)).collect()
}

#[track_caller]
fn check(config: Value, expected: &[&str]) {
    let honest = |name: &str| json!({"readOnlyHint": name.starts_with("get")});
    assert_eq!(shown_as(&config, ListKind::Tools, honest), expected, "{config}");
}

#[test]
fn a_server_is_believed_only_where_the_operator_trusts_it() {
    check(json!({"trust": ["git"]}), &["git/get_log"]);
    check(json!({"trust": ["*"]}), &["git/get_log", "mail/get_mail"]);
    check(json!({"trust": ["other"]}), &[]);
    check(json!({"deny": [{"tools": ["*"]}]}), &[]);
    let lie = |_: &str| json!({"readOnlyHint": true});
    assert_eq!(shown_as(&json!({"trust": ["git"]}), ListKind::Tools, lie), ["git/get_log", "git/push"]);
    let contradiction = |_: &str| json!({"readOnlyHint": true, "destructiveHint": true});
    assert!(shown_as(&json!({"trust": ["*"]}), ListKind::Tools, contradiction).is_empty());
}

#[test]
fn the_operators_word_counts_more_than_a_servers_and_a_no_more_than_a_yes() {
    check(json!({"allow": [{"upstreams": ["mail"], "tools": ["send"]}]}), &["mail/send"]);
    check(json!({"allow": [{"tools": ["get_*"]}]}), &["git/get_log", "mail/get_mail"]);
    check(json!({"trust": ["*"], "deny": [{"upstreams": ["mail"]}]}), &["git/get_log"]);
    check(json!({"allow": [{"upstreams": ["git"]}], "deny": [{"tools": ["push"]}]}), &["git/get_log"]);
    check(
        json!({"allow": [{"tools": ["push"]}, {"upstreams": ["mail"], "tools": ["push"]}], "trust": ["mail"]}),
        &["git/push", "mail/get_mail"],
    );
}

#[test]
fn prompts_and_resources_are_read_and_stay() {
    for kind in [ListKind::Prompts, ListKind::Resources, ListKind::ResourceTemplates] {
        let shown = shown_as(&json!({"deny": [{"tools": ["*"]}]}), kind, |_| json!({}));
        assert_eq!(shown.len(), TOOLS.len(), "{kind:?}");
    }
}

/// A definition is asked for only where it decides, so that a change of one that does not is no reason to ask again.
#[test]
fn a_definition_that_cannot_be_had_is_no_yes() {
    let viewer = FakeViewer::of(1);
    let entries = [Entry::new("git", "a", ""), Entry::new("git", "b", "")];
    let answer = plugin(&json!({"trust": ["git"], "allow": [{"tools": ["b"]}]})).on_catalog(&viewer, ListKind::Tools, &entries);
    assert!(matches!(answer.changes[..], [Change::Hide, Change::Keep]), "{:?}", answer.changes);
}

#[test]
fn a_method_that_is_not_known_to_read_is_refused() {
    let plugin = plugin(&json!({"trust": ["*"]}));
    let asked = |head: &Head| plugin.on_request(head, &FakeExchange::default());
    for method in
        ["tools/call", "tools/list", "prompts/get", "resources/read", "resources/subscribe", "tasks/cancel", "ping", "logging/setLevel"]
    {
        assert_eq!(asked(&testing::head(method)), Verdict::Next, "{method}");
    }
    for method in ["tools/delete", "resources/write", "Tools/Call", ""] {
        let Verdict::Reject(no) = asked(&testing::head(method)) else { panic!("{method}") };
        assert_eq!((no.code, no.http_status), (READ_ONLY, Some(403)), "{method}");
    }
    let question = Head { kind: Kind::InputRequest, direction: Direction::ToClient, ..testing::head("sampling/createMessage") };
    assert_eq!(asked(&question), Verdict::Next, "a server's question belongs to a call that was let through");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (bad, why) in [
        (json!({}), "every tool would be hidden"),
        (json!({"trust": ["a"], "allow": [{"tools": ["a"]}, {}]}), "allow, entry 2 names neither"),
        (json!({"deny": [{"upstreams": []}]}), "deny, entry 1 names neither"),
        (json!({"trust": ["a", ""]}), "trust has an empty name"),
        (json!({"allow": [{"tools": [""]}]}), "allow, entry 1 has an empty name"),
    ] {
        let error = testing::plugin::<ReadOnly>(&bad.to_string()).err().unwrap_or_else(|| panic!("{bad}"));
        assert!(error.contains(why), "{bad}: {error}");
    }
}

fn hint() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!(true)), Just(json!(false)), Just(Value::Null), Just(json!("true")), Just(json!(1)), Just(json!([true]))]
}

proptest! {
    /// Whatever servers say, what is shown is allowed, or is a trusted server's that says plainly that it changes nothing.
    #[test]
    fn nothing_is_shown_for_what_a_stranger_says(read_only in hint(), destructive in hint(), trust_git: bool, allow_send: bool, deny_push: bool) {
        let trust = if trust_git { json!(["git"]) } else { json!(["nobody"]) };
        let allow = if allow_send { json!([{"upstreams": ["mail"], "tools": ["send"]}]) } else { json!([]) };
        let deny = if deny_push { json!([{"tools": ["push"]}]) } else { json!([]) };
        let said = json!({"readOnlyHint": read_only, "destructiveHint": destructive});
        let shown = shown_as(&json!({"trust": trust, "allow": allow, "deny": deny}), ListKind::Tools, |_| said.clone());
        let is_plain = read_only == json!(true) && [json!(false), Value::Null].contains(&destructive);
        let expected = |name: &str| match name {
            "mail/send" => allow_send,
            "git/push" => trust_git && is_plain && !deny_push,
            "git/get_log" => trust_git && is_plain,
            _ => false,
        };
        for (upstream, name) in TOOLS {
            let name = format!("{upstream}/{name}");
            prop_assert_eq!(shown.contains(&name), expected(&name), "{}", name);
        }
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    testing::plugin::<ReadOnly>(&serde_json::to_string(&sidecar["config"]).unwrap()).map(|_| ()).unwrap();
}
