//! Secrets are used unseen, and each is its owner's.

use crate::support::{Call, call, guests, labels, settings};
use serde_json::{Value, json};
use sluice_chain::{filter::Verdict, principal::Principal};
use sluice_plugin::{Engine, LoadError, Secret, Secrets, Settings, Setup, WasmFilter};
use sluice_state::memory::MemoryStore;
use std::sync::Arc;

const RSA: &str = include_str!("../keys/rsa.pem");

fn engine_with(secrets: &[(&str, &str)]) -> Engine {
    let secret = |(name, value): &(&str, &str)| ((*name).to_owned(), Secret::new(value.as_bytes().to_vec()));
    let secrets: Secrets = secrets.iter().map(secret).collect();
    Engine::start(Setup { instances_max: 16, secrets, ..Setup::new(Arc::new(MemoryStore::new())) }).unwrap()
}

async fn load(engine: &Engine, config: Value, grants: &[&str]) -> Result<Arc<WasmFilter>, LoadError> {
    let grants = grants.iter().map(|grant| (*grant).to_owned()).collect();
    engine.load(guests::bytes("uses-secrets"), Settings { grants, ..settings("uses-secrets", config) }).await
}

async fn asked_by(call: &mut Call, filter: &WasmFilter) -> Vec<String> {
    let verdict = call.request(filter).await;
    assert!(matches!(verdict, Ok(Verdict::Next(None))), "{verdict:?}");
    labels(call)
}

#[track_caller]
fn has(said: &[String], expected: &[&str]) {
    for expected in expected {
        assert!(said.contains(&format!("uses-secrets.{expected}")), "{expected}: {said:#?}");
    }
}

#[tokio::test]
async fn a_secret_that_is_not_granted_refuses_the_plugin_with_the_line_to_add() {
    let engine = engine_with(&[("api", "s3cret")]);
    let error = load(&engine, json!({}), &[]).await.err().unwrap().to_string();
    let line = "needs `secret:api` (to sign), which is not granted; add to uses-secrets.toml: grants = [\"secret:api\"]";
    assert!(error.contains(line), "{error}");
    let error = load(&engine, json!({}), &["kv:a"]).await.err().unwrap().to_string();
    assert!(error.contains("grants = [\"kv:a\", \"secret:api\"]"), "{error}");
    assert!(load(&engine, json!({}), &["secret:api"]).await.is_ok());
}

#[tokio::test]
async fn a_granted_secret_must_be_there() {
    let error = load(&engine_with(&[]), json!({}), &["secret:api"]).await.err().unwrap().to_string();
    assert!(error.contains("add to the configuration: sluice.secrets.api = \"env:NAME\""), "{error}");
    let error = load(&engine_with(&[]), json!({}), &["net:x"]).await.err().unwrap().to_string();
    assert!(error.contains("\"net:x\", which is no power"), "{error}");
}

/// W14: the guest tries every way to the bytes. Its control is the grant that shows them.
#[tokio::test]
async fn a_secret_is_used_and_not_seen() {
    let engine = engine_with(&[("api", "s3cret"), ("other", "0ther")]);
    let filter = load(&engine, json!({}), &["secret:api"]).await.unwrap();
    let said = asked_by(&mut call("ls", json!({})), &filter).await;
    has(
        &said,
        &[
            // hmac.new(b"s3cret", b"data", "sha256") and so on, by another implementation.
            "hmac=7fb6d95052c61207f9be33a8036dccbae6202133305b12302887123df46ec4f3",
            "derived=d114ac5230ba1af3874f44db39c8e208d3ed328564f39dd635f78c3ce48509be",
            "signed=7fb6d95052c61207f9be33a8036dccbae6202133305b12302887123df46ec4f3",
            "equals=true false",
            "other=denied",
            "reveal=denied",
            "reveal-derived=unsuited",
            "keep=denied",
            "keep-derived=denied",
        ],
    );
    assert!(!said.iter().any(|label| label.contains("s3cret") || label.contains("0ther")), "{said:#?}");
    let seeing = load(&engine, json!({}), &["secret:api", "reveal:api"]).await.unwrap();
    has(&asked_by(&mut call("ls", json!({})), &seeing).await, &["reveal=s3cret"]);
}

#[tokio::test]
async fn a_key_signs_in_its_own_way_only() {
    let engine = engine_with(&[("api", RSA)]);
    let filter = load(&engine, json!({"algorithm": "rs256"}), &["secret:api"]).await.unwrap();
    let said = asked_by(&mut call("ls", json!({})), &filter).await;
    let signed = said.iter().find_map(|label| label.strip_prefix("uses-secrets.signed=")).unwrap();
    assert_eq!(signed.len(), 512, "{signed}");
    for algorithm in ["es256", "ed25519"] {
        let filter = load(&engine, json!({"algorithm": algorithm}), &["secret:api"]).await.unwrap();
        has(&asked_by(&mut call("ls", json!({})), &filter).await, &["signed=unsuited"]);
    }
}

#[tokio::test]
async fn what_a_plugin_keeps_for_a_principal_nobody_else_finds() {
    let engine = engine_with(&[("api", "s3cret")]);
    let filter = load(&engine, json!({}), &["secret:api"]).await.unwrap();
    let first = asked_by(&mut call("ls", json!({})).by("ada"), &filter).await;
    has(&first, &["before=missing", "put=done", "own=denied", "kept=done", "last=true", "removed=done", "after=missing"]);
    has(&first, &["tenants=unsuited", "too-long=unavailable", "nameless=unsuited"]);
    has(&asked_by(&mut call("ls", json!({})).by("ada"), &filter).await, &["before=true"]);
    has(&asked_by(&mut call("ls", json!({})).by("bob"), &filter).await, &["before=missing"]);
    // Another version of the same plugin finds what the first one kept; its bytes it sees by grant.
    let next = load(&engine, json!({"algorithm": "hs256"}), &["secret:api", "reveal:token"]).await.unwrap();
    has(&asked_by(&mut call("ls", json!({})).by("ada"), &next).await, &["before=true", "own=ada"]);
    let mut nameless = call("ls", json!({}));
    nameless.pass.principal = Arc::new(Principal::anonymous("x"));
    has(&asked_by(&mut nameless, &filter).await, &["before=unsuited", "put=unsuited"]);
}

#[tokio::test]
async fn secrets_can_be_taken_away() {
    let engine = engine_with(&[("api", "s3cret")]);
    let denied = vec![sluice_plugin::Power::Secrets];
    let settings = Settings { denied, grants: vec!["secret:api".into()], ..settings("uses-secrets", json!({})) };
    let filter = engine.load(guests::bytes("uses-secrets"), settings).await.unwrap();
    has(&asked_by(&mut call("ls", json!({})), &filter).await, &["open=denied", "other=denied", "put=denied", "before=denied"]);
}
