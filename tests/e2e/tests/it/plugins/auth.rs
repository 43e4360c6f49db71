//! `auth-api-key`: who has a key, and what those hear who have none.

use super::with;
use crate::{
    backend::Backend,
    caller::{Caller, Era},
    connection::Reply,
    folder::Folder,
    gateway::key_hash,
    turn::beside,
};
use serde_json::json;

fn challenge(reply: &Reply) -> String {
    reply.header("www-authenticate").unwrap_or_default().to_owned()
}

#[test]
fn a_key_lets_in_and_nothing_else_does() {
    beside("auth-api-key", 90, async {
        let backend = Backend::recording(&["echo"]).await;
        let folder = Folder::new();
        let config = json!({
            "keys": [
                {"id": "good", "hash": key_hash("good-key"), "subject": "ada"},
                {"id": "late", "hash": key_hash("late-key"), "expires": "2020-01-01T00:00:00Z"},
                {"id": "soon", "hash": key_hash("soon-key"), "expires": "2999-01-01T00:00:00Z"},
            ],
            "realm": "tools \"of\" ours",
            "resource_metadata": "https://mcp.example.com/.well-known/oauth-protected-resource",
        });
        let gateway = with(&folder, "auth-api-key", config, json!({"only": {"url": backend.url}})).await;
        for era in Era::BOTH {
            for key in ["good-key", "soon-key"] {
                Caller::new(&gateway.address, era, key).await.result("echo", "{}").await;
            }
            let calls = backend.asked("tools/call");
            for (key, code) in
                [("", 4010), ("bad-key", 4011), ("late-key", 4011), ("good-key ", 0), ("Good-key", 4011), (gateway.token.as_str(), 4011)]
            {
                let mut caller = Caller::silent(&gateway.address, era, key);
                let reply = caller.call("echo", "{}").await.expect("an answer");
                if code == 0 {
                    // HTTP itself trims a header's value.
                    assert_ne!(reply.status, 401, "{key:?}");
                    continue;
                }
                assert_eq!((reply.status, &reply.json()["error"]["code"]), (401, &json!(code)), "{key:?}");
                let challenge = challenge(&reply);
                assert!(challenge.starts_with("Bearer realm=\"tools \\\"of\\\" ours\""), "{challenge}");
                assert!(
                    challenge.contains("resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource\""),
                    "{challenge}"
                );
                assert_eq!(challenge.contains("error=\"invalid_token\""), !key.is_empty(), "{key:?}: {challenge}");
            }
            assert!(backend.asked("tools/call") <= calls + 1, "nothing of it reached the server");
        }
        assert!(gateway.log(|line| line.contains("good-key") || line.contains("bad-key")).is_empty(), "no key in the log");
    });
}

#[test]
fn a_key_may_stand_in_a_header_of_its_own() {
    beside("auth-api-key, header", 60, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let config = json!({"keys": [{"id": "k", "hash": key_hash("header-key")}], "header": "x-api-key"});
        let gateway = with(&folder, "auth-api-key", config, json!({"only": {"url": backend.url}})).await;
        let mut caller = Caller::silent(&gateway.address, Era::Modern, "");
        let body = caller.text("1", "tools/call", r#""name":"echo","arguments":{}"#);
        let reply = caller.post_with("tools/call", Some("echo"), &body, "x-api-key: header-key\r\n").await.expect("an answer");
        assert!(reply.json().get("result").is_some(), "{}", reply.answer());
        let reply = caller.post_with("tools/call", Some("echo"), &body, "x-api-key: other\r\n").await.expect("an answer");
        assert_eq!(reply.status, 401);
        assert!(challenge(&reply).starts_with("ApiKey "), "{}", challenge(&reply));
        let reply = caller
            .post_with("tools/call", Some("echo"), &body, "x-api-key: header-key\r\nx-api-key: header-key\r\n")
            .await
            .expect("an answer");
        assert_eq!(reply.status, 400, "twice is not once");
    });
}
