//! Filters served as interceptors, an interceptor server as a filter, and both at once: the same verdicts over the detour.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::{Folder, component, marked},
    gateway::Gateway,
    turn::{beside, eventually},
};
use serde_json::{Value, json};
use std::time::Duration;

const MAIL: &str = "canary.person@example.com";
/// What each filter of the chain is in the words of the draft.
const ASKED: &str = r#"[{"name":"verdict","type":"validation"},{"name":"redact","type":"mutation"}]"#;

/// The two filters that are served and, for comparison, stand in a chain: one that refuses a tool, one that masks.
fn filters(folder: &Folder) {
    folder.drop_in("verdict.wasm", component("guest_verdict"));
    let settings = "[config]\non = \"request\"\nname = \"forbidden\"\nverdict = { reject = { code = 4030, message = \"nobody does\" } }\n";
    folder.drop_in("verdict.toml", settings.to_owned());
}

/// A Sluice whose filters are for others to ask.
async fn serving(folder: &Folder, is_on: bool) -> Gateway {
    filters(folder);
    let served = if is_on { &["verdict", "redact", "rate-limit"][..] } else { &[] };
    let own = json!({
        "chain": ["verdict", "builtin:redact", "builtin:rate-limit"],
        "experimental": {"interceptors": served},
        "plugins": {"settings": {"rate-limit": {"config": {"limits": [{"name": "many", "per_minute": 1_000_000}]}}}},
    });
    Gateway::start(folder, json!({"mcpServers": {"clock": {"url": "builtin:clock"}}, "sluice": own})).await
}

/// A Sluice that asks that one about everything.
async fn asking(folder: &Folder, backend: &Backend, (served, serving): (&Folder, &Gateway), fail_open: bool) -> Gateway {
    let origin = format!("http://{}", serving.address);
    let mut asked: Value = serde_json::from_str(ASKED).expect("JSON");
    asked.as_array_mut().into_iter().flatten().for_each(|one| one["fail_open"] = fail_open.into());
    let settings = json!({"interceptor": {
        "grants": [format!("fetch:{origin} POST private"), format!("secret:guard fetch:{origin}")],
        "config": {"url": format!("{origin}/mcp"), "token": "guard", "interceptors": asked, "tell": "messages"},
    }});
    let guard = format!("file:{}", served.path("token").display());
    let own = json!({"chain": ["builtin:interceptor"], "secrets": {"guard": guard}, "plugins": {"settings": settings}});
    Gateway::start(folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await
}

/// What a client gets, without what is of one exchange only.
async fn answer(caller: &mut Caller, tool: &str, arguments: &Value) -> Value {
    let mut answer = caller.call(tool, &arguments.to_string()).await.expect("an answer").json();
    if let Some(error) = answer.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("data");
    }
    json!([answer["result"].take(), answer["error"].take()])
}

async fn invoke(caller: &mut Caller, members: &Value) -> Value {
    let members = members.to_string();
    caller.ask("interceptor/invoke", None, &members[1..members.len() - 1]).await.expect("an answer").json()
}

