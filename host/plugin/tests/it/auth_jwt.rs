//! `auth-jwt` as a component, with the cryptography it has there and the host's clock: the table of tokens that its own tests hold
//! against the plugin natively.

#[allow(dead_code, reason = "the plugin's own tests use the rest")]
#[path = "../../../../plugins/auth-jwt/tests/support/issuer.rs"]
mod issuer;
#[allow(dead_code, reason = "no row of the table needs all of it")]
#[path = "../../../../plugins/auth-jwt/src/refused.rs"]
mod refused;
#[path = "../../../../plugins/auth-jwt/tests/support/rows.rs"]
mod rows;

use crate::support::{guests, settings};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use issuer::{ISSUER, RESOURCE, key_set};
use rows::{Row, all};
use serde_json::json;
use sluice_chain::{
    attributes::Attributes,
    fetch::{Fetch, FetchError, Request, Response},
    filter::{Authentication, Credential, Filter},
};
use sluice_plugin::{Engine, Settings, Setup, WasmFilter};
use sluice_state::memory::MemoryStore;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// A network with one issuer in it.
#[derive(Default)]
struct Network(AtomicUsize);

impl Fetch for Network {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        self.0.fetch_add(1, Relaxed);
        let body = match &*request.url.target {
            "/.well-known/oauth-authorization-server/t" => json!({"issuer": ISSUER, "jwks_uri": "https://id.example/jwks"}).to_string(),
            "/jwks" => key_set().to_string(),
            _ => String::new(),
        };
        let status = if body.is_empty() { 404 } else { 200 };
        Box::pin(async move { Ok(Response { status, headers: Vec::new(), body: Bytes::from(body) }) })
    }
}

async fn load(network: &Arc<Network>) -> Arc<WasmFilter> {
    let fetch: Option<Arc<dyn Fetch>> = Some(network.clone());
    // Compiled once: it is a large one.
    let cache = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-guests"));
    let engine = Engine::start(Setup { instances_max: 16, fetch, cache, ..Setup::new(Arc::new(MemoryStore::new())) }).unwrap();
    let config = json!({"resource": RESOURCE, "issuers": [{"issuer": ISSUER}], "scopes": ["mcp"]});
    let grants = vec!["http:/.well-known/oauth-protected-resource*".to_owned(), "fetch:https://id.example".to_owned()];
    let settings = Settings { grants, ..settings("auth-jwt", config) };
    engine.load(guests::bytes("auth-jwt"), settings).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn ask(filter: &WasmFilter, token: &str) -> Result<String, String> {
    let mut facts = Attributes::new(Arc::new(vec![("transport.kind".into(), "http".into())]));
    let credential = Credential { scheme: "bearer".into(), value: token.into() };
    match filter.authenticate(&credential, &mut facts).await {
        Ok(Authentication::Identified(who, _)) => Ok(who.subject.to_string()),
        Ok(Authentication::Challenge(no)) => Err(no.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_token_is_taken_for_what_it_is_by_the_component_too() {
    let network = Arc::new(Network::default());
    let filter = load(&network).await;
    let rows = all();
    let mut wrong = Vec::new();
    for Row { name, token, refused } in &rows {
        let outcome = ask(&filter, token).await;
        let expected = match refused {
            None => Ok("ada".to_owned()),
            Some(refused) => Err(refused.to_string()),
        };
        if outcome != expected {
            wrong.push(format!("{name}: {outcome:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() >= 120, "{} rows", rows.len());
    assert_eq!(network.0.load(Relaxed), 2, "the issuer was asked once for all of it");
}
