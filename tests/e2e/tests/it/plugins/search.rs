//! `search`: a list of two tools instead of many, in which the right one is found and called, as who asks, by who may.

use crate::{
    backend::{Backend, Offer},
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    turn::beside,
};
use serde_json::{Value, json};

/// Tools of a kind, of which one speaks of herons.
async fn server(kind: &str, count: usize) -> Backend {
    let define = |at: usize| json!({"name": format!("{kind}_{at}"), "description": format!("Paints number {at}"), "inputSchema": {"type": "object"}});
    let mut tools: Vec<Value> = (0..count).map(define).collect();
    tools.push(json!({
        "name": format!("draw_{kind}"),
        "description": "Draws a heron",
        "inputSchema": {"type": "object", "properties": {"wings": {"type": "integer"}}},
    }));
    let offer = Offer { legacy: true, modern: true, tools, ..Offer::default() };
    Backend::start(offer.keeping(), |call| async move {
        match call.name.as_str() {
            "bad_0" => call.error(-32602, "no such colour", "null"),
            _ => call.echo(),
        }
    })
    .await
}

/// `bob` may use nothing of `bad`.
async fn gateway(folder: &Folder, good: &Backend, bad: &Backend, config: Value) -> Gateway {
    let keys = json!([{"id": "ada", "hash": key_hash("key-ada")}, {"id": "bob", "hash": key_hash("key-bob")}]);
    let rules = json!([{"effect": "allow"}, {"effect": "deny", "subjects": ["bob"], "upstreams": ["bad"]}]);
    let settings = json!({
        "auth-api-key": {"config": {"keys": keys}},
        "rbac": {"config": {"rules": rules}},
        "search": {"config": config, "grants": ["upstream:* *"]},
    });
    let chain = json!(["builtin:auth-api-key", "builtin:rbac", "builtin:namespace", "builtin:search"]);
    let servers = json!({"good": {"url": good.url}, "bad": {"url": bad.url}});
    Gateway::start(folder, json!({"mcpServers": servers, "sluice": {"chain": chain, "plugins": {"settings": settings}}})).await
}

async fn found(caller: &mut Caller, query: &str) -> Vec<String> {
    let result = caller.result("search_tools", &json!({"query": query}).to_string()).await;
    let said: Value = serde_json::from_str(result["content"][0]["text"].as_str().expect("a text")).expect("JSON");
    let tools = said["tools"].as_array().unwrap_or_else(|| panic!("{said}"));
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

async fn called(caller: &mut Caller, name: &str, arguments: Value) -> Value {
    caller.result("call_tool", &json!({"name": name, "arguments": arguments}).to_string()).await
}

#[test]
fn f038_tools_are_found_and_called_instead_of_listed() {
    beside("search", 120, async {
        let (good, bad) = (server("good", 15).await, server("bad", 15).await);
        let folder = Folder::new();
        let gateway = gateway(&folder, &good, &bad, json!({"keep": ["good_good_3"], "tools_min": 10})).await;
        for era in Era::BOTH {
            let before = (good.asked("tools/call"), bad.asked("tools/call"));
            let mut ada = Caller::new(&gateway.address, era, "key-ada").await;
            assert_eq!(ada.names("tools").await, ["good_good_3", "search_tools", "call_tool"], "{era:?}");
            let names = found(&mut ada, "drawing herons").await;
            assert!(names.len() == 2 && names.contains(&"good_draw_good".into()) && names.contains(&"bad_draw_bad".into()), "{names:?}");
            let result = called(&mut ada, "bad_draw_bad", json!({"wings": 2})).await;
            assert_eq!(result["structuredContent"], json!({"wings": 2}), "{era:?}: {result}");
            let failed = called(&mut ada, "bad_bad_0", json!({})).await;
            assert!(failed["isError"] == true && failed.to_string().contains("no such colour"), "{failed}");
            let unknown = called(&mut ada, "bad_nothing", json!({})).await;
            assert!(unknown["isError"] == true && unknown.to_string().contains("there is no tool"), "{unknown}");
            // What is hidden is not called by its name.
            let direct = ada.call("bad_draw_bad", "{}").await.expect("an answer").json();
            assert_eq!(direct["error"]["data"]["reason"], "unknown_name", "{direct}");
            assert_eq!((good.asked("tools/call") - before.0, bad.asked("tools/call") - before.1), (0, 2), "{era:?}");

            // What who asks may not use is neither found nor called.
            let mut bob = Caller::new(&gateway.address, era, "key-bob").await;
            assert_eq!(found(&mut bob, "drawing herons").await, ["good_draw_good"], "{era:?}");
            let refused = called(&mut bob, "bad_draw_bad", json!({})).await;
            assert!(refused["isError"] == true && refused.to_string().contains("there is no tool"), "{refused}");
            assert_eq!(bad.asked("tools/call") - before.1, 2, "{era:?}: it reached no server");
        }
    });
}

#[test]
fn a_short_list_stays_as_it_is() {
    beside("search, short", 60, async {
        let (good, bad) = (server("good", 1).await, server("bad", 1).await);
        let folder = Folder::new();
        let gateway = gateway(&folder, &good, &bad, json!({})).await;
        let mut ada = Caller::new(&gateway.address, Era::Modern, "key-ada").await;
        assert_eq!(ada.names("tools").await, ["good_good_0", "good_draw_good", "bad_bad_0", "bad_draw_bad"]);
    });
}
