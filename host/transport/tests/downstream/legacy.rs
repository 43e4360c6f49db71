//! 2025-03-26 to 2025-11-25 over HTTP: sessions.

use crate::support::{Endpoint, Rig, decode, eventually, initialize, request, start};
use sluice_chain::{
    exchange::Delivery,
    gate::Access,
    upstream::{Listener, Unsolicited},
};
use sluice_wire::revision::{Era, Revision};
use std::sync::Arc;

const LIST: &str = r#"{"jsonrpc":"2.0","id":"l-1","method":"tools/list"}"#;

fn call(id: &str, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{"n":1.0}}}}}}"#)
}

#[tokio::test]
async fn s007_initialize_echoes_what_is_served_and_else_the_newest() {
    let endpoint = Rig::era(Era::Modern).start().await;
    for (asked, given) in [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2025-11-25"),
        ("1.0", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ] {
        // As the conformance suite does: with headers that a modern client would send, too.
        let reply = endpoint.post(&[("mcp-protocol-version", "2025-11-25"), ("mcp-method", "initialize")], &initialize(asked)).await;
        assert_eq!(reply.status, 200);
        let session = reply.header("mcp-session-id").expect("a session");
        assert!(session.len() >= 32 && session.bytes().all(|byte| byte.is_ascii_graphic()));
        let json = reply.json();
        assert_eq!((&json["id"], &json["result"]["protocolVersion"]), (&0.into(), &given.into()), "{asked}");
        assert_eq!(json["result"]["serverInfo"]["name"], "fake");
        assert_eq!(json["result"]["capabilities"]["tools"], serde_json::json!({}));
        assert!(json["result"].get("resultType").is_none());
    }
    assert_eq!(endpoint.fake.called(), Vec::<String>::new());
}

#[tokio::test]
async fn s092_a_session_runs_from_initialize_to_delete() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    let reply = endpoint.legacy(&session, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert_eq!((reply.status, reply.body.len()), (202, 0));
    let reply = endpoint.legacy(&session, &call("\"x\"", "echo")).await;
    assert_eq!(reply.text(), r#"{ "id" : "x","jsonrpc":"2.0","result":{"z":1.10,"content":[],"structuredContent":{"got":{"n":1.0}}}}"#);
    assert_eq!(endpoint.legacy(&session, LIST).await.json()["result"]["tools"].as_array().map(Vec::len), Some(11));
    let delete = request("DELETE", "/mcp", &[("mcp-session-id", &session)], b"");
    assert_eq!(endpoint.connect().await.ask(&delete).await.status, 204);
    eventually("upstreams forget it", || *endpoint.fake.forgotten.lock().unwrap() == [session.clone()]).await;
    endpoint.legacy(&session, LIST).await.is_error(404, 4040);
    assert_eq!(endpoint.connect().await.ask(&delete).await.status, 404);
}

/// A message of each verb in this session, or none.
async fn in_session(endpoint: &Endpoint, method: &str, session: &[(&str, &str)]) -> crate::support::Reply {
    let accept = if method == "GET" { "text/event-stream" } else { "application/json, text/event-stream" };
    let body = if method == "POST" { LIST.as_bytes() } else { b"" };
    endpoint.connect().await.ask(&request(method, "/mcp", &[&[("accept", accept)], session].concat(), body)).await
}

#[tokio::test]
async fn a_session_must_be_known() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    for method in ["POST", "GET", "DELETE"] {
        let unknown = in_session(&endpoint, method, &[("mcp-session-id", "00000000000000000000000000000000")]).await;
        unknown.is_error(404, 4040);
        for other in ["x", &session.to_uppercase(), &session[1..], &format!("{session}0"), "../../etc/passwd"] {
            let reply = in_session(&endpoint, method, &[("mcp-session-id", other)]).await;
            assert_eq!((reply.status, reply.headers.len()), (404, unknown.headers.len()), "{other}");
        }
    }
    assert_eq!(endpoint.legacy(&session, LIST).await.status, 200, "it is still there");
}

#[tokio::test]
async fn s090_a_session_must_be_named_once() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    for method in ["POST", "GET", "DELETE"] {
        in_session(&endpoint, method, &[]).await.is_error(400, -32600);
        in_session(&endpoint, method, &[("mcp-session-id", &session), ("mcp-session-id", &session)]).await.is_error(400, -32600);
    }
    assert_eq!(endpoint.legacy(&session, LIST).await.status, 200, "it is still there");
}

