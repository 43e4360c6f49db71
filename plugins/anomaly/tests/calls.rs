//! The plugin on requests, with the SDK's fake store and clock.

use serde_json::{Value, json};
use sluice_plugin_anomaly::{Anomaly, NOT_SCORED, UNUSUAL};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};

const HOUR_MS: u64 = 3_600_000;

fn plugin(config: Value) -> Anomaly {
    testing::reset();
    testing::set_clock_ms(1_700_000_000_000);
    testing::plugin(&config.to_string()).unwrap()
}

/// Learns for a day and fifty calls.
fn quick(more: Value) -> Anomaly {
    let mut config = json!({"learn_s": 86400, "learn_calls": 50});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    plugin(config)
}

fn by(who: &str) -> FakeExchange {
    FakeExchange::default().with_attr("principal.id", who).with_upstream("docs")
}

/// What a call is labelled with, or the code it is refused with.
fn called(anomaly: &Anomaly, head: &Head, x: &FakeExchange) -> Result<(u8, String), i32> {
    match anomaly.on_request(head, x) {
        Verdict::Next => {
            let labels = x.set_attrs();
            let score = labels.get("score").map_or(255, |score| score.parse().unwrap());
            Ok((score, labels.get("reasons").cloned().unwrap_or_default()))
        }
        Verdict::Reject(no) => Err(no.code),
        other => panic!("{other:?}"),
    }
}

fn call(anomaly: &Anomaly, who: &str, tool: &str) -> Result<(u8, String), i32> {
    called(anomaly, &testing::head("tools/call").name(tool), &by(who))
}

/// Three days of work: each hour a session in the order open, read, read, save.
fn work(anomaly: &Anomaly, who: &str) {
    for _ in 0..72 {
        for tool in ["open", "read", "read", "save"] {
            call(anomaly, who, tool).unwrap();
            testing::advance_ms(10_000);
        }
        testing::advance_ms(HOUR_MS - 40_000);
    }
}

fn usual() -> Result<(u8, String), i32> {
    Ok((0, String::new()))
}

#[test]
fn f064_a_tool_is_new_to_a_caller_once() {
    let anomaly = quick(json!({"sequence": 0}));
    work(&anomaly, "ada");
    assert_eq!(call(&anomaly, "ada", "open"), usual());
    let x = by("ada");
    assert_eq!(called(&anomaly, &testing::head("tools/call").name("delete"), &x), Ok((50, "new-tool:50".to_string())));
    assert_eq!(x.set_attrs()["alarm"], "yes");
    let logged = testing::log_lines();
    assert_eq!(logged[0].message, "a call is unlike what its caller usually does");
    assert_eq!(logged[0].fields[2], ("reasons".to_string(), "new-tool:50".to_string()));
    assert!(testing::counts().iter().any(|count| count.name == "alarms"));
    testing::advance_ms(HOUR_MS - 1000);
    assert_eq!(call(&anomaly, "ada", "delete").unwrap().0, 50, "for an hour it is new");
    testing::advance_ms(HOUR_MS);
    assert_eq!(call(&anomaly, "ada", "delete").unwrap().0, 0);
    // Of another upstream it is another tool.
    let elsewhere = by("ada").with_upstream("files");
    assert_eq!(called(&anomaly, &testing::head("tools/call").name("open"), &elsewhere).unwrap().0, 50);
}

#[test]
fn what_one_caller_does_says_nothing_of_another() {
    let anomaly = quick(json!({}));
    work(&anomaly, "ada");
    assert_eq!(call(&anomaly, "bob", "open"), Ok((0, "learning".to_string())));
    assert_eq!(call(&anomaly, "ada", "open"), usual());
}

