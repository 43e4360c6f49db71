//! `cache`: what was answered is answered again to the same caller, without the server; not to another, and not after a change.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    server::Response,
    turn::beside,
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// A server that counts: no two of its answers are the same.
async fn counting() -> Backend {
    let offer = Offer {
        resources: vec![json!({"uri": "doc:public", "name": "p"}), json!({"uri": "doc:private", "name": "q"})],
        ..Offer::tools(&["get_page", "get_broken", "set_page"])
    };
    let count = Arc::new(AtomicUsize::new(0));
    Backend::start(offer.keeping(), move |call: Call| {
        let nth = count.fetch_add(1, Relaxed);
        async move { answer(&call, nth) }
    })
    .await
}

fn answer(call: &Call, nth: usize) -> Response {
    match (call.method.as_str(), call.name.as_str()) {
        ("resources/read", uri) => {
            let scope = uri.trim_start_matches("doc:");
            let hints = if call.era == Era::Modern { format!(r#","ttlMs":60000,"cacheScope":"{scope}""#) } else { String::new() };
            call.members(&format!(r#""contents":[{{"uri":"{uri}","text":"{nth}"}}]{hints}"#))
        }
        (_, "get_broken") => call.members(&format!(r#""content":[{{"type":"text","text":"{nth}"}}],"isError":true"#)),
        _ => call.members(&format!(r#""content":[{{"type":"text","text":"{nth}"}}],"structuredContent":{{"n":1.10}}"#)),
    }
}

async fn gateway(folder: &Folder, backend: &Backend, share: &str) -> Gateway {
    let keys = json!([{"id": "ada", "hash": key_hash("key-ada")}, {"id": "bob", "hash": key_hash("key-bob")}]);
    let config = json!({
        "rules": [{"tools": ["get_*"], "resources": ["doc:*"], "ttl_s": 300, "share": share}],
        "writes": [{"tools": ["*"]}],
    });
    let settings = json!({"auth-api-key": {"config": {"keys": keys}}, "cache": {"config": config}});
    let sluice = json!({"chain": ["builtin:auth-api-key", "builtin:cache"], "plugins": {"settings": settings}});
    Gateway::start(folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": sluice})).await
}

async fn text(caller: &mut Caller, tool: &str) -> (String, Value) {
    let result = caller.result(tool, r#"{"id":1}"#).await;
    (result["content"][0]["text"].as_str().expect("a text").to_owned(), result["_meta"]["io.github.sluice-mcp/cache"].clone())
}

#[test]
fn f078_an_answer_is_its_callers_until_something_changes() {
    beside("cache", 90, async {
        let backend = counting().await;
        for era in Era::BOTH {
            let folder = Folder::new();
            let gateway = gateway(&folder, &backend, "principal").await;
            let mut ada = Caller::new(&gateway.address, era, "key-ada").await;
            let mut bob = Caller::new(&gateway.address, era, "key-bob").await;
            let before = backend.asked("tools/call");
            let (first, mark) = text(&mut ada, "get_page").await;
            assert_eq!(mark, Value::Null, "{era:?}");
            let (again, mark) = text(&mut ada, "get_page").await;
            assert_eq!((&again, mark["ageMs"].is_u64()), (&first, true), "{era:?}: {mark}");
            let raw = ada.call("get_page", r#"{ "id": 1 }"#).await.expect("an answer").answer();
            assert!(raw.contains(r#""n":1.10"#), "numbers keep their spelling: {raw}");
            assert_eq!(raw.contains("resultType"), era == Era::Modern, "in the words of its client: {raw}");
            let (others, mark) = text(&mut bob, "get_page").await;
            assert!(others != first && mark == Value::Null, "{era:?}: bob gets an answer of his own");
            assert_eq!(backend.asked("tools/call"), before + 2, "{era:?}");

            for _ in 0..2 {
                text(&mut ada, "get_broken").await;
            }
            assert_eq!(backend.asked("tools/call"), before + 4, "{era:?}: errors are not kept");
            text(&mut bob, "set_page").await;
            let (after, mark) = text(&mut ada, "get_page").await;
            assert!(after != first && mark == Value::Null, "{era:?}: bob's write has changed what ada was told");
        }
    });
}

#[test]
fn what_is_public_may_be_shared_and_what_is_private_never_is() {
    beside("cache, shared", 90, async {
        let backend = counting().await;
        let folder = Folder::new();
        let gateway = gateway(&folder, &backend, "all").await;
        let mut told = Vec::new();
        for (key, uri) in [("key-ada", "doc:public"), ("key-bob", "doc:public"), ("key-ada", "doc:private"), ("key-bob", "doc:private")] {
            let mut caller = Caller::new(&gateway.address, Era::Modern, key).await;
            let answer = caller.ask("resources/read", Some(uri), &format!(r#""uri":"{uri}""#)).await.expect("an answer").json();
            let left_ms = answer["result"]["ttlMs"].as_u64().expect("a hint");
            assert!((50_000..=60_000).contains(&left_ms), "{answer}");
            told.push(answer["result"]["contents"][0]["text"].clone());
        }
        assert!(told[0] == told[1] && told[2] != told[3], "{told:?}");
    });
}
