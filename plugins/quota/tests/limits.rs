//! The plugin with the SDK's fake store and clock.

use serde_json::{Value, json};
use sluice_plugin_quota::Quota;
use sluice_plugin_quota::policy::{NOT_COUNTED, TOO_MANY};
use sluice_sdk::plugin::{Done, Ending};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};

const DAY_MS: u64 = 86_400_000;

fn plugin(config: Value) -> Quota {
    testing::plugin(&config.to_string()).unwrap()
}

fn by(who: &str) -> FakeExchange {
    FakeExchange::default().with_attr("principal.id", who)
}

fn call(exchange: u64) -> Head {
    Head { exchange, ..testing::head("tools/call").name("export") }
}

fn refused(plugin: &Quota, head: &Head, x: &FakeExchange) -> Rejection {
    match plugin.on_request(head, x) {
        Verdict::Reject(no) => no,
        verdict => panic!("{verdict:?}"),
    }
}

/// The end of an exchange that began with `x`.
fn end(plugin: &Quota, head: &Head, x: &FakeExchange, response_bytes: u32, upstream_micros: u64) {
    let mut ended = by("");
    for (key, value) in x.set_attrs() {
        ended = ended.with_attr(&format!("quota.{key}"), &value);
    }
    let done = Done {
        outcome: Ending::Answered,
        code: None,
        request_bytes: 10,
        response_bytes,
        streamed: false,
        truncated: false,
        micros: upstream_micros,
        upstream_micros,
        passed: vec![],
    };
    plugin.on_done(head, &done, &ended);
}

