//! Modern servers over HTTP: headers, spans, streams, cancelling.

use crate::support::{
    Asker, Ear, eventually,
    server::{Act, Fake, Seen, event, events, modern, result, stream_head},
    value,
};
use serde_json::{Value, json};
use sluice_chain::upstream::{Health, Upstream, UpstreamError};
use sluice_transport::upstream::{
    CallLimits,
    http::{Http, HttpSettings, HttpUpstream, UrlError},
};
use sluice_wire::{
    header::{Annotation, Scalar},
    revision::{Era, Revision},
};
use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

pub fn upstream(fake: &Fake) -> HttpUpstream {
    Http::upstream(HttpSettings::new("fake", fake.url.clone()), Arc::new(Ear::default())).unwrap()
}

fn echo(seen: &Seen) -> Vec<Act> {
    result(seen, json!({"resultType":"complete","content":[{"type":"text","text":seen.text}]}))
}

#[tokio::test]
async fn a_modern_call_differs_only_in_its_id() {
    let fake = Fake::start(modern(echo)).await;
    let upstream = upstream(&fake);
    let text = concat!(
        r#"{ "jsonrpc":"2.0", "id" : "Zürich\u0041", "method":"tools/call","params":{"arguments":{"n":1.0,"big":9007199254740993,"s":"a\u0000b"},"#,
        r#""name":"echo","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"#,
        r#""progressToken":1.50,"com.example/x":[1e2]},"extra":{ } } ,"unknown":null}"#
    );
    let (answer, _) = Asker::modern().raw(text).send(&upstream).await;
    let seen = fake.last("tools/call");
    assert_eq!(seen.text, text.replace(r#""Zürich\u0041""#, &seen.id().to_string()));
    assert_eq!(answer.unwrap().response.spoken, Revision::V2026_07_28);
}

#[tokio::test]
async fn s117_vendor_meta_passes_both_ways_and_a_trace_goes_on_under_our_span() {
    let fake = Fake::start(modern(|seen| result(seen, json!({"resultType":"complete","_meta":{"com.example/answer":[1.5,"x"]}})))).await;
    let upstream = upstream(&fake);
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let meta = json!({"traceparent": format!("00-{trace}-{parent}-01"), "tracestate": "a=b", "com.example/asked": {"n": [1]}});
    let (answer, _) = Asker::modern().request("tools/call", json!({"name":"t","_meta":meta})).send(&upstream).await;
    let sent = fake.last("tools/call").body["params"]["_meta"].clone();
    assert_eq!((&sent["com.example/asked"], &sent["tracestate"]), (&json!({"n": [1]}), &json!("a=b")));
    // The span is the exchange's own id, which logs and errors show.
    assert_eq!(sent["traceparent"], format!("00-{trace}-{:016x}-01", 1));
    assert_eq!(value(&answer.unwrap().response)["result"]["_meta"], json!({"com.example/answer":[1.5,"x"]}));
    for no_trace in ["00-a-b-01", "", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] {
        Asker::modern().request("tools/call", json!({"name":"t","_meta":{"traceparent": no_trace}})).answer(&upstream).await;
        assert_eq!(fake.last("tools/call").body["params"]["_meta"]["traceparent"], no_trace);
    }
}

#[tokio::test]
async fn what_can_be_carried_is_declared_upstream() {
    let fake = Fake::start(modern(echo)).await;
    let capabilities = r#"{"elicitation":{"url":{}},"sampling":{},"roots":{},"tasks":{},"experimental":{"a":1}}"#;
    Asker::new(Revision::V2026_07_28, None, capabilities).tool("echo", json!({})).answer(&upstream(&fake)).await;
    let seen = fake.last("tools/call");
    let declared = &seen.body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(*declared, json!({"elicitation":{"url":{}},"sampling":{},"roots":{},"experimental":{"a":1}}));
}

#[tokio::test]
async fn s025_headers_follow_from_the_body_that_leaves() {
    let fake = Fake::start(modern(echo)).await;
    let mut settings = HttpSettings::new("fake", fake.url.clone());
    settings.headers.push((http::header::AUTHORIZATION, http::HeaderValue::from_static("Bearer ours")));
    let upstream = Http::upstream(settings, Arc::new(Ear::default())).unwrap();
    let annotation = Annotation { header: "Region".into(), path: vec!["where".into(), "region".into()], kind: Scalar::String };
    let mut asked = Asker::modern().tool("exposed_name", json!({"where":{"region":"zürich"}}));
    asked.outbound.unknown_params = vec![("foo".into(), "bar".into())];
    asked.mirrored(vec![annotation]).renamed("héllo").answer(&upstream).await;

    let seen = fake.last("tools/call");
    assert_eq!(seen.tool(), "héllo");
    let expected = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "=?base64?aMOpbGxv?="),
        ("mcp-param-region", "=?base64?esO8cmljaA==?="),
        ("mcp-param-foo", "bar"),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("authorization", "Bearer ours"),
        ("host", fake.url.authority().unwrap().as_str()),
    ];
    for (name, value) in expected {
        assert_eq!(seen.header(name), value, "{name}");
    }
    for absent in ["origin", "mcp-session-id", "cookie"] {
        assert_eq!(seen.header(absent), "", "{absent}");
    }
}

