//! Credentials and addresses: whose they are, and where they never go.

#[path = "../upstream/support/server.rs"]
#[allow(dead_code, reason = "the upstream tests use the rest of it")]
pub mod server;

use crate::support::{Endpoint, Log, Rig, Tailor, modern_body, modern_headers, request};
use serde_json::json;
use server::{Fake, modern, respond, result};
use sluice_chain::{
    filter::{Authentication, Verdict},
    generation::Policy,
    principal::Principal,
    verdict::Rejection,
};
use sluice_transport::upstream::http::{Http, HttpSettings};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;

async fn over(fake: &Fake) -> Endpoint {
    let upstream = Http::upstream(HttpSettings::new("fake", fake.url.clone()), Arc::new(sluice_chain::host::Ear::default()));
    Rig::over(vec![Arc::new(upstream.expect("a URL"))]).start().await
}

fn listing(seen: &server::Seen) -> server::Acts {
    let tools = json!([{"name":"t","inputSchema":{"type":"object"}}]);
    result(seen, json!({"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":tools,"content":[]}))
}

fn challenge(status: u16, header: &str) -> Rejection {
    let http_headers = vec![("www-authenticate".into(), header.into())];
    Rejection { code: 1, message: "no".into(), http_status: Some(status), http_headers, ..Rejection::default() }
}

/// A place where nobody may come.
async fn trap() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    (format!("http://{}/.well-known/oauth-protected-resource", listener.local_addr().expect("an address")), listener)
}

async fn nobody_came(trap: TcpListener) {
    assert!(tokio::time::timeout(Duration::from_millis(200), trap.accept()).await.is_err(), "somebody fetched it");
}

#[tokio::test]
async fn s119_a_token_for_another_audience_is_401_and_reaches_nobody() {
    let endpoint = crate::support::start().await;
    let credential = |credential: &sluice_chain::filter::Credential| match credential.value.as_str() {
        "for-us" => Authentication::Identified(Principal::new("t", "alice", None), Duration::from_secs(60)),
        _ => Authentication::Challenge(challenge(401, "Bearer error=\"invalid_token\"")),
    };
    endpoint.host.swap(Tailor { credential: Box::new(credential), ..Tailor::default() }.chain(Policy::default()));
    for (token, status) in [("Bearer for-them", 401), ("Bearer for-us", 200), ("Bearer for-them", 401)] {
        let params = r#""name":"echo""#;
        let headers = [&modern_headers("tools/call", params)[..], &[("authorization", token)]].concat();
        let reply = endpoint.post(&headers, &modern_body("1", "tools/call", params)).await;
        assert_eq!((reply.status, reply.header("www-authenticate").is_some()), (status, status == 401), "{token}");
        let legacy = endpoint.post(&[("authorization", token)], &crate::support::initialize("2025-11-25")).await;
        assert_eq!(legacy.status, status, "{token}");
    }
    assert_eq!(endpoint.fake.called().len(), 1);
}

