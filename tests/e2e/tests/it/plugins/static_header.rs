//! `static-header`: each upstream gets its own headers, the secret ones unseen, and nobody else does.

use crate::{
    backend::{Backend, Call, Offer},
    caller::Era,
    folder::Folder,
    gateway::Gateway,
    server::{Response, Seen},
    turn::beside,
};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;

const TOKEN: &str = "canary-static-7b21";

/// Takes any credential: without a guard a backend of these tests takes none.
fn anything(_: &Seen) -> Option<Response> {
    None
}

async fn backend() -> Backend {
    Backend::start(Offer::tools(&["echo"]).keeping().guarded(anything), |call: Call| async move { call.echo() }).await
}

/// Settings with one secret in a file.
fn sluice(folder: &Folder, grants: &[&str], headers: Value) -> Value {
    let file = folder.write("token.txt", TOKEN);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    json!({
        "secrets": {"token": format!("file:{}", file.display())},
        "chain": ["builtin:static-header", "builtin:namespace"],
        "plugins": {"settings": {"static-header": {"grants": grants, "config": {"headers": headers}}}},
    })
}

#[test]
fn each_upstream_gets_its_own_headers_and_no_secret_is_written_down() {
    beside("static-header", 90, async {
        let (mine, other) = (backend().await, backend().await);
        let folder = Folder::new();
        let headers = json!([
            {"upstreams": ["mine"], "name": "Authorization", "prefix": "Bearer ", "secret": "token"},
            {"upstreams": ["*"], "name": "X-Environment", "value": "test bench"},
        ]);
        let own = sluice(&folder, &["outbound:*", "secret:token outbound:mine"], headers);
        let servers = json!({"mine": {"url": mine.url}, "other": {"url": other.url}});
        let gateway = Gateway::start(&folder, json!({"mcpServers": servers, "sluice": own})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            caller.result("mine_echo", "{}").await;
            caller.result("other_echo", "{}").await;
        }
        let bearer = format!("Bearer {TOKEN}");
        for (backend, credential) in [(&mine, Some(bearer.as_str())), (&other, None)] {
            assert!(!backend.server.seen().is_empty());
            for seen in backend.server.seen().iter() {
                assert_eq!(
                    (seen.header("authorization"), seen.header("x-environment")),
                    (credential, Some("test bench")),
                    "{:?}",
                    seen.headers
                );
            }
        }
        let everything = folder.read("audit.jsonl") + &gateway.metrics().await + &gateway.log(|_| true).join("\n");
        assert!(!everything.contains("canary"), "the token is written down");
    });
}

#[test]
fn what_cannot_be_set_is_refused_before_anything_is_served() {
    beside("static-header, refused", 90, async {
        for (grants, header, why) in [
            (vec!["outbound:*"], json!({"upstreams": ["*"], "name": "Mcp-Session-Id", "value": "1"}), "mcp-session-id belongs"),
            (vec!["outbound:*"], json!({"upstreams": ["*"], "name": "x-key", "secret": "token"}), "secret:token is not granted"),
        ] {
            let folder = Folder::new();
            let own = sluice(&folder, &grants, json!([header]));
            let servers = json!({"only": {"url": "http://127.0.0.1:9/mcp"}});
            let refused = Gateway::refused(&folder, json!({"mcpServers": servers, "sluice": own})).await;
            assert!(refused.stderr.contains("entry 1") && refused.stderr.contains(why), "{why}: {}", refused.stderr);
        }
    });
}
