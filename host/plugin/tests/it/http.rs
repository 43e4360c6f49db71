//! `on-http`: which routes a plugin gets, what it is shown there, and what it may answer.

use crate::support::{engine, load_with, settings, try_load};
use serde_json::{Value, json};
use sluice_chain::{
    attributes::Attributes,
    fault::Fault,
    filter::{Filter, Hook},
    route::{RouteRequest, RouteResponse},
};
use sluice_plugin::{Scope, Settings, WasmFilter};
use std::sync::Arc;

const WELL_KNOWN: &str = "http:/.well-known/oauth-protected-resource*";
const PAGES: &str = "http:/-/http-page/*";

fn granted(grants: &[&str], config: Value) -> Settings {
    Settings { grants: grants.iter().map(|grant| (*grant).to_owned()).collect(), ..settings("http-page", config) }
}

async fn page(config: Value) -> Arc<WasmFilter> {
    load_with(&engine(), granted(&[WELL_KNOWN], config)).await
}

async fn get(filter: &WasmFilter) -> Result<RouteResponse, Fault> {
    let request = RouteRequest {
        id: 1,
        method: "POST".into(),
        path: "/-/http-page/a%20b".into(),
        query: Some("code=x".into()),
        headers: vec![("accept".into(), "text/html".into())],
        body: "sent".into(),
        base: "https://mcp.example.com".into(),
    };
    let facts = vec![("transport.kind".into(), "http".into())];
    filter.on_http(&request, Attributes::new(Arc::new(facts))).await
}

#[tokio::test]
async fn a_route_is_granted_or_the_line_to_add_is_shown() {
    let engine = engine();
    let error = try_load(&engine, granted(&[PAGES], json!({}))).await.err().expect("it is refused").to_string();
    let line = format!("add to http-page.toml: grants = [\"{PAGES}\", \"{WELL_KNOWN}\"]");
    assert!(error.contains(&line) && !error.contains('\n'), "{error}");
    // What its need calls optional may be left out, and is not served then.
    for (grants, routes) in [(&[WELL_KNOWN][..], 1), (&[WELL_KNOWN, PAGES], 2)] {
        let filter = load_with(&engine, granted(grants, json!({}))).await;
        assert_eq!(filter.interest().routes.len(), routes, "{grants:?}");
        assert!(filter.interest().hooks.iter().any(|(hook, _)| *hook == Hook::OnHttp));
    }
    // A grant of the same words without the star is another one.
    let close = WELL_KNOWN.trim_end_matches('*');
    assert!(try_load(&engine, granted(&[close], json!({}))).await.is_err());
}

#[tokio::test]
async fn a_request_arrives_whole_and_an_answer_comes_back_as_written() {
    let headers = json!([["Location", "/-/http-page/b"], ["Set-Cookie", "s=1; Path=/-/http-page/; Secure"]]);
    let filter = page(json!({"status": 303, "headers": headers})).await;
    let answer = get(&filter).await.unwrap();
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let shown =
        "POST /-/http-page/a%20b Some(\"code=x\") https://mcp.example.com\naccept: text/html\ntransport.kind=http\nlabel false\nsent";
    assert_eq!((answer.status, text.as_str()), (303, shown));
    let expected =
        [("content-type", "text/plain"), ("location", "/-/http-page/b"), ("set-cookie", "http-page-s=1; Path=/-/http-page/; Secure")];
    assert!(answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected), "{:?}", answer.headers);
}

#[tokio::test]
async fn an_answer_that_no_client_may_get_is_a_fault() {
    for (config, says) in [
        (json!({"status": 101}), "HTTP status"),
        (json!({"status": 204}), "with a body"),
        (json!({"bytes": (1 << 20) + 1}), "bytes"),
        (json!({"headers": [["mcp-session-id", "x"]]}), "not a plugin's"),
        (json!({"headers": [["transfer-encoding", "chunked"]]}), "not a plugin's"),
        (json!({"headers": [["location", "/x\r\nset-cookie: a=b"]]}), "HTTP does not allow"),
        (json!({"headers": [["set-cookie", "s=1; Path=/"]]}), "cookie"),
    ] {
        let fault = get(&*page(config).await).await.unwrap_err();
        assert!(matches!(&fault, Fault::BadReply(why) if why.contains(says)), "{fault}");
    }
    let fine = page(json!({"bytes": 1 << 20})).await;
    assert_eq!(get(&fine).await.unwrap().body.len(), 1 << 20);
}

#[tokio::test]
async fn each_request_meets_an_instance_that_met_nobody() {
    let filter = page(json!({})).await;
    let created = |filter: &WasmFilter| filter.figures().created.load(std::sync::atomic::Ordering::Relaxed);
    let before = created(&filter);
    for _ in 0..3 {
        get(&filter).await.unwrap();
    }
    assert_eq!(created(&filter) - before, 3);
    let fault = get(&*page(json!({"trap": true})).await).await.unwrap_err();
    assert!(matches!(fault, Fault::Trap(_)), "{fault}");
    // The manifest does not say that it is stateless, so nobody can have it meet everybody.
    let everybody = Settings { scope: Scope::All, ..granted(&[WELL_KNOWN], json!({})) };
    assert!(try_load(&engine(), everybody).await.is_err());
}
