//! Tasks: whose they are, where they lead, and that filters see what comes of them.

use crate::support::{Connection, Endpoint, Far, Reply, Rig, Scripted, Tailor, decode, initialize, request};
use serde_json::{Value, json};
use sluice_chain::{
    catalogue::{Change, Entry},
    exchange::Delivery,
    filter::Verdict,
    generation::Policy,
    host::Ear,
    principal::Principal,
    upstream::{Listener, Outbound, Unsolicited, Upstream, UpstreamError},
    verdict::Rejection,
};
use sluice_wire::revision::{Era, Revision};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;

const MODERN: &str = r#"{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
const LEGACY: &str = r#"{"tools":{},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}"#;
const STATE: &str = r#""createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:01Z""#;

/// A server with one tool whose calls are tasks with the id `7`.
fn server(era: Era) -> Arc<Scripted> {
    let capabilities = if era == Era::Modern { MODERN } else { LEGACY };
    Scripted::new("one", era, move |outbound| Ok(if era == Era::Modern { modern(outbound) } else { legacy(outbound) }))
        .offering(capabilities)
}

fn own(outbound: &Outbound) -> String {
    let named = || outbound.message.target().and_then(|id| Some(id.as_str()?.into_owned()));
    outbound.original_name.as_deref().map(str::to_owned).or_else(named).unwrap_or_default()
}

