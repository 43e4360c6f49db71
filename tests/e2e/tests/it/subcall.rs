//! A plugin calls tools itself: those that are granted and seen, as who asks, through the other filters, and written down.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era},
    folder::{Folder, component},
    gateway::{Gateway, key_hash},
    turn::{beside, eventually},
};
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str = "subcall-key-2b7f";

struct Rig {
    folder: Folder,
    gateway: Gateway,
    a: Backend,
    b: Backend,
}

/// Two servers, `a` with the tool that the plugin answers; before it who asks, behind it who sets a header.
async fn rig(grants: &[&str], settings: &str, chain: &[&str]) -> Rig {
    let a = Backend::recording(&["ask", "echo"]).await;
    let b = Backend::start(Offer::tools(&["echo", "slow", "bad"]).keeping().guarded(|_| None), |call: Call| async move {
        match call.name.as_str() {
            "slow" => tokio::time::sleep(Duration::from_secs(20)).await,
            "bad" => return call.error(-32602, "no such thing", "null"),
            _ => {}
        }
        call.echo()
    })
    .await;
    let folder = Folder::new();
    for (file, name) in [("calls-tools", "guest_calls_tools"), ("sets-headers", "guest_sets_headers"), ("verdict", "guest_verdict")] {
        folder.drop_in(&format!("{file}.wasm"), component(name));
    }
    folder.drop_in("calls-tools.toml", format!("grants = {}\n[config]\n{settings}\n", json!(grants)));
    folder.drop_in("sets-headers.toml", "grants = [\"outbound:b\"]\n[config]\nsubject = \"x-user\"\n".to_owned());
    folder.drop_in(
        "verdict.toml",
        "[config]\non = \"request\"\nname = \"b_echo\"\nverdict = { reject = { code = 4030, message = \"nobody does\" } }\n".to_owned(),
    );
    let own = json!({
        "chain": chain,
        "plugins": {"settings": {"auth-api-key": {"config": {"keys": [{"id": "ada", "hash": key_hash(KEY)}]}}}},
    });
    let servers = json!({"a": {"url": a.url}, "b": {"url": b.url}});
    let gateway = Gateway::start(&folder, json!({"mcpServers": servers, "sluice": own})).await;
    Rig { folder, gateway, a, b }
}

const CHAIN: [&str; 4] = ["builtin:auth-api-key", "calls-tools", "sets-headers", "builtin:namespace"];

async fn asked(rig: &Rig, era: Era, wanted: Value) -> Value {
    let mut caller = Caller::new(&rig.gateway.address, era, KEY).await;
    caller.result("a_ask", &wanted.to_string()).await["structuredContent"].take()
}

#[test]
fn a_granted_tool_is_called_as_who_asks_and_both_are_written_down() {
    beside("subcall", 120, async {
        let rig = rig(&["upstream:b e*"], "", &CHAIN).await;
        for era in Era::BOTH {
            let said = asked(&rig, era, json!({"upstream": "b", "tool": "echo", "arguments": {"n": 1}})).await;
            assert_eq!(said["result"]["structuredContent"], json!({"n": 1}), "{said}");
        }
        assert_eq!((rig.b.asked("tools/call"), rig.a.asked("tools/call")), (2, 0));
        {
            let seen = rig.b.server.seen();
            assert!(seen.iter().all(|seen| seen.header("x-user") == Some("ada")), "with the credentials of who asks: {seen:?}");
        }
        let lines = eventually(Duration::from_secs(5), || async {
            let audit = rig.folder.read("audit.jsonl");
            let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let calls: Vec<Value> = lines.into_iter().filter(|line| line["method"] == "tools/call").collect();
            if calls.len() == 4 { Ok(calls) } else { Err(audit) }
        })
        .await;
        let of = |name: &str| lines.iter().filter(|line| line["name"] == name).collect::<Vec<_>>();
        for (inner, outer) in of("b_echo").into_iter().zip(of("a_ask")) {
            assert_eq!((&inner["parent"], &inner["principal"], &inner["outcome"]), (&outer["request"], &json!("ada"), &json!("answered")));
            assert!(outer.get("parent").is_none() && inner["request"] != outer["request"]);
            assert!(!inner["verdicts"].to_string().contains("calls-tools"), "who waits for it is passed over: {inner}");
        }
    });
}

#[test]
fn what_is_not_granted_not_seen_or_not_in_time_is_not_called() {
    beside("subcall, refused", 120, async {
        let rig = rig(&["upstream:b e*,slow,bad,nothing", "upstream:a ask"], "", &CHAIN).await;
        for (wanted, error) in [
            (json!({"upstream": "b", "tool": "other", "arguments": {}}), "denied"),
            (json!({"upstream": "a", "tool": "echo", "arguments": {}}), "denied"),
            // By the name that clients know it is not granted.
            (json!({"upstream": "b", "tool": "b_echo", "arguments": {}}), "denied"),
            (json!({"upstream": "b", "tool": "nothing", "arguments": {}}), "unknown"),
            (json!({"upstream": "c", "tool": "echo", "arguments": {}}), "denied"),
            (json!({"upstream": "b", "tool": "echo", "arguments": [1]}), "denied"),
            (json!({"upstream": "b", "tool": "slow", "arguments": {}, "timeout_ms": 300}), "timeout"),
            (json!({"upstream": "b", "tool": "bad", "arguments": {}}), "failed"),
        ] {
            let said = asked(&rig, Era::Modern, wanted.clone()).await;
            assert_eq!(said["error"], error, "{wanted}: {said}");
        }
        assert_eq!((rig.b.asked("tools/call"), rig.a.asked("tools/call")), (2, 0), "the slow one and the bad one");
        // A plugin that calls what it answers itself is passed over, so it comes to no loop.
        let inner = json!({"upstream": "b", "tool": "echo", "arguments": {}});
        let said = asked(&rig, Era::Modern, json!({"upstream": "a", "tool": "ask", "arguments": inner})).await;
        assert_eq!((&said["result"]["structuredContent"], rig.a.asked("tools/call")), (&inner, 1), "{said}");
    });
}

#[test]
fn other_filters_judge_such_a_call_as_any_other() {
    beside("subcall, judged", 120, async {
        let chain = ["builtin:auth-api-key", "calls-tools", "verdict", "builtin:namespace"];
        let rig = rig(&["upstream:b echo"], "", &chain).await;
        let said = asked(&rig, Era::Modern, json!({"upstream": "b", "tool": "echo", "arguments": {}})).await;
        assert_eq!((&said["error"], &said["code"], &said["why"]), (&json!("failed"), &json!(4030), &json!("nobody does")));
        assert_eq!(rig.b.asked("tools/call"), 0);
    });
}

#[test]
fn answers_may_be_made_of_calls_too() {
    beside("subcall, on-response", 120, async {
        let rig = rig(&["upstream:b echo"], "on_response = true", &CHAIN).await;
        let said = asked(&rig, Era::Modern, json!({"upstream": "b", "tool": "echo", "arguments": {"n": 2}})).await;
        assert_eq!(said["result"]["structuredContent"], json!({"n": 2}), "{said}");
        assert_eq!((rig.a.asked("tools/call"), rig.b.asked("tools/call")), (1, 1));
    });
}