#[tokio::test]
async fn anonymous_clients_have_a_session_each() {
    let endpoint = Rig { access: Access::Anonymous, ..Rig::default() }.start().await;
    let (a, b) = (endpoint.initialize("2025-11-25").await, endpoint.initialize("2025-11-25").await);
    assert_ne!(a, b);
    for session in [&a, &b, &a] {
        assert_eq!(endpoint.legacy(session, &call("1", "echo")).await.status, 200);
    }
    let subjects: Vec<_> = endpoint.seen.ended.lock().unwrap().iter().map(|ended| ended.principal.subject.clone()).collect();
    assert_eq!((&subjects[0], subjects[0] == subjects[1]), (&subjects[2], false));
}

#[tokio::test]
async fn s091_the_version_header_is_checked_when_it_is_there() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-06-18").await;
    for (version, status) in [
        ("2025-06-18", 200),
        ("2025-03-26", 200),
        ("", 200),
        ("2026-07-28", 400),
        ("2024-11-05", 400),
        ("x", 400),
        ("2025-06-18, 2025-06-18", 400),
    ] {
        let reply = endpoint.post(&[("mcp-session-id", &session), ("mcp-protocol-version", version)], LIST).await;
        assert_eq!(reply.status, status, "{version}");
        if status == 400 {
            assert_eq!(reply.is_error(400, -32600)["id"], "l-1");
        }
    }
}

