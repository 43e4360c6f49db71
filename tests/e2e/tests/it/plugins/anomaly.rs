//! `anomaly`: a tool that its caller does not use is refused where the operator says so; what one caller does says nothing of another.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    turn::beside,
};
use serde_json::json;

#[test]
fn f064_a_tool_that_is_new_to_its_caller_is_refused_from_a_score_on() {
    beside("anomaly", 90, async {
        let backend = Backend::recording(&["read", "delete"]).await;
        for era in Era::BOTH {
            let folder = Folder::new();
            let keys = json!([{"id": "ada", "hash": key_hash("key-ada")}, {"id": "bob", "hash": key_hash("key-bob")}]);
            let config = json!({"learn_s": 0, "learn_calls": 3, "refuse_at": 50, "volume": 0, "sequence": 0});
            let settings = json!({"auth-api-key": {"config": {"keys": keys}}, "anomaly": {"config": config}});
            let sluice = json!({"chain": ["builtin:auth-api-key", "builtin:anomaly"], "plugins": {"settings": settings}});
            let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": sluice})).await;
            let mut ada = Caller::new(&gateway.address, era, "key-ada").await;
            for _ in 0..3 {
                ada.result("read", "{}").await;
            }
            let before = backend.asked("tools/call");
            for _ in 0..2 {
                let reply = ada.call("delete", "{}").await.expect("an answer");
                assert_eq!((reply.status, &reply.json()["error"]["code"]), (403, &json!(4039)), "{era:?}: {}", reply.answer());
            }
            assert_eq!(backend.asked("tools/call"), before, "{era:?}: it did not reach the server, nor did it become usual");
            ada.result("read", "{}").await;
            // Of bob nothing is known yet.
            Caller::new(&gateway.address, era, "key-bob").await.result("delete", "{}").await;
        }
    });
}