#[test]
fn so_many_at_once_and_a_place_comes_back_with_the_end() {
    let plugin = plugin(json!({"limits": [{"name": "two", "at_once": 2}]}));
    let first = by("alice");
    assert_eq!(plugin.on_request(&call(1), &first), Verdict::Next);
    assert_eq!(plugin.on_request(&call(2), &by("alice")), Verdict::Next);
    let no = refused(&plugin, &call(3), &by("alice"));
    assert_eq!((no.code, no.http_status), (TOO_MANY, Some(429)));
    assert_eq!(no.data.as_deref(), Some(r#"{"retryAfterMs":1000,"limit":"two"}"#));
    assert_eq!(plugin.on_request(&call(4), &by("bob")), Verdict::Next, "another caller has places of its own");
    assert_eq!(plugin.on_request(&call(1).round(1), &by("alice")), Verdict::Next, "another round has its place already");
    end(&plugin, &call(1), &first, 0, 0);
    end(&plugin, &call(1), &first, 0, 0);
    assert_eq!(plugin.on_request(&call(5), &by("alice")), Verdict::Next);
    refused(&plugin, &call(6), &by("alice"));
}

/// What a counter would get wrong for good.
#[test]
fn a_place_whose_end_nobody_told_is_free_after_its_lease() {
    let plugin = plugin(json!({"limits": [{"name": "one", "at_once": 1, "lease_s": 30}]}));
    assert_eq!(plugin.on_request(&call(1), &by("alice")), Verdict::Next);
    testing::advance_ms(29_000);
    refused(&plugin, &call(2), &by("alice"));
    testing::advance_ms(1_000);
    let late = by("alice");
    assert_eq!(plugin.on_request(&call(3), &late), Verdict::Next);
    // The end comes after all, and takes nobody's place.
    end(&plugin, &call(1), &late, 0, 0);
    refused(&plugin, &call(4), &by("alice"));
}

/// Whoever has an answer may call again at once, before anybody was told of the end.
#[test]
fn a_place_comes_back_with_the_answer() {
    let plugin = plugin(json!({"limits": [{"name": "one", "at_once": 1}]}));
    for exchange in 1..4 {
        let x = by("alice");
        assert_eq!(plugin.on_request(&call(exchange), &x), Verdict::Next);
        let answered = x.set_attrs().into_iter().fold(by("alice"), |x, (key, value)| x.with_attr(&format!("quota.{key}"), &value));
        assert_eq!(plugin.on_response(&call(exchange).answered(), &answered), Verdict::Next);
    }
}

#[test]
fn a_refused_call_takes_no_place() {
    let plugin = plugin(json!({"limits": [{"name": "places", "at_once": 1}, {"name": "day", "key": [], "per_day": 1}]}));
    let first = by("alice");
    assert_eq!(plugin.on_request(&call(1), &first), Verdict::Next);
    end(&plugin, &call(1), &first, 0, 0);
    for exchange in 2..5 {
        let x = by("alice");
        assert!(refused(&plugin, &call(exchange), &x).data.unwrap().contains("day"));
        end(&plugin, &call(exchange), &x, 0, 0);
    }
}

#[test]
fn a_days_calls_are_counted_to_the_last_and_come_back_at_midnight() {
    testing::set_clock_ms(3 * DAY_MS + DAY_MS / 2);
    let plugin = plugin(json!({"limits": [{"name": "daily", "per_day": 3}]}));
    for exchange in 1..=3 {
        assert_eq!(plugin.on_request(&call(exchange), &by("alice")), Verdict::Next);
    }
    for exchange in 4..20 {
        let no = refused(&plugin, &call(exchange), &by("alice"));
        assert_eq!(no.http_headers, [("retry-after".to_string(), "43200".to_string())]);
    }
    assert_eq!(plugin.on_request(&call(1).round(1), &by("alice")), Verdict::Next, "it was let through before");
    testing::advance_ms(DAY_MS / 2 - 1000);
    refused(&plugin, &call(21), &by("alice"));
    testing::advance_ms(1000);
    assert_eq!(plugin.on_request(&call(22), &by("alice")), Verdict::Next);
}

#[test]
fn what_answers_weigh_and_servers_take_is_spent_when_they_end() {
    for (of, bytes, micros) in [("result-kib", 4_097, 0), ("upstream-seconds", 0, 4_000_001)] {
        testing::reset();
        let plugin = plugin(json!({"limits": [{"name": "costs", "key": ["tool"], "per_hour": 10, "of": of}]}));
        for exchange in [1, 2] {
            let x = by("alice");
            assert_eq!(plugin.on_request(&call(exchange), &x), Verdict::Next, "{of}: {} of 10 are spent", (exchange - 1) * 5);
            end(&plugin, &call(exchange), &x, bytes, micros);
        }
        refused(&plugin, &call(3), &by("bob"));
    }
}

#[test]
fn a_store_that_is_down_refuses_unless_told_otherwise() {
    for limit in [json!({"name": "l", "at_once": 1}), json!({"name": "l", "per_day": 1})] {
        let strict = plugin(json!({"limits": [limit]}));
        let lenient = plugin(json!({"limits": [limit], "on_store_error": "allow"}));
        testing::break_kv("no route");
        let no = refused(&strict, &call(1), &by("alice"));
        assert_eq!((no.code, no.http_status), (NOT_COUNTED, Some(503)));
        assert!(!no.message.contains("route"), "the cause is not the caller's");
        assert_eq!(lenient.on_request(&call(2), &by("alice")), Verdict::Next);
        testing::heal_kv();
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (limits, says) in [
        (json!([{"name": "l"}]), "needs one of at_once, per_hour, per_day"),
        (json!([{"name": "l", "at_once": 1, "per_day": 1}]), "needs one of at_once, per_hour, per_day"),
        (json!([{"name": "l", "at_once": 1, "of": "result-kib"}]), "what runs at once is calls"),
        (json!([{"name": "l", "per_day": 1, "key": ["user"]}]), "cannot be made of user"),
        (json!([{"name": "l", "per_day": 1, "methods": ["tools/list"]}]), "does not count"),
        (json!([{"name": "l", "per_day": 1}, {"name": "l", "per_day": 1}]), "two limits are named l"),
    ] {
        let error = testing::plugin::<Quota>(&json!({"limits": limits}).to_string()).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let settings: Value = toml::from_str(sidecar).unwrap();
    plugin(settings["config"].clone());
}
