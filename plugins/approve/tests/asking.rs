//! Who is asked about what, what an answer means, and what is remembered of it.

use serde_json::{Value, json};
use sluice_plugin_approve::{Approve, NOT_APPROVED, NOT_SHOWN};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};
use sluice_sdk::verdict::Ask;

fn plugin(config: Value) -> Approve {
    testing::plugin(&config.to_string()).unwrap()
}

fn rules() -> Value {
    json!({"rules": [
        {"tools": ["delete_draft"], "effect": "pass"},
        {"tools": ["delete_*"], "remember_seconds": 600},
        {"upstreams": ["bank"]},
    ]})
}

/// A call by this caller, if they have a name.
fn call(who: Option<&str>, upstream: &str, arguments: &Value) -> FakeExchange {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": arguments}});
    let x = FakeExchange::new(&message.to_string()).with_upstream(upstream);
    who.into_iter().fold(x, |x, who| x.with_attr("principal.id", who))
}

fn on(plugin: &Approve, tool: &str, x: &FakeExchange) -> Verdict {
    plugin.on_request(&testing::head("tools/call").name(tool), x)
}

fn asked(verdict: Verdict) -> Suspension {
    let Verdict::Suspend(asks) = verdict else { panic!("nobody was asked: {verdict:?}") };
    asks
}

fn yes(remember: bool) -> Elicited {
    Elicited::Accept(json!({"remember": remember}).to_string())
}

#[test]
fn the_first_rule_that_is_about_a_call_says_whether_a_person_is_asked() {
    let plugin = plugin(rules());
    for (tool, upstream, is_asked) in [
        ("delete_file", "files", true),
        ("delete_draft", "mail", false),
        ("delete_draft", "bank", false),
        ("transfer", "bank", true),
        ("list", "files", false),
    ] {
        let verdict = on(&plugin, tool, &call(Some("ada"), upstream, &json!({})));
        assert_eq!(matches!(verdict, Verdict::Suspend(_)), is_asked, "{tool} {upstream}: {verdict:?}");
        assert!(is_asked || verdict == Verdict::Next);
    }
    let answer = testing::head("tools/call").name("delete_file").answered();
    assert_eq!(plugin.on_request(&answer, &FakeExchange::default()), Verdict::Next);
}

