//! The plugin on whole lists and requests.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_rbac::Rbac;
use sluice_plugin_rbac::policy::{FORBIDDEN, Rules, Thing};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};

fn plugin(config: &Value) -> Rbac {
    testing::plugin(&config.to_string()).unwrap()
}

/// Attributes of a caller.
type Who<'a> = &'a [(&'a str, &'a str)];

const DEV: Who = &[("principal.claim.role", "dev"), ("principal.subject", "ada"), ("principal.tenant", "acme")];
const BOTH: Who = &[("principal.claim.role", "team admin\nops")];
const NOBODY: Who = &[];

/// The `upstream/name`s that a caller is shown.
fn shown(config: &Value, who: Who, kind: ListKind, entries: &[(&str, &str)]) -> Vec<String> {
    let definitions: Vec<String> = entries
        .iter()
        .map(|(_, name)| json!({"name": name, "annotations": {"readOnlyHint": name.starts_with("get")}}).to_string())
        .collect();
    let definitions: Vec<&str> = definitions.iter().map(String::as_str).collect();
    let viewer = who.iter().fold(FakeViewer::of(2).with_definitions(&definitions), |viewer, (key, value)| viewer.with_attr(key, value));
    let entries: Vec<_> = entries.iter().map(|(upstream, name)| Entry::new(upstream, name, "")).collect();
    let answer = plugin(config).on_catalog(&viewer, kind, &entries);
    let seen = answer.changes.iter().zip(&entries).filter(|(change, _)| matches!(change, Change::Keep));
    seen.map(|(_, entry)| format!("{}/{}", entry.upstream, entry.name)).collect()
}

/// Whether a request is let through.
fn passes(config: &Value, who: Who, method: &str, upstream: Option<&str>) -> bool {
    let x = who.iter().fold(FakeExchange::default(), |x, (key, value)| x.with_attr(key, value));
    let x = upstream.into_iter().fold(x, FakeExchange::with_upstream);
    match plugin(config).on_request(&testing::head(method), &x) {
        Verdict::Next => true,
        Verdict::Reject(no) => {
            assert_eq!((no.code, no.http_status), (FORBIDDEN, Some(403)));
            false
        }
        other => panic!("{other:?}"),
    }
}

const ALL: &[&str] = &["git/get_log", "git/push", "mail/get_mail", "mail/send"];
const TOOLS: &[(&str, &str)] = &[("git", "get_log"), ("git", "push"), ("mail", "get_mail"), ("mail", "send")];

#[track_caller]
fn check(rules: Value, who: Who, expected: &[&str]) {
    assert_eq!(shown(&json!({"rules": rules}), who, ListKind::Tools, TOOLS), expected, "{rules}");
}

#[test]
fn nothing_is_shown_that_no_rule_allows() {
    check(json!([]), DEV, &[]);
    check(json!([{"effect": "allow", "roles": ["dev"], "tools": ["get_*"]}]), DEV, &["git/get_log", "mail/get_mail"]);
    check(json!([{"effect": "allow", "roles": ["dev"], "tools": ["get_*"]}]), NOBODY, &[]);
    check(json!([{"effect": "allow", "upstreams": ["git"]}]), NOBODY, &["git/get_log", "git/push"]);
    check(json!([{"effect": "allow", "tenants": ["acme"], "subjects": ["a*"], "tools": ["push"]}]), DEV, &["git/push"]);
    check(json!([{"effect": "allow", "tenants": ["*"]}]), NOBODY, &[]);
    check(json!([{"effect": "allow", "groups": ["o*"], "tools": ["push"]}]), &[("transport.group", "ops")], &["git/push"]);
    check(json!([{"effect": "allow", "groups": ["*"]}]), NOBODY, &[]);
    check(json!([{"effect": "allow", "scopes": ["mail", "read"]}]), &[("principal.scopes", "read mail")], ALL);
    check(json!([{"effect": "allow", "scopes": ["mail", "read"]}]), &[("principal.scopes", "mail")], &[]);
    check(json!([{"effect": "allow", "prompts": ["*"]}]), DEV, &[]);
    check(json!([{"effect": "allow", "methods": ["tools/list"]}]), DEV, &[]);
    check(json!([{"effect": "allow", "read_only": true}]), DEV, &["git/get_log", "mail/get_mail"]);
    assert_eq!(shown(&json!({"default": "allow"}), NOBODY, ListKind::Tools, TOOLS).len(), TOOLS.len());
}