fn modern(outbound: &Outbound) -> String {
    let complete = |members: String| format!(r#""result":{{"resultType":"complete"{members}}}"#);
    let state = |status: &str, more: &str| complete(format!(r#","taskId":"7","status":"{status}","ttlMs":null,{STATE}{more}"#));
    let message = &outbound.message;
    match (message.method(), own(outbound).as_str()) {
        ("tools/list", _) => {
            r#""result":{"tools":[{"name":"job","inputSchema":{"type":"object"}}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#
                .into()
        }
        ("tools/call", _) => format!(
            r#""result":{{"resultType":"task","taskId":"{}","status":"working","ttlMs":60000,{STATE}}}"#,
            message.param("arguments").and_then(|given| given.get("as")?.as_str()).unwrap_or("7".into())
        ),
        ("tasks/get", "fails") => state("failed", r#","error":{"code":-7,"message":"canary-1"}"#),
        ("tasks/get", "asks") => {
            state("input_required", r#","inputRequests":{"k":{"method":"elicitation/create","params":{"message":"m"}}}"#)
        }
        ("tasks/get", "7") => state("completed", r#","result":{"content":[{"type":"text","text":"canary-1"}]}"#),
        ("tasks/cancel" | "tasks/update", _) => complete(String::new()),
        _ => r#""error":{"code":-32602,"message":"no such task"}"#.into(),
    }
}

fn legacy(outbound: &Outbound) -> String {
    let state = |own: &str, status: &str| format!(r#"{{"taskId":"{own}","status":"{status}","ttl":null,{STATE}}}"#);
    let task = |status: &str| state("7", status);
    let named = || outbound.message.param("arguments").and_then(|given| given.get("as")?.as_str());
    match (outbound.message.method(), own(outbound).as_str()) {
        ("tools/list", _) => {
            r#""result":{"tools":[{"name":"job","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}}]}"#.into()
        }
        ("tools/call", _) if outbound.message.param("task").is_some() || outbound.as_task => {
            format!(r#""result":{{"task":{}}}"#, state(&named().unwrap_or("7".into()), "working"))
        }
        ("tools/call", _) => r#""result":{"content":[]}"#.into(),
        ("tasks/list", _) => {
            let cursor = outbound.message.param("cursor").and_then(|cursor| Some(cursor.as_str()?.into_owned()));
            match cursor.as_deref() {
                None => format!(r#""result":{{"tasks":[{},{{"taskId":"stranger"}}],"nextCursor":"more"}}"#, task("working")),
                Some("more") => r#""result":{"tasks":[]}"#.into(),
                Some(_) => r#""error":{"code":-32602,"message":"no such cursor"}"#.into(),
            }
        }
        ("tasks/get", "7") => format!(r#""result":{}"#, task("completed")),
        ("tasks/cancel", "7") => format!(r#""result":{}"#, task("cancelled")),
        ("tasks/result", "7") => {
            r#""result":{"content":[{"type":"text","text":"canary-1"}],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"7"}}}"#
                .into()
        }
        _ => r#""error":{"code":-32602,"message":"no such task"}"#.into(),
    }
}

/// A client that says who it is.
struct Caller<'a> {
    endpoint: &'a Endpoint,
    who: &'static str,
    session: Option<String>,
    extensions: Value,
}

impl<'a> Caller<'a> {
    fn modern(endpoint: &'a Endpoint, who: &'static str) -> Self {
        let extensions = json!({"io.modelcontextprotocol/tasks":{}});
        Self { endpoint, who, session: None, extensions }
    }

    async fn legacy(endpoint: &'a Endpoint, who: &'static str) -> Self {
        let reply = endpoint.post(&[("authorization", ""), ("x-api-key", who)], &initialize("2025-11-25")).await;
        let session = reply.header("mcp-session-id").map(str::to_owned);
        Self { endpoint, who, session, extensions: Value::Null }
    }

    async fn ask(&self, method: &str, mut params: Value) -> Reply {
        let mut headers = vec![("authorization", ""), ("x-api-key", self.who)];
        let name = params["taskId"].as_str().or(params["name"].as_str()).unwrap_or_default().to_owned();
        match &self.session {
            Some(session) => headers.push(("mcp-session-id", session)),
            None => {
                params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion":"2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"extensions":self.extensions}});
                headers.extend([("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)]);
                headers.extend((!name.is_empty()).then_some(("mcp-name", name.as_str())));
            }
        }
        let body = json!({"jsonrpc":"2.0","id":9,"method":method,"params":params});
        self.endpoint.post(&headers, &body.to_string()).await
    }

    async fn result(&self, method: &str, params: Value) -> Value {
        let reply = self.ask(method, params).await.json();
        assert!(reply["result"].is_object(), "{method}: {reply}");
        reply["result"].clone()
    }

    /// Begins a task that its server calls so.
    async fn begin(&self, own: &str) -> Value {
        let params = json!({"name":"job","arguments":{"as":own},"task":{"ttl":1000}});
        let created = self.result("tools/call", params).await;
        let id = if self.session.is_some() { created["task"]["taskId"].clone() } else { created["taskId"].clone() };
        assert!(id.as_str().is_some_and(|id| id.len() > 20), "{created}");
        id
    }
}

async fn over(era: Era, tailor: Tailor) -> (Endpoint, Arc<Scripted>) {
    let server = server(era);
    let endpoint = Rig::over(vec![server.clone()]).start().await;
    endpoint.host.swap(tailor.chain(Policy::default()));
    (endpoint, server)
}

async fn caller<'a>(endpoint: &'a Endpoint, era: Era, who: &'static str) -> Caller<'a> {
    if era == Era::Modern { Caller::modern(endpoint, who) } else { Caller::legacy(endpoint, who).await }
}

const ABOUT: [(Era, &[&str]); 2] =
    [(Era::Modern, &["tasks/get", "tasks/update", "tasks/cancel"]), (Era::Legacy, &["tasks/get", "tasks/result", "tasks/cancel"])];

#[tokio::test]
async fn t37_a_task_is_its_principals_under_an_id_that_nobody_else_can_use() {
    for (era, methods) in ABOUT {
        let (endpoint, server) = over(era, Tailor::default()).await;
        let (alice, bob) = (caller(&endpoint, era, "alice").await, caller(&endpoint, era, "bob").await);
        let id = alice.begin("7").await;
        for method in methods {
            for (who, id) in [(&bob, id.clone()), (&alice, json!("7")), (&alice, json!("task1.AAAA")), (&bob, json!("7"))] {
                let reply = who.ask(method, json!({"taskId":id,"inputResponses":{}})).await;
                assert_eq!(reply.is_error(200, -32602)["error"]["data"]["reason"], "unknown_name", "{method}");
            }
            assert_eq!(server.targets(method), [""; 0], "{method} reached the server");
            let answer = alice.result(method, json!({"taskId":id,"inputResponses":{}})).await;
            assert!(answer.get("taskId").is_none_or(|named| *named == id), "{answer}");
            assert_eq!(server.targets(method), ["7"], "{method}");
        }
    }
}

#[tokio::test]
async fn what_is_said_of_a_task_names_it_as_its_client_does() {
    let (endpoint, _) = over(Era::Legacy, Tailor::default()).await;
    let alice = Caller::legacy(&endpoint, "alice").await;
    let id = alice.begin("7").await;
    assert_eq!(alice.begin("7").await, id, "one task has one id");
    let result = alice.result("tasks/result", json!({"taskId":id})).await;
    assert_eq!(result["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], id);
    let listed = alice.result("tasks/list", json!({})).await;
    let ids: Vec<_> = listed["tasks"].as_array().unwrap().iter().map(|task| task["taskId"].clone()).collect();
    assert_eq!(ids, [id], "what was not begun here is not listed");
    let last = alice.result("tasks/list", json!({"cursor":listed["nextCursor"]})).await;
    assert_eq!(last, json!({"tasks":[]}));
    let bob = Caller::legacy(&endpoint, "bob").await;
    assert_eq!(bob.result("tasks/list", json!({})).await["tasks"], json!([]));
    bob.ask("tasks/list", json!({"cursor":listed["nextCursor"]})).await.is_error(200, -32602);
    assert!(!listed.to_string().contains("more"), "the server's cursor is not the client's");
}

#[tokio::test]
async fn tasks_are_listed_where_their_server_stands_after_others_have_gone() {
    let (server, other) = (server(Era::Legacy), Scripted::new("other", Era::Legacy, |_| Ok(r#""result":{"tools":[]}"#.into())));
    let endpoint = Rig::over(vec![other.clone(), server.clone()]).start().await;
    endpoint.host.swap(Tailor::default().chain(Policy::default()));
    let alice = Caller::legacy(&endpoint, "alice").await;
    let id = alice.begin("7").await;
    let listed = async || {
        let first = alice.result("tasks/list", json!({})).await;
        let last = alice.result("tasks/list", json!({"cursor":first["nextCursor"]})).await;
        assert_eq!(last, json!({"tasks":[]}));
        first["tasks"].as_array().unwrap().iter().map(|task| task["taskId"].clone()).collect::<Vec<_>>()
    };
    for upstreams in [vec![other.clone() as Arc<dyn Upstream>, server.clone()], vec![server.clone(), other.clone()], vec![server.clone()]] {
        endpoint.host.replace(upstreams, Vec::new(), Tailor::default().chain(Policy::default()));
        assert_eq!(listed().await, [id.clone()]);
    }
    assert_eq!(server.targets("tasks/list").len(), 6);
}

/// Hides a word in what one tool answers.
fn redact() -> Tailor {
    Tailor {
        response: Box::new(|pass| {
            let text = String::from_utf8_lossy(pass.message.bytes()).into_owned();
            let is_tools = &*pass.head.method == "tools/call" && pass.head.name.as_deref() == Some("job");
            Ok(Verdict::Next(is_tools.then(|| Arc::new(decode(text.replace("canary-1", "***"))))))
        }),
        ..Tailor::default()
    }
}

#[tokio::test]
async fn a_redaction_is_not_got_round_by_reading_a_tools_answer_later() {
    for (era, method) in [(Era::Modern, "tasks/get"), (Era::Legacy, "tasks/result")] {
        let (endpoint, _) = over(era, redact()).await;
        let alice = caller(&endpoint, era, "alice").await;
        let reply = alice.ask(method, json!({"taskId":alice.begin("7").await})).await;
        assert!(reply.text().contains("***") && !reply.text().contains("canary"), "{}", reply.text());
        assert_eq!(&*endpoint.seen.ended.lock().unwrap().last().unwrap().head.method, method);
    }
    let (endpoint, _) = over(Era::Modern, redact()).await;
    let alice = Caller::modern(&endpoint, "alice");
    let failed = alice.result("tasks/get", json!({"taskId":alice.begin("fails").await})).await;
    assert_eq!((&failed["status"], &failed["error"]["message"]), (&json!("failed"), &json!("***")));
}

#[tokio::test]
async fn an_answer_that_is_refused_is_what_the_task_came_to() {
    let refuse = |as_tool_result| Tailor {
        response: Box::new(move |pass| {
            let is_outcome = pass.message.result().is_some_and(|result| result.get("content").is_some());
            let rejection = Rejection { code: 7, message: "not that".into(), as_tool_result, ..Rejection::default() };
            Ok(if is_outcome { Verdict::Reject(rejection) } else { Verdict::Next(None) })
        }),
        ..Tailor::default()
    };
    let (endpoint, _) = over(Era::Modern, refuse(false)).await;
    let alice = Caller::modern(&endpoint, "alice");
    let failed = alice.result("tasks/get", json!({"taskId":alice.begin("7").await})).await;
    assert_eq!((&failed["status"], &failed["error"]["code"], failed.get("result")), (&json!("failed"), &json!(7), None), "{failed}");
    let (endpoint, _) = over(Era::Modern, refuse(true)).await;
    let alice = Caller::modern(&endpoint, "alice");
    let done = alice.result("tasks/get", json!({"taskId":alice.begin("7").await})).await;
    assert_eq!((&done["status"], &done["result"]["isError"]), (&json!("completed"), &json!(true)), "{done}");
    let (endpoint, _) = over(Era::Legacy, refuse(true)).await;
    let alice = Caller::legacy(&endpoint, "alice").await;
    let id = alice.begin("7").await;
    let done = alice.result("tasks/result", json!({"taskId":id})).await;
    assert_eq!(done["_meta"], json!({"io.modelcontextprotocol/related-task":{"taskId":id}}), "{done}");
    assert_eq!(done["isError"], true);
}

#[tokio::test]
async fn a_policy_on_requests_about_tasks_knows_the_tool_and_the_server() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = seen.clone();
    let tailor = Tailor {
        request: Box::new(move |pass| {
            let (name, upstream) = (pass.head.name.as_deref().unwrap_or("-"), pass.head.upstream.as_deref().unwrap_or("-"));
            note.lock().unwrap().push(format!("{} {name} {upstream}", pass.head.method));
            Ok(match &*pass.head.method {
                "tasks/cancel" => Verdict::Reject(Rejection { code: 7, message: "it runs to its end".into(), ..Rejection::default() }),
                _ => Verdict::Next(None),
            })
        }),
        shape: Some(Box::new(|who, _: &Entry| if who == "alice" { Change::Rename("exposed".into()) } else { Change::Hide })),
        ..Tailor::default()
    };
    let (endpoint, server) = over(Era::Modern, tailor).await;
    let alice = Caller::modern(&endpoint, "alice");
    let created = alice.result("tools/call", json!({"name":"exposed"})).await;
    alice.result("tasks/get", json!({"taskId":created["taskId"]})).await;
    alice.ask("tasks/cancel", json!({"taskId":created["taskId"]})).await.is_error(200, 7);
    assert_eq!(server.targets("tasks/cancel"), [""; 0]);
    assert_eq!(*seen.lock().unwrap(), ["tools/call exposed one", "tasks/get exposed one", "tasks/cancel exposed one"]);
}

#[tokio::test]
async fn whoever_may_not_see_a_tool_any_more_has_no_task_of_it() {
    let (endpoint, server) = over(Era::Modern, Tailor::default()).await;
    let alice = Caller::modern(&endpoint, "alice");
    let id = alice.begin("7").await;
    endpoint.host.swap(Tailor { shape: Some(Box::new(|_, _| Change::Hide)), ..Tailor::default() }.chain(Policy::default()));
    alice.ask("tasks/get", json!({"taskId":id})).await.is_error(200, -32602);
    assert_eq!(server.targets("tasks/get"), [""; 0]);
}

#[tokio::test]
async fn a_tasks_questions_and_their_answers_go_both_ways() {
    let (endpoint, server) = over(Era::Modern, Tailor::default()).await;
    let alice = Caller::modern(&endpoint, "alice");
    let id = alice.begin("asks").await;
    let state = alice.result("tasks/get", json!({"taskId":id})).await;
    assert_eq!(state["inputRequests"]["k"]["params"], json!({"message":"m"}), "{state}");
    let answers = json!({"k":{"action":"accept","content":{"n":1}}});
    let done = alice.result("tasks/update", json!({"taskId":id,"inputResponses":answers})).await;
    assert_eq!(done, json!({"resultType":"complete"}));
    let sent: Value = serde_json::from_str(server.texts().last().unwrap()).unwrap();
    assert_eq!(sent["params"]["inputResponses"], answers);
    alice.ask("tasks/update", json!({"taskId":id})).await.is_error(200, -32602);
    alice.result("tasks/update", json!({"taskId":id,"inputResponses":{"k":7,"l":{"no":"answer"}}})).await;
    let sent: Value = serde_json::from_str(server.texts().last().unwrap()).unwrap();
    assert_eq!(sent["params"]["inputResponses"], json!({}), "what is no answer is passed to nobody");
}

#[tokio::test]
async fn an_extension_that_is_not_declared_is_not_used_and_one_that_nobody_has_is_not_there() {
    let (endpoint, _) = over(Era::Modern, Tailor::default()).await;
    let mut alice = Caller::modern(&endpoint, "alice");
    let id = alice.begin("7").await;
    let discovered = alice.result("server/discover", json!({})).await;
    assert_eq!(discovered["capabilities"]["extensions"], json!({"io.modelcontextprotocol/tasks":{}}));
    alice.extensions = json!({});
    for method in ABOUT[0].1 {
        let error = alice.ask(method, json!({"taskId":id,"inputResponses":{}})).await.is_error(400, -32021);
        let required = &error["error"]["data"]["requiredCapabilities"];
        assert_eq!(*required, json!({"extensions":{"io.modelcontextprotocol/tasks":{}}}), "{method}");
    }
    let without = Scripted::new("one", Era::Legacy, |_| Err(UpstreamError::Cancelled));
    let endpoint = Rig::over(vec![without]).start().await;
    endpoint.host.swap(Tailor::default().chain(Policy::default()));
    let alice = Caller::legacy(&endpoint, "alice").await;
    for (method, params) in [("tasks/list", json!({})), ("tasks/get", json!({"taskId":"x"}))] {
        alice.ask(method, params).await.is_error(200, -32601);
    }
}

#[tokio::test]
async fn tasks_are_announced_to_those_who_know_them() {
    let (endpoint, _) = over(Era::Legacy, Tailor::default()).await;
    for (version, known) in [("2025-11-25", true), ("2025-06-18", false)] {
        let reply = endpoint.post(&[("authorization", ""), ("x-api-key", "alice")], &initialize(version)).await.json();
        let announced = &reply["result"]["capabilities"]["tasks"];
        assert_eq!(announced.is_object(), known, "{version}: {reply}");
        assert!(!known || *announced == json!({"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}), "{announced}");
    }
}

/// Behind a transport, so that the server's era need not be the client's.
async fn far(era: Era, tailor: Tailor) -> (Endpoint, Arc<Scripted>) {
    let server = server(era);
    let endpoint = Rig::over(vec![Far::upstream(server.clone())]).start().await;
    endpoint.host.swap(tailor.chain(Policy::default()));
    (endpoint, server)
}

#[tokio::test]
async fn s072_a_legacy_task_is_a_task_to_a_client_of_the_extension_and_to_nobody_else() {
    let (endpoint, server) = far(Era::Legacy, Tailor::default()).await;
    let (alice, bob) = (Caller::modern(&endpoint, "alice"), Caller::modern(&endpoint, "bob"));
    let discovered = alice.result("server/discover", json!({})).await;
    assert_eq!(discovered["capabilities"]["extensions"], json!({"io.modelcontextprotocol/tasks":{}}));
    let created = alice.result("tools/call", json!({"name":"job"})).await;
    assert_eq!((&created["resultType"], &created["status"]), (&json!("task"), &json!("working")), "{created}");
    let state = alice.result("tasks/get", json!({"taskId":created["taskId"]})).await;
    assert_eq!((&state["taskId"], &state["status"]), (&created["taskId"], &json!("completed")));
    assert_eq!(state["result"]["content"], json!([{"type":"text","text":"canary-1"}]), "{state}");
    let before = server.texts().len();
    bob.ask("tasks/get", json!({"taskId":created["taskId"]})).await.is_error(200, -32602);
    assert_eq!(server.texts().len(), before);
}

#[tokio::test]
async fn a_modern_task_is_a_task_to_a_legacy_client_that_asks_for_one() {
    let (endpoint, _) = far(Era::Modern, Tailor::default()).await;
    let reply = endpoint.post(&[("authorization", ""), ("x-api-key", "alice")], &initialize("2025-11-25")).await.json();
    assert_eq!(reply["result"]["capabilities"]["tasks"], json!({"cancel":{},"requests":{"tools":{"call":{}}}}));
    let alice = Caller::legacy(&endpoint, "alice").await;
    let listed = alice.result("tools/list", json!({})).await;
    assert_eq!(listed["tools"][0]["execution"], json!({"taskSupport":"optional"}), "{listed}");
    let id = alice.begin("7").await;
    let state = alice.result("tasks/get", json!({"taskId":id})).await;
    assert_eq!((&state["taskId"], &state["status"], state.get("result")), (&id, &json!("completed"), None), "{state}");
    let result = alice.result("tasks/result", json!({"taskId":id})).await;
    let related = json!({"io.modelcontextprotocol/related-task":{"taskId":id}});
    assert_eq!(result, json!({"content":[{"type":"text","text":"canary-1"}],"_meta":related}));
    alice.ask("tasks/list", json!({})).await.is_error(200, -32601);
}

#[tokio::test]
async fn a_redaction_holds_across_eras_as_well() {
    for (server, client, method) in [(Era::Legacy, Era::Modern, "tasks/get"), (Era::Modern, Era::Legacy, "tasks/result")] {
        let (endpoint, _) = far(server, redact()).await;
        let alice = caller(&endpoint, client, "alice").await;
        let reply = alice.ask(method, json!({"taskId":alice.begin("7").await})).await;
        assert!(reply.text().contains("***") && !reply.text().contains("canary"), "{}", reply.text());
    }
}

/// What a legacy session hears on its own stream.
struct Hearing(Connection);

impl Hearing {
    async fn of(caller: &Caller<'_>) -> Self {
        let session = caller.session.as_deref().expect("a session");
        let mut connection = caller.endpoint.connect().await;
        let headers = [("authorization", ""), ("x-api-key", caller.who), ("mcp-session-id", session), ("accept", "text/event-stream")];
        connection.send(&request("GET", "/mcp", &headers, b"")).await;
        assert_eq!(connection.head().await.expect("a stream").0, 200);
        Self(connection)
    }

    /// The next status that is told: id and status.
    async fn status(&mut self) -> (Value, Value) {
        loop {
            let chunk = timeout(Duration::from_secs(10), self.0.chunk()).await.expect("it comes in time").expect("an event");
            let text = String::from_utf8(chunk).expect("UTF-8");
            let data = text.lines().find_map(|line| line.strip_prefix("data: ")).filter(|data| data.contains("tasks/status"));
            if let Some(data) = data {
                let said: Value = serde_json::from_str(data).expect("JSON");
                return (said["params"]["taskId"].clone(), said["params"]["status"].clone());
            }
        }
    }
}

#[tokio::test]
async fn the_status_of_a_task_is_told_to_its_principal_under_its_own_id() {
    let (endpoint, _) = over(Era::Legacy, Tailor::default()).await;
    let (alice, bob) = (Caller::legacy(&endpoint, "alice").await, Caller::legacy(&endpoint, "bob").await);
    let (hers, his) = (alice.begin("7").await, bob.begin("8").await);
    let (mut to_alice, mut to_bob) = (Hearing::of(&alice).await, Hearing::of(&bob).await);
    let ear = Ear::default();
    ear.attach(&endpoint.host);
    let tell = |caller: &Caller<'_>, is_sessions: bool, own: &str, status: &str| {
        let text =
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{{"taskId":"{own}","status":"{status}"}}}}"#);
        let delivery = Delivery { message: Arc::new(decode(text)), spoken: Revision::V2025_11_25 };
        let principal = Arc::new(Principal::new("tailor", caller.who, None));
        let session = caller.session.as_deref().filter(|_| is_sessions).map(Into::into);
        ear.unsolicited(Unsolicited { upstream: "one".into(), principal, session, delivery });
    };
    // What comes last is heard, so what was not heard before it was not told.
    for (own, status) in [("stranger", "failed"), ("8", "failed"), ("7", "working")] {
        tell(&alice, true, own, status);
    }
    assert_eq!(to_alice.status().await, (hers.clone(), json!("working")));
    for (own, status) in [("7", "failed"), ("8", "working")] {
        tell(&bob, true, own, status);
    }
    assert_eq!(to_bob.status().await, (his, json!("working")));
    // From a child, which knows of no sessions.
    tell(&alice, false, "7", "completed");
    assert_eq!(to_alice.status().await, (hers, json!("completed")));
}

#[tokio::test]
async fn a_task_of_a_tool_that_is_hidden_is_neither_listed_nor_told_of() {
    let (endpoint, _) = over(Era::Legacy, Tailor::default()).await;
    let alice = Caller::legacy(&endpoint, "alice").await;
    let id = alice.begin("7").await;
    let mut hearing = Hearing::of(&alice).await;
    let ear = Ear::default();
    ear.attach(&endpoint.host);
    let tell = |session: Option<&str>, status: &str| {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{{"taskId":"7","status":"{status}"}}}}"#);
        let delivery = Delivery { message: Arc::new(decode(text)), spoken: Revision::V2025_11_25 };
        let principal = Arc::new(Principal::new("tailor", "alice", None));
        ear.unsolicited(Unsolicited { upstream: "one".into(), principal, session: session.map(Into::into), delivery });
    };
    let listed = async || alice.result("tasks/list", json!({})).await["tasks"].as_array().expect("a list").len();
    assert_eq!(listed().await, 1);
    endpoint.host.swap(Tailor { shape: Some(Box::new(|_, _| Change::Hide)), ..Tailor::default() }.chain(Policy::default()));
    assert_eq!(listed().await, 0);
    for session in [alice.session.as_deref(), None] {
        tell(session, "input_required");
    }
    // Both have been decided on by the time that this is.
    tokio::time::sleep(Duration::from_millis(300)).await;
    endpoint.host.swap(Tailor::default().chain(Policy::default()));
    assert_eq!(listed().await, 1);
    tell(alice.session.as_deref(), "completed");
    assert_eq!(hearing.status().await, (id, json!("completed")));
}