#[tokio::test]
async fn a_question_comes_on_the_stream_of_its_call_and_its_answer_goes_back() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    let mut connection = endpoint.connect().await;
    let headers = [("mcp-session-id", &*session), ("accept", "application/json, text/event-stream"), ("content-type", "application/json")];
    connection.send(&request("POST", "/mcp", &headers, call("7", "ask").as_bytes())).await;
    let (status, _) = connection.head().await.expect("a head");
    assert_eq!(status, 200);
    assert!(is_primer(&text(connection.chunk().await)));
    let mut event = async || -> serde_json::Value {
        let event = text(connection.chunk().await);
        serde_json::from_str(event.split_once("data: ").expect("data").1).expect("JSON")
    };
    let mut ids = Vec::new();
    for (method, answer) in
        [("elicitation/create", r#""result":{"action":"accept","x":1.0}"#), ("roots/list", r#""error":{"code":-1,"message":"no"}"#)]
    {
        let question = event().await;
        assert_eq!((&question["method"], &question["params"]), (&method.into(), &serde_json::json!({"n":1.0})));
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{},{answer}}}"#, question["id"]);
        assert_eq!(endpoint.legacy(&session, &answer).await.status, 202);
        // Once more, and from another session: it is too late, and nobody else's.
        assert_eq!(endpoint.legacy(&session, &answer).await.status, 202);
        ids.push(question["id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    let last = event().await;
    assert_eq!((&last["id"], &last["result"]["answers"][0]["result"]["x"]), (&7.into(), &1.0.into()));
    assert_eq!(last["result"]["answers"][1]["error"]["code"], -1);
}

#[tokio::test]
async fn a_client_is_told_which_question_nobody_waits_for_any_more() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-06-18").await;
    let events = endpoint.legacy(&session, &call("7", "hasty")).await.events();
    let methods: Vec<_> = events.iter().map(|event| event["method"].as_str().unwrap_or_default()).collect();
    assert_eq!(methods, ["elicitation/create", "notifications/cancelled", ""], "{events:?}");
    assert_eq!((&events[1]["params"]["requestId"], &events[2]["id"]), (&events[0]["id"], &7.into()));
}

#[tokio::test]
async fn s084_ping_is_answered_here() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    let reply = endpoint.legacy(&session, r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).await;
    assert_eq!(reply.text(), r#"{"jsonrpc":"2.0","id":"p","result":{}}"#);
    assert_eq!(*endpoint.fake.calls.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn unknown_methods_are_errors_and_never_404() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    for method in ["unknown/method", "server/discover", "tasks/list", "sampling/createMessage", "subscriptions/listen", "initialized"] {
        let reply = endpoint.legacy(&session, &format!(r#"{{"jsonrpc":"2.0","id":3,"method":"{method}"}}"#)).await;
        assert_eq!(reply.is_error(200, -32601)["id"], 3, "{method}");
    }
}

#[tokio::test]
async fn s085_a_modern_upstream_answers_in_legacy_form() {
    let endpoint = Rig::era(Era::Modern).start().await;
    let session = endpoint.initialize("2025-06-18").await;
    for body in [LIST.to_owned(), call("1", "echo")] {
        let text = endpoint.legacy(&session, &body).await.text();
        for word in ["resultType", "ttlMs", "cacheScope", "io.modelcontextprotocol/"] {
            assert!(!text.contains(word), "{text}");
        }
    }
    endpoint.is_well().await;
}

#[tokio::test]
async fn progress_reaches_the_client_before_the_answer() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    let reply = endpoint
        .legacy(&session, r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"progress","_meta":{"progressToken":7}}}"#)
        .await;
    let events = reply.events();
    assert_eq!(
        events.iter().map(|event| event["params"]["progressToken"].clone()).collect::<Vec<_>>(),
        [7.into(), 7.into(), 7.into(), serde_json::Value::Null]
    );
    assert_eq!(events[3]["id"], 9);
}

#[tokio::test]
async fn leaving_before_a_stream_has_begun_is_not_cancelling() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    let mut connection = endpoint.connect().await;
    connection.send(&request("POST", "/mcp", &[("mcp-session-id", &session)], call("5", "held").as_bytes())).await;
    eventually("it runs", || endpoint.fake.called().len() == 1).await;
    drop(connection);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    // Its id stays taken for as long as it runs …
    assert_eq!(endpoint.legacy(&session, &call("5", "echo")).await.is_error(400, -32600)["id"], 5);
    assert_eq!(*endpoint.fake.cancelled.lock().unwrap(), Vec::<String>::new());
    endpoint.fake.release.notify_one();
    eventually("it ends by itself", || endpoint.host.running() == 0).await;
    // … and is free afterwards.
    eventually("the answer is thrown away", || endpoint.seen.ended.lock().unwrap().len() == 1).await;
    assert_eq!(endpoint.legacy(&session, &call("5", "echo")).await.status, 200);
}

/// A call that is quiet becomes a stream soon.
async fn soon_a_stream() -> Endpoint {
    Rig::default().settings(|settings| settings.limits.commit_after = std::time::Duration::from_millis(20)).start().await
}

/// Begins a call and reads the first event of its stream.
async fn begin(endpoint: &Endpoint, session: &str, id: &str, tool: &str) -> (crate::support::Connection, String) {
    let mut connection = endpoint.connect().await;
    connection.send(&request("POST", "/mcp", &[("mcp-session-id", session)], call(id, tool).as_bytes())).await;
    assert_eq!(connection.head().await.map(|(status, _)| status), Some(200));
    let first = text(connection.chunk().await);
    (connection, first)
}

async fn resume(endpoint: &Endpoint, session: &str, last: &str) -> crate::support::Reply {
    let headers = [("mcp-session-id", session), ("accept", "text/event-stream"), ("last-event-id", last)];
    endpoint.connect().await.ask(&request("GET", "/mcp", &headers, b"")).await
}

#[tokio::test]
async fn s082_a_call_outlives_its_stream_and_its_answer_is_replayed() {
    let endpoint = soon_a_stream().await;
    let session = endpoint.initialize("2025-11-25").await;
    let (connection, first) = begin(&endpoint, &session, "5", "held").await;
    let (other, _) = begin(&endpoint, &session, "6", "slow").await;
    drop(connection);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(*endpoint.fake.cancelled.lock().unwrap(), Vec::<String>::new());
    // Once before the answer, and once after it.
    let place = id_of(&first);
    let early = resume(&endpoint, &session, &place);
    let answer = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        endpoint.fake.release.notify_one();
    };
    let (early, ()) = tokio::join!(early, answer);
    let late = resume(&endpoint, &session, &place).await;
    for reply in [&early, &late] {
        let answers: Vec<_> = reply.events().iter().map(|event| event["id"].clone()).collect();
        assert_eq!((reply.status, answers), (200, vec![5.into()]), "{}", reply.text());
    }
    assert_eq!(early.text(), late.text(), "the same event, under the same id");
    drop(other);
}