#[test]
fn a_no_counts_more_than_any_yes_wherever_it_stands() {
    let (yes, no) = (json!({"effect": "allow"}), json!({"effect": "deny", "tools": ["push", "send"]}));
    for rules in [json!([yes, no]), json!([no, yes])] {
        check(rules, DEV, &["git/get_log", "mail/get_mail"]);
    }
    let config = json!({"default": "allow", "rules": [{"effect": "deny", "roles": ["dev"], "upstreams": ["mail"]}]});
    assert_eq!(shown(&config, DEV, ListKind::Tools, TOOLS), ["git/get_log", "git/push"]);
    assert!(!passes(&config, DEV, "tools/call", Some("mail")) && passes(&config, DEV, "tools/call", Some("git")));
    assert!(passes(&config, NOBODY, "tools/call", Some("mail")));
}

#[test]
fn several_roles_are_told_apart_and_a_space_is_part_of_one() {
    let rules = |role: &str| json!([{"effect": "allow", "roles": [role], "tools": ["push"]}]);
    check(rules("ops"), BOTH, &["git/push"]);
    check(rules("team admin"), BOTH, &["git/push"]);
    check(rules("admin"), BOTH, &[]);
    let config = json!({"role_claim": "groups", "rules": [{"effect": "allow", "roles": ["dev"], "tools": ["push"]}]});
    assert_eq!(shown(&config, &[("principal.claim.groups", "dev")], ListKind::Tools, TOOLS), ["git/push"]);
    assert!(shown(&config, DEV, ListKind::Tools, TOOLS).is_empty());
}

#[test]
fn requests_are_let_through_where_something_is_allowed() {
    let config = json!({"rules": [{"effect": "allow", "roles": ["dev"], "upstreams": ["git"], "tools": ["get_*"]}]});
    for (method, upstream, yes) in [
        ("tools/call", Some("git"), true),
        ("tools/call", Some("mail"), false),
        ("prompts/get", Some("git"), false),
        ("resources/read", Some("git"), false),
        ("tools/list", None, true),
        ("resources/list", None, true),
        ("ping", None, true),
        ("subscriptions/listen", None, true),
        ("tasks/get", Some("git"), true),
        ("tasks/get", Some("mail"), false),
    ] {
        assert_eq!(passes(&config, DEV, method, upstream), yes, "{method} {upstream:?}");
        let always = upstream.is_none() && method != "subscriptions/listen";
        assert_eq!(passes(&config, NOBODY, method, upstream), always, "{method} {upstream:?}");
    }
    let config = json!({"default": "allow", "rules": [{"effect": "deny", "methods": ["resources/subscribe", "tasks/*"]}]});
    assert!(passes(&config, NOBODY, "resources/read", Some("git")) && !passes(&config, NOBODY, "tasks/cancel", Some("git")));
    assert!(!passes(&config, NOBODY, "resources/subscribe", None));
    let named = json!({"default": "allow", "rules": [{"effect": "deny", "tools": ["rm_*"]}]});
    assert!(passes(&named, NOBODY, "tools/call", Some("git")), "a no to some tools is no word about the others");
}

