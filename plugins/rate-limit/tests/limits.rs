//! The plugin with the SDK's fake store and clock.

use serde_json::{Value, json};
use sluice_plugin_rate_limit::RateLimit;
use sluice_plugin_rate_limit::policy::{NOT_COUNTED, TOO_MANY};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};

fn plugin(config: Value) -> RateLimit {
    testing::plugin(&config.to_string()).unwrap()
}

fn by(who: &str) -> FakeExchange {
    FakeExchange::default().with_attr("principal.id", who)
}

fn call(tool: &str) -> Head {
    testing::head("tools/call").name(tool)
}

/// How many of a hundred calls pass.
fn passed(plugin: &RateLimit, head: &Head, x: &FakeExchange) -> usize {
    (0..100).filter(|_| plugin.on_request(head, x) == Verdict::Next).count()
}

fn refused(plugin: &RateLimit, head: &Head, x: &FakeExchange) -> Rejection {
    match plugin.on_request(head, x) {
        Verdict::Reject(no) => no,
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn a_burst_passes_then_the_rate() {
    let plugin = plugin(json!({"limits": [{"name": "calls", "per_second": 2, "burst": 5}]}));
    assert_eq!(passed(&plugin, &call("a"), &by("alice")), 5);
    testing::advance_ms(1000);
    assert_eq!(passed(&plugin, &call("a"), &by("alice")), 2);
    testing::advance_ms(3_600_000);
    assert_eq!(passed(&plugin, &call("a"), &by("alice")), 5);
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let plugin = plugin(json!({"limits": [{"name": "calls", "per_minute": 30, "burst": 1}]}));
    assert_eq!(plugin.on_request(&call("a"), &by("alice")), Verdict::Next);
    testing::advance_ms(500);
    let no = refused(&plugin, &call("a"), &by("alice"));
    assert_eq!((no.code, no.http_status, no.as_tool_result), (TOO_MANY, Some(429), false));
    assert_eq!(no.http_headers, [("retry-after".to_string(), "2".to_string())]);
    assert_eq!(no.data.as_deref(), Some(r#"{"retryAfterMs":1500,"limit":"calls","whose":"per principal"}"#));
    assert_eq!(no.message, "too many calls: the limit calls (per principal) is used up; try again in 2 s");
}

#[test]
fn f063_who_and_what_shares_a_bucket_is_the_keys() {
    let plugin = plugin(json!({"limits": [{"name": "l", "key": ["principal", "tool", "label:client.name"], "per_hour": 1}]}));
    let alice = || by("alice").with_attr("client.name", "ide");
    for x in [alice(), by("bob"), by("acme/alice").with_attr("client.name", "ide"), by("alice"), alice().with_attr("client.name", "cli")] {
        assert_eq!(passed(&plugin, &call("a"), &x), 1);
    }
    assert_eq!(passed(&plugin, &call("b"), &alice()), 1);
    assert_eq!(passed(&plugin, &call("a"), &alice().with_upstream("other")), 0, "the upstream is not in the key");
}

#[test]
fn everyone_shares_where_there_is_no_key() {
    let plugin = plugin(json!({"limits": [{"name": "l", "key": [], "per_hour": 3}]}));
    assert_eq!(passed(&plugin, &call("a"), &by("alice")) + passed(&plugin, &call("b"), &by("bob")), 3);
}

#[test]
fn f062_a_limit_covers_its_methods_and_names() {
    let limits = json!([{"name": "l", "methods": ["tools/*", "prompts/get"], "names": ["db_*", "*_slow"], "per_hour": 1}]);
    let plugin = plugin(json!({"limits": limits}));
    let x = by("alice");
    assert_eq!(passed(&plugin, &call("search"), &x), 100);
    assert_eq!(passed(&plugin, &testing::head("resources/read").name("db_x"), &x), 100);
    assert_eq!(passed(&plugin, &call("db_query"), &x), 1);
    assert_eq!(passed(&plugin, &testing::head("prompts/get").name("very_slow"), &x), 0, "the name is not in the key");
}

#[test]
fn the_first_limit_that_is_used_up_refuses() {
    let limits = json!([
        {"name": "wide", "per_hour": 100},
        {"name": "narrow", "per_hour": 10, "cost": 4},
        {"name": "tight", "key": [], "per_hour": 1}
    ]);
    let plugin = plugin(json!({"limits": limits}));
    assert_eq!(passed(&plugin, &call("a"), &by("alice")), 1);
    let no = refused(&plugin, &call("a"), &by("bob"));
    assert!(no.data.unwrap().contains("tight"));
    refused(&plugin, &call("a"), &by("bob"));
    let no = refused(&plugin, &call("a"), &by("bob"));
    assert!(no.data.unwrap().contains("narrow"), "ten hold four twice");
}

/// Which limit it was is a label of the call, and how often it was is counted.
#[test]
fn operators_see_which_limit_refuses_and_what_was_not_counted() {
    testing::reset();
    let limits = json!([{"name": "wide", "per_hour": 100}, {"name": "tight", "key": [], "per_hour": 1}]);
    let plugin = plugin(json!({"limits": limits, "on_store_error": "allow"}));
    let passes = by("alice");
    assert_eq!(plugin.on_request(&call("a"), &passes), Verdict::Next);
    assert!(passes.set_attrs().is_empty() && testing::counts().is_empty(), "what passes costs nothing");
    let no = by("bob");
    let refusal = refused(&plugin, &call("a"), &no);
    assert!(refusal.message.contains("tight (for everyone)"), "{}", refusal.message);
    assert_eq!(no.set_attrs()["refused"], "tight");
    testing::break_kv("no route");
    assert_eq!(plugin.on_request(&call("a"), &by("carol")), Verdict::Next);
    testing::heal_kv();
    let counted: Vec<_> = testing::counts().into_iter().map(|counted| (counted.name, counted.labels[0].1.clone())).collect();
    let expected = [("refused", "tight"), ("not_counted", "wide"), ("not_counted", "tight")];
    assert_eq!(counted, expected.map(|(name, limit)| (name.to_string(), limit.to_string())));
}

#[test]
fn a_store_that_is_down_refuses_unless_told_otherwise() {
    let limits = json!([{"name": "l", "per_hour": 1}]);
    let strict = plugin(json!({"limits": limits}));
    let lenient = plugin(json!({"limits": limits, "on_store_error": "allow"}));
    testing::break_kv("no route");
    let no = refused(&strict, &call("a"), &by("alice"));
    assert_eq!((no.code, no.http_status), (NOT_COUNTED, Some(503)));
    assert!(!no.message.contains("route"), "the cause is not the caller's");
    assert_eq!(passed(&lenient, &call("a"), &by("alice")), 100);
    testing::heal_kv();
    assert_eq!(passed(&strict, &call("a"), &by("alice")), 1);
}

#[test]
fn a_tool_may_answer_so_that_models_can_read_it() {
    let plugin = plugin(json!({"limits": [{"name": "l", "key": [], "methods": ["*"], "per_hour": 1}], "answer": "tool-result"}));
    assert_eq!(plugin.on_request(&call("a"), &by("alice")), Verdict::Next);
    assert!(refused(&plugin, &call("a"), &by("alice")).as_tool_result);
    assert!(!refused(&plugin, &testing::head("prompts/get"), &by("alice")).as_tool_result);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (limits, says) in [
        (json!([{"name": "l"}]), "needs one of"),
        (json!([{"name": "l", "per_second": 1, "per_hour": 1}]), "needs one of"),
        (json!([{"name": "l", "per_second": 0}]), "never let anything pass"),
        (json!([{"name": "l", "per_second": 1, "burst": 1, "cost": 2}]), "makes no sense"),
        (json!([{"name": "l", "per_second": 1, "key": ["user"]}]), "cannot be made of user"),
        (json!([{"name": "l", "per_second": 1, "key": ["label:"]}]), "cannot be made of label:"),
        (json!([{"name": "l", "per_second": 1, "methods": ["tools/list"]}]), "does not count"),
        (json!([{"name": "l", "per_second": 1}, {"name": "l", "per_second": 1}]), "two limits are named l"),
    ] {
        let error = testing::plugin::<RateLimit>(&json!({"limits": limits}).to_string()).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_rate_below_one_still_lets_one_pass() {
    let plugin = plugin(json!({"limits": [{"name": "l", "per_hour": 0.5}]}));
    assert_eq!(passed(&plugin, &call("a"), &by("alice")), 1);
    testing::advance_ms(7_200_000);
    assert_eq!(passed(&plugin, &call("a"), &by("alice")), 1);
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    testing::plugin::<RateLimit>(&config).map(|_| ()).unwrap();
}