#[tokio::test]
async fn s095_only_the_newest_legacy_revision_is_primed() {
    let endpoint = soon_a_stream().await;
    for (version, primed) in [("2025-11-25", true), ("2025-06-18", false), ("2025-03-26", false)] {
        let session = endpoint.initialize(version).await;
        let (mut connection, first) = begin(&endpoint, &session, "5", "held").await;
        assert_eq!((is_primer(&first), first == ":\n\n"), (primed, !primed), "{version}: {first}");
        endpoint.fake.release.notify_one();
        let answer = text(connection.chunk().await);
        assert!(answer.starts_with("id: c") && answer.contains(r#""id":5"#) || answer.contains(r#""id" : 5"#), "{answer}");
        let mut own = listen(&endpoint, &session).await;
        push(&endpoint, &session, "one");
        let first = text(own.chunk().await);
        assert_eq!((is_primer(&first), first.contains("\"one\"")), (primed, !primed), "{version}: {first}");
    }
}

#[tokio::test]
async fn a_place_that_means_nothing_here_is_refused_and_the_session_lives() {
    let endpoint = soon_a_stream().await;
    let session = endpoint.initialize("2025-11-25").await;
    let other = endpoint.initialize("2025-11-25").await;
    let (_connection, first) = begin(&endpoint, &session, "5", "held").await;
    let place = id_of(&first);
    for (session, last) in [(&session, "c9-0"), (&session, "nonsense"), (&other, &*place)] {
        resume(&endpoint, session, last).await.is_error(400, -32600);
    }
    endpoint.fake.release.notify_one();
    assert_eq!(endpoint.legacy(&session, LIST).await.status, 200);
}

#[tokio::test]
async fn s083_cancelled_stops_the_call_and_no_answer_is_sent() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    for leaves_first in [false, true] {
        let mut connection = endpoint.connect().await;
        connection.send(&request("POST", "/mcp", &[("mcp-session-id", &session)], call("\"5\"", "slow").as_bytes())).await;
        eventually("it runs", || endpoint.host.running() == 1).await;
        let connection = (!leaves_first).then_some(connection);
        for id in ["5", "\"6\"", "null", "{}"] {
            let wrong = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
            assert_eq!(endpoint.legacy(&session, &wrong).await.status, 202);
        }
        assert_eq!(endpoint.host.running(), 1, "only its own id cancels it");
        let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"\u0035"}}"#;
        assert_eq!(endpoint.legacy(&session, cancel).await.status, 202);
        eventually("it stops", || endpoint.host.running() == 0).await;
        if let Some(mut connection) = connection {
            let reply = connection.reply().await.expect("the request is closed");
            assert_eq!((reply.status, reply.body.len()), (200, 0));
        }
    }
}

