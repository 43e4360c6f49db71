//! Legacy servers over HTTP: sessions, the session's own stream, resuming, cancelling.

use crate::{
    http_modern::upstream,
    support::{
        Asker, Ear, eventually,
        server::{Act, Acts, Fake, Seen, chunk, event, events, json_body, last_chunk, legacy, respond, result, stream_head},
    },
};
use serde_json::{Value, json};
use sluice_chain::upstream::{Upstream, UpstreamError};
use sluice_transport::upstream::{
    CallLimits,
    http::{Http, HttpSettings},
};
use sluice_wire::{
    json::Limits,
    revision::{Era, Revision},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

fn tools() -> Value {
    json!({"tools":{}})
}

fn echo(seen: &Seen) -> Acts {
    match seen.verb.as_str() {
        "POST" => result(seen, json!({"content":[],"token":seen.progress_token()})),
        _ => respond(405, "", ""),
    }
}

#[tokio::test]
async fn a_legacy_call_differs_only_in_its_id() {
    let fake = Fake::start(legacy(tools(), echo)).await;
    let text = r#"{"jsonrpc":"2.0", "id":1,"method":"tools/call","params":{"name":"echo","_meta":{"com.example/x":1.0},"arguments":{"n":1e40}, "task":{}}}"#;
    let (answer, _) = Asker::legacy("c1").raw(text).send(&upstream(&fake)).await;
    assert_eq!(answer.unwrap().response.spoken, Revision::V2025_11_25);
    let seen = fake.last("tools/call");
    assert_eq!(seen.text, text.replace(r#""id":1,"#, &format!(r#""id":{},"#, seen.id())));
    assert_eq!((seen.header("mcp-session-id"), seen.header("mcp-protocol-version")), ("s1", "2025-11-25"));
    assert_eq!((seen.header("mcp-method"), seen.header("mcp-name")), ("", ""));
}

#[tokio::test]
async fn the_upstream_is_offered_the_clients_own_revision_and_identity() {
    let fake = Fake::start(legacy(tools(), echo)).await;
    Asker::new(Revision::V2025_03_26, Some("c1"), r#"{"roots":{"listChanged":true},"experimental":{}}"#)
        .tool("echo", json!({}))
        .answer(&upstream(&fake))
        .await;
    let offered = fake.last("initialize").body["params"].clone();
    assert_eq!(
        offered,
        json!({"protocolVersion":"2025-03-26","capabilities":{"roots":{},"experimental":{}},"clientInfo":{"name":"asker","version":"1"}})
    );
    assert_eq!(fake.last("tools/call").header("mcp-protocol-version"), "", "2025-03-26 has no such header");
}

#[tokio::test]
async fn s046_a_modern_client_gets_a_session_once() {
    let fake = Fake::start(legacy(tools(), echo)).await;
    let upstream = upstream(&fake);
    for _ in 0..2 {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","traceparent":"00-a-b-01","io.modelcontextprotocol/clientCapabilities":{},"v/x":1.0}}}"#;
        let (answer, _) = Asker::modern().raw(text).send(&upstream).await;
        assert_eq!(answer.unwrap().response.spoken, Revision::V2025_11_25);
    }
    let legacy_part: Vec<_> = fake.trace().into_iter().filter(|method| method != "server/discover").collect();
    assert_eq!(legacy_part, ["initialize", "notifications/initialized", "tools/call", "tools/call"]);
    assert_eq!(fake.trace().iter().filter(|method| *method == "server/discover").count(), 1);
    let seen = fake.last("tools/call");
    assert!(seen.text.contains(r#""_meta":{"traceparent":"00-a-b-01","v/x":1.0}"#), "{}", seen.text);
    assert_eq!(fake.last("initialize").body["params"]["clientInfo"]["name"], "sluice");
}

#[tokio::test]
async fn s047_two_principals_have_two_sessions() {
    let fake = Fake::start(legacy(tools(), echo)).await;
    let upstream = upstream(&fake);
    let mut sessions = Vec::new();
    for subject in ["alice", "bob", "alice"] {
        Asker::modern().named(subject).tool("echo", json!({})).answer(&upstream).await;
        sessions.push(fake.last("tools/call").header("mcp-session-id").to_owned());
    }
    assert_eq!(sessions, ["s1", "s2", "s1"]);
    // The same session name means nothing in another principal's mouth.
    for subject in ["alice", "bob"] {
        Asker::legacy("same").named(subject).tool("echo", json!({})).answer(&upstream).await;
        sessions.push(fake.last("tools/call").header("mcp-session-id").to_owned());
    }
    assert_eq!(sessions[3..], ["s3", "s4"]);
}

#[tokio::test]
async fn s048_two_capability_sets_have_two_sessions() {
    let fake = Fake::start(legacy(tools(), echo)).await;
    let upstream = upstream(&fake);
    let mut sessions = Vec::new();
    for capabilities in ["{}", r#"{"experimental":{"x":{}}}"#, "{}"] {
        Asker::new(Revision::V2026_07_28, None, capabilities).tool("echo", json!({})).answer(&upstream).await;
        sessions.push(fake.last("tools/call").header("mcp-session-id").to_owned());
    }
    assert_eq!(sessions, ["s1", "s2", "s1"]);
    let declared: Vec<_> =
        fake.seen().iter().filter(|seen| seen.method() == "initialize").map(|seen| seen.body["params"]["capabilities"].clone()).collect();
    assert_eq!(declared, [json!({}), json!({"experimental":{"x":{}}})]);
}

#[tokio::test]
async fn s062_a_forgotten_session_is_opened_anew_and_the_refused_call_sent_once_more() {
    let calls = AtomicUsize::new(0);
    let fake = Fake::start(legacy(json!({"logging":{},"tools":{}}), move |seen| {
        let is_old = seen.header("mcp-session-id") == "s1";
        match seen.method() {
            "tools/call" if is_old && calls.fetch_add(1, SeqCst) > 0 => {
                json_body(404, &json!({"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}))
            }
            _ => echo(seen),
        }
    }))
    .await;
    let upstream = upstream(&fake);
    let asker = Asker::legacy("c1");
    asker.tool("echo", json!({})).answer(&upstream).await;
    let asker = asker.logging("warning");
    let (before, answer) = (fake.trace().len(), asker.tool("echo", json!({})).answer(&upstream).await);
    assert!(answer["result"].is_object(), "{answer}");
    let after: Vec<_> = fake.trace().into_iter().skip(before).filter(|method| method != "GET").collect();
    let expected = ["logging/setLevel", "tools/call", "initialize", "notifications/initialized", "logging/setLevel", "tools/call"];
    assert_eq!(after, expected);
    assert_eq!(fake.last("logging/setLevel").body["params"]["level"], "warning");
    assert_eq!(fake.last("initialize").header("mcp-session-id"), "");
    assert_eq!(upstream.counters().read().sessions_lost, 1);
}

#[tokio::test]
async fn a_server_that_forgets_every_session_is_not_asked_for_ever() {
    let fake = Fake::start(legacy(tools(), |_| respond(404, "", ""))).await;
    let error = Asker::legacy("c1").tool("echo", json!({})).fail(&upstream(&fake)).await;
    assert!(matches!(error, UpstreamError::BadReply { .. }), "{error}");
    assert_eq!(fake.trace().iter().filter(|method| *method == "tools/call").count(), 2);
}

#[tokio::test]
async fn a_restart_between_calls_is_not_noticed() {
    let fresh = || {
        let (known, server) = (AtomicBool::new(false), legacy(tools(), echo));
        move |seen: &Seen| match seen.method() {
            "initialize" => {
                known.store(true, SeqCst);
                server(seen)
            }
            _ if known.load(SeqCst) => server(seen),
            _ => respond(404, "", ""),
        }
    };
    let mut fake = Fake::start(fresh()).await;
    let (upstream, asker) = (upstream(&fake), Asker::legacy("c1"));
    asker.tool("echo", json!({})).answer(&upstream).await;
    for _ in 0..3 {
        fake = fake.restart(fresh()).await;
        let answer = asker.tool("echo", json!({})).answer(&upstream).await;
        assert!(answer["result"].is_object(), "{answer}");
        assert_eq!(fake.trace(), ["tools/call", "initialize", "notifications/initialized", "tools/call"], "refused, then run once");
    }
}

#[tokio::test]
async fn an_unknown_method_under_404_is_an_answer_and_not_a_lost_session() {
    let fake = Fake::start(legacy(tools(), |seen| crate::support::server::error(seen, 404, -32601, Value::Null))).await;
    let answer = Asker::legacy("c1").request("prompts/list", json!({})).answer(&upstream(&fake)).await;
    assert_eq!(answer["error"]["code"], -32601);
    assert_eq!(fake.trace(), ["initialize", "notifications/initialized", "prompts/list"]);
}

#[tokio::test]
async fn progress_tokens_on_a_shared_session_are_ours_upstream_and_the_clients_downstream() {
    let fake = Fake::start(legacy(tools(), |seen| {
        let progress =
            |token: Value| json!({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":token,"progress":1,"x":1.0}});
        events(&[progress(seen.progress_token()), progress(json!("stolen")), json!({"jsonrpc":"2.0","id":seen.id(),"result":{}})])
    }))
    .await;
    let upstream = upstream(&fake);
    let ask = |token: Value| Asker::modern().request("tools/call", json!({"name":"t","_meta":{"progressToken":token}})).send(&upstream);
    let ((first, one), (second, two)) = tokio::join!(ask(json!("same")), ask(json!(7)));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(one.iter().map(|n| n["params"]["progressToken"].clone()).collect::<Vec<_>>(), [json!("same")]);
    assert_eq!(two.iter().map(|n| n["params"]["progressToken"].clone()).collect::<Vec<_>>(), [json!(7)]);
    let sent: Vec<_> = fake.seen().iter().filter(|seen| seen.method() == "tools/call").map(Seen::progress_token).collect();
    assert!(sent[0] != sent[1] && sent.iter().all(Value::is_u64), "{sent:?}");
}

#[tokio::test]
async fn s064_a_modern_clients_log_level_reaches_the_session_and_only_its_own_stream() {
    let fake = Fake::start(legacy(json!({"tools":{},"logging":{}}), |seen| match seen.method() {
        "tools/call" => {
            let log = |level: &str| json!({"jsonrpc":"2.0","method":"notifications/message","params":{"level":level,"data":1}});
            events(&[log("info"), log("warning"), log("error"), json!({"jsonrpc":"2.0","id":seen.id(),"result":{}})])
        }
        _ => echo(seen),
    }))
    .await;
    let upstream = upstream(&fake);
    let ask = |meta: Value| Asker::modern().request("tools/call", json!({"name":"t","_meta":meta})).send(&upstream);
    let (_, heard) = ask(json!({"io.modelcontextprotocol/logLevel":"warning"})).await;
    assert_eq!(heard.iter().map(|one| one["params"]["level"].clone()).collect::<Vec<_>>(), [json!("warning"), json!("error")]);
    let (_, heard) = ask(json!({})).await;
    assert!(heard.is_empty(), "{heard:?}");
    let levels: Vec<_> =
        fake.seen().iter().filter(|s| s.method() == "logging/setLevel").map(|s| s.body["params"]["level"].clone()).collect();
    assert_eq!(levels, [json!("warning")]);
}

#[tokio::test]
async fn s070_a_hang_up_after_a_priming_event_is_resumed_no_sooner_than_the_server_wants() {
    let asked_id = Arc::new(Mutex::new(Value::Null));
    let fake = Fake::start(legacy(tools(), move |seen| match (seen.verb.as_str(), seen.header("last-event-id")) {
        ("POST", _) => {
            *asked_id.lock().unwrap() = seen.id();
            vec![stream_head(), chunk("id: e1\nretry: 500\ndata:\n\n"), last_chunk()]
        }
        // It hangs up once more, and wants to be asked again sooner.
        (_, "e1") => vec![stream_head(), chunk("id: e2\nretry: 50\ndata:\n\n"), last_chunk()],
        (_, "e2") => events(&[json!({"jsonrpc":"2.0","id":*asked_id.lock().unwrap(),"result":{"late":true}})]),
        _ => respond(405, "", ""),
    }))
    .await;
    let answer = Asker::legacy("c1").tool("t", json!({})).answer(&upstream(&fake)).await;
    assert_eq!(answer["result"]["late"], true);
    let seen = fake.seen();
    let posted = seen.iter().find(|one| one.method() == "tools/call").unwrap();
    let resumed: Vec<_> = seen.iter().filter(|one| one.verb == "GET").collect();
    assert!(resumed[0].at - posted.at >= Duration::from_millis(500));
    assert_eq!((resumed[0].header("mcp-session-id"), resumed.len()), ("s1", 2));
}

#[tokio::test]
async fn a_stream_that_ends_without_a_place_to_resume_fails_the_call() {
    let fake = Fake::start(legacy(tools(), |seen| match seen.verb.as_str() {
        "POST" => vec![stream_head(), last_chunk()],
        _ => respond(405, "", ""),
    }))
    .await;
    let error = Asker::legacy("c1").tool("t", json!({})).fail(&upstream(&fake)).await;
    assert!(matches!(error, UpstreamError::ClosedEarly { .. }), "{error}");
}

#[tokio::test]
async fn a_cancelled_legacy_call_is_told_so_under_our_id() {
    let fake = Fake::start(legacy(tools(), |seen| match seen.verb.as_str() {
        "POST" => vec![stream_head(), Act::Hold],
        _ => respond(405, "", ""),
    }))
    .await;
    let upstream = upstream(&fake);
    let asked = Asker::legacy("c1").tool("slow", json!({}));
    let cancel = asked.cancel.clone();
    let cancelling = async {
        eventually("the call", || fake.trace().contains(&"tools/call".to_owned())).await;
        cancel.cancel();
    };
    let (error, ()) = tokio::join!(asked.fail(&upstream), cancelling);
    assert!(matches!(error, UpstreamError::Cancelled), "{error}");
    eventually("the cancellation", || fake.trace().contains(&"notifications/cancelled".to_owned())).await;
    let told = fake.last("notifications/cancelled");
    assert_eq!(told.body["params"]["requestId"], fake.last("tools/call").id());
    assert_eq!(told.header("mcp-session-id"), "s1");
}

#[tokio::test]
async fn a_call_that_breaks_off_here_is_not_left_to_go_on_there() {
    let cases: [(&str, fn() -> Acts); 3] = [
        ("its stream ends", || vec![stream_head(), last_chunk()]),
        ("it says too much", || vec![stream_head(), event(&json!({"jsonrpc":"2.0","method":"a/b","params":{"t":"x".repeat(200_000)}}))]),
        ("it only accepts", || respond(202, "", "")),
    ];
    for (name, acts) in cases {
        let fake = Fake::start(legacy(tools(), move |seen| if seen.verb == "POST" { acts() } else { respond(405, "", "") })).await;
        let mut settings = HttpSettings::new("fake", fake.url.clone());
        settings.call = CallLimits { response: Limits { bytes_max: 100_000, ..Limits::RESPONSE }, ..CallLimits::default() };
        let upstream = Http::upstream(settings, Arc::new(Ear::default())).unwrap();
        Asker::legacy("c1").tool("t", json!({})).fail(&upstream).await;
        eventually(name, || fake.trace().contains(&"notifications/cancelled".to_owned())).await;
        let told = fake.last("notifications/cancelled");
        assert_eq!((&told.body["params"]["requestId"], told.header("mcp-session-id")), (&fake.last("tools/call").id(), "s1"), "{name}");
    }
}

#[tokio::test]
async fn what_was_not_declared_is_refused_and_a_ping_answered() {
    let fake = Fake::start(legacy(tools(), |seen| match seen.verb.as_str() {
        "POST" => events(&[
            json!({"jsonrpc":"2.0","id":"q1","method":"roots/list"}),
            json!({"jsonrpc":"2.0","id":"q2","method":"ping"}),
            json!({"jsonrpc":"2.0","id":seen.id(),"result":{}}),
        ]),
        _ => respond(405, "", ""),
    }))
    .await;
    let upstream = upstream(&fake);
    Asker::legacy("c1").tool("t", json!({})).answer(&upstream).await;
    let answers = || -> Vec<Value> {
        fake.seen().into_iter().filter(|seen| seen.body.get("method").is_none() && seen.verb == "POST").map(|seen| seen.body).collect()
    };
    eventually("both answers", || answers().len() == 2).await;
    let find = |id: &str| answers().into_iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!((find("q1")["error"]["code"].clone(), find("q2")["result"].clone()), (json!(-32601), json!({})));
}

#[tokio::test]
async fn the_sessions_own_stream_reaches_the_client_it_belongs_to() {
    let fake = Fake::start(legacy(json!({"tools":{"listChanged":true}}), |seen| match seen.verb.as_str() {
        "GET" => vec![
            stream_head(),
            event(&json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed"})),
            event(&json!({"jsonrpc":"2.0","id":1,"result":{"forged":true}})),
            Act::Hold,
        ],
        _ => echo(seen),
    }))
    .await;
    let ear = Arc::new(Ear::default());
    let upstream = Http::upstream(HttpSettings::new("fake", fake.url.clone()), ear.clone()).unwrap();
    Asker::legacy("c1").tool("t", json!({})).answer(&upstream).await;
    eventually("the change", || ear.heard() == [(Some("c1".to_owned()), "notifications/tools/list_changed".to_owned())]).await;

    upstream.forget_session("c1").await;
    assert!(fake.trace().contains(&"DELETE".to_owned()));
    eventually("the end of the stream", || fake.left.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn the_sessions_own_stream_is_opened_again_where_it_broke_off() {
    let fake = Fake::start(legacy(json!({"logging":{}}), |seen| match (seen.verb.as_str(), seen.header("last-event-id")) {
        ("GET", "") => vec![stream_head(), chunk("retry: 200\nid: 7\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"a/b\"}\n\n"), last_chunk()],
        ("GET", "7") => vec![stream_head(), event(&json!({"jsonrpc":"2.0","method":"c/d"})), Act::Hold],
        _ => echo(seen),
    }))
    .await;
    let ear = Arc::new(Ear::default());
    let upstream = Http::upstream(HttpSettings::new("fake", fake.url.clone()), ear.clone()).unwrap();
    Asker::legacy("c1").tool("t", json!({})).answer(&upstream).await;
    eventually("both", || ear.heard().iter().map(|(_, method)| method.as_str()).eq(["a/b", "c/d"])).await;
    let opened: Vec<_> = fake.seen().into_iter().filter(|seen| seen.verb == "GET").map(|seen| seen.at).collect();
    assert!(opened[1] - opened[0] >= Duration::from_millis(200));
}

#[tokio::test]
async fn progress_on_the_sessions_own_stream_finds_its_call() {
    let given = Arc::new(Mutex::new(None::<Value>));
    let fake = Fake::start(legacy(json!({"logging":{}}), move |seen| match seen.verb.as_str() {
        // Opened once before the call and, after a hang-up, again while it runs.
        "GET" => match given.lock().unwrap().clone() {
            None => vec![stream_head(), chunk("retry: 20\n\n"), last_chunk()],
            Some(token) => {
                let progress =
                    |token: Value| json!({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":token,"progress":1}});
                vec![stream_head(), event(&progress(token)), event(&progress(json!(424_242))), Act::Hold]
            }
        },
        _ => {
            *given.lock().unwrap() = Some(seen.progress_token());
            let mut acts = vec![stream_head(), Act::Pause(Duration::from_millis(1500))];
            acts.extend([event(&json!({"jsonrpc":"2.0","id":seen.id(),"result":{}})), last_chunk()]);
            acts
        }
    }))
    .await;
    let asked = Asker::legacy("c1").request("tools/call", json!({"name":"t","_meta":{"progressToken":"mine"}}));
    let (answer, heard) = asked.send(&upstream(&fake)).await;
    assert!(answer.is_ok());
    assert_eq!(heard.iter().map(|one| one["params"]["progressToken"].clone()).collect::<Vec<_>>(), [json!("mine")]);
}

#[tokio::test]
async fn a_server_without_a_stream_of_its_own_is_asked_once() {
    let fake = Fake::start(legacy(json!({"tools":{"listChanged":true}}), echo)).await;
    let upstream = upstream(&fake);
    let asker = Asker::legacy("c1");
    for _ in 0..3 {
        asker.tool("t", json!({})).answer(&upstream).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fake.trace().iter().filter(|method| *method == "GET").count(), 1);
}

#[tokio::test]
async fn facts_are_those_of_the_initialize_result() {
    let fake = Fake::start(legacy(json!({"tools":{},"x":1.0}), echo)).await;
    let asker = Asker::legacy("c1");
    let facts = upstream(&fake).facts(Era::Legacy, &asker.client, &asker.principal).await.unwrap();
    assert_eq!((facts.era, facts.revision), (Era::Legacy, Revision::V2025_11_25));
    assert_eq!(facts.capabilities, r#"{"tools":{},"x":1.0}"#);
}

#[tokio::test]
async fn what_is_a_request_in_one_era_only_does_not_cross() {
    let fake = Fake::start(legacy(tools(), echo)).await;
    let error = Asker::modern().request("resources/subscribe", json!({})).fail(&upstream(&fake)).await;
    assert!(matches!(&error, UpstreamError::CannotCross { era: Era::Legacy, method } if method == "resources/subscribe"), "{error}");
    assert!(!fake.trace().contains(&"resources/subscribe".to_owned()));
}
