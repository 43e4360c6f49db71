//! What filters may rely on, and what everybody else may rely on whatever filters do.

use crate::support::{Endpoint, Rig, Scripted, Tailor, decode, modern_body, modern_headers, start, tools};
use sluice_chain::{
    catalogue::Change,
    exchange::Delivery,
    fault::Fault,
    filter::Verdict,
    generation::{Link, OnFault, Policy},
    host::Ear,
    principal::Principal,
    upstream::{Listener, Unsolicited},
    verdict::Rejection,
};
use sluice_wire::revision::{Era, Revision};
use std::sync::Arc;

async fn behind(tailor: Tailor, policy: Policy) -> Endpoint {
    let endpoint = start().await;
    endpoint.host.swap(tailor.chain(policy));
    endpoint
}

#[tokio::test]
async fn s112_numbers_ids_texts_and_unknown_members_mean_the_same_behind_an_identity_chain() {
    let endpoint = behind(Tailor::default(), Policy::default()).await;
    let arguments = r#"{"big":9007199254740993,"one":1.0,"exp":1e2,"nul":"a\u0000b","deep":{"x":[{"unknown":{"é":null}}]}}"#;
    let params = format!(r#""name":"echo","arguments":{arguments},"unknown":{{"k":-0.0}}"#);
    let (long, text) = ("9007199254740993", "\"\\u0031\"");
    for id in [long, text, "\"1\"", "0"] {
        let reply = endpoint.post(&modern_headers("tools/call", &params), &modern_body(id, "tools/call", &params)).await;
        assert!(reply.text().contains(&format!(r#""id" : {id},"#)), "{}", reply.text());
        assert!(
            reply.text().contains(&format!(r#"{{"z":1.10,"content":[],"structuredContent":{{"got":{arguments}}}"#)),
            "{}",
            reply.text()
        );
        let sent = endpoint.fake.requests.lock().unwrap().last().cloned().expect("a request");
        assert!(sent.contains(&params), "{sent}");
    }
}

#[tokio::test]
async fn s113_what_stands_in_structured_content_alone_is_seen_and_can_be_redacted() {
    let redact = Tailor {
        response: Box::new(|pass| {
            let text = String::from_utf8_lossy(pass.message.bytes()).into_owned();
            assert!(pass.message.result().and_then(|result| result.get("structuredContent")).is_some());
            Ok(Verdict::Next(Some(Arc::new(decode(text.replace("canary-5512", "***"))))))
        }),
        ..Tailor::default()
    };
    let endpoint = behind(redact, Policy::default()).await;
    let result = endpoint.result("tools/call", r#""name":"echo","arguments":{"k":"canary-5512"}"#).await;
    assert_eq!(result["structuredContent"]["got"]["k"], "***", "{result}");
}

#[tokio::test]
async fn s114_a_blocked_call_is_a_tool_error_that_holds_nothing_of_what_was_blocked() {
    let block = Tailor {
        request: Box::new(|_| {
            Ok(Verdict::Reject(Rejection {
                code: 1,
                message: "a secret may not leave".into(),
                as_tool_result: true,
                ..Rejection::default()
            }))
        }),
        ..Tailor::default()
    };
    let endpoint = behind(block, Policy::default()).await;
    let reply = endpoint.modern("1", "tools/call", r#""name":"echo","arguments":{"k":"canary-5512"}"#).await;
    let result = reply.json()["result"].clone();
    assert_eq!((reply.status, &result["isError"]), (200, &true.into()), "{}", reply.text());
    assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.contains("may not leave")), "{result}");
    assert!(!reply.text().contains("canary-5512") && endpoint.fake.called().is_empty());
}

#[tokio::test]
async fn s115_what_is_hidden_cannot_be_called_after_a_change_nor_in_a_round() {
    let upstream = Scripted::new("one", Era::Modern, |outbound| {
        let tool = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
        Ok(match outbound.message.method() {
            "tools/list" => tools(&[tool("open"), tool("secret")], r#","ttlMs":0,"cacheScope":"private""#),
            _ => r#""result":{"content":[],"resultType":"complete"}"#.into(),
        })
    });
    let endpoint = Rig::over(vec![upstream.clone()]).start().await;
    let shape = |_: &str, entry: &sluice_chain::catalogue::Entry| if *entry.name == *"secret" { Change::Hide } else { Change::Keep };
    endpoint.host.swap(Tailor { shape: Some(Box::new(shape)), ..Tailor::default() }.chain(Policy::default()));
    let ear = Ear::default();
    ear.attach(&endpoint.host);
    for more in ["", r#","requestState":"s","inputResponses":{"k":{"action":"accept"}}"#] {
        for _ in 0..2 {
            assert_eq!(endpoint.tool_names().await, ["open"]);
            endpoint.modern("1", "tools/call", &format!(r#""name":"secret"{more}"#)).await.is_error(200, -32602);
            endpoint.result("tools/call", r#""name":"open""#).await;
            let message = decode(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.into());
            let delivery = Delivery { message: Arc::new(message), spoken: Revision::V2026_07_28 };
            ear.unsolicited(Unsolicited { upstream: "one".into(), principal: Arc::new(Principal::local()), session: None, delivery });
        }
    }
    assert!(!upstream.targets("tools/call").contains(&"secret".to_owned()));
}

#[tokio::test]
async fn s116_a_filter_that_breaks_is_answered_as_the_operator_says_and_harms_no_other_request() {
    type Broken = fn() -> Fault;
    let faults: [Broken; 2] =
        [|| Fault::Trap("unreachable".into()), || Fault::Deadline { clock: "CPU", limit: std::time::Duration::from_millis(20) }];
    for (on_fault, passes) in [(OnFault::Refuse, false), (OnFault::Skip, true)] {
        for fault in faults {
            let breaks = Tailor {
                request: Box::new(move |pass| match pass.head.name.as_deref() {
                    Some("progress") => Err(fault()),
                    _ => Ok(Verdict::Next(None)),
                }),
                ..Tailor::default()
            };
            let endpoint = behind(breaks, Policy { on_fault, ..Policy::default() }).await;
            let reply = endpoint.modern("1", "tools/call", r#""name":"progress""#).await;
            assert_eq!(endpoint.fake.called().len(), usize::from(passes), "{on_fault:?}");
            if !passes {
                assert_eq!(reply.is_error(200, -32603)["error"]["data"]["reason"], "plugin_fault");
            }
            endpoint.is_well().await;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Passes,
    Denies,
    Breaks,
}

/// One that does this, and writes down that it was asked.
fn one_that(outcome: Outcome, name: &'static str, asked: &Arc<std::sync::Mutex<Vec<&'static str>>>) -> Tailor {
    let asked = asked.clone();
    Tailor {
        request: Box::new(move |_| {
            asked.lock().unwrap().push(name);
            match outcome {
                Outcome::Passes => Ok(Verdict::Next(None)),
                Outcome::Denies => Ok(Verdict::Reject(Rejection { code: 1, message: name.into(), ..Rejection::default() })),
                Outcome::Breaks => Err(Fault::Trap("unreachable".into())),
            }
        }),
        ..Tailor::default()
    }
}

/// Deny wins wherever it stands, a fault is a deny unless the operator says otherwise, and who comes first in the chain is
/// asked first.
#[tokio::test]
async fn every_pair_of_outcomes_in_every_fault_mode() {
    let outcomes = [Outcome::Passes, Outcome::Denies, Outcome::Breaks];
    let modes = [OnFault::Refuse, OnFault::Skip];
    let mut rows = 0;
    for (first, second) in outcomes.iter().flat_map(|first| outcomes.map(|second| (*first, second))) {
        for (on_first, on_second) in modes.iter().flat_map(|first| modes.map(|second| (*first, second))) {
            let asked = Arc::default();
            let endpoint = start().await;
            let link =
                |outcome, name, on_fault| Link::new(Arc::new(one_that(outcome, name, &asked)), Policy { on_fault, ..Policy::default() });
            endpoint.host.swap(vec![link(first, "first", on_first), link(second, "second", on_second)]);
            let reply = endpoint.modern("1", "tools/call", r#""name":"echo""#).await;
            let lets_pass = |outcome, mode| outcome == Outcome::Passes || outcome == Outcome::Breaks && mode == OnFault::Skip;
            let (past_first, past_second) = (lets_pass(first, on_first), lets_pass(second, on_second));
            let row = format!("{first:?} {on_first:?}, {second:?} {on_second:?}: {}", reply.text());
            assert_eq!(endpoint.fake.called().len(), usize::from(past_first && past_second), "{row}");
            let expected: &[&str] = if past_first { &["first", "second"] } else { &["first"] };
            assert_eq!(asked.lock().unwrap()[..], *expected, "{row}");
            assert_eq!(reply.json().get("result").is_some(), past_first && past_second, "{row}");
            if !past_first && first == Outcome::Denies || past_first && second == Outcome::Denies {
                let denier = if past_first { "second" } else { "first" };
                assert_eq!(reply.json()["error"]["message"], denier, "{row}");
            }
            rows += 1;
        }
    }
    println!("filters: {rows} rows of outcomes and modes");
}