#[tokio::test]
async fn s022_an_absent_or_null_argument_has_no_header() {
    let fake = Fake::start(modern(echo)).await;
    let annotation = Annotation { header: "X".into(), path: vec!["x".into()], kind: Scalar::String };
    let upstream = upstream(&fake);
    for (arguments, sent) in [(json!({"x":null}), None), (json!({}), None), (json!({"x":"y"}), Some("y"))] {
        Asker::modern().tool("t", arguments).mirrored(vec![annotation.clone()]).answer(&upstream).await;
        assert_eq!(fake.last("tools/call").headers.get("mcp-param-x").map(String::as_str), sent);
    }
}

#[tokio::test]
async fn a_modern_client_is_served_modern_as_the_discover_list_says() {
    let fake = Fake::start(modern(echo)).await;
    let upstream = upstream(&fake);
    let asker = Asker::modern();
    let facts = upstream.facts(Era::Modern, &asker.client, &asker.principal).await.unwrap();
    assert_eq!((facts.era, facts.info.as_deref()), (Era::Modern, Some(br#"{"name":"fake","version":"1"}"#.as_slice())));
    asker.tool("echo", json!({})).answer(&upstream).await;
    asker.tool("echo", json!({})).answer(&upstream).await;
    assert_eq!(fake.trace(), ["server/discover", "tools/call", "tools/call"]);
    assert_eq!(upstream.health(), Health::Up);
}

#[tokio::test]
async fn calls_one_after_another_share_a_connection() {
    let fake = Fake::start(modern(|seen| match seen.tool() {
        "stream" => events(&[json!({"jsonrpc":"2.0","id":seen.id(),"result":{}})]),
        _ => echo(seen),
    }))
    .await;
    let upstream = upstream(&fake);
    for tool in ["a", "stream", "a", "stream", "stream", "a"] {
        Asker::modern().tool(tool, json!({})).answer(&upstream).await;
        // The end of a stream may come a moment after its last message.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(fake.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn notifications_come_in_order_before_the_answer_and_progress_rises() {
    let fake = Fake::start(modern(|seen| {
        let progress =
            |token: Value, n: f64| json!({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":token,"progress":n}});
        let log = |level: &str| json!({"jsonrpc":"2.0","method":"notifications/message","params":{"level":level,"data":1}});
        let token = seen.progress_token();
        events(&[
            progress(token.clone(), 1.0),
            progress(json!("foreign"), 2.0),
            progress(token.clone(), 1.0),
            log("debug"),
            log("error"),
            progress(token.clone(), 2.5),
            json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed"}),
            json!({"jsonrpc":"2.0","id":99999,"result":{"stray":true}}),
            json!({"jsonrpc":"2.0","id":7,"method":"roots/list"}),
            json!({"jsonrpc":"2.0","id":seen.id(),"result":{"mine":true}}),
            progress(token, 9.0),
            json!({"jsonrpc":"2.0","id":seen.id(),"result":{"mine":"twice"}}),
        ])
    }))
    .await;
    let upstream = upstream(&fake);
    let meta = json!({"progressToken":"tok","io.modelcontextprotocol/logLevel":"warning"});
    let asked = Asker::modern().request("tools/call", json!({"name":"t","_meta":meta}));
    let (answer, heard) = asked.send(&upstream).await;
    assert_eq!(value(&answer.unwrap().response)["result"], json!({"mine":true}));
    let heard: Vec<_> = heard.iter().map(|one| (one["params"]["progress"].clone(), one["params"]["level"].clone())).collect();
    assert_eq!(heard, [(json!(1.0), Value::Null), (Value::Null, json!("error")), (json!(2.5), Value::Null)]);
    assert_eq!(upstream.counters().read().dropped, 6);
}

#[tokio::test]
async fn s066_without_a_token_no_progress_and_without_a_level_no_logs() {
    let fake = Fake::start(modern(|seen| {
        events(&[
            json!({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":seen.id(),"progress":1}}),
            json!({"jsonrpc":"2.0","method":"notifications/message","params":{"level":"emergency","data":1}}),
            json!({"jsonrpc":"2.0","id":seen.id(),"result":{}}),
        ])
    }))
    .await;
    let (answer, heard) = Asker::modern().tool("t", json!({})).send(&upstream(&fake)).await;
    assert!(answer.is_ok() && heard.is_empty(), "{heard:?}");
    assert!(fake.last("tools/call").progress_token().is_null(), "no token is made up");
}

#[tokio::test]
async fn a_cancelled_modern_call_closes_its_stream() {
    let fake = Fake::start(modern(|_| vec![stream_head(), event(&json!({"jsonrpc":"2.0","method":"x/y"})), Act::Hold])).await;
    let upstream = upstream(&fake);
    let asked = Asker::modern().tool("slow", json!({}));
    let cancel = asked.cancel.clone();
    let calling = asked.fail(&upstream);
    let cancelling = async {
        eventually("the call", || fake.trace().contains(&"tools/call".to_owned())).await;
        cancel.cancel();
    };
    let (error, ()) = tokio::join!(calling, cancelling);
    assert!(matches!(error, UpstreamError::Cancelled), "{error}");
    eventually("the closing", || fake.left.load(SeqCst) == 1).await;
    assert!(!fake.trace().contains(&"notifications/cancelled".to_owned()), "modern core has no such message");
}

#[tokio::test]
async fn a_silent_call_ends_at_its_limit_and_progress_extends_it() {
    let fake = Fake::start(modern(|seen| {
        let step = |n: u32| event(&json!({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":n}}));
        let mut acts = vec![stream_head()];
        for n in 0..4 {
            acts.extend([Act::Pause(Duration::from_millis(150)), step(n)]);
        }
        acts.push(if seen.tool() == "ends" { event(&json!({"jsonrpc":"2.0","id":seen.id(),"result":{}})) } else { Act::Hold });
        acts
    }))
    .await;
    let mut settings = HttpSettings::new("fake", fake.url.clone());
    let (silent_max, total_max) = (Duration::from_millis(300), Duration::from_millis(2000));
    settings.call = CallLimits { silent_max, total_max, ..CallLimits::default() };
    let upstream = Http::upstream(settings, Arc::new(Ear::default())).unwrap();
    let ask = |tool: &str| Asker::modern().request("tools/call", json!({"name":tool,"_meta":{"progressToken":"t"}}));
    ask("ends").answer(&upstream).await;
    let error = ask("hangs").fail(&upstream).await;
    assert!(matches!(error, UpstreamError::Deadline { limit } if limit == silent_max), "{error}");
}

#[test]
fn an_https_url_needs_somebody_to_trust() {
    let settings = HttpSettings::new("fake", http::Uri::from_static("https://example.com/mcp"));
    let error = Http::new(settings, Arc::new(Ear::default())).err().unwrap();
    assert_eq!(error, UrlError::Untrusted);
}
