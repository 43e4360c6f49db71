//! What requests to an upstream leave with: credentials that a plugin gives and does not see, each principal's its own.

use crate::{
    backend::{Backend, Call, Offer, tool},
    caller::{Caller, Era, MODERN},
    folder::{Folder, component},
    gateway::{Gateway, key_hash},
    server::{Response, Seen},
    turn::{beside, eventually},
};
use serde_json::{Value, json};
use std::{os::unix::fs::PermissionsExt as _, time::Duration};

const TOKEN: &str = "canary-token-5f3a9c";
const CHALLENGE: &str = r#"Bearer resource_metadata="https://canary-metadata.example.com/""#;
const KEYS: [&str; 2] = ["outbound-key-a-4c1d", "outbound-key-b-90e7"];

fn bears_token(seen: &Seen) -> bool {
    seen.header("authorization") == Some(&format!("Bearer {TOKEN}"))
}

/// Every request must bring the token.
fn guard(seen: &Seen) -> Option<Response> {
    let refusal = || Response { headers: vec![("www-authenticate", CHALLENGE.to_owned())], ..Response::status(401) };
    (!bears_token(seen)).then(refusal)
}

/// Calls must, everything else need not.
fn guard_calls(seen: &Seen) -> Option<Response> {
    let is_call = serde_json::from_slice::<Value>(&seen.body).is_ok_and(|body| body["method"] == "tools/call");
    if is_call { guard(seen) } else { None }
}

/// Shows each user tools of its own.
fn by_user(seen: &Seen) -> Option<Response> {
    let body: Value = serde_json::from_slice(&seen.body).ok()?;
    if body["method"] != "tools/list" {
        return None;
    }
    let of = format!("of-{}", seen.header("x-user").unwrap_or("nobody"));
    let mut result = json!({"tools": [tool(&of)]});
    if body["params"].get("_meta").is_some() {
        (result["resultType"], result["ttlMs"], result["cacheScope"]) = (json!("complete"), json!(60_000), json!("private"));
    }
    Some(Response::json(json!({"jsonrpc": "2.0", "id": body["id"], "result": result}).to_string()))
}

/// Sends back what it was sent, once as JSON and once on a stream.
fn parrot(seen: &Seen) -> Option<Response> {
    let body: Value = serde_json::from_slice(&seen.body).ok()?;
    if body["method"] != "tools/call" {
        return None;
    }
    let text = seen.header("authorization").unwrap_or_default();
    let result = json!({"content": [{"type": "text", "text": text}], "resultType": "complete"});
    let answer = Response::json(json!({"jsonrpc": "2.0", "id": body["id"], "result": result}).to_string());
    Some(if body["params"]["arguments"]["stream"] == true { answer.behind(Vec::new()) } else { answer })
}

/// Never content.
fn never(seen: &Seen) -> Option<Response> {
    let is_call = serde_json::from_slice::<Value>(&seen.body).is_ok_and(|body| body["method"] == "tools/call");
    is_call.then(|| Response { headers: vec![("www-authenticate", CHALLENGE.to_owned())], ..Response::status(401) })
}

async fn guarded(guard: fn(&Seen) -> Option<Response>) -> Backend {
    Backend::start(Offer::tools(&["echo"]).keeping().guarded(guard), |call: Call| async move { call.echo() }).await
}

/// A folder with the plugin under these grants and settings, and with the operator's secret.
fn folder(grants: &[&str], settings: &str) -> (Folder, Value) {
    let folder = Folder::new();
    folder.drop_in("sets-headers.wasm", component("guest_sets_headers"));
    folder.drop_in("sets-headers.toml", format!("grants = {}\n[config]\n{settings}\n", json!(grants)));
    let file = folder.write("token.txt", TOKEN);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    let secret = format!("file:{}", file.display());
    (folder, json!({"secrets": {"token": secret}}))
}

const BEARER: &str = r#"secret = ["authorization", "Bearer ", "token"]"#;