#[test]
fn a_filter_gives_the_same_verdicts_over_the_detour_as_in_the_chain() {
    beside("interceptors, both ways", 180, async {
        let backend = Backend::recording(&["echo", "forbidden"]).await;
        let (served, with, without) = (Folder::new(), Folder::new(), Folder::new());
        let guard = serving(&served, true).await;
        filters(&with);
        let own = json!({"chain": ["verdict", "builtin:redact"]});
        let direct = Gateway::start(&with, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        let detour = asking(&without, &backend, (&served, &guard), false).await;
        let cases = [
            ("echo", json!({"text": "good morning", "n": 1.10, "deep": [{"big": 12_345_678_901_234_567_890_u64}]})),
            ("echo", json!({"to": MAIL, "deep": [{"list": ["plain", format!("and {MAIL}")]}], MAIL: 1})),
            ("echo", json!({})),
            ("forbidden", json!({"text": "x"})),
            ("forbidden", json!({"to": MAIL})),
            ("nothing", json!({})),
        ];
        for era in Era::BOTH {
            let (mut direct, mut detour) = (direct.caller(era).await, detour.caller(era).await);
            for (tool, arguments) in &cases {
                let before = backend.asked("tools/call");
                let expected = answer(&mut direct, tool, arguments).await;
                let calls = backend.asked("tools/call") - before;
                let got = answer(&mut detour, tool, arguments).await;
                assert_eq!(got, expected, "{era:?} {tool} {arguments}");
                assert_eq!(backend.asked("tools/call") - before, 2 * calls, "{era:?} {tool}: the server is called as often");
                assert!(!got.to_string().contains(MAIL), "{got}");
            }
        }
        let seen = backend.server.seen();
        assert!(seen.iter().all(|seen| !String::from_utf8_lossy(&seen.body).contains(MAIL)), "none of it came to the server");
    });
}

#[test]
fn who_cannot_be_asked_lets_nothing_pass_unless_the_operator_says_so() {
    beside("interceptors, gone", 180, async {
        let backend = Backend::recording(&["echo"]).await;
        let (served, closed, open) = (Folder::new(), Folder::new(), Folder::new());
        let guard = serving(&served, true).await;
        let closed = asking(&closed, &backend, (&served, &guard), false).await;
        let open = asking(&open, &backend, (&served, &guard), true).await;
        let (mut closed, mut open) = (closed.caller(Era::Modern).await, open.caller(Era::Modern).await);
        let arguments = json!({"to": MAIL});
        // The control: while it answers, both mask.
        for caller in [&mut closed, &mut open] {
            assert!(answer(caller, "echo", &arguments).await.to_string().contains("[REDACTED:email]"));
        }
        drop(guard);
        let calls = backend.asked("tools/call");
        let refused = answer(&mut closed, "echo", &arguments).await;
        assert_eq!((&refused[1]["code"], backend.asked("tools/call")), (&json!(4061), calls), "{refused}");
        assert!(answer(&mut open, "echo", &arguments).await.to_string().contains(MAIL));
    });
}

#[test]
fn the_drafts_methods_are_answered_as_it_says() {
    beside("interceptors, served", 120, async {
        let folder = Folder::new();
        let gateway = serving(&folder, true).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            let listed = caller.ask("interceptors/list", None, "").await.expect("an answer").json();
            let listed = listed["result"]["interceptors"].as_array().unwrap_or_else(|| panic!("{listed}")).clone();
            let [verdict, redact, limit] = &listed[..] else { panic!("three filters: {listed:?}") };
            assert_eq!(
                (&verdict["name"], &verdict["type"], &verdict["mode"], &verdict["failOpen"]),
                (&json!("verdict"), &json!("validation"), &json!("active"), &json!(false))
            );
            assert_eq!(verdict["hooks"], json!([{"events": ["*"], "phase": "request"}, {"events": ["*"], "phase": "response"}]));
            assert_eq!((&redact["name"], &redact["type"], redact["version"].is_string()), (&json!("redact"), &json!("mutation"), true));
            assert_eq!(
                (&limit["type"], limit["hooks"].as_array().map(Vec::len)),
                (&json!("validation"), Some(1)),
                "by its selectors: {limit}"
            );
            let narrowed = caller.ask("interceptors/list", None, r#""event":"prompts/nothing""#).await.expect("an answer").json();
            assert_eq!(narrowed["result"]["interceptors"].as_array().map(Vec::len), Some(2), "without the one that counts: {narrowed}");

            let payload = json!({"method": "tools/call", "params": {"name": "forbidden", "arguments": {}}});
            let said =
                invoke(&mut caller, &json!({"name": "verdict", "event": "tools/call", "phase": "request", "payload": payload})).await;
            let result = &said["result"];
            assert_eq!(
                (&result["valid"], &result["severity"], &result["type"], &result["phase"]),
                (&json!(false), &json!("error"), &json!("validation"), &json!("request")),
                "{said}"
            );
            assert_eq!((&result["messages"][0]["message"], &result["info"]["code"]), (&json!("nobody does"), &json!(4030)));
            assert_eq!(result.get("resultType").is_some(), era == Era::Modern);

            // Whole messages, and what most SDKs send.
            let params = json!({"name": "echo", "arguments": {"to": MAIL}});
            for payload in [json!({"method": "tools/call", "params": params}), params.clone()] {
                let said =
                    invoke(&mut caller, &json!({"name": "redact", "event": "tools/call", "phase": "request", "payload": payload})).await;
                let masked = payload.to_string().replace(MAIL, "[REDACTED:email]");
                assert_eq!((&said["result"]["modified"], said["result"]["payload"].to_string()), (&json!(true), masked), "{said}");
            }
            let payload = json!({"content": [{"type": "text", "text": "nothing"}]});
            let said =
                invoke(&mut caller, &json!({"name": "redact", "event": "tools/call", "phase": "response", "payload": payload})).await;
            assert_eq!((&said["result"]["modified"], &said["result"]["payload"]), (&json!(false), &payload), "{said}");

            let plain = json!({"name": "redact", "event": "tools/call", "phase": "request", "payload": {}});
            for (change, code) in [
                (json!({"name": "nobody"}), -32602),
                (json!({"name": "rate-limit", "event": "prompts/nothing"}), -32602),
                (json!({"phase": "both"}), -32602),
                (json!({"payload": 7}), -32602),
                (json!({"config": {"action": "off"}}), -32602),
                (json!({"timeoutMs": 0}), -32000),
            ] {
                let mut members = plain.clone();
                members.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
                let said = invoke(&mut caller, &members).await;
                assert_eq!(said["error"]["code"], code, "{change}: {said}");
            }
        }
        let mut modern = gateway.caller(Era::Modern).await;
        let discovered = modern.ask("server/discover", None, "").await.expect("an answer").json();
        let events = &discovered["result"]["capabilities"]["extensions"]["io.modelcontextprotocol/interceptors"]["supportedEvents"];
        assert!(
            events.as_array().is_some_and(|events| events.contains(&json!("*")) && events.contains(&json!("tools/call"))),
            "{discovered}"
        );
        let mut legacy = Caller::silent(&gateway.address, Era::Legacy, &gateway.token);
        let opened = legacy.initialize().await;
        assert!(opened["result"]["capabilities"]["experimental"]["io.modelcontextprotocol/interceptors"].is_object(), "{opened}");
    });
}

#[test]
fn unless_the_operator_serves_them_there_is_nothing_of_them() {
    beside("interceptors, off", 120, async {
        let folder = Folder::new();
        let gateway = serving(&folder, false).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            for method in ["interceptors/list", "interceptor/invoke"] {
                let other = caller.ask("interceptors/other", None, "").await.expect("an answer");
                let reply = caller.ask(method, None, "").await.expect("an answer");
                let [other, reply] = [other, reply].map(|answer| {
                    let mut error = answer.json()["error"].take();
                    // Each refusal has an id of its own.
                    error["data"]["requestId"] = Value::Null;
                    (answer.status, error)
                });
                assert_eq!(reply, other, "{era:?} {method}: as any method that is none");
                assert_eq!(reply.1["code"], -32601);
            }
        }
        let discovered = gateway.caller(Era::Modern).await.ask("server/discover", None, "").await.expect("an answer").json();
        assert!(!discovered.to_string().contains("interceptors"), "{discovered}");
    });
}

