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
    let mut ended = by("alice");
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
    assert_eq!(no.data.as_deref(), Some(r#"{"retryAfterMs":1000,"limit":"two","whose":"per principal"}"#));
    assert_eq!(no.message, "this is all there is of two (per principal) for now; try again in 1 s");
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
fn f114_a_days_calls_are_counted_to_the_last_and_come_back_at_midnight() {
    testing::set_clock_ms(3 * DAY_MS + DAY_MS / 2);
    let plugin = plugin(json!({"limits": [{"name": "daily", "per_day": 3}]}));
    for exchange in 1..=3 {
        assert_eq!(plugin.on_request(&call(exchange), &by("alice")), Verdict::Next);
    }
    for exchange in 4..20 {
        let no = refused(&plugin, &call(exchange), &by("alice"));
        assert_eq!(no.http_headers, [("retry-after".to_string(), "43200".to_string())]);
    }
    testing::advance_ms(DAY_MS / 2 - 1000);
    refused(&plugin, &call(21), &by("alice"));
    testing::advance_ms(1000);
    assert_eq!(plugin.on_request(&call(22), &by("alice")), Verdict::Next);
}

#[test]
fn f114_what_answers_weigh_and_servers_take_is_spent_when_they_end() {
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

/// Calls that another limit refuses are not among those that were let through.
#[test]
fn a_refused_call_is_given_back_what_earlier_limits_took() {
    for refuses in [json!({"name": "one", "at_once": 1}), json!({"name": "minute", "per_minute": 1})] {
        testing::reset();
        let plugin = plugin(json!({"limits": [{"name": "day", "per_day": 2}, {"name": "three", "at_once": 3}, refuses]}));
        let first = by("alice");
        assert_eq!(plugin.on_request(&call(1), &first), Verdict::Next);
        for exchange in 2..50 {
            let x = by("alice");
            let no = refused(&plugin, &call(exchange), &x);
            assert!(!no.data.as_ref().unwrap().contains("day") && !no.data.as_ref().unwrap().contains("three"), "{no:?}");
            assert_eq!(x.set_attrs().into_keys().collect::<Vec<_>>(), ["refused"], "nothing is left to be given back");
        }
        end(&plugin, &call(1), &first, 0, 0);
        testing::advance_ms(60_000);
        assert_eq!(plugin.on_request(&call(50), &by("alice")), Verdict::Next);
        refused(&plugin, &call(51), &by("alice"));
    }
}

/// A filter before this one may have asked a person in the first round: then the second is the first that comes here.
#[test]
fn a_call_counts_once_in_whichever_round_it_comes_first() {
    let plugin = plugin(json!({"limits": [{"name": "daily", "per_day": 2}, {"name": "hourly", "per_hour": 2}]}));
    for exchange in [1, 2] {
        assert_eq!(plugin.on_request(&call(exchange).round(1), &by("alice")), Verdict::Next);
    }
    refused(&plugin, &call(3).round(1), &by("alice"));
    testing::run_again(true);
    for round in [2, 3] {
        assert_eq!(plugin.on_request(&call(2).round(round), &by("alice")), Verdict::Next, "it was let through before");
    }
    testing::run_again(false);
    refused(&plugin, &call(4), &by("alice"));
}

/// A round begins without what was noted in the one before, and a filter before this one may end it.
#[test]
fn a_place_comes_back_from_a_round_that_never_came_here() {
    let plugin = plugin(json!({"limits": [{"name": "one", "key": ["principal", "tool"], "at_once": 1}]}));
    assert_eq!(plugin.on_request(&call(1), &by("alice")), Verdict::Next);
    end(&plugin, &call(1).round(1), &by("alice"), 0, 0);
    assert_eq!(plugin.on_request(&call(2), &by("alice")), Verdict::Next);
}

/// With a window of the clock twice as much would pass around its end.
#[test]
fn a_sliding_window_lets_no_more_pass_around_the_full_hour() {
    testing::set_clock_ms(10 * 3_600_000 - 1000);
    let plugin = plugin(json!({"limits": [{"name": "hour", "per_hour": 60, "sliding": true}]}));
    let passed = |from: u64| (from..from + 100).filter(|at| plugin.on_request(&call(*at), &by("alice")) == Verdict::Next).count();
    assert_eq!(passed(0), 60);
    testing::advance_ms(1000);
    assert_eq!(passed(100), 0, "an hour has not passed");
    let no = refused(&plugin, &call(200), &by("alice"));
    assert_eq!(no.http_headers, [("retry-after".to_string(), "60".to_string())]);
    testing::advance_ms(60_000);
    assert_eq!(passed(300), 1, "a sixtieth of it has");
    testing::advance_ms(1_800_000);
    assert_eq!(passed(400), 30);
    testing::advance_ms(7_200_000);
    assert_eq!(passed(500), 60, "what is long ago does not count");
}

#[test]
fn f114_what_answers_weigh_slides_out_of_the_last_minute() {
    testing::set_clock_ms(DAY_MS);
    let plugin = plugin(json!({"limits": [{"name": "weight", "key": [], "per_minute": 100, "sliding": true, "of": "result-kib"}]}));
    let x = by("alice");
    assert_eq!(plugin.on_request(&call(1), &x), Verdict::Next);
    end(&plugin, &call(1), &x, 300 * 1024, 0);
    // 300 in a minute: a third of it has to be left, and nothing more.
    let no = refused(&plugin, &call(2), &by("bob"));
    let wait_ms: u64 = no.http_headers[0].1.parse::<u64>().unwrap() * 1000;
    assert!((100_000..=101_000).contains(&wait_ms), "{wait_ms}");
    testing::advance_ms(wait_ms - 1000);
    refused(&plugin, &call(3), &by("bob"));
    testing::advance_ms(1000);
    assert_eq!(plugin.on_request(&call(4), &by("bob")), Verdict::Next);
}

/// Any of them together; what is not in the key is not told apart.
#[test]
fn f063_principal_tool_and_tenant_make_a_limit_theirs() {
    let who = |tenant: &str, id: &str| by(id).with_attr("principal.tenant", tenant);
    let tool = |exchange, name: &str| Head { name: Some(name.to_string()), ..call(exchange) };
    let plugin = plugin(json!({"limits": [
        {"name": "each", "key": ["tenant", "principal", "tool"], "names": ["export_*"], "per_day": 1},
        {"name": "tenant", "key": ["tenant"], "per_day": 3}
    ]}));
    for (at, (x, name)) in
        [(who("acme", "a"), "export_x"), (who("acme", "b"), "export_x"), (who("acme", "a"), "export_y"), (who("zoo", "a"), "export_x")]
            .iter()
            .enumerate()
    {
        assert_eq!(plugin.on_request(&tool(at as u64, name), x), Verdict::Next, "{at}");
    }
    let says = |name: &str, x: &FakeExchange| refused(&plugin, &tool(9, name), x).data.unwrap();
    assert!(says("export_x", &who("acme", "b")).contains(r#""limit":"each","whose":"per tenant, principal, tool""#));
    assert!(says("other", &who("acme", "b")).contains(r#""limit":"tenant","whose":"per tenant""#));
    assert_eq!(plugin.on_request(&tool(10, "other"), &who("zoo", "a")), Verdict::Next, "another tenant has its own");
}

/// Which limit it was is a label of the call, and how often it was is counted.
#[test]
fn operators_see_which_limit_refuses_and_what_was_not_counted() {
    let plugin = plugin(json!({"limits": [{"name": "one", "at_once": 1}], "on_store_error": "allow"}));
    assert_eq!(plugin.on_request(&call(1), &by("alice")), Verdict::Next);
    assert!(testing::counts().is_empty(), "what passes costs nothing");
    let x = by("alice");
    refused(&plugin, &call(2), &x);
    assert_eq!(x.set_attrs()["refused"], "one");
    testing::break_kv("no route");
    assert_eq!(plugin.on_request(&call(3), &by("alice")), Verdict::Next);
    let counted: Vec<_> = testing::counts().into_iter().map(|counted| (counted.name, counted.labels)).collect();
    let one = || vec![("limit".to_string(), "one".to_string())];
    assert_eq!(counted, [("refused".to_string(), one()), ("not_counted".to_string(), one())]);
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
        (json!([{"name": "l"}]), "needs one of at_once, per_minute, per_hour, per_day"),
        (json!([{"name": "l", "per_minute": 1, "per_day": 1}]), "needs one of at_once, per_minute, per_hour, per_day"),
        (json!([{"name": "l", "at_once": 1, "sliding": true}]), "is not sliding"),
        (json!([{"name": "l", "at_once": 1, "per_day": 1}]), "needs one of at_once, per_minute, per_hour, per_day"),
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