#[tokio::test]
async fn another_session_cannot_cancel_it() {
    let endpoint = start().await;
    let (a, b) = (endpoint.initialize("2025-11-25").await, endpoint.initialize("2025-11-25").await);
    let mut connection = endpoint.connect().await;
    connection.send(&request("POST", "/mcp", &[("mcp-session-id", &a)], call("5", "held").as_bytes())).await;
    eventually("it runs", || endpoint.host.running() == 1).await;
    endpoint.legacy(&b, r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#).await;
    assert_eq!(endpoint.legacy(&b, &call("5", "echo")).await.status, 200, "the same id in another session is another request");
    endpoint.fake.release.notify_one();
    assert_eq!(connection.reply().await.map(|reply| reply.json()["id"].clone()), Some(5.into()));
}

fn text(chunk: Option<Vec<u8>>) -> String {
    String::from_utf8(chunk.expect("an event")).expect("UTF-8")
}

/// An id, a wish when to come back, and no data.
fn is_primer(event: &str) -> bool {
    let lines: Vec<_> = event.lines().collect();
    matches!(lines[..], [id, "retry: 1000", "data: ", ""] if id.starts_with("id: "))
}

fn id_of(event: &str) -> String {
    event.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned()
}

async fn listen(endpoint: &Endpoint, session: &str) -> crate::support::Connection {
    let mut stream = endpoint.connect().await;
    stream.send(&request("GET", "/mcp", &[("mcp-session-id", session), ("accept", "text/event-stream")], b"")).await;
    let (status, headers) = stream.head().await.expect("a stream");
    assert_eq!(status, 200);
    assert!(headers.contains(&("content-type".into(), "text/event-stream".into())));
    assert!(headers.contains(&("x-accel-buffering".into(), "no".into())));
    stream
}

/// As an upstream would that has something to say to this session.
fn push(endpoint: &Endpoint, session: &str, text: &str) {
    let ear = sluice_chain::host::Ear::default();
    ear.attach(&endpoint.host);
    let message = format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":"{text}"}}}}"#);
    ear.unsolicited(Unsolicited {
        upstream: "fake".into(),
        principal: Arc::new(sluice_chain::principal::Principal::local()),
        session: Some(session.into()),
        delivery: Delivery { message: Arc::new(decode(message)), spoken: Revision::V2025_11_25 },
    });
}

#[tokio::test]
async fn a_stream_gets_what_was_said_before_it_and_hands_over_to_the_next() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-06-18").await;
    let other = endpoint.initialize("2025-06-18").await;
    push(&endpoint, &session, "one");
    let mut first = listen(&endpoint, &session).await;
    let mut elsewhere = listen(&endpoint, &other).await;
    let event = |chunk: Option<Vec<u8>>| String::from_utf8(chunk.expect("an event")).expect("UTF-8");
    assert!(event(first.chunk().await).contains("\"one\""));
    let mut second = listen(&endpoint, &session).await;
    assert_eq!(first.chunk().await, None, "the older stream ends");
    push(&endpoint, &session, "two");
    push(&endpoint, &other, "three");
    assert!(event(second.chunk().await).contains("\"two\""));
    assert!(event(elsewhere.chunk().await).contains("\"three\""), "and nothing of the other session");
    let delete = request("DELETE", "/mcp", &[("mcp-session-id", &session)], b"");
    assert_eq!(endpoint.connect().await.ask(&delete).await.status, 204);
    assert_eq!(second.chunk().await, None, "a stream ends with its session");
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive() {
    let endpoint = Rig::default().settings(|settings| settings.limits.comment_after = std::time::Duration::from_millis(50)).start().await;
    let session = endpoint.initialize("2025-06-18").await;
    let mut stream = listen(&endpoint, &session).await;
    for _ in 0..2 {
        assert_eq!(stream.chunk().await.as_deref(), Some(&b":\n\n"[..]));
    }
}

#[tokio::test]
async fn delete_cancels_what_runs_in_the_session() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    let mut connection = endpoint.connect().await;
    connection.send(&request("POST", "/mcp", &[("mcp-session-id", &session)], call("5", "slow").as_bytes())).await;
    eventually("it runs", || endpoint.host.running() == 1).await;
    endpoint.connect().await.ask(&request("DELETE", "/mcp", &[("mcp-session-id", &session)], b"")).await;
    eventually("it stops", || endpoint.host.running() == 0).await;
}

