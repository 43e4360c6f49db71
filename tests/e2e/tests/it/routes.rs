//! A plugin with pages of its own: granted in its sidecar, served beside the endpoint, written down.

use crate::{
    backend::Backend,
    caller::Era,
    connection::{Connection, Reply},
    folder::{Folder, component},
    gateway::Gateway,
    turn::{beside, eventually},
};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

const GRANTS: &str = r#"grants = ["http:/.well-known/oauth-protected-resource*", "http:/-/http-page/*"]"#;

async fn get(gateway: &Gateway, path: &str, host: &str) -> Reply {
    let mut connection = Connection::open(&gateway.address).await.expect("the endpoint");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    connection.exchange(request.as_bytes()).await.expect("an answer")
}

#[test]
fn a_granted_route_is_served_and_written_down() {
    beside("routes", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        folder.drop_in("http-page.wasm", component("guest_http_page"));
        let config = json!({"mcpServers": {"only": {"url": backend.url}}});
        let refused = Gateway::refused(&folder, config.clone()).await;
        let line = r#"grants = ["http:/.well-known/oauth-protected-resource*"]"#;
        assert!(!refused.status.success() && refused.stderr.contains(line), "{}", refused.stderr);

        folder.drop_in("http-page.toml", format!("{GRANTS}\n"));
        let gateway = Gateway::start(&folder, config).await;
        let reply = get(&gateway, "/.well-known/oauth-protected-resource/mcp?code=canary-query", &gateway.address).await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let first = format!("GET /.well-known/oauth-protected-resource/mcp Some(\"code=canary-query\") http://{}\n", gateway.address);
        assert!(reply.status == 200 && text.starts_with(&first), "{}: {text}", reply.status);
        assert_eq!(get(&gateway, "/-/http-page/x", "evil.example.com").await.status, 403);
        assert_eq!(get(&gateway, "/mcp", &gateway.address).await.status, 401);
        gateway.caller(Era::Modern).await.result("echo", "{}").await;

        let id = reply.header("x-request-id").expect("an id").to_owned();
        let written = eventually(SOON, || async {
            let audit = folder.read("audit.jsonl");
            let mut lines = audit.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
            lines.find(|line| line["request"] == *id).ok_or(audit)
        })
        .await;
        assert_eq!(written["route"], "/.well-known/oauth-protected-resource/mcp");
        assert_eq!(
            (&written["plugin"], &written["hook"], &written["verdict"]),
            (&json!("http-page"), &json!("on-http"), &json!("answered"))
        );
        assert_eq!((&written["status"], &written["httpMethod"]), (&json!(200), &json!("GET")));
        let metrics = gateway.metrics().await;
        let counted = r#"sluice_plugin_route_requests_total{plugin="http-page",verdict="answered",status="200"} 1"#;
        assert!(metrics.contains(counted), "{metrics}");
        let everything = folder.read("audit.jsonl") + &metrics + &gateway.log(|_| true).join("\n");
        assert!(!everything.contains("canary-query"), "a query may hold what is secret");
    });
}