#[test]
fn nothing_is_scored_while_it_learns() {
    let anomaly = quick(json!({}));
    for n in 0..200 {
        assert_eq!(call(&anomaly, "ada", &format!("tool-{n}")), Ok((0, "learning".to_string())), "not before a day has passed");
    }
    testing::advance_ms(24 * HOUR_MS);
    assert_eq!(call(&anomaly, "ada", "tool-199").unwrap().0, 0, "what was learnt is not new, however late it came");
    assert_eq!(call(&anomaly, "ada", "tool-200").unwrap().0, 50);
    let anomaly = quick(json!({}));
    call(&anomaly, "ada", "open").unwrap();
    testing::advance_ms(48 * HOUR_MS);
    for n in 1..50 {
        assert_eq!(call(&anomaly, "ada", "open").unwrap().1, "learning", "not before 50 calls: {n}");
    }
    assert_eq!(call(&anomaly, "ada", "open").unwrap().1, "");
}

#[test]
fn many_calls_at_once_score_the_more_of_them_there_are() {
    let anomaly = quick(json!({"sequence": 0}));
    work(&anomaly, "ada");
    let scores: Vec<u8> = (0..60).map(|_| call(&anomaly, "ada", "read").unwrap().0).collect();
    assert_eq!(scores[0], 0);
    assert!(scores.is_sorted(), "{scores:?}");
    assert_eq!(scores[59], 100, "{scores:?}");
    let first = scores.iter().position(|score| *score >= 50).unwrap();
    assert!((5..30).contains(&first), "{scores:?}");
    // The next hour is like those before.
    testing::advance_ms(HOUR_MS);
    assert_eq!(call(&anomaly, "ada", "open").unwrap().0, 0);
}

#[test]
fn an_order_of_its_own_scores() {
    let anomaly = quick(json!({"volume": 0}));
    work(&anomaly, "ada");
    let order = ["save", "open", "save", "open", "open", "save", "save", "open"];
    let mut scores = Vec::new();
    for tool in order {
        scores.push(call(&anomaly, "ada", tool).unwrap());
        testing::advance_ms(10_000);
    }
    assert!(scores.iter().any(|(score, reasons)| *score >= 50 && reasons.starts_with("sequence:")), "{scores:?}");
    testing::advance_ms(HOUR_MS);
    assert!(call(&anomaly, "ada", "save").unwrap().0 < 50, "one call is no order");
    testing::advance_ms(HOUR_MS);
    for tool in ["open", "read", "read", "save"] {
        assert_eq!(call(&anomaly, "ada", tool).unwrap().0, 0, "{tool}: a new sequence begins with a clean sheet");
        testing::advance_ms(10_000);
    }
}

#[test]
fn from_a_score_on_calls_are_refused_and_not_learnt() {
    let anomaly = quick(json!({"refuse_at": 50}));
    work(&anomaly, "ada");
    for _ in 0..5 {
        assert_eq!(call(&anomaly, "ada", "delete"), Err(UNUSUAL));
        testing::advance_ms(2 * HOUR_MS);
    }
    assert_eq!(call(&anomaly, "ada", "open"), usual());
    let anomaly = quick(json!({"refuse_at": 50, "known": ["del*"]}));
    work(&anomaly, "ada");
    assert_eq!(call(&anomaly, "ada", "delete").map(|(score, _)| score), Ok(0), "the operator knows it");
    // Refused calls count as calls.
    testing::advance_ms(HOUR_MS);
    let refused = (0..100).filter(|_| call(&anomaly, "ada", "read").is_err()).count();
    assert!(refused > 60, "{refused}");
}

#[test]
fn two_things_at_once_are_more_than_one() {
    let anomaly = quick(json!({"sequence": 0, "volume": 50}));
    work(&anomaly, "ada");
    for _ in 0..200 {
        call(&anomaly, "ada", "read").unwrap();
    }
    assert_eq!(call(&anomaly, "ada", "read"), Ok((50, "volume:50".to_string())));
    assert_eq!(call(&anomaly, "ada", "delete"), Ok((75, "new-tool:50 volume:50".to_string())));
}