/// A server that is confined to a folder by its arguments may let a client's roots move it elsewhere.
#[test]
fn a_no_keeps_servers_from_asking() {
    let asked = |config: &Value, who: Who, kind: Kind, method: &str, upstream: &str| {
        let x = who.iter().fold(FakeExchange::default(), |x, (key, value)| x.with_attr(key, value)).with_upstream(upstream);
        match plugin(config).on_notification(&Head { kind, direction: Direction::ToClient, ..testing::head(method) }, &x) {
            NotificationVerdict::Next => true,
            NotificationVerdict::Drop => false,
            other => panic!("{other:?}"),
        }
    };
    let config = json!({"rules": [
        {"effect": "allow", "roles": ["dev"]},
        {"effect": "deny", "upstreams": ["*-files"], "methods": ["roots/list"]},
        {"effect": "deny", "tenants": ["acme"], "upstreams": ["git"], "methods": ["sampling/*"]},
        {"effect": "deny", "upstreams": ["git"], "tools": ["rm_*"]},
    ]});
    for (who, method, upstream, yes) in [
        (DEV, "roots/list", "acme-files", false),
        (NOBODY, "roots/list", "acme-files", false),
        (DEV, "elicitation/create", "acme-files", true),
        (DEV, "roots/list", "git", true),
        (DEV, "sampling/createMessage", "git", false),
        (BOTH, "sampling/createMessage", "git", true),
        (NOBODY, "elicitation/create", "git", true),
    ] {
        assert_eq!(asked(&config, who, Kind::InputRequest, method, upstream), yes, "{method} {upstream}");
        assert!(asked(&config, who, Kind::InputResponse, method, upstream), "an answer was asked for");
    }
}

/// What is asked of a viewer decides who shares a list.
#[test]
fn nothing_is_asked_that_no_rule_is_about() {
    let rules = |rules: Value| Rules::new(serde_json::from_value(json!({"rules": rules})).unwrap()).unwrap();
    let asked = |rules: &Rules| {
        let asked = std::cell::RefCell::new(Vec::new());
        rules.caller(|key| {
            asked.borrow_mut().push(key.to_string());
            None
        });
        asked.into_inner()
    };
    assert!(asked(&rules(json!([{"effect": "allow", "tools": ["a"]}]))).is_empty());
    assert_eq!(asked(&rules(json!([{"effect": "allow", "roles": ["a"]}]))), ["principal.claim.role"]);
    assert_eq!(asked(&rules(json!([{"effect": "allow", "tenants": ["a"], "scopes": ["s"]}]))), ["principal.tenant", "principal.scopes"]);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let bad = json!({"rules": [{"effect": "allow"}, {"effect": "deny", "read_only": true, "prompts": ["a"]}]});
    let error = testing::plugin::<Rbac>(&bad.to_string()).err().unwrap();
    assert!(error.starts_with("rule 2"), "{error}");
}

fn globs() -> impl Strategy<Value = Value> {
    proptest::sample::subsequence(vec!["*", "get_*", "push", "git", "dev", "mail"], 0..3).prop_map(|globs| json!(globs))
}

prop_compose! {
    fn rule()(allow: bool, read_only: bool, roles in globs(), upstreams in globs(), tools in globs(), prompts in globs(), methods in proptest::sample::subsequence(vec!["*", "tools/*", "tools/call", "prompts/get"], 0..2)) -> Value {
        let (prompts, read_only) = if read_only { (json!([]), true) } else { (prompts, false) };
        json!({"effect": if allow { "allow" } else { "deny" }, "roles": roles, "upstreams": upstreams, "tools": tools, "prompts": prompts,
               "methods": methods, "read_only": read_only})
    }
}

proptest! {
    /// Whatever is shown can be called: no rule hides from one question what it tells the other.
    #[test]
    fn what_is_shown_can_be_used(rules in proptest::collection::vec(rule(), 0..6), open: bool, role in "dev|mail|x", changes_nothing: bool) {
        let config = json!({"default": if open { "allow" } else { "deny" }, "rules": rules});
        let rules = Rules::new(serde_json::from_value(config).unwrap()).unwrap();
        let caller = rules.caller(|key| (key == "principal.claim.role").then(|| role.clone()));
        for (upstream, name) in TOOLS {
            for (thing, method) in [(Thing::Tool, "tools/call"), (Thing::Prompt, "prompts/get"), (Thing::Resource, "resources/read")] {
                let is_shown = rules.allow_entry(&caller, thing, &Entry::new(upstream, name, ""), || changes_nothing);
                prop_assert!(!is_shown || rules.allow_method(&caller, method, Some(upstream)), "{upstream} {name} {method}");
            }
        }
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    testing::plugin::<Rbac>(&serde_json::to_string(&sidecar["config"]).unwrap()).map(|_| ()).unwrap();
}