#[test]
fn an_upstream_gets_its_credential_once_it_asks_and_the_client_hears_of_neither() {
    beside("outbound, challenge", 120, async {
        let backend = guarded(guard).await;
        let (folder, own) = folder(&["outbound:only", "secret:token outbound:only"], &format!("when_challenged = true\n{BEARER}"));
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            let result = caller.result("echo", r#"{"n":1}"#).await;
            assert_eq!(result["structuredContent"], json!({"n": 1}), "{result}");
        }
        let calls: Vec<bool> = {
            let seen = backend.server.seen();
            let is_call = |seen: &&Seen| serde_json::from_slice::<Value>(&seen.body).is_ok_and(|body| body["method"] == "tools/call");
            seen.iter().filter(is_call).map(bears_token).collect()
        };
        assert_eq!(calls, [false, true, false, true], "each call is refused once, and sent again with the token");
        let audit = eventually(Duration::from_secs(5), || async {
            let audit = folder.read("audit.jsonl");
            if audit.matches(r#""hook":"on-outbound""#).count() >= 4 { Ok(audit) } else { Err(audit) }
        })
        .await;
        let everything = audit + &gateway.metrics().await + &gateway.log(|_| true).join("\n");
        assert!(!everything.contains("canary"), "neither the token nor the challenge is written down");
    });
}

#[test]
fn a_credential_that_comes_back_is_not_passed_on() {
    beside("outbound, echo", 120, async {
        let backend = guarded(parrot).await;
        for (settings, is_passed) in [
            (BEARER.to_owned(), false),
            // The control: what is no secret may come back.
            (format!(r#"headers = [["authorization", "Bearer {TOKEN}"]]"#), true),
        ] {
            let (folder, own) = folder(&["outbound:only", "secret:token"], &settings);
            let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
            let mut caller = gateway.caller(Era::Modern).await;
            for arguments in ["{}", r#"{"stream":true}"#] {
                let answer = caller.call("echo", arguments).await.expect("an answer").json();
                assert_eq!(answer.get("result").is_some(), is_passed, "{arguments}: {answer}");
                assert_eq!(answer.to_string().contains(TOKEN), is_passed, "{arguments}: {answer}");
            }
        }
    });
}

#[test]
fn an_upstream_that_is_never_content_is_not_asked_again_and_again() {
    beside("outbound, never", 120, async {
        let backend = guarded(never).await;
        let (folder, own) = folder(&["outbound:only", "secret:token"], &format!("when_challenged = true\n{BEARER}"));
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        let reply = gateway.caller(Era::Modern).await.call("echo", "{}").await.expect("an answer");
        let answer = reply.json();
        assert_eq!(answer["error"]["data"]["reason"], "upstream_unauthorized", "{answer}");
        assert!(reply.status != 401 && !answer.to_string().contains("canary"), "{answer}");
        assert_eq!(backend.asked("tools/call"), 2, "without, with, and then the plugin knows nothing better");
    });
}

/// The control of the first test.
#[test]
fn without_the_plugin_the_upstream_refuses_and_its_challenge_stays_here() {
    beside("outbound, none", 120, async {
        let backend = guarded(guard_calls).await;
        let gateway = Gateway::start(&Folder::new(), json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let mut caller = gateway.caller(Era::Modern).await;
        let reply = caller.call("echo", "{}").await.expect("an answer");
        let answer = reply.json();
        assert_eq!(answer["error"]["data"]["reason"], "upstream_unauthorized", "{answer}");
        assert!(reply.status != 401 && !answer.to_string().contains("canary") && reply.header("www-authenticate").is_none());
        assert_eq!(backend.asked("tools/call"), 1);
    });
}

#[test]
fn a_hostile_plugin_sends_no_secret_where_it_may_not_go_and_replaces_nothing() {
    beside("outbound, hostile", 240, async {
        let grants = ["outbound:*", "secret:token outbound:mine"];
        for (settings, of_mine, of_other) in [
            // The control: the very same grants, to the upstream that the secret is for.
            (format!("only = \"mine\"\n{BEARER}"), "result", "result"),
            (BEARER.to_owned(), "result", "plugin_fault"),
            (r#"headers = [["x-configured", "mine"]]"#.to_owned(), "plugin_fault", "result"),
            (r#"headers = [["Mcp-Session-Id", "stolen"]]"#.to_owned(), "plugin_fault", "plugin_fault"),
            (r#"headers = [["x-a", "1\r\nx-b: 2"]]"#.to_owned(), "plugin_fault", "plugin_fault"),
            (r#"headers = [["x-handle", "1"]]"#.to_owned(), "result", "result"),
        ] {
            let [mine, other] = [guarded(|_| None).await, guarded(|_| None).await];
            let (folder, mut own) = folder(&grants, &settings);
            own["chain"] = json!(["sets-headers", "builtin:namespace"]);
            let servers = json!({
                "mine": {"url": mine.url, "headers": {"x-configured": "the operator's"}},
                "other": {"url": other.url},
            });
            let gateway = Gateway::start(&folder, json!({"mcpServers": servers, "sluice": own})).await;
            for (backend, upstream, expected) in [(&mine, "mine", of_mine), (&other, "other", of_other)] {
                let mut caller = gateway.caller(Era::Modern).await;
                let answer = caller.call(&format!("{upstream}_echo"), "{}").await.expect("an answer").json();
                let reason = if answer.get("result").is_some() { "result" } else { answer["error"]["data"]["reason"].as_str().unwrap() };
                assert_eq!(reason, expected, "{settings}, {upstream}: {answer}");
                let seen = backend.server.seen();
                assert_eq!(expected == "result", !seen.is_empty(), "{settings}: nothing reaches {upstream} half made");
                for seen in seen.iter() {
                    let everything = format!("{:?}", seen.headers);
                    assert_eq!(everything.contains(TOKEN), upstream == "mine" && settings.contains("secret"), "{settings}: {everything}");
                    assert!(upstream == "other" || seen.header("x-configured") == Some("the operator's"), "{settings}: {everything}");
                    assert!(!everything.contains("stolen") && seen.header("x-b").is_none(), "{settings}: {everything}");
                    // What looks like a handle is the text that it is.
                    assert!(seen.header("x-handle").is_none_or(|value| value == "1"));
                }
            }
        }
    });
}

async fn two_principals(backend: &Backend, grants: &[&str]) -> (Folder, Gateway) {
    let (folder, mut own) = folder(grants, r#"subject = "x-user""#);
    let keys: Vec<Value> = ["a", "b"].iter().zip(KEYS).map(|(id, key)| json!({"id": id, "hash": key_hash(key)})).collect();
    own["chain"] = json!(["builtin:auth-api-key", "sets-headers"]);
    own["plugins"] = json!({"settings": {"auth-api-key": {"config": {"keys": keys}}}});
    let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
    (folder, gateway)
}

#[test]
fn what_an_upstream_shows_one_principal_no_other_sees() {
    beside("outbound, principals", 240, async {
        for era in Era::BOTH {
            let backend =
                Backend::start(Offer::tools(&[]).only(era).keeping().guarded(by_user), |call: Call| async move { call.echo() }).await;
            let (_folder, gateway) = two_principals(&backend, &["outbound:only"]).await;
            let [mut a, mut b] = [Caller::new(&gateway.address, era, KEYS[0]).await, Caller::new(&gateway.address, era, KEYS[1]).await];
            assert_eq!(a.names("tools").await, ["of-a"]);
            assert_eq!(b.names("tools").await, ["of-b"]);
            assert_eq!(a.names("tools").await, ["of-a"]);
            assert_eq!(backend.asked("tools/list"), 2, "each is asked for once");
            a.result("of-a", "{}").await;
            let answer = b.call("of-a", "{}").await.expect("an answer").json();
            assert_eq!(answer["error"]["data"]["reason"], "unknown_name", "{answer}");
            let opened = backend.server.seen().iter().filter(|seen| seen.header("x-user") == Some("b")).count();
            assert!(opened > 1, "and the handshakes are each one's own");

            // The control: without a grant for it, what the upstream shows is everybody's.
            let backend =
                Backend::start(Offer::tools(&[]).only(era).keeping().guarded(by_user), |call: Call| async move { call.echo() }).await;
            let (_folder, gateway) = two_principals(&backend, &["outbound:elsewhere"]).await;
            for key in KEYS {
                assert_eq!(Caller::new(&gateway.address, era, key).await.names("tools").await, ["of-nobody"]);
            }
            assert_eq!(backend.asked("tools/list"), 1);
        }
    });
}

/// One call of a modern client that declares this.
async fn declaring(caller: &mut Caller, declared: &str, more: &str) -> Value {
    let meta =
        format!(r#"{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{declared}}}"#);
    let params = format!(r#"{{"name":"echo","arguments":{{"n":1}}{more},"_meta":{meta}}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{params}}}"#, caller.next_id());
    caller.post("tools/call", Some("echo"), &body).await.expect("an answer").json()
}

const LINK: &str = "https://gateway.example.com/-/connect";

#[test]
fn a_person_is_asked_first_where_they_can_be_and_told_where_they_cannot() {
    beside("outbound, person", 120, async {
        let backend = guarded(guard_calls).await;
        let settings = format!("when_challenged = true\nlink = \"{LINK}\"\n{BEARER}");
        let (folder, own) = folder(&["outbound:only", "secret:token"], &settings);
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        let mut caller = gateway.caller(Era::Modern).await;

        let asked = declaring(&mut caller, r#"{"elicitation":{"url":{}}}"#, "").await;
        assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
        let (key, question) = asked["result"]["inputRequests"].as_object().and_then(|all| all.iter().next()).expect("a question");
        assert_eq!((&question["params"]["mode"], &question["params"]["url"]), (&json!("url"), &json!(LINK)));
        assert_eq!(backend.asked("tools/call"), 1, "refused, and not sent again");
        let answer = format!(r#","requestState":{},"inputResponses":{{"{key}":{{"action":"accept"}}}}"#, asked["result"]["requestState"]);
        let done = declaring(&mut caller, r#"{"elicitation":{"url":{}}}"#, &answer).await;
        assert_eq!(done["result"]["structuredContent"], json!({"n": 1}), "{done}");

        let told = declaring(&mut caller, "{}", "").await;
        let text = told["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(told["result"]["isError"] == true && text.contains(LINK), "a model can read it: {told}");
        let mut legacy = gateway.caller(Era::Legacy).await;
        let told = legacy.call("echo", "{}").await.expect("an answer").json();
        assert!(told["result"]["isError"] == true && told.to_string().contains(LINK), "{told}");
    });
}

/// A server with a tool that is always a task, and credentials that end before the task does.
fn task_outlives_credentials(seen: &Seen) -> Option<Response> {
    let body: Value = serde_json::from_slice(&seen.body).ok()?;
    let result = match body["method"].as_str()? {
        "initialize" => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}, "tasks": {"requests": {"tools": {"call": {}}}}},
            "serverInfo": {"name": "tasks", "version": "1"},
        }),
        "tools/list" => {
            let mut tool = tool("long");
            tool["execution"] = json!({"taskSupport": "required"});
            json!({"tools": [tool]})
        }
        "tools/call" => {
            let at = "2026-01-01T00:00:00Z";
            json!({"task": {"taskId": "t1", "status": "working", "createdAt": at, "lastUpdatedAt": at, "ttl": 60_000, "pollInterval": 20}})
        }
        "tasks/get" => return guard(seen),
        _ => return None,
    };
    Some(Response::json(json!({"jsonrpc": "2.0", "id": body["id"], "result": result}).to_string()))
}

/// What holds back a later request of a call says nothing about the call: it may be running, and is not begun again.
#[test]
fn a_call_that_has_begun_is_not_begun_again_when_its_credentials_end() {
    beside("outbound, tasks", 120, async {
        let offer = Offer { legacy: true, modern: false, ..Offer::tools(&["long"]) };
        let backend = Backend::start(offer.keeping().guarded(task_outlives_credentials), |call: Call| async move { call.echo() }).await;
        let link = "when_challenged = true\nlink = \"https://connect.example.com/1\"";
        let (folder, own) = folder(&["outbound:only", "secret:token"], link);
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        let mut caller = gateway.caller(Era::Modern).await;
        let answer = caller.call("long", "{}").await.expect("an answer").json();
        assert_eq!(answer["error"]["data"]["reason"], "outcome_unknown", "{answer}");
        assert_eq!(backend.asked("tools/call"), 1);
        // The credentials were one caller's: the server is as well as it was.
        assert_eq!(gateway.metric("sluice_upstream_up{upstream=\"only\"}").await, 1.0);
    });
}

#[test]
fn where_not_even_the_list_can_be_asked_for_it_says_what_to_do() {
    beside("outbound, lists", 120, async {
        let [guarded, open] = [guarded(guard).await, Backend::echo(&["open"]).await];
        let (folder, own) = folder(&["outbound:guarded"], &format!("link = \"{LINK}\""));
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"guarded": {"url": guarded.url}}, "sluice": own.clone()})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            let told = caller.ask("tools/list", None, "").await.expect("an answer").json();
            assert_eq!(
                (&told["error"]["data"]["reason"], &told["error"]["data"]["url"]),
                (&json!("action_required"), &json!(LINK)),
                "{told}"
            );
            assert!(told["error"]["message"].as_str().is_some_and(|text| text.contains(LINK)), "{told}");
        }
        assert!(guarded.server.seen().is_empty(), "nothing left");
        // The control: beside others it is no reason to show nothing.
        let servers = json!({"guarded": {"url": guarded.url}, "open": {"url": open.url}});
        let gateway = Gateway::start(&folder, json!({"mcpServers": servers, "sluice": own})).await;
        for era in Era::BOTH {
            assert_eq!(gateway.caller(era).await.names("tools").await, ["open_open"]);
        }
    });
}