#[test]
fn a_later_round_is_no_further_call() {
    let anomaly = quick(json!({}));
    work(&anomaly, "ada");
    let head = testing::head("tools/call").name("delete");
    assert_eq!(called(&anomaly, &head, &by("ada")), Ok((50, "new-tool:50".to_string())));
    let lines = testing::log_lines().len();
    assert_eq!(called(&anomaly, &head.clone().round(1), &by("ada")), Ok((50, "earlier-round".to_string())));
    assert_eq!(testing::log_lines().len(), lines);
    // A filter before this one asked first: here it is the first.
    let mut other = testing::head("tools/call").name("drop").round(1);
    other.exchange = 2;
    assert_eq!(called(&anomaly, &other, &by("ada")), Ok((50, "new-tool:50".to_string())));
}

#[test]
fn resources_and_prompts_of_an_upstream_are_one_tool_each() {
    let anomaly = quick(json!({"sequence": 0}));
    work(&anomaly, "ada");
    let read = |uri: &str| called(&anomaly, &testing::head("resources/read").name(uri), &by("ada")).unwrap().0;
    assert_eq!(read("doc:1"), 50);
    testing::advance_ms(2 * HOUR_MS);
    assert_eq!(read("doc:2"), 0);
}

#[test]
fn those_without_a_name_and_what_goes_nowhere_are_left_alone() {
    let anomaly = quick(json!({"refuse_at": 1}));
    let head = testing::head("tools/call").name("open");
    for x in [
        FakeExchange::default().with_upstream("docs"),
        by("1").with_attr("principal.authority", "host-anonymous"),
        FakeExchange::default().with_attr("principal.id", "ada"),
    ] {
        assert_eq!(called(&anomaly, &head, &x), Ok((255, String::new())), "no label");
    }
}

#[test]
fn what_is_long_ago_is_forgotten() {
    let anomaly = quick(json!({"half_life_s": 86400}));
    work(&anomaly, "ada");
    call(&anomaly, "ada", "once").unwrap();
    for _ in 0..20 {
        testing::advance_ms(24 * HOUR_MS);
        assert_ne!(call(&anomaly, "ada", "open").unwrap().1, "learning");
    }
    assert_eq!(call(&anomaly, "ada", "once").unwrap().0, 50, "it is new again");
    testing::advance_ms(5 * 24 * HOUR_MS);
    assert_eq!(call(&anomaly, "ada", "open").unwrap().1, "learning", "nothing is left of somebody who is long gone");
}

#[test]
fn without_a_store_only_what_is_to_be_refused_is() {
    let head = testing::head("tools/call").name("open");
    for (config, expected) in [
        (json!({}), Ok((255, String::new()))),
        (json!({"refuse_at": 80}), Err(NOT_SCORED)),
        (json!({"refuse_at": 80, "on_store_error": "allow"}), Ok((255, String::new()))),
    ] {
        let anomaly = quick(config);
        testing::break_kv("no route");
        assert_eq!(called(&anomaly, &head, &by("ada")), expected);
        testing::heal_kv();
        assert_eq!(called(&anomaly, &head, &by("ada")).unwrap().1, "learning");
    }
}

#[test]
fn a_clock_that_goes_back_is_no_panic() {
    let anomaly = quick(json!({}));
    work(&anomaly, "ada");
    testing::set_clock_ms(1000);
    assert!(call(&anomaly, "ada", "open").is_ok());
    testing::set_clock_ms(u64::MAX / 2);
    assert!(call(&anomaly, "ada", "open").is_ok());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (config, says) in
        [(json!({"new_tool": 0, "volume": 0, "sequence": 0}), "nothing would ever be scored"), (json!({"volume": 101}), "at most 100")]
    {
        let error = testing::plugin::<Anomaly>(&config.to_string()).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    testing::plugin::<Anomaly>(&config).map(|_| ()).unwrap();
}
