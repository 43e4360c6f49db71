//! `patterns` and splices against an oracle that decodes everything, searches and encodes again.

use crate::support::{Call, engine, load, load_with, settings};
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_chain::filter::Verdict;
use sluice_plugin::{Engine, WasmFilter};
use std::{sync::Arc, time::Duration};

/// `[pointer, in_key, start, end, pattern, text]`.
type Found = (String, bool, usize, usize, usize, String);

async fn scan(filter: &WasmFilter, text: &str) -> Result<Vec<Found>, String> {
    match Call::raw("ls", text).request(filter).await {
        Ok(Verdict::Reply(said)) => {
            let said: Value = serde_json::from_slice(&said).unwrap();
            Ok(serde_json::from_value(said["structuredContent"]["hits"].clone()).unwrap())
        }
        Ok(Verdict::Reject(no)) => Err(no.message),
        other => panic!("{other:?}"),
    }
}

fn message(arguments: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"ls","arguments":{arguments}}}}}"#)
}

/// Every hit in `value`, found by walking the parsed tree.
fn oracle(value: &Value, place: &str, patterns: &[regex_oracle::Pattern], out: &mut Vec<Found>) {
    let mut search = |text: &str, place: &str, in_key: bool| {
        for (i, pattern) in patterns.iter().enumerate() {
            let found = pattern.all(text).into_iter();
            out.extend(found.map(|r| (place.to_owned(), in_key, r.start, r.end, i, text[r].to_owned())));
        }
    };
    match value {
        Value::String(text) => search(text, place, false),
        Value::Object(members) => {
            for (key, value) in members {
                let place = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
                let mut search = |text: &str, in_key: bool| {
                    for (i, pattern) in patterns.iter().enumerate() {
                        let found = pattern.all(text).into_iter();
                        out.extend(found.map(|r| (place.clone(), in_key, r.start, r.end, i, text[r].to_owned())));
                    }
                };
                search(key, true);
                oracle(value, &place, patterns, out);
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| oracle(item, &format!("{place}/{i}"), patterns, out)),
        _ => {}
    }
}

/// Patterns simple enough to be searched by hand: a literal, or a run of digits.
mod regex_oracle {
    use std::ops::Range;

    pub enum Pattern {
        Literal(&'static str),
        Digits(usize),
    }

    impl Pattern {
        pub fn regex(&self) -> String {
            match self {
                Self::Literal(text) => text.replace('.', "\\."),
                Self::Digits(least) => format!("[0-9]{{{least},}}"),
            }
        }

        pub fn all(&self, text: &str) -> Vec<Range<usize>> {
            match self {
                Self::Literal(literal) => text.match_indices(literal).map(|(at, hit)| at..at + hit.len()).collect(),
                Self::Digits(least) => {
                    let mut runs: Vec<Range<usize>> = Vec::new();
                    for (at, _) in text.bytes().enumerate().filter(|(_, b)| b.is_ascii_digit()) {
                        match runs.last_mut() {
                            Some(run) if run.end == at => run.end += 1,
                            _ => runs.push(at..at + 1),
                        }
                    }
                    runs.retain(|run| run.len() >= *least);
                    runs
                }
            }
        }
    }
}

fn patterns() -> Vec<regex_oracle::Pattern> {
    use regex_oracle::Pattern::{Digits, Literal};
    vec![Literal("secret"), Literal("@x."), Digits(3), Literal("é"), Literal("\u{1f600}")]
}

/// JSON text with strings written in every way JSON allows.
fn json_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("secret"),
        Just("\\u0073ecret"),
        Just("se\\u0063ret"),
        Just("@x."),
        Just("\\u0040x."),
        Just("123"),
        Just("\\u0031\\u00323"),
        Just("9"),
        Just("é"),
        Just("\\u00e9"),
        Just("e"),
        Just("\u{1f600}"),
        Just("\\ud83d\\ude00"),
        Just("\\/"),
        Just("/"),
        Just("~"),
        Just("\\n"),
        Just(" "),
        Just("\\\\"),
        Just("\\\""),
        Just("s"),
    ];
    let string = prop::collection::vec(piece, 0..8).prop_map(|parts| format!("\"{}\"", parts.concat()));
    let leaf = prop_oneof![4 => string.clone(), 1 => Just("1.10".to_owned()), 1 => Just("null".to_owned())];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        let member = (string.clone(), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            prop::collection::vec(member, 0..4).prop_map(|members| {
                // Keys must differ once decoded.
                let unique = members.into_iter().enumerate().map(|(i, (key, value))| format!("\"{i}:{}:{value}", &key[1..]));
                format!("{{{}}}", unique.collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn scanner(engine: &Engine) -> Arc<WasmFilter> {
    let regexes: Vec<_> = patterns().iter().map(regex_oracle::Pattern::regex).collect();
    runtime().block_on(load(engine, "scan", json!({"patterns": regexes})))
}

#[test]
fn whatever_is_escaped_split_or_in_a_key_is_found() {
    let engine = engine();
    let (filter, runtime) = (scanner(&engine), runtime());
    proptest!(ProptestConfig::with_cases(400), |(arguments in json_text())| {
        let text = message(&arguments);
        let mut expected = Vec::new();
        let value: Value = serde_json::from_str(&text).unwrap();
        oracle(&value["params"], "/params", &patterns(), &mut expected);
        let mut found = runtime.block_on(scan(&filter, &text)).unwrap();
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
    });
}

#[test]
fn splicing_every_hit_is_the_same_as_decoding_replacing_and_encoding() {
    let engine = engine();
    let (filter, runtime) = (scanner(&engine), runtime());
    proptest!(ProptestConfig::with_cases(150), |(arguments in json_text())| {
        let text = message(&arguments);
        let hits = runtime.block_on(scan(&filter, &text)).unwrap();
        // Values only, and one pattern: the others could overlap it.
        let hits: Vec<_> = hits.into_iter().filter(|hit| hit.4 == 0 && !hit.1).collect();
        let edits: Vec<_> = hits.iter().map(|hit| json!({"splice": [hit.0, hit.2, hit.3, "[\"R\"]"]})).collect();
        prop_assume!(!edits.is_empty());
        let editor = runtime.block_on(load(&engine, "echo-edit", json!({"on": "request", "edits": edits})));
        let after = match runtime.block_on(Call::raw("ls", &text).request(&editor)) {
            Ok(Verdict::Next(Some(message))) => serde_json::from_slice::<Value>(message.bytes()).unwrap(),
            other => panic!("{other:?}"),
        };
        let mut expected: Value = serde_json::from_str(&text).unwrap();
        replace(&mut expected["params"]);
        prop_assert_eq!(after, expected);
    });
}

fn replace(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("secret", "[\"R\"]"),
        Value::Array(items) => items.iter_mut().for_each(replace),
        Value::Object(members) => members.values_mut().for_each(replace),
        _ => {}
    }
}

#[tokio::test]
async fn roots_narrow_the_search_and_wrong_ones_are_told() {
    let engine = engine();
    let text = message(r#"{"a":"secret","b":{"c":"secret"}}"#);
    for (roots, expected) in [
        (json!([]), Ok(2)),
        (json!(["/params/arguments/b"]), Ok(1)),
        (json!(["/params/arguments/a", "/params/arguments/b"]), Ok(2)),
        // A call may have no arguments: that is no mistake of the plugin's.
        (json!(["/params/none"]), Ok(0)),
        (json!(["/params/none", "/params/arguments/b"]), Ok(1)),
        (json!(["params/arguments/b"]), Err("bad-pointer".to_owned())),
    ] {
        let filter = load(&engine, "scan", json!({"patterns": ["secret"], "roots": roots})).await;
        assert_eq!(scan(&filter, &text).await.map(|hits| hits.len()), expected, "{roots}");
    }
}

#[tokio::test]
async fn more_hits_than_the_cap_are_too_large() {
    let filter = load(&engine(), "scan", json!({"patterns": ["a"]})).await;
    let text = |count: usize| message(&format!(r#"{{"s":"{}"}}"#, "a".repeat(count)));
    // The keys "name", "arguments" and the name of the tool hold some too.
    assert_eq!(scan(&filter, &text(11_000)).await, Err("too-large".into()));
    assert!(scan(&filter, &text(1_000)).await.is_ok());
}

#[tokio::test]
async fn a_pattern_that_is_none_keeps_the_plugin_from_starting() {
    let error = crate::support::try_load(&engine(), crate::support::settings("scan", json!({"patterns": ["("]}))).await.err().unwrap();
    assert!(error.to_string().contains("pattern 0"), "{error}");
}

#[tokio::test]
async fn hits_under_a_long_key_do_not_multiply_it() {
    let mut slow = settings("scan", json!({"patterns": ["a"]}));
    // Other tests take the processors meanwhile, and it is the bytes that are to end it.
    slow.limits.wall = Duration::from_secs(10);
    let filter = load_with(&engine(), slow).await;
    // 9,000 hits, each with a pointer of 100 kB, would be 900 MB.
    let text = message(&format!(r#"{{"{}":"{}"}}"#, "k".repeat(100_000), "a".repeat(9_000)));
    assert_eq!(scan(&filter, &text).await, Err("too-large".into()));
}
