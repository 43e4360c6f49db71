//! A plugin reaches what its grants name, over real sockets, and the audit log says where it went.

use crate::{
    backend::Backend,
    caller::Era,
    folder::{Folder, component},
    gateway::Gateway,
    server::{Answering, Response, Server},
    turn::beside,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::Duration;

async fn api() -> Server {
    Server::start(true, |_| -> Answering { Box::pin(std::future::ready(Response::json(r#"{"access_token":"token-of-sixteen","n":1}"#))) })
        .await
}

fn config(backend: &Backend) -> Value {
    json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": {"secrets": {"key": "env:PATH"}}})
}

fn dropped_in(grants: &[String]) -> Folder {
    let folder = Folder::new();
    folder.drop_in("fetches.wasm", component("guest_fetches"));
    folder.write("plugins/fetches.toml", format!("grants = {}\n", json!(grants)));
    folder
}

#[test]
fn a_plugin_fetches_what_is_granted_and_the_audit_log_says_so() {
    beside("fetching", 60, async {
        let (backend, api) = (Backend::echo(&["fetch"]).await, api().await);
        let folder = dropped_in(&[format!("fetch:http://{} GET private", api.address), "secret:key".into()]);
        let mut gateway = Gateway::start(&folder, config(&backend)).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            let wanted = json!({"url": format!("http://{}/token", api.address), "captures": [["/access_token", "token"]],
                "secrets": [["header", "x-key", "k ", "key"]]});
            let said = caller.result("fetch", &wanted.to_string()).await["structuredContent"].take();
            assert_eq!((&said["status"], &said["body"]), (&json!(200), &json!(r#"{"access_token":null,"n":1}"#)), "{era:?}: {said}");
            let again = json!({"url": format!("http://{}/use", api.address), "secrets": [["header", "authorization", "Bearer ", "token"]]});
            let said = caller.result("fetch", &again.to_string()).await["structuredContent"].take();
            assert_eq!(said["error"], "denied", "the answer repeats the token: {said}");
            let seen = api.seen().clone();
            let [.., first, second] = &seen[..] else { panic!("two requests: {seen:?}") };
            let path = std::env::var("PATH").unwrap_or_default();
            assert_eq!(first.header("x-key"), Some(format!("k {path}").as_str()));
            assert_eq!(second.header("authorization"), Some("Bearer token-of-sixteen"));
            let elsewhere = json!({"url": "http://127.0.0.1:1/"});
            assert_eq!(caller.result("fetch", &elsewhere.to_string()).await["structuredContent"]["error"], "denied");
        }
        // What is written down is with the kernel once it has ended.
        gateway.signal(Signal::SIGTERM);
        assert_eq!(gateway.ended(Duration::from_secs(20)).await.and_then(|status| status.code()), Some(0));
        let audit = folder.read("audit.jsonl");
        let fetched: Vec<Value> =
            audit.lines().map(|line| serde_json::from_str(line).expect("JSON")).filter(|line: &Value| line["event"] == "fetch").collect();
        assert_eq!(fetched.len(), 4, "{audit}");
        for line in &fetched {
            let origin = format!("http://{}", api.address);
            assert_eq!((&line["plugin"], &line["origin"], &line["status"]), (&json!("fetches"), &json!(origin), &json!(200)), "{line}");
            assert!(line["request"].is_string() && line["requestBytes"] == 0 && line["responseBytes"].as_u64() > Some(0), "{line}");
        }
        assert!(!audit.contains("token-of-sixteen"));
    });
}

/// Its control is the test above, whose grant ends in `private`.
#[test]
fn what_is_not_public_is_not_reached_without_the_word_for_it() {
    beside("fetching, not private", 60, async {
        let (backend, api) = (Backend::echo(&["fetch"]).await, api().await);
        let folder = dropped_in(&[format!("fetch:http://{} GET", api.address)]);
        let gateway = Gateway::start(&folder, config(&backend)).await;
        let mut caller = gateway.caller(Era::Modern).await;
        let wanted = json!({"url": format!("http://{}/", api.address)});
        let said = caller.result("fetch", &wanted.to_string()).await["structuredContent"].take();
        assert!(said["error"] == "denied" && said["why"].as_str().is_some_and(|why| why.contains("GET private")), "{said}");
        assert!(api.seen().is_empty(), "nothing was sent");
    });
}

#[test]
fn a_plugin_that_needs_the_network_does_not_start_without_a_grant() {
    beside("fetching, not granted", 60, async {
        let backend = Backend::echo(&["fetch"]).await;
        let refused = Gateway::refused(&dropped_in(&[]), config(&backend)).await;
        assert!(refused.stderr.contains("grants = [\"fetch:https://<host> GET\"]"), "{}", refused.stderr);
    });
}
