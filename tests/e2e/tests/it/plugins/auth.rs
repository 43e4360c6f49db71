//! `auth-api-key`: who has a key, and what those hear who have none.

use super::with;
use crate::{
    backend::Backend,
    caller::{Caller, Era},
    connection::Reply,
    folder::Folder,
    gateway::{Gateway, finish, key_hash, plain_command},
    turn::{beside, eventually},
};
use serde_json::json;
use std::time::Duration;

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

/// `sluice key` with these words, on the key file of the folder. What it printed.
async fn key(folder: &Folder, words: &[&str]) -> String {
    let mut command = plain_command(folder);
    command.arg("key").args(words);
    let ended = finish(command, Duration::from_secs(20)).await;
    assert!(ended.status.success(), "{words:?}: {}", ended.stderr);
    ended.stdout.trim().to_owned()
}

#[test]
fn f046_keys_are_made_replaced_and_taken_back_while_it_serves() {
    beside("auth-api-key, key file", 90, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let first = key(&folder, &["new", "ci", "--subject", "ada", "--tenant", "acme"]).await;
        let settings = json!({"auth-api-key": {"config_files": {"key_file": "keys.toml"}, "config": {"prefix": "slk_"}}});
        let own = json!({"chain": ["builtin:auth-api-key"], "plugins": {"settings": settings}});
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        // 200, or what a wrong key is told.
        let asked = async |key: &str| {
            let mut caller = Caller::silent(&gateway.address, Era::Modern, key);
            let reply = caller.call("echo", "{}").await.expect("an answer");
            (reply.status, reply.json()["error"]["message"].as_str().unwrap_or_default().to_owned())
        };
        let until = async |key: &str, status: u16, says: &str| {
            eventually(Duration::from_secs(10), || async {
                let (now, said) = asked(key).await;
                if now == status && said.contains(says) { Ok(()) } else { Err(format!("{now} {said}")) }
            })
            .await;
        };
        until(&first, 200, "").await;
        let second = key(&folder, &["new", "ci", "--replace"]).await;
        until(&second, 200, "").await;
        assert_eq!(asked(&first).await.0, 200, "both are good for a while");
        key(&folder, &["revoke", "ci"]).await;
        until(&second, 401, "was revoked").await;
        until(&first, 401, "not known").await;
        // A file that is broken changes nothing.
        let third = key(&folder, &["new", "other"]).await;
        until(&third, 200, "").await;
        folder.write("keys.toml", "[[keys]]\nid = 7\n");
        eventually(Duration::from_secs(10), || async {
            if gateway.errors("the chain stays as it was").is_empty() { Err("no word about it".to_owned()) } else { Ok(()) }
        })
        .await;
        until(&third, 200, "").await;
        let everything = folder.audited(&[r#""principal":"ada","tenant":"acme""#]).await + &gateway.log(|_| true).join("\n");
        for made in [&first, &second, &third] {
            assert!(made.starts_with("slk_") && !everything.contains(made.as_str()), "a key is written down");
        }
    });
}
