//! A legacy server that wants links opened before it is called again (-32042 of 2025-11-25), before clients of every kind.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era, LEGACY, MODERN},
    folder::Folder,
    gateway::Gateway,
    turn::beside,
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

const OPENS_LINKS: &str = r#"{"elicitation":{"url":{}}}"#;
const LINK: &str =
    r#"{"elicitations":[{"mode":"url","elicitationId":"e1","url":"https://example.com/sign-in","message":"Sign in first"}]}"#;

/// Answers every second call of its tool, after the error that asks for the link.
async fn backend() -> (Backend, Arc<AtomicUsize>) {
    let calls: Arc<AtomicUsize> = Arc::default();
    let counted = calls.clone();
    let answer = move |call: Call| {
        let is_first = counted.fetch_add(1, Relaxed).is_multiple_of(2);
        async move { if is_first { call.error(-32042, "sign in", LINK) } else { call.echo() } }
    };
    (Backend::start(Offer::tools(&["account"]).only(Era::Legacy).keeping(), answer).await, calls)
}

/// One request of a modern client that declares this.
async fn modern(caller: &mut Caller, declared: &str, more: &str) -> (u16, Value) {
    let meta =
        format!(r#"{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{declared}}}"#);
    let params = format!(r#"{{"name":"account","arguments":{{"n":1.0}}{more},"_meta":{meta}}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{params}}}"#, caller.next_id());
    let reply = caller.post("tools/call", Some("account"), &body).await.expect("an answer");
    (reply.status, reply.json())
}

fn retry(asked: &Value, action: &str) -> String {
    format!(r#","requestState":{},"inputResponses":{{"link-1":{{"action":"{action}"}}}}"#, asked["result"]["requestState"])
}

/// The error that a legacy client of this revision gets.
async fn legacy(gateway: &Gateway, revision: &str, declared: &str) -> Value {
    let mut caller = Caller::silent(&gateway.address, Era::Legacy, &gateway.token);
    let opening = format!(r#"{{"protocolVersion":"{revision}","capabilities":{declared},"clientInfo":{{"name":"e2e","version":"1"}}}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{opening}}}"#);
    let reply = caller.post("initialize", None, &body).await.expect("an answer");
    let session = reply.header("mcp-session-id").expect("a session").to_owned();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\naccept: application/json, text/event-stream\r\n\
         content-type: application/json\r\nmcp-session-id: {session}\r\ncontent-length: {{}}\r\n\r\n",
        gateway.address, gateway.token
    );
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"account","arguments":{}}}"#;
    let reply = caller.send((request.replace("{}", &call.len().to_string()) + call).as_bytes()).await.expect("an answer");
    reply.json()["error"].clone()
}

#[test]
fn a_modern_client_opens_the_link_and_its_call_is_made_again() {
    beside("links, modern", 60, async {
        let (backend, calls) = backend().await;
        let folder = Folder::new();
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"http": {"url": backend.url}}})).await;
        let mut caller = gateway.caller(Era::Modern).await;

        let (status, asked) = modern(&mut caller, OPENS_LINKS, "").await;
        let question = json!({"mode": "url", "url": "https://example.com/sign-in", "message": "Sign in first"});
        assert_eq!((status, &asked["result"]["resultType"]), (200, &json!("input_required")), "{asked}");
        assert_eq!(asked["result"]["inputRequests"], json!({"link-1": {"method": "elicitation/create", "params": question}}));
        assert_eq!(calls.load(Relaxed), 1);

        let (_, done) = modern(&mut caller, OPENS_LINKS, &retry(&asked, "accept")).await;
        assert_eq!((&done["result"]["resultType"], calls.load(Relaxed)), (&json!("complete"), 2), "{done}");
        let again: Value = serde_json::from_str(&backend.last_call()).expect("JSON");
        assert_eq!(again["params"], json!({"name": "account", "arguments": {"n": 1.0}}), "as it was made first");

        let (_, used) = modern(&mut caller, OPENS_LINKS, &retry(&asked, "accept")).await;
        assert_eq!((&used["error"]["data"]["reason"], calls.load(Relaxed)), (&json!("round_used"), 2), "{used}");

        let (_, asked) = modern(&mut caller, OPENS_LINKS, "").await;
        let (_, declined) = modern(&mut caller, OPENS_LINKS, &retry(&asked, "decline")).await;
        assert_eq!((&declined["result"]["isError"], calls.load(Relaxed)), (&json!(true), 3), "a no is the end of it: {declined}");
    });
}

#[test]
fn who_cannot_open_links_is_told_so() {
    beside("links, others", 60, async {
        let (backend, calls) = backend().await;
        let folder = Folder::new();
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"http": {"url": backend.url}}})).await;
        let mut caller = gateway.caller(Era::Modern).await;

        let (status, refused) = modern(&mut caller, r#"{"elicitation":{}}"#, "").await;
        assert_eq!((status, &refused["error"]["code"]), (400, &json!(-32021)), "{refused}");
        assert_eq!(refused["error"]["data"]["requiredCapabilities"], json!({"elicitation": {"url": {}}}));

        for (revision, declared, code) in [(LEGACY, OPENS_LINKS, -32042), (LEGACY, "{}", -32603), ("2025-06-18", OPENS_LINKS, -32603)] {
            calls.store(0, Relaxed);
            let error = legacy(&gateway, revision, declared).await;
            assert_eq!(error["code"], code, "{revision} {declared}: {error}");
            assert!(error.to_string().contains("https://example.com/sign-in"), "the link is in it: {error}");
        }
    });
}
