//! `residency`: one tool of two regions, each caller sees and reaches that of its own; and a server that nobody has placed is out of reach.

use crate::{
    backend::{Backend, Offer},
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    turn::beside,
};
use serde_json::json;

async fn region(name: &'static str) -> Backend {
    let offer = Offer::tools(&["lookup", name]).keeping();
    Backend::start(offer, move |call| async move { call.members(&format!(r#""content":[{{"type":"text","text":"{name}"}}]"#)) }).await
}

#[test]
fn f080_each_caller_reaches_its_own_region() {
    beside("residency", 90, async {
        let (us, eu, other) = (region("us").await, region("eu").await, region("other").await);
        let servers = json!({"crm-us": {"url": us.url}, "crm-eu": {"url": eu.url}, "other": {"url": other.url}});
        let keys = json!([
            {"id": "ada", "hash": key_hash("key-ada"), "tenant": "acme"},
            {"id": "bob", "hash": key_hash("key-bob"), "tenant": "umbra"},
            {"id": "eve", "hash": key_hash("key-eve")},
        ]);
        let config = json!({
            "places": [{"upstreams": ["crm-us"], "regions": ["us"]}, {"upstreams": ["crm-eu"], "regions": ["eu"]}],
            "callers": [{"tenants": ["acme"], "regions": ["eu"]}, {"tenants": ["umbra"], "regions": ["us"]}],
        });
        let settings = json!({"auth-api-key": {"config": {"keys": keys}}, "residency": {"config": config}});
        let sluice = json!({"chain": ["builtin:auth-api-key", "builtin:residency"], "plugins": {"settings": settings}});
        let folder = Folder::new();
        let gateway = Gateway::start(&folder, json!({"mcpServers": servers, "sluice": sluice})).await;
        for era in Era::BOTH {
            for (key, own, foreign) in [("key-ada", "eu", "us"), ("key-bob", "us", "eu")] {
                let mut caller = Caller::new(&gateway.address, era, key).await;
                assert_eq!(caller.names("tools").await, ["lookup", own], "{key} {era:?}");
                let result = caller.result("lookup", "{}").await;
                assert_eq!(result["content"][0]["text"], own, "{key} {era:?}: the same name leads to its own region");
                for hidden in [foreign, "other"] {
                    let answer = caller.call(hidden, "{}").await.expect("an answer").json();
                    assert_eq!(answer["error"]["data"]["reason"], "unknown_name", "{key} {hidden} {era:?}: {answer}");
                }
            }
            let mut nobody = Caller::new(&gateway.address, era, "key-eve").await;
            assert!(nobody.names("tools").await.is_empty(), "whom nothing is about reaches nothing: {era:?}");
        }
        assert_eq!([us.asked("tools/call"), eu.asked("tools/call"), other.asked("tools/call")], [2, 2, 0]);
    });
}
