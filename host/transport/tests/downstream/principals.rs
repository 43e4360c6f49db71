//! Several callers behind one endpoint.

use crate::support::{Endpoint, Reply, Rig, guard, initialize, modern_body, modern_headers, request};
use std::time::Duration;

async fn start() -> Endpoint {
    let endpoint = Rig::default().start().await;
    endpoint.host.swap(guard());
    endpoint
}

fn post<'a>(who: &'a str, session: &'a str, body: &str) -> Vec<u8> {
    let mut headers = vec![("authorization", who)];
    headers.extend((!session.is_empty()).then_some(("mcp-session-id", session)));
    request("POST", "/mcp", &headers, body.as_bytes())
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
const HELD: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"held"}}"#;

async fn open(endpoint: &Endpoint, who: &str) -> String {
    let reply = endpoint.connect().await.ask(&post(who, "", &initialize("2025-11-25"))).await;
    reply.header("mcp-session-id").expect("a session").to_owned()
}

/// What two answers can be told apart by, but for the request's own id.
fn shape(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let id = reply.json()["error"]["data"]["requestId"].as_str().unwrap_or_default().to_owned();
    let headers = reply.headers.iter().filter(|(name, _)| name != "date" && name != "x-request-id").cloned().collect();
    (reply.status, headers, reply.text().replace(&id, ""))
}

#[tokio::test]
async fn t03_somebody_elses_session_is_no_session() {
    let endpoint = start().await;
    let session = open(&endpoint, "Bearer alice").await;
    let unknown = "0".repeat(32);
    for method in ["POST", "GET", "DELETE"] {
        let ask = async |who: &str, session: &str| {
            let accept = if method == "GET" { "text/event-stream" } else { "application/json, text/event-stream" };
            let headers = [("authorization", who), ("mcp-session-id", session), ("accept", accept), ("last-event-id", "1")];
            endpoint.connect().await.ask(&request(method, "/mcp", &headers, if method == "POST" { CALL.as_bytes() } else { b"" })).await
        };
        let stolen = ask("Bearer bob", &session).await;
        assert_eq!(stolen.status, 404, "{method}");
        assert_eq!(shape(&stolen), shape(&ask("Bearer bob", &unknown).await), "{method}");
    }
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(endpoint.connect().await.ask(&post("Bearer bob", &session, cancel)).await.status, 404);
    assert_eq!(endpoint.connect().await.ask(&post("Bearer alice", &session, CALL)).await.status, 200);
    assert_eq!(endpoint.fake.called().len(), 1);
}

#[tokio::test]
async fn s089_a_session_that_is_unknown_expired_deleted_or_another_ones_is_not_found() {
    let endpoint = Rig::default().settings(|settings| settings.limits.session_idle = Duration::from_millis(500)).start().await;
    endpoint.host.swap(guard());
    let ask = async |who: &str, session: &str| endpoint.connect().await.ask(&post(who, session, CALL)).await.status;
    let deleted = open(&endpoint, "Bearer alice").await;
    let delete = request("DELETE", "/mcp", &[("authorization", "Bearer alice"), ("mcp-session-id", &deleted)], b"");
    assert_eq!(endpoint.connect().await.ask(&delete).await.status, 204);
    let session = open(&endpoint, "Bearer alice").await;
    assert_eq!(ask("Bearer alice", &session).await, 200, "the control");
    assert_eq!(ask("Bearer alice", &"0".repeat(32)).await, 404, "unknown");
    assert_eq!(ask("Bearer alice", &deleted).await, 404, "deleted");
    assert_eq!(ask("Bearer bob", &session).await, 404, "another one's");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(ask("Bearer alice", &session).await, 404, "expired");
}

#[tokio::test]
async fn each_request_is_authenticated_on_a_shared_connection() {
    let endpoint = start().await;
    let mut connection = endpoint.connect().await;
    let body = modern_body("1", "tools/call", r#""name":"echo""#);
    for who in ["alice", "bob", "alice", "carol"] {
        let authorization = format!("Bearer {who}");
        let headers = [vec![("authorization", authorization.as_str())], modern_headers("tools/call", r#""name":"echo""#)].concat();
        assert_eq!(connection.ask(&request("POST", "/mcp", &headers, body.as_bytes())).await.status, 200);
    }
    let headers = [vec![("authorization", "Bearer evil")], modern_headers("tools/call", r#""name":"echo""#)].concat();
    let reply = connection.ask(&request("POST", "/mcp", &headers, body.as_bytes())).await;
    assert_eq!(reply.header("www-authenticate"), Some("Bearer error=\"insufficient_scope\""));
    reply.is_error(403, 7);
    let headers = [vec![("authorization", "Bearer unsure")], modern_headers("tools/call", r#""name":"echo""#)].concat();
    let reply = connection.ask(&request("POST", "/mcp", &headers, body.as_bytes())).await;
    assert_eq!((reply.header("retry-after"), reply.header("www-authenticate")), (Some("2"), None), "it is not the caller's fault");
    reply.is_error(503, 8);
    let reply = connection.ask(&request("POST", "/mcp", &[("authorization", "")], b"{}")).await;
    assert_eq!((reply.status, reply.header("www-authenticate").is_some()), (401, true));
    let ended = endpoint.seen.ended.lock().unwrap();
    let subjects: Vec<_> = ended
        .iter()
        .map(|ended| (ended.principal.subject.to_string(), ended.attributes.find("principal.subject").map(str::to_owned)))
        .collect();
    assert_eq!(subjects, ["alice", "bob", "alice", "carol"].map(|who| (who.to_owned(), Some(who.to_owned()))));
}

#[tokio::test]
async fn a_session_follows_the_claims_of_its_owner() {
    let endpoint = start().await;
    let session = open(&endpoint, "Bearer alice+admin").await;
    let reply = endpoint.connect().await.ask(&post("Bearer alice", &session, HELD)).await;
    assert_eq!(reply.status, 429, "what the opener was allowed is not what the caller is");
    let held = tokio::spawn({
        let bytes = post("Bearer alice+admin", &session, HELD);
        let connection = endpoint.connect().await;
        async move { { connection }.ask(&bytes).await.status }
    });
    crate::support::eventually("it is let through", || endpoint.fake.called().len() == 1).await;
    endpoint.fake.release.notify_one();
    assert_eq!(held.await.expect("an answer"), 200);
}

#[tokio::test]
async fn a_filter_chooses_status_and_headers_but_not_the_framing() {
    let endpoint = start().await;
    let session = open(&endpoint, "Bearer alice").await;
    let modern = {
        let headers = [vec![("authorization", "Bearer alice")], modern_headers("tools/call", r#""name":"held""#)].concat();
        request("POST", "/mcp", &headers, modern_body("1", "tools/call", r#""name":"held""#).as_bytes())
    };
    for bytes in [modern, post("Bearer alice", &session, HELD)] {
        let mut connection = endpoint.connect().await;
        let reply = connection.ask(&bytes).await;
        assert_eq!((reply.status, reply.header("retry-after"), reply.header("x-own")), (429, Some("7"), Some("1")));
        assert_eq!((reply.header("mcp-session-id"), reply.header("connection")), (None, None));
        assert_eq!(reply.is_error(429, 1429)["id"], 1);
        assert_eq!(connection.ask(&bytes).await.status, 429, "the connection is kept");
    }
}
