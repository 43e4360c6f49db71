//! The Server Card (SEP-2127): what anybody may know before connecting.

use crate::support::{Endpoint, Reply, Rig, request, start};
use sluice_wire::revision::Era;

async fn get(endpoint: &Endpoint, path: &str, headers: &[(&str, &str)]) -> Reply {
    let bare = [("authorization", ""), ("content-type", ""), ("accept", ""), ("content-length", "")];
    endpoint.connect().await.ask(&request("GET", path, &[headers, &bare].concat(), b"")).await
}

#[tokio::test]
async fn the_catalog_leads_to_the_card_and_the_card_to_the_endpoint() {
    let endpoint = start().await;
    let host = endpoint.address.to_string();
    let catalog = get(&endpoint, "/.well-known/ai-catalog.json", &[("host", &host)]).await;
    assert_eq!((catalog.status, catalog.header("content-type")), (200, Some("application/ai-catalog+json")));
    let entry = &catalog.json()["entries"][0];
    assert_eq!(entry["type"], "application/mcp-server-card+json");
    let url = entry["url"].as_str().expect("a URL").to_owned();
    let path = url.strip_prefix(&format!("http://{host}")).expect("on this host");
    let card = get(&endpoint, path, &[("host", &host), ("accept", "application/mcp-server-card+json")]).await;
    assert_eq!((card.status, card.header("content-type")), (200, Some("application/mcp-server-card+json")));
    let json = card.json();
    assert_eq!(json["$schema"], "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json");
    assert_eq!((json["name"].as_str(), json["version"].as_str()), (Some("io.github.sluice-mcp/sluice"), Some("0.0.0")));
    assert!(json["description"].as_str().is_some_and(|text| (1..=100).contains(&text.len())));
    let remote = &json["remotes"][0];
    assert_eq!((remote["type"].as_str(), remote["url"].as_str()), (Some("streamable-http"), Some(&*format!("http://{host}/mcp"))));
    assert_eq!(remote["supportedProtocolVersions"].to_string(), r#"["2026-07-28","2025-11-25","2025-06-18","2025-03-26"]"#);
    assert!(!card.text().contains("fake"), "nothing of what stands behind: {}", card.text());
}

#[tokio::test]
async fn the_card_can_be_kept_and_asked_for_again() {
    let endpoint = start().await;
    let card = get(&endpoint, "/mcp/server-card", &[]).await;
    assert_eq!(card.header("cache-control"), Some("public, max-age=3600"));
    assert_eq!(card.header("access-control-allow-origin"), Some("*"));
    let tag = card.header("etag").expect("a tag").to_owned();
    let again = get(&endpoint, "/mcp/server-card", &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.header("etag"), again.body.len()), (304, Some(&*tag), 0));
}

#[tokio::test]
async fn names_are_checked_before_the_card_is_shown_and_nothing_else_is_open() {
    let endpoint = Rig::era(Era::Modern).start().await;
    for path in ["/mcp/server-card", "/.well-known/ai-catalog.json"] {
        assert_eq!(get(&endpoint, path, &[("host", "evil.example.com")]).await.status, 403);
        assert_eq!(get(&endpoint, path, &[("origin", "https://evil.example.com")]).await.status, 403);
        assert_eq!(get(&endpoint, path, &[]).await.status, 200);
        let post = endpoint.connect().await.ask(&request("POST", path, &[], b"{}")).await;
        assert_eq!(post.status, 404);
    }
    for path in ["/mcp/server-card/", "/server-card", "/.well-known/mcp.json", "/mcp/"] {
        assert_eq!(get(&endpoint, path, &[]).await.status, 404, "{path}");
    }
}