#[test]
fn the_person_reads_what_is_about_to_run_and_until_when() {
    let config = json!({"rules": [{"tools": ["pay"]}, {"remember_seconds": 600}], "expires_seconds": 60});
    let plugin = plugin(config);
    let x = call(Some("ada"), "bank", &json!({"to": "a\u{202e}b", "amount": 1}));
    let asks = asked(on(&plugin, "pay", &x));
    let Ask::Form(schema) = &asks.ask else { panic!("{asks:?}") };
    assert_eq!(serde_json::from_str::<Value>(schema).unwrap()["properties"], json!({}), "nothing to remember");
    assert_eq!(asks.ttl_ms, 60_000);
    assert!(asks.message.starts_with("Run the tool pay of the server bank once, with these arguments?\n{"), "{}", asks.message);
    assert!(asks.message.contains(r#""to":"a\u{202e}b""#) && !asks.message.contains('\u{202e}'), "{}", asks.message);

    let asks = asked(on(&plugin, "other", &x));
    let Ask::Form(schema) = &asks.ask else { panic!("{asks:?}") };
    let remember = &serde_json::from_str::<Value>(schema).unwrap()["properties"]["remember"];
    assert_eq!((&remember["type"], &remember["default"]), (&json!("boolean"), &json!(false)));
    assert!(remember["title"].as_str().unwrap().contains("10 minutes"));
}

#[test]
fn yes_is_yes_and_all_else_is_a_no_that_says_which() {
    let plugin = plugin(rules());
    let said = |said: &Elicited| on(&plugin, "delete_file", &call(Some("ada"), "files", &json!({})).with_elicited("approve", said));
    assert_eq!(said(&Elicited::Accept("{}".into())), Verdict::Next);
    for (no, reason) in [(Elicited::Decline, "declined"), (Elicited::Cancel, "unanswered")] {
        let Verdict::Reject(refused) = said(&no) else { panic!("{no:?} let it pass") };
        assert!(refused.code == NOT_APPROVED && refused.as_tool_result && refused.message.starts_with("the user was asked"), "{refused:?}");
        assert_eq!(refused.data, Some(json!({"reason": reason}).to_string()));
    }
    let other = call(Some("ada"), "files", &json!({})).with_elicited("confirm", &yes(true));
    asked(on(&plugin, "delete_file", &other));
}

#[test]
fn a_yes_is_remembered_only_if_the_person_says_so_and_for_the_very_same_call() {
    testing::reset();
    let plugin = plugin(rules());
    let x = || call(Some("ada"), "files", &json!({"path": "/a"}));
    assert_eq!(on(&plugin, "delete_file", &x().with_elicited("approve", &yes(false))), Verdict::Next);
    asked(on(&plugin, "delete_file", &x()));
    assert_eq!(on(&plugin, "delete_file", &x().with_elicited("approve", &yes(true))), Verdict::Next);
    assert_eq!(on(&plugin, "delete_file", &x()), Verdict::Next);
    for (who, upstream, tool, arguments) in [
        ("bob", "files", "delete_file", json!({"path": "/a"})),
        ("ada", "mail", "delete_file", json!({"path": "/a"})),
        ("ada", "files", "delete_files", json!({"path": "/a"})),
        ("ada", "files", "delete_file", json!({"path": "/b"})),
        ("ada", "files", "delete_file", json!({"path": "/a", "force": true})),
    ] {
        asked(on(&plugin, tool, &call(Some(who), upstream, &arguments)));
    }
    testing::advance_ms(600_000);
    asked(on(&plugin, "delete_file", &x()));
}

#[test]
fn what_may_not_be_remembered_is_not_whatever_the_answer_says() {
    testing::reset();
    let plugin = plugin(rules());
    for (who, upstream, tool) in [(None, "files", "delete_file"), (Some("ada"), "bank", "transfer")] {
        let x = || call(who, upstream, &json!({}));
        assert_eq!(on(&plugin, tool, &x().with_elicited("approve", &yes(true))), Verdict::Next);
        let Ask::Form(schema) = asked(on(&plugin, tool, &x())).ask else { panic!() };
        assert!(!schema.contains("remember"), "and it is not offered: {schema}");
    }
}

#[test]
fn without_its_store_it_asks_each_time_and_a_yes_still_counts() {
    testing::reset();
    let plugin = plugin(rules());
    let x = || call(Some("ada"), "files", &json!({}));
    assert_eq!(on(&plugin, "delete_file", &x().with_elicited("approve", &yes(true))), Verdict::Next);
    testing::break_kv("down");
    asked(on(&plugin, "delete_file", &x()));
    assert_eq!(on(&plugin, "delete_file", &x().with_elicited("approve", &yes(true))), Verdict::Next);
    assert_eq!(testing::log_lines().len(), 2, "{:?}", testing::log_lines());
    testing::heal_kv();
    assert_eq!(on(&plugin, "delete_file", &x()), Verdict::Next);
}

#[test]
fn what_cannot_be_shown_cannot_be_approved() {
    let plugin = plugin(json!({"rules": [{}], "arguments_bytes_max": 20}));
    let long = on(&plugin, "t", &call(Some("ada"), "u", &json!({"text": "longer than twenty bytes"})));
    let unread = on(&plugin, "t", &FakeExchange::default());
    for verdict in [long, unread] {
        let Verdict::Reject(no) = verdict else { panic!("{verdict:?}") };
        assert!(no.code == NOT_SHOWN && no.as_tool_result && !no.message.contains("longer than"), "{no:?}");
    }
    asked(on(&plugin, "t", &call(Some("ada"), "u", &json!({"text": "short"}))));
}

#[test]
fn settings_that_make_no_sense_are_refused_and_say_where() {
    for (bad, why) in [
        (json!({"rules": []}), "no rule asks anybody"),
        (json!({"rules": [{"effect": "pass"}]}), "no rule asks anybody"),
        (json!({"rules": [{"tools": ["a"], "effect": "pass", "remember_seconds": 1}, {}]}), "rule 1: there is nothing to remember"),
        (json!({"rules": [{"tools": ["a"]}, {"tools": [""]}]}), "rule 2: an empty name"),
        (json!({"rules": [{}, {"tools": ["a"]}]}), "rule 1 is about all tools"),
        (json!({"rules": [{"remember_seconds": 2_592_001}]}), "remember_seconds is at most"),
        (json!({"rules": [{}], "expires_seconds": 0}), "at least 1"),
    ] {
        let error = testing::plugin::<Approve>(&bad.to_string()).err().unwrap_or_else(|| panic!("{bad}"));
        assert!(error.contains(why), "{bad}: {error}");
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    testing::plugin::<Approve>(&serde_json::to_string(&sidecar["config"]).unwrap()).map(|_| ()).unwrap();
}
