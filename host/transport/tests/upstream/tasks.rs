//! Tasks of servers of one era, for clients of the other.

use crate::{
    http_modern::upstream,
    support::{
        Asked, Asker, eventually,
        server::{Act, Acts, Fake, Seen, error, event, json_body, last_chunk, legacy, respond, result, stream_head},
        value,
    },
};
use serde_json::{Value, json};
use sluice_chain::{
    principal::Principal,
    upstream::{TaskSupport, UpstreamError},
};
use sluice_wire::revision::Revision;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

const TASKS: &str = r#"{"tools":{},"tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}}"#;
const EXTENSION: &str = "io.modelcontextprotocol/tasks";

fn taking() -> Asker {
    Asker::new(Revision::V2026_07_28, None, r#"{"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#)
}

fn not_taking() -> Asker {
    Asker::new(Revision::V2026_07_28, None, r#"{"elicitation":{}}"#)
}

fn with(mut asked: Asked, support: TaskSupport) -> Asked {
    asked.outbound.task = Some(support);
    asked
}

fn about(asker: &Asker, method: &str) -> Asked {
    asker.request(method, json!({"taskId":"7"}))
}

fn task(status: &str) -> Value {
    json!({"taskId":"7","status":status,"createdAt":"c","lastUpdatedAt":"u","ttl":60000,"pollInterval":20})
}

fn related() -> Value {
    json!({"io.modelcontextprotocol/related-task":{"taskId":"7"}})
}

/// A legacy server whose task goes through these statuses, one with each look, and comes to this.
async fn legacy_server(statuses: &'static [&'static str], outcome: impl Fn(&Seen) -> Acts + Send + Sync + 'static) -> Fake {
    let looks = AtomicUsize::new(0);
    let capabilities = serde_json::from_str(TASKS).unwrap();
    let server = legacy(capabilities, move |seen| match (seen.verb.as_str(), seen.method()) {
        ("POST", "tools/call") if seen.body["params"]["task"].is_object() => result(seen, json!({"task":task("working")})),
        ("POST", "tools/call") => error(seen, 200, -32601, Value::Null),
        ("POST", _) if seen.body["params"]["taskId"] != "7" => error(seen, 200, -32602, Value::Null),
        ("POST", "tasks/get") => {
            let look = looks.fetch_add(1, SeqCst).min(statuses.len() - 1);
            result(seen, task(statuses[look]))
        }
        ("POST", "tasks/cancel") if statuses.last() != Some(&"working") => error(seen, 200, -32602, Value::Null),
        ("POST", "tasks/cancel") => result(seen, task("cancelled")),
        ("POST", "tasks/result") => outcome(seen),
        _ => respond(405, "", ""),
    });
    Fake::start(server).await
}

fn done(seen: &Seen) -> Acts {
    result(seen, json!({"content":[{"type":"text","text":"done"}],"_meta":related()}))
}

fn asking(seen: &Seen) -> Value {
    json!({"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"sure?","_meta":related(),"for":seen.method()}})
}

#[tokio::test]
async fn s071_a_tool_that_is_a_task_answers_a_client_that_knows_none() {
    let fake = legacy_server(&["working", "working", "completed"], done).await;
    let upstream = upstream(&fake);
    let answer = with(not_taking().tool("t", json!({"n":1})), TaskSupport::Required).answer(&upstream).await;
    assert_eq!(answer["result"], json!({"content":[{"type":"text","text":"done"}]}));
    let call = fake.last("tools/call").body;
    assert_eq!((&call["params"]["arguments"], &call["params"]["task"]), (&json!({"n":1}), &json!({})));
    let trace: Vec<_> = fake.trace().into_iter().filter(|method| method.starts_with("tasks/")).collect();
    assert_eq!(trace, ["tasks/get", "tasks/get", "tasks/get", "tasks/result"]);
    // Without ours the server says no such method, and a tool that need not be a task is none.
    let plain = with(not_taking().tool("t", json!({})), TaskSupport::Optional).answer(&upstream).await;
    assert_eq!(plain["error"]["code"], -32601);
    assert_eq!(fake.last("tools/call").body["params"].get("task"), None);
}

#[tokio::test]
async fn a_task_that_is_driven_asks_its_client_and_ends_with_it() {
    let fake = legacy_server(&["input_required"], |seen| {
        let answer = json!({"jsonrpc":"2.0","id":seen.id(),"result":{"content":[],"_meta":related()}});
        vec![stream_head(), event(&asking(seen)), Act::Pause(Duration::from_millis(50)), event(&answer), last_chunk()]
    })
    .await;
    let (answer, heard) = with(not_taking().tool("t", json!({})), TaskSupport::Required).send(&upstream(&fake)).await;
    assert_eq!(value(&answer.unwrap().response)["result"], json!({"content":[]}));
    assert_eq!(heard.iter().map(|asked| &asked["params"]["message"]).collect::<Vec<_>>(), ["sure?"]);

    let endless = legacy_server(&["working"], done).await;
    let asked = with(not_taking().tool("t", json!({})), TaskSupport::Required);
    let cancel = asked.cancel.clone();
    let upstream = upstream(&endless);
    let sending = tokio::spawn(async move { asked.fail(&upstream).await });
    eventually("it is polled", || endless.trace().contains(&"tasks/get".to_owned())).await;
    cancel.cancel();
    assert!(matches!(sending.await.unwrap(), UpstreamError::Cancelled));
    assert_eq!(endless.last("tasks/cancel").body["params"]["taskId"], "7");
}

#[tokio::test]
async fn a_legacy_task_has_the_extensions_form() {
    let fake = legacy_server(&["working", "completed"], done).await;
    let upstream = upstream(&fake);
    let created = with(taking().tool("t", json!({})), TaskSupport::Optional).answer(&upstream).await;
    let state = |kind: &str, status: &str| json!({"resultType":kind,"taskId":"7","status":status,"createdAt":"c","lastUpdatedAt":"u","ttlMs":60000,"pollIntervalMs":20});
    assert_eq!(created["result"], state("task", "working"));
    assert_eq!(about(&taking(), "tasks/get").answer(&upstream).await["result"], state("complete", "working"));
    let mut completed = state("complete", "completed");
    completed["result"] = json!({"content":[{"type":"text","text":"done"}],"_meta":{}});
    let got = about(&taking(), "tasks/get").answer(&upstream).await["result"].clone();
    assert_eq!((&got["status"], &got["result"]["content"]), (&completed["status"], &completed["result"]["content"]), "{got}");
    assert!(got["result"]["_meta"].get("io.modelcontextprotocol/related-task").is_none(), "{got}");
    let cancelled = about(&taking(), "tasks/cancel").answer(&upstream).await;
    assert_eq!(cancelled["result"], json!({"resultType":"complete"}), "it has ended, which is no error here");
    let mut stranger = about(&taking(), "tasks/cancel");
    stranger.outbound.original_name = Some("8".into());
    assert_eq!(stranger.answer(&upstream).await["error"]["code"], -32602);
}

#[tokio::test]
async fn what_a_task_came_to_stands_in_its_state() {
    for (outcome, status, expected) in [
        (json!({"result":{"isError":true,"content":[]}}), "completed", json!({"isError":true,"content":[]})),
        (json!({"error":{"code":-32042,"message":"m"}}), "failed", json!({"code":-32603,"message":"m"})),
    ] {
        let outcome = outcome.clone();
        let fake = legacy_server(&["failed"], move |seen| {
            let mut answer = json!({"jsonrpc":"2.0","id":seen.id()});
            answer.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
            json_body(200, &answer)
        })
        .await;
        let got = about(&taking(), "tasks/get").answer(&upstream(&fake)).await["result"].clone();
        assert_eq!(got["status"], status);
        assert_eq!(got[if status == "failed" { "error" } else { "result" }], expected, "{got}");
    }
}

#[tokio::test]
async fn a_legacy_task_asks_a_client_that_polls() {
    let fake = legacy_server(&["input_required"], |seen| {
        let (tell, texts) = tokio::sync::mpsc::unbounded_channel();
        for id in ["q1", "q2"] {
            let mut question = asking(seen);
            question["id"] = id.into();
            tell.send(format!("data: {question}\n\n")).unwrap();
        }
        // It stays open until the client closes it.
        std::mem::forget(tell);
        vec![stream_head(), Act::Relay(texts)]
    })
    .await;
    let upstream = upstream(&fake);
    let asks = async || about(&taking(), "tasks/get").answer(&upstream).await["result"].clone();
    let first = asks().await;
    assert_eq!(first["status"], "input_required");
    let keys: Vec<String> = first["inputRequests"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 2, "{first}");
    assert_eq!(first["inputRequests"][&keys[0]], json!({"method":"elicitation/create","params":{"message":"sure?","for":"tasks/result"}}));
    assert_eq!(asks().await["inputRequests"], first["inputRequests"], "the same for whoever looks again");
    let mut update = about(&taking(), "tasks/update");
    let mut body: Value = serde_json::from_slice(update.outbound.message.bytes()).unwrap();
    body["params"]["inputResponses"] = json!({&keys[0]:{"action":"accept","content":{}},"unknown":{"action":"accept"}});
    update.outbound = taking().raw(&body.to_string()).outbound;
    assert_eq!(update.answer(&upstream).await["result"], json!({"resultType":"complete"}));
    let answers = || fake.seen().into_iter().filter(|seen| seen.body.get("result").is_some()).map(|seen| seen.body).collect::<Vec<_>>();
    eventually("the server has its answer", || !answers().is_empty()).await;
    assert_eq!(answers(), [json!({"jsonrpc":"2.0","id":"q1","result":{"action":"accept","content":{},"_meta":related()}})]);
    let rest = asks().await["inputRequests"].clone();
    assert!(rest.as_object().unwrap().keys().eq([&keys[1]]), "{rest}");
    assert_eq!(fake.trace().iter().filter(|method| *method == "tasks/result").count(), 1, "one wait serves all");
    // Whoever has no name has the id, and is another one with each request.
    let unnamed = |unique: &str| Asker { principal: Arc::new(Principal::anonymous(unique)), ..taking() };
    let keys_of = |state: Value| state["result"]["inputRequests"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let one = keys_of(about(&unnamed("1"), "tasks/get").answer(&upstream).await);
    assert_eq!(keys_of(about(&unnamed("2"), "tasks/get").answer(&upstream).await), one);
    // Somebody else has no part in it.
    let other = about(&taking().named("other"), "tasks/get").answer(&upstream).await["result"].clone();
    assert!(other["inputRequests"].as_object().is_some_and(|asks| asks.keys().all(|key| !keys.contains(key))), "{other}");
    about(&taking(), "tasks/cancel").answer(&upstream).await;
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_does_not_answer_for_another_that_can() {
    let fake = legacy_server(&["input_required"], |seen| vec![stream_head(), event(&asking(seen)), Act::Hold]).await;
    let upstream = upstream(&fake);
    let mute = Asker::new(Revision::V2026_07_28, None, r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#);
    let state = about(&mute, "tasks/get").answer(&upstream).await["result"].clone();
    assert_eq!((&state["status"], state.get("inputRequests")), (&json!("working"), None), "{state}");
    assert!(!fake.trace().contains(&"tasks/result".to_owned()), "{:?}", fake.trace());
    let state = about(&taking(), "tasks/get").answer(&upstream).await["result"].clone();
    assert_eq!(state["inputRequests"].as_object().map(|asks| asks.len()), Some(1), "{state}");
}

#[tokio::test]
async fn what_is_no_answer_to_a_tasks_question_leaves_it_open() {
    let fake = legacy_server(&["input_required"], |seen| vec![stream_head(), event(&asking(seen)), Act::Hold]).await;
    let upstream = upstream(&fake);
    let asks = async || about(&taking(), "tasks/get").answer(&upstream).await["result"]["inputRequests"].clone();
    let first = asks().await;
    let key = first.as_object().expect("a question").keys().next().expect("a question").clone();
    let update = async |answer: Value| {
        let body = taking().request("tasks/update", json!({"taskId":"7","inputResponses":{&key:answer}}));
        assert_eq!(body.answer(&upstream).await["result"], json!({"resultType":"complete"}));
    };
    for wrong in [json!({"roots":[]}), json!({"action":"maybe"}), json!({}), json!({"role":"user","content":{"type":"text","text":"x"}})] {
        update(wrong).await;
        assert_eq!(asks().await, first);
    }
    let answers = || fake.seen().into_iter().filter(|seen| seen.body.get("method").is_none() && seen.verb == "POST").count();
    assert_eq!(answers(), 0, "its server hears nothing of them");
    update(json!({"action":"decline"})).await;
    eventually("the server has its answer", || answers() == 1).await;
}

/// A modern server that answers calls with tasks, if the extension is declared, unless the tool is `quick`.
async fn modern_server(statuses: &'static [&'static str]) -> Fake {
    let looks = AtomicUsize::new(0);
    Fake::start(move |seen| {
        let meta = &seen.body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        let state = |kind: &str, status: &str| {
            json!({"resultType":kind,"taskId":"7","status":status,"createdAt":"c","lastUpdatedAt":"u","ttlMs":null,"pollIntervalMs":20})
        };
        match seen.method() {
            "server/discover" => result(
                seen,
                json!({"resultType":"complete","supportedVersions":["2026-07-28"],"ttlMs":0,"cacheScope":"private",
                    "capabilities":{"tools":{},"extensions":{EXTENSION:{}}}}),
            ),
            "initialize" => error(seen, 404, -32601, Value::Null),
            _ if !meta["extensions"][EXTENSION].is_object() => {
                error(seen, 400, -32021, json!({"requiredCapabilities":{"extensions":{EXTENSION:{}}}}))
            }
            "tools/call" if seen.tool() == "quick" => {
                result(seen, json!({"resultType":"complete","content":[],"structuredContent":{"n":1}}))
            }
            "tools/call" => result(seen, state("task", "working")),
            "tasks/get" if seen.header("mcp-name") == "7" => {
                let look = looks.fetch_add(1, SeqCst).min(statuses.len() - 1);
                let mut state = state("complete", statuses[look]);
                match statuses[look] {
                    "completed" => state["result"] = json!({"content":[{"type":"text","text":"done"}]}),
                    "failed" => state["error"] = json!({"code":-7,"message":"broke"}),
                    "input_required" => state["inputRequests"] = json!({"k":{"method":"elicitation/create","params":{"message":"sure?"}}}),
                    _ => {}
                }
                result(seen, state)
            }
            "tasks/update" | "tasks/cancel" => result(seen, json!({"resultType":"complete"})),
            _ => error(seen, 200, -32602, Value::Null),
        }
    })
    .await
}

fn session(revision: Revision) -> Asker {
    Asker::new(revision, Some("c1"), r#"{"elicitation":{}}"#)
}

#[tokio::test]
async fn a_modern_task_is_seen_to_its_end_for_a_legacy_client_that_asks_for_none() {
    for revision in [Revision::V2025_06_18, Revision::V2025_11_25] {
        let fake = modern_server(&["working", "input_required", "input_required", "completed"]).await;
        let (answer, heard) = with(session(revision).tool("t", json!({})), TaskSupport::Optional).send(&upstream(&fake)).await;
        assert_eq!(value(&answer.unwrap().response)["result"]["content"][0]["text"], "done");
        assert_eq!(heard.iter().map(|asked| &asked["params"]).collect::<Vec<_>>(), [&json!({"message":"sure?"})], "once");
        let update = fake.last("tasks/update").body["params"]["inputResponses"].clone();
        assert_eq!(update, json!({"k":{"action":"accept","asked":"elicitation/create"}}));
    }
    let fake = modern_server(&["failed"]).await;
    let answer = with(session(Revision::V2025_11_25).tool("t", json!({})), TaskSupport::Optional).answer(&upstream(&fake)).await;
    assert_eq!(answer["error"], json!({"code":-7,"message":"broke"}));
}

#[tokio::test]
async fn a_legacy_client_that_asks_for_a_task_gets_one() {
    let fake = modern_server(&["working", "input_required", "completed"]).await;
    let upstream = upstream(&fake);
    let asker = session(Revision::V2025_11_25);
    let call = asker.request("tools/call", json!({"name":"t","task":{"ttl":1000}}));
    let created = with(call, TaskSupport::Optional).answer(&upstream).await;
    let state = |status: &str| json!({"taskId":"7","status":status,"createdAt":"c","lastUpdatedAt":"u","ttl":null,"pollInterval":20});
    assert_eq!(created["result"], json!({"task":state("working")}));
    assert_eq!(fake.last("tools/call").body["params"].get("task"), None, "a modern server does not know it");
    assert_eq!(about(&asker, "tasks/get").answer(&upstream).await["result"], state("working"));
    let (answer, heard) = about(&asker, "tasks/result").send(&upstream).await;
    assert_eq!(heard[0]["params"], json!({"message":"sure?","_meta":related()}));
    assert_eq!(value(&answer.unwrap().response)["result"], json!({"content":[{"type":"text","text":"done"}],"_meta":related()}));
    assert_eq!(about(&asker, "tasks/cancel").answer(&upstream).await["error"]["code"], -32602, "it has ended");
    assert!(!fake.trace().contains(&"tasks/cancel".to_owned()));

    let fake = modern_server(&["working", "working", "cancelled"]).await;
    assert_eq!(about(&asker, "tasks/cancel").answer(&crate::http_modern::upstream(&fake)).await["result"], state("cancelled"));
}

#[tokio::test]
async fn an_answer_that_comes_at_once_is_a_task_that_has_ended() {
    let fake = modern_server(&["working"]).await;
    let upstream = upstream(&fake);
    let asker = session(Revision::V2025_11_25);
    let call = asker.request("tools/call", json!({"name":"quick","task":{"ttl":5000}}));
    let created = with(call, TaskSupport::Optional).answer(&upstream).await["result"]["task"].clone();
    assert_eq!((&created["status"], &created["ttl"]), (&json!("working"), &json!(5000)), "{created}");
    let about = |asker: &Asker, method: &str| asker.request(method, json!({"taskId":created["taskId"]}));
    assert_eq!(about(&asker, "tasks/get").answer(&upstream).await["result"]["status"], "completed");
    let result = about(&asker, "tasks/result").answer(&upstream).await["result"].clone();
    let expected =
        json!({"content":[],"structuredContent":{"n":1},"_meta":{"io.modelcontextprotocol/related-task":{"taskId":created["taskId"]}}});
    assert_eq!(result, expected);
    assert_eq!(about(&asker, "tasks/cancel").answer(&upstream).await["error"]["code"], -32602);
    let other = session(Revision::V2025_11_25).named("other");
    assert_eq!(about(&other, "tasks/get").answer(&upstream).await["error"]["code"], -32602, "it is its principal's");
    assert_eq!(fake.trace().iter().filter(|method| method.starts_with("tasks/")).count(), 1, "the server has no part in it");
}

#[tokio::test]
async fn a_task_asks_what_its_modern_client_has_declared() {
    let fake = modern_server(&["input_required"]).await;
    let upstream = upstream(&fake);
    let asks = about(&taking(), "tasks/get").answer(&upstream).await["result"]["inputRequests"].clone();
    assert_eq!(asks["k"]["method"], "elicitation/create");
    let mute = Asker::new(Revision::V2026_07_28, None, r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#);
    let error = about(&mute, "tasks/get").fail(&upstream).await;
    assert!(matches!(error, UpstreamError::NeedsCapability { .. }), "{error}");
}
