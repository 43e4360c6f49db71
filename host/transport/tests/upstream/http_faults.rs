//! Servers that break: what the caller is told, and that nothing runs twice.

use crate::{
    http_modern::upstream,
    support::{
        Asker, Ear,
        server::{Act, Acts, Fake, Seen, error, events, json_body, legacy, modern, respond, result, stream_head},
        value,
    },
};
use serde_json::{Value, json};
use sluice_chain::upstream::{Health, Upstream, UpstreamError};
use sluice_transport::upstream::{
    CallLimits, EraChoice,
    http::{Http, HttpSettings},
};
use sluice_wire::{
    json::Limits,
    revision::{Era, Revision},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

fn ok(seen: &Seen) -> Acts {
    result(seen, json!({"resultType":"complete"}))
}

/// What a modern call to a server that does this ends in, and how often it was called.
async fn outcome(rest: impl Fn(&Seen) -> Acts + Send + Sync + 'static) -> (Result<Value, UpstreamError>, usize) {
    let fake = Fake::start(modern(rest)).await;
    let (answer, _) = Asker::modern().tool("t", json!({})).send(&upstream(&fake)).await;
    let calls = fake.trace().iter().filter(|method| *method == "tools/call").count();
    (answer.map(|inbound| value(&inbound.response)), calls)
}

#[tokio::test]
async fn each_fault_has_its_error_and_no_call_is_repeated() {
    type Case = (&'static str, fn(&Seen) -> Acts, fn(&UpstreamError) -> bool);
    let cases: Vec<Case> = vec![
        ("closes at once", |_| vec![Act::Close], |e| matches!(e, UpstreamError::ClosedEarly { .. })),
        (
            "closes in the head",
            |_| vec![Act::Write("HTTP/1.1 200 O".into()), Act::Close],
            |e| matches!(e, UpstreamError::ClosedEarly { .. }),
        ),
        (
            "closes in the body",
            |_| vec![Act::Write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{".into()), Act::Close],
            |e| matches!(e, UpstreamError::ClosedEarly { .. }),
        ),
        ("closes in the stream", |_| vec![stream_head(), Act::Close], |e| matches!(e, UpstreamError::ClosedEarly { .. })),
        ("speaks no HTTP", |_| vec![Act::Write("hello\n".into()), Act::Close], |e| matches!(e, UpstreamError::ClosedEarly { .. })),
        ("answers 500", |_| respond(500, "", "oops"), |e| matches!(e, UpstreamError::BadReply { .. })),
        ("answers 503", |_| respond(503, "", ""), |e| matches!(e, UpstreamError::Unreachable { .. })),
        ("answers 502", |_| respond(502, "", ""), |e| matches!(e, UpstreamError::ClosedEarly { .. })),
        ("answers 401", |_| respond(401, "www-authenticate: Bearer\r\n", ""), |e| matches!(e, UpstreamError::Unauthorized { status: 401 })),
        ("answers 403", |_| respond(403, "", ""), |e| matches!(e, UpstreamError::Unauthorized { status: 403 })),
        ("redirects", |_| respond(307, "location: http://169.254.169.254/\r\n", ""), |e| matches!(e, UpstreamError::BadReply { .. })),
        ("sends HTML", |_| respond(200, "content-type: text/html\r\n", "<p>"), |e| matches!(e, UpstreamError::BadReply { .. })),
        ("accepts only", |_| respond(202, "", ""), |e| matches!(e, UpstreamError::BadReply { .. })),
        (
            "compresses",
            |_| respond(200, "content-type: application/json\r\ncontent-encoding: gzip\r\n", "xx"),
            |e| matches!(e, UpstreamError::BadReply { .. }),
        ),
        (
            "answers another id",
            |_| json_body(200, &json!({"jsonrpc":"2.0","id":424242,"result":{}})),
            |e| matches!(e, UpstreamError::BadReply { .. }),
        ),
        (
            "answers a string id",
            |s| json_body(200, &json!({"jsonrpc":"2.0","id":s.id().to_string(),"result":{}})),
            |e| matches!(e, UpstreamError::BadReply { .. }),
        ),
        (
            "repeats a key",
            |s| {
                respond(
                    200,
                    "content-type: application/json\r\n",
                    &format!(r#"{{"jsonrpc":"2.0","id":{0},"result":{{"a":1,"a":2}}}}"#, s.id()),
                )
            },
            |e| matches!(e, UpstreamError::BadReply { .. }),
        ),
        (
            "sends a notification",
            |_| json_body(200, &json!({"jsonrpc":"2.0","method":"x"})),
            |e| matches!(e, UpstreamError::BadReply { .. }),
        ),
        (
            "streams another id only",
            |_| events(&[json!({"jsonrpc":"2.0","id":424242,"result":{}})]),
            |e| matches!(e, UpstreamError::ClosedEarly { .. }),
        ),
        (
            "sends too many headers",
            |_| respond(200, &"x-pad: 1\r\n".repeat(200), ""),
            |e| matches!(e, UpstreamError::ClosedEarly { .. } | UpstreamError::TooLarge { .. }),
        ),
        (
            "sends large headers",
            |_| respond(200, &format!("x-pad: {}\r\n", "a".repeat(40_000)), ""),
            |e| matches!(e, UpstreamError::TooLarge { limit_bytes: 32_768 }),
        ),
    ];
    for (name, acts, is_expected) in cases {
        let (answer, calls) = outcome(acts).await;
        let error = answer.expect_err(name);
        assert!(is_expected(&error), "{name}: {error:?}");
        assert_eq!(calls, 1, "{name}");
    }
}

#[tokio::test]
async fn c26_errors_with_a_message_are_answers_whatever_their_status() {
    for (status, code) in [(400, -32020), (400, -32602), (404, -32601), (400, -32021), (500, -32603)] {
        let (answer, calls) = outcome(move |seen| error(seen, status, code, json!({"x":1}))).await;
        assert_eq!((answer.unwrap()["error"]["code"].clone(), calls), (json!(code), 1), "{status} {code}");
    }
}

#[tokio::test]
async fn a_modern_error_without_an_id_is_ours() {
    let (answer, calls) =
        outcome(|_| json_body(400, &json!({"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"m","data":{"a":1.0}}}))).await;
    let answer = answer.unwrap();
    assert_eq!((answer["error"].clone(), calls), (json!({"code":-32020,"message":"m","data":{"a":1.0}}), 1));
    assert!(answer["id"].is_u64());
}

#[tokio::test]
async fn an_answer_over_the_cap_is_refused_before_it_is_read() {
    let fake = Fake::start(modern(|seen| {
        let big = "x".repeat(200_000);
        match seen.tool() {
            "stream" => events(&[json!({"jsonrpc":"2.0","id":seen.id(),"result":{"t":big}})]),
            _ => result(seen, json!({"t":big})),
        }
    }))
    .await;
    let mut settings = HttpSettings::new("fake", fake.url.clone());
    settings.call = CallLimits { response: Limits { bytes_max: 100_000, ..Limits::RESPONSE }, ..CallLimits::default() };
    let upstream = Http::upstream(settings, Arc::new(Ear::default())).unwrap();
    for tool in ["json", "stream"] {
        let error = Asker::modern().tool(tool, json!({})).fail(&upstream).await;
        assert!(matches!(error, UpstreamError::TooLarge { limit_bytes: 100_000 }), "{tool}: {error}");
    }
}

#[tokio::test]
async fn an_idle_connection_that_died_is_not_noticed_by_the_next_call() {
    let fake = Fake::start(modern(|seen| {
        let mut acts = ok(seen);
        if seen.tool() == "last" {
            acts.push(Act::Close);
        }
        acts
    }))
    .await;
    let upstream = upstream(&fake);
    for tool in ["last", "a", "last", "a"] {
        Asker::modern().tool(tool, json!({})).answer(&upstream).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fake.trace().iter().filter(|method| *method == "tools/call").count(), 4);
}

#[tokio::test]
async fn a_list_may_be_asked_again_when_a_kept_connection_breaks_and_a_call_may_not() {
    for (method, params, calls) in [("tools/list", json!({}), 2), ("tools/call", json!({"name":"t"}), 1)] {
        let first = AtomicBool::new(true);
        let fake = Fake::start(modern(move |seen| if first.swap(false, SeqCst) { vec![Act::Close] } else { ok(seen) })).await;
        let (answer, _) = Asker::modern().request(method, params).send(&upstream(&fake)).await;
        assert_eq!(answer.is_ok(), calls == 2, "{method}");
        assert_eq!(fake.trace().iter().filter(|seen| *seen == method).count(), calls, "{method}");
    }
}

#[tokio::test]
async fn nobody_at_the_door_is_unreachable_and_then_left_alone_for_a_while() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let upstream = Http::upstream(HttpSettings::new("gone", url), Arc::new(Ear::default())).unwrap();
    assert_eq!(upstream.health(), Health::Unknown);
    for _ in 0..5 {
        let error = Asker::modern().tool("t", json!({})).fail(&upstream).await;
        assert!(matches!(error, UpstreamError::Unreachable { .. }), "{error}");
    }
    let error = Asker::modern().tool("t", json!({})).fail(&upstream).await;
    assert!(matches!(error, UpstreamError::Resting { .. }), "{error}");
    assert!(matches!(upstream.health(), Health::Down(_)));
}

// Which era a server speaks.

#[tokio::test]
async fn s008_a_refusal_that_lists_only_legacy_versions_leads_to_initialize() {
    let old = legacy(json!({"tools":{}}), ok);
    let fake = Fake::start(move |seen| match seen.method() {
        "server/discover" => error(seen, 400, -32022, json!({"supported":["2025-11-25"],"requested":"2026-07-28"})),
        _ => old(seen),
    })
    .await;
    Asker::modern().tool("t", json!({})).answer(&upstream(&fake)).await;
    assert_eq!(fake.trace(), ["server/discover", "initialize", "notifications/initialized", "tools/call"]);
}

#[tokio::test]
async fn s009_a_discover_result_that_lists_only_legacy_versions_means_legacy() {
    let old = legacy(json!({"tools":{}}), ok);
    let fake = Fake::start(move |seen| match seen.method() {
        "server/discover" => result(seen, json!({"supportedVersions":["2025-11-25","2025-06-18"],"capabilities":{}})),
        _ => old(seen),
    })
    .await;
    let (answer, _) = Asker::modern().tool("t", json!({})).send(&upstream(&fake)).await;
    assert_eq!(answer.unwrap().response.spoken, Revision::V2025_11_25);
}

#[tokio::test]
async fn s010_an_inconclusive_probe_is_not_remembered() {
    for (status, expected) in [(401, "refused our credentials"), (503, "cannot be reached"), (500, "outside the protocol")] {
        let probes = AtomicUsize::new(0);
        let then = modern(ok);
        let fake = Fake::start(move |seen| match seen.method() {
            "server/discover" if probes.fetch_add(1, SeqCst) == 0 => respond(status, "", ""),
            _ => then(seen),
        })
        .await;
        let upstream = upstream(&fake);
        let error = Asker::modern().tool("t", json!({})).fail(&upstream).await;
        assert!(error.to_string().contains(expected), "{status}: {error}");
        Asker::modern().tool("t", json!({})).answer(&upstream).await;
        assert_eq!(fake.trace(), ["server/discover", "server/discover", "tools/call"], "{status}");
    }
    // A probe that is never answered.
    let (probes, then) = (AtomicUsize::new(0), modern(ok));
    let fake = Fake::start(move |seen| match seen.method() {
        "server/discover" if probes.fetch_add(1, SeqCst) == 0 => vec![Act::Hold],
        _ => then(seen),
    })
    .await;
    let settings = HttpSettings { opening: Duration::from_millis(200), ..HttpSettings::new("fake", fake.url.clone()) };
    let upstream = Http::upstream(settings, Arc::new(Ear::default())).unwrap();
    Asker::modern().tool("t", json!({})).fail(&upstream).await;
    Asker::modern().tool("t", json!({})).answer(&upstream).await;
    assert_eq!(fake.trace(), ["server/discover", "server/discover", "tools/call"], "a timeout");
}

#[tokio::test]
async fn s011_a_server_that_became_legacy_is_probed_once_more_and_the_call_completes() {
    let is_old = Arc::new(AtomicBool::new(false));
    let (new, old, switch) = (modern(ok), legacy(json!({"tools":{}}), ok), is_old.clone());
    let fake = Fake::start(move |seen| if switch.load(SeqCst) { old(seen) } else { new(seen) }).await;
    let upstream = upstream(&fake);
    Asker::modern().tool("t", json!({})).answer(&upstream).await;
    is_old.store(true, SeqCst);
    Asker::modern().tool("t", json!({})).answer(&upstream).await;
    let expected =
        ["server/discover", "tools/call", "tools/call", "server/discover", "initialize", "notifications/initialized", "tools/call"];
    assert_eq!(fake.trace(), expected);
}

#[tokio::test]
async fn a_server_that_became_modern_serves_legacy_clients_on() {
    let is_new = Arc::new(AtomicBool::new(false));
    let (new, old, switch) = (modern(ok), legacy(json!({"tools":{}}), ok), is_new.clone());
    let fake = Fake::start(move |seen| match switch.load(SeqCst) {
        false => old(seen),
        true if seen.header("mcp-method").is_empty() => error(seen, 400, -32020, Value::Null),
        true => new(seen),
    })
    .await;
    let upstream = upstream(&fake);
    let asker = Asker::legacy("c1");
    asker.tool("t", json!({})).answer(&upstream).await;
    is_new.store(true, SeqCst);
    let (answer, _) = asker.tool("t", json!({})).send(&upstream).await;
    assert_eq!(answer.unwrap().response.spoken, Revision::V2026_07_28);
}

#[tokio::test]
async fn a_server_that_refuses_what_it_offers_is_not_asked_for_ever() {
    let fake = Fake::start(modern(|seen| error(seen, 400, -32022, json!({"supported":["2026-07-28"]})))).await;
    let error = Asker::modern().tool("t", json!({})).fail(&upstream(&fake)).await;
    assert!(matches!(error, UpstreamError::BadReply { .. }), "{error}");
    assert_eq!(fake.trace(), ["server/discover", "tools/call", "server/discover", "tools/call"]);
}

#[tokio::test]
async fn s014_a_server_of_both_eras_is_spoken_to_in_the_clients_own() {
    let (new, old) = (modern(ok), legacy(json!({"tools":{}}), ok));
    let fake = Fake::start(move |seen| if seen.header("mcp-method").is_empty() { old(seen) } else { new(seen) }).await;
    let upstream = upstream(&fake);
    let (legacy, _) = Asker::legacy("c1").tool("t", json!({})).send(&upstream).await;
    let (modern, _) = Asker::modern().tool("t", json!({})).send(&upstream).await;
    assert_eq!(legacy.unwrap().response.spoken, Revision::V2025_11_25);
    assert_eq!(modern.unwrap().response.spoken, Revision::V2026_07_28);
    assert_eq!(fake.trace(), ["initialize", "notifications/initialized", "tools/call", "server/discover", "tools/call"]);
}

#[tokio::test]
async fn s073_a_legacy_client_is_told_what_a_modern_server_discovers() {
    let fake = Fake::start(modern(ok)).await;
    let upstream = upstream(&fake);
    // A server that no legacy client has spoken to yet may be of both eras, so the first one tries its own.
    Asker::legacy("c0").tool("t", json!({})).send(&upstream).await.0.unwrap();
    let before = fake.trace();
    let asker = Asker::new(Revision::V2025_06_18, Some("c1"), "{}");
    let facts = upstream.facts(Era::Legacy, &asker.client, &asker.principal).await.unwrap();
    assert_eq!((facts.era, facts.revision), (Era::Modern, Revision::V2026_07_28));
    assert!(serde_json::from_slice::<Value>(&facts.capabilities).unwrap()["tools"].is_object());
    assert_eq!(before, ["initialize", "server/discover", "tools/call"]);
    assert_eq!(fake.trace(), before, "what is known is told without an initialize");
}

#[tokio::test]
async fn s074_what_a_session_knew_stands_on_every_modern_request() {
    let fake = Fake::start(modern(ok)).await;
    let upstream = upstream(&fake);
    let asker = Asker::new(Revision::V2025_06_18, Some("c1"), r#"{"elicitation":{},"experimental":{"e":{}}}"#);
    asker.request("tools/list", json!({"cursor":"x","unknown":1})).answer(&upstream).await;
    let seen = fake.last("tools/list");
    let meta = &seen.body["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({"elicitation":{},"experimental":{"e":{}}}));
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "asker");
    assert_eq!((&seen.body["params"]["cursor"], &seen.body["params"]["unknown"]), (&json!("x"), &json!(1)));
    assert_eq!((seen.header("mcp-method"), seen.header("mcp-protocol-version")), ("tools/list", "2026-07-28"));
}

#[tokio::test]
async fn s080_a_level_is_on_every_request_after_it_was_set_and_on_none_before() {
    let fake = Fake::start(modern(ok)).await;
    let upstream = upstream(&fake);
    let asker = Asker::new(Revision::V2025_06_18, Some("c1"), "{}");
    asker.tool("t", json!({})).answer(&upstream).await;
    assert!(fake.last("tools/call").body["params"]["_meta"].get("io.modelcontextprotocol/logLevel").is_none());
    asker.logging("info").tool("t", json!({})).answer(&upstream).await;
    let seen = fake.last("tools/call");
    assert_eq!(seen.body["params"]["_meta"]["io.modelcontextprotocol/logLevel"], "info");
    assert_eq!(seen.header("mcp-name"), "t");
}

#[tokio::test]
async fn the_operators_word_on_the_era_counts() {
    let (new, old) = (modern(ok), legacy(json!({"tools":{}}), ok));
    let fake = Fake::start(move |seen| if seen.header("mcp-method").is_empty() { old(seen) } else { new(seen) }).await;
    for (choice, spoken) in [(EraChoice::Legacy, Era::Legacy), (EraChoice::Modern, Era::Modern)] {
        let mut settings = HttpSettings::new("fake", fake.url.clone());
        settings.era = choice;
        let upstream = Http::upstream(settings, Arc::new(Ear::default())).unwrap();
        for asker in [Asker::legacy("c1"), Asker::modern()] {
            let (answer, _) = asker.tool("t", json!({})).send(&upstream).await;
            assert_eq!(answer.unwrap().response.spoken.era(), spoken, "{choice:?}");
        }
    }
}

#[tokio::test]
async fn many_first_calls_probe_once() {
    let fake = Fake::start(modern(ok)).await;
    let upstream = upstream(&fake);
    let asker = Asker::modern();
    futures_util::future::join_all((0..20).map(|_| asker.tool("t", json!({})).answer(&upstream))).await;
    assert_eq!(fake.trace().iter().filter(|method| *method == "server/discover").count(), 1);
}
