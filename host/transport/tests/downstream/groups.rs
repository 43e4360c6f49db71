//! Views over the servers, each at a path of its own.

use crate::support::{Connection, Endpoint, Reply, Rig, Scripted, Tailor, initialize, modern_body, modern_headers, request, tools};
use sluice_chain::{
    filter::Verdict,
    generation::{Link, Policy},
    groups::Group,
    upstream::Upstream,
    verdict::Rejection,
};
use sluice_wire::revision::Era;
use std::sync::{Arc, Mutex};

const ALICE: &str = "Bearer alice";

fn server(name: &'static str) -> Arc<dyn Upstream> {
    Scripted::new(name, Era::Modern, move |outbound| {
        Ok(match outbound.message.method() {
            "tools/list" => tools(&[format!(r#"{{"name":"{name}_tool","inputSchema":{{"type":"object"}}}}"#)], ""),
            _ => format!(r#""result":{{"content":[{{"type":"text","text":"{name}"}}],"resultType":"complete"}}"#),
        })
    })
}

fn group(name: &str, upstreams: &[&str], links: Vec<Link>) -> Group {
    let upstreams = Some(upstreams.iter().map(|name| (*name).to_owned()).collect());
    Group { name: Some(name.into()), upstreams, links }
}

/// `/mcp` has both servers, `/mcp/ops` and `/servers/git` one.
async fn start() -> Endpoint {
    let endpoint = Rig::over(vec![server("git"), server("mail")]).start().await;
    let chain = || Tailor::default().chain(Policy::default());
    let groups = vec![Group::of_all(chain()), group("ops", &["mail"], chain()), group("servers/git", &["git"], chain())];
    endpoint.host.swap(groups);
    endpoint
}

async fn modern(endpoint: &Endpoint, path: &str, method: &str, params: &str) -> Reply {
    let mut headers = modern_headers(method, params);
    headers.push(("authorization", ALICE));
    endpoint.connect().await.ask(&request("POST", path, &headers, modern_body("1", method, params).as_bytes())).await
}

async fn names(endpoint: &Endpoint, path: &str) -> Vec<String> {
    let list = modern(endpoint, path, "tools/list", "").await.json();
    list["result"]["tools"].as_array().expect("a list").iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn f108_a_group_has_its_servers_and_no_others() {
    let endpoint = start().await;
    assert_eq!(names(&endpoint, "/mcp").await, ["git_tool", "mail_tool"]);
    assert_eq!(names(&endpoint, "/mcp/ops").await, ["mail_tool"]);
    for path in ["/servers/git/mcp", "/servers/git/mcp/"] {
        assert_eq!(names(&endpoint, path).await, ["git_tool"]);
    }
    let seen = modern(&endpoint, "/mcp/ops", "tools/call", r#""name":"mail_tool""#).await.json();
    assert_eq!(seen["result"]["content"][0]["text"], "mail");
    modern(&endpoint, "/mcp/ops", "tools/call", r#""name":"git_tool""#).await.is_error(200, -32602);
    for path in ["/mcp/nobody", "/mcp/", "/mcp/ops/more", "/servers/mail/mcp", "/servers/git", "/servers/git/else", "/mcp/servers/git"] {
        assert_eq!(modern(&endpoint, path, "tools/list", "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn f108_a_session_of_one_group_is_none_of_another() {
    let endpoint = start().await;
    let post = async |path: &str, session: &str, body: &str| {
        let mut headers = vec![("authorization", ALICE)];
        headers.extend((!session.is_empty()).then_some(("mcp-session-id", session)));
        endpoint.connect().await.ask(&request("POST", path, &headers, body.as_bytes())).await
    };
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for (own, others) in [("/mcp", ["/mcp/ops", "/servers/git/mcp"]), ("/mcp/ops", ["/mcp", "/servers/git/mcp"])] {
        let session = post(own, "", &initialize("2025-11-25")).await.header("mcp-session-id").expect("a session").to_owned();
        assert_eq!(post(own, &session, list).await.status, 200);
        for other in others {
            assert_eq!(post(other, &session, list).await.status, 404, "{own} {other}");
        }
    }
}

#[tokio::test]
async fn f108_http_sse_of_a_group_names_its_own_path() {
    let endpoint = start().await;
    for (path, messages) in [("/sse", "/messages"), ("/mcp/ops/sse", "/mcp/ops/messages"), ("/servers/git/sse", "/servers/git/messages")] {
        let mut stream: Connection = endpoint.connect().await;
        let headers = [("authorization", ALICE), ("accept", "text/event-stream"), ("content-type", ""), ("content-length", "")];
        stream.send(&request("GET", path, &headers, b"")).await;
        assert_eq!(stream.head().await.expect("a stream").0, 200, "{path}");
        let first = String::from_utf8(stream.chunk().await.expect("an event")).expect("UTF-8");
        let target = first.strip_prefix("event: endpoint\ndata: ").expect(&first).trim_end().to_owned();
        assert!(target.starts_with(&format!("{messages}?sessionId=")), "{target}");
        let headers = [("authorization", ALICE), ("accept", "")];
        let post = async |target: &str| {
            endpoint.connect().await.ask(&request("POST", target, &headers, initialize("2024-11-05").as_bytes())).await
        };
        assert_eq!(post(&target).await.status, 202, "{path}");
        // Somebody else's, as far as the other group can tell.
        let query = target.split_once('?').unwrap().1;
        let other = if path == "/sse" { "/mcp/ops/messages" } else { "/messages" };
        assert_eq!(post(&format!("{other}?{query}")).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn f108_a_group_has_a_chain_of_its_own_and_the_same_callers_to_filters() {
    let endpoint = start().await;
    let seen: Arc<Mutex<Vec<(String, Option<String>)>>> = Arc::default();
    let noting = seen.clone();
    let request = move |pass: &sluice_chain::filter::Pass<'_>| {
        let find = |key: &str| pass.attributes.find(key).map(str::to_owned);
        noting.lock().unwrap().push((find("principal.id").unwrap(), find("transport.group")));
        Ok(Verdict::Next(None))
    };
    let noting = Arc::new(request);
    let chain = |refuses: bool| {
        let noting = noting.clone();
        let request = move |pass: &sluice_chain::filter::Pass<'_>| {
            let next = noting(pass)?;
            Ok(if refuses { Verdict::Reject(Rejection { code: 7, message: "not here".into(), ..Rejection::default() }) } else { next })
        };
        Tailor { request: Box::new(request), ..Tailor::default() }.chain(Policy::default())
    };
    endpoint.host.swap(vec![Group::of_all(chain(false)), group("ops", &["mail"], chain(true))]);
    let call = r#""name":"mail_tool""#;
    assert_eq!(modern(&endpoint, "/mcp", "tools/call", call).await.json()["result"]["content"][0]["text"], "mail");
    assert_eq!(modern(&endpoint, "/mcp/ops", "tools/call", call).await.json()["error"]["code"], 7);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let [(first, none), (second, some)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((first, none.as_deref(), some.as_deref()), (second, None, Some("ops")));

    // A group that is gone is a path that is nobody's, and what was open there sees nothing.
    let mut open = endpoint.connect().await;
    let headers = [("authorization", ALICE), ("accept", "text/event-stream"), ("content-type", ""), ("content-length", "")];
    open.send(&crate::support::request("GET", "/mcp/ops/sse", &headers, b"")).await;
    let first = open.head().await.map(|(status, _)| status);
    assert_eq!(first, Some(200));
    open.chunk().await.expect("the endpoint");
    endpoint.host.swap(chain(false));
    assert_eq!(modern(&endpoint, "/mcp/ops", "tools/call", call).await.status, 404);
    assert_eq!(modern(&endpoint, "/mcp", "tools/call", call).await.json()["result"]["content"][0]["text"], "mail");
}