/// What is not looked at is not called good: not by a filter that the message does not enter, and not while another version is tried.
#[test]
fn a_filter_that_does_not_look_says_so() {
    beside("interceptors, not entered", 120, async {
        let (folder, backend) = (Folder::new(), Backend::echo(&["echo"]).await);
        filters(&folder);
        let own = json!({
            "chain": ["verdict", "builtin:redact", "builtin:namespace"],
            "experimental": {"interceptors": ["verdict", "redact"]},
            "plugins": {"settings": {"redact": {"when": {"upstreams": ["only"]}}}},
        });
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        let mut caller = gateway.caller(Era::Modern).await;
        let listed = caller.ask("interceptors/list", None, "").await.expect("an answer").json();
        let names: Vec<_> = listed["result"]["interceptors"].as_array().into_iter().flatten().map(|one| one["name"].clone()).collect();
        assert_eq!(names, ["verdict", "redact"], "those that are named, and no others");

        let payload = json!({"name": "forbidden", "arguments": {"to": MAIL}});
        let ask = |name: &str| json!({"name": name, "event": "tools/call", "phase": "request", "payload": payload});
        let said = invoke(&mut caller, &ask("redact")).await;
        assert_eq!((&said["error"]["code"], said.get("result")), (&json!(-32603), None), "{said}");
        let judged = |said: &Value| said["result"]["valid"] == json!(false);
        let said = invoke(&mut caller, &ask("verdict")).await;
        assert!(judged(&said), "the control: {said}");

        // Each exchange is the new version's now, and the new version is asked.
        let settings = folder.read("plugins/verdict.toml");
        folder.drop_in("verdict.wasm.next", marked(&component("guest_verdict"), "next"));
        folder.drop_in("verdict.toml", format!("{settings}\n[canary]\npercent = 100\n"));
        eventually(Duration::from_secs(20), || async {
            let tried = gateway.metric("sluice_plugin_trial_recent_calls{plugin=\"verdict\"}").await;
            let said = invoke(&mut gateway.caller(Era::Modern).await, &ask("verdict")).await;
            assert!(judged(&said), "{said}");
            if tried > 0.0 { Ok(()) } else { Err("the new version was not asked".to_owned()) }
        })
        .await;
    });
}