#[tokio::test]
async fn s087_a_batch_of_2025_03_26_is_answered_in_one() {
    let endpoint = start().await;
    let old = endpoint.initialize("2025-03-26").await;
    let batch = format!(
        "[{},{},{},{}]",
        call("1", "echo"),
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#,
        call("\"1\"", "progress")
    );
    let reply = endpoint.post(&[("mcp-session-id", &old)], &batch).await;
    let answers = reply.json();
    assert_eq!(
        answers.as_array().expect("one array").iter().map(|answer| answer["id"].clone()).collect::<Vec<_>>(),
        [1.into(), "p".into(), serde_json::Value::from("1")]
    );
    assert_eq!(endpoint.fake.called().len(), 2);
    let reply = endpoint.post(&[("mcp-session-id", &old)], r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#).await;
    assert_eq!((reply.status, reply.body.len()), (202, 0));

    let too_many = format!("[{}]", vec![call("1", "echo"); 51].join(","));
    let nested = format!("[[{}]]", call("1", "echo"));
    let opening = format!("[{}]", initialize("2025-03-26"));
    let one_bad = format!("[{},{}]", call("1", "echo"), r#"{"jsonrpc":"2.0","id":2}"#);
    for bad in ["[]", &too_many, &nested, &opening, &one_bad, "[1]"] {
        endpoint.post(&[("mcp-session-id", &old)], bad).await.is_error(400, -32600);
    }
    assert_eq!(endpoint.fake.called().len(), 2, "nothing of a refused batch was started");
}

#[tokio::test]
async fn s088_later_revisions_have_no_batches() {
    let endpoint = start().await;
    let batch = format!("[{},{}]", call("1", "echo"), call("2", "echo"));
    for version in ["2025-06-18", "2025-11-25"] {
        let session = endpoint.initialize(version).await;
        endpoint.post(&[("mcp-session-id", &session)], &batch).await.is_error(400, -32600);
    }
    endpoint.post(&[], &batch).await.is_error(400, -32600);
    assert_eq!(endpoint.fake.called().len(), 0, "nothing of a refused batch was started");
}

#[tokio::test]
async fn late_answers_of_a_client_are_taken_and_forgotten() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    for text in [r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#] {
        assert_eq!(endpoint.legacy(&session, text).await.status, 202);
        endpoint.post(&[], text).await.is_error(400, -32600);
    }
}

#[tokio::test]
async fn sessions_are_bounded() {
    let endpoint = Rig::default().settings(|settings| settings.limits.sessions_per_principal_max = 2).start().await;
    let first = endpoint.initialize("2025-11-25").await;
    for _ in 0..2 {
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        endpoint.initialize("2025-11-25").await;
    }
    endpoint.legacy(&first, LIST).await.is_error(404, 4040);
    eventually("upstreams forget it", || *endpoint.fake.forgotten.lock().unwrap() == [first.clone()]).await;
}

#[tokio::test]
async fn a_malformed_opening_is_refused() {
    let endpoint = start().await;
    for params in ["{}", r#"{"protocolVersion":5}"#, r#"{"protocolVersion":"2025-11-25","capabilities":1}"#] {
        let reply = endpoint.post(&[], &format!(r#"{{"jsonrpc":"2.0","id":"i","method":"initialize","params":{params}}}"#)).await;
        assert_eq!(reply.is_error(400, -32602)["id"], "i");
        assert_eq!(reply.header("mcp-session-id"), None);
    }
}