#[tokio::test]
async fn s120_too_little_scope_is_403_with_all_scopes_before_any_byte_of_a_stream() {
    let endpoint = crate::support::start().await;
    let scopes = r#"Bearer error="insufficient_scope", scope="read write", resource_metadata="https://gateway.example/x""#;
    let request = move |_: &sluice_chain::filter::Pass<'_>| Ok(Verdict::Reject(challenge(403, scopes)));
    endpoint.host.swap(Tailor { request: Box::new(request), ..Tailor::default() }.chain(Policy::default()));
    // The tool would stream.
    let reply = endpoint.modern("1", "tools/call", r#""name":"progress""#).await;
    assert_eq!((reply.status, reply.header("www-authenticate")), (403, Some(scopes)));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(endpoint.fake.called().is_empty());
}

#[tokio::test]
async fn s121_no_byte_of_a_callers_token_goes_on() {
    const CANARY: &str = "canary-token-41c2";
    let (log, _guard) = Log::start();
    let fake = Fake::start(modern(listing)).await;
    let endpoint = over(&fake).await;
    let inputs: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = inputs.clone();
    let watch = Tailor {
        credential: Box::new(|_| Authentication::Identified(Principal::new("t", "alice", None), Duration::from_secs(60))),
        request: Box::new(move |pass| {
            note.lock().unwrap().push(format!("{:?} {:?} {:?} {:?}", pass.head, pass.principal, pass.attributes, pass.message));
            Ok(Verdict::Next(None))
        }),
        ..Tailor::default()
    };
    endpoint.host.swap(watch.chain(Policy::default()));
    let token = format!("Bearer {CANARY}");
    let params = r#""name":"t""#;
    let headers = [&modern_headers("tools/call", params)[..], &[("authorization", &token)]].concat();
    let reply = endpoint.post(&headers, &modern_body("1", "tools/call", params)).await;
    assert!(reply.json()["result"].is_object(), "{}", reply.text());
    let session = endpoint.post(&[("authorization", &token)], &crate::support::initialize("2025-11-25")).await;
    let session = session.header("mcp-session-id").expect("a session").to_owned();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#;
    let ask = request("POST", "/mcp", &[("authorization", &token), ("mcp-session-id", &session)], call.as_bytes());
    assert!(endpoint.connect().await.ask(&ask).await.json()["result"].is_object());
    assert_eq!(inputs.lock().unwrap().len(), 2, "the control");
    let seen = fake.seen();
    assert!(seen.iter().filter(|seen| seen.method() == "tools/call").count() == 2, "the control");
    assert!(!seen.iter().any(|seen| format!("{seen:?}").contains(CANARY)), "upstream");
    assert!(!inputs.lock().unwrap().concat().contains(CANARY), "filters");
    assert_eq!(log.lines(&[CANARY]), Vec::<String>::new(), "log");
}

#[tokio::test]
async fn s123_what_an_upstreams_refusal_points_at_is_not_fetched() {
    for status in [401, 307] {
        let (url, trap) = trap().await;
        let fake = Fake::start(modern(move |seen| match (seen.method(), status) {
            ("tools/list", _) => listing(seen),
            (_, 401) => respond(401, &format!("www-authenticate: Bearer resource_metadata=\"{url}\"\r\n"), ""),
            _ => respond(307, &format!("location: {url}\r\n"), ""),
        }))
        .await;
        let endpoint = over(&fake).await;
        endpoint.modern("1", "tools/call", r#""name":"t""#).await.is_error(200, -32603);
        nobody_came(trap).await;
    }
}

#[tokio::test]
async fn s126_an_upstreams_challenge_stays_between_it_and_us() {
    let fake = Fake::start(modern(|seen| match seen.method() {
        "tools/list" => listing(seen),
        _ => respond(401, "www-authenticate: Bearer realm=\"canary-realm\"\r\n", ""),
    }))
    .await;
    let endpoint = over(&fake).await;
    let reply = endpoint.modern("1", "tools/call", r#""name":"t""#).await;
    assert_eq!(reply.is_error(200, -32603)["error"]["data"]["reason"], "upstream_unauthorized");
    assert_eq!(reply.header("www-authenticate"), None);
    assert!(!format!("{reply:?}").contains("canary-realm"));
}

#[tokio::test]
async fn s128_a_schema_leads_nowhere_and_is_bounded() {
    let (url, trap) = trap().await;
    let tools = json!([
        {"name":"remote","inputSchema":{"type":"object","properties":{"a":{"$ref":url},"b":{"$ref":"https://127.0.0.1/x"}}}},
        {"name":"cyclic","inputSchema":{"type":"object","properties":{"a":{"$ref":"#"}},"$defs":{"x":{"$ref":"#/$defs/x"}}},"x-mcp-header":0},
    ]);
    let fake =
        Fake::start(modern(move |seen| result(seen, json!({"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":tools}))))
            .await;
    let endpoint = over(&fake).await;
    assert_eq!(endpoint.tool_names().await, ["remote", "cyclic"]);
    endpoint.result("tools/call", r#""name":"remote","arguments":{"a":1}"#).await;
    nobody_came(trap).await;

    let deep = format!(r#"{{"type":"object","properties":{{"a":{}1{}}}}}"#, r#"{"not":"#.repeat(10_000), "}".repeat(10_000));
    let tool = format!(r#"{{"name":"deep","inputSchema":{deep}}}"#);
    let text = format!(r#""result":{{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{tool}]}}"#);
    let fake = Fake::start(modern(move |seen| {
        respond(200, "content-type: application/json\r\n", &format!(r#"{{"jsonrpc":"2.0","id":{},{text}}}"#, seen.id()))
    }))
    .await;
    let endpoint = over(&fake).await;
    assert_eq!(endpoint.tool_names().await, Vec::<String>::new(), "such a list is not read");
}
