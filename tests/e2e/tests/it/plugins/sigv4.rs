//! `sigv4`: every request that reaches a server is signed as that server computes it, with a key that no guest sees.

use crate::{
    backend::{Backend, Call, Offer},
    caller::Era,
    folder::Folder,
    gateway::Gateway,
    server::{Response, Seen},
    turn::beside,
};
use ring::hmac::{HMAC_SHA256, Key, sign};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, fmt::Write as _, os::unix::fs::PermissionsExt as _};

const KEY: &str = "canary-sigv4-key-90c3";

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The signature as a server computes it of what it got, and the one that it was sent.
fn signatures(seen: &Seen) -> Option<(String, String)> {
    let authorization = seen.header("authorization")?;
    let after = |mark: &str| Some(authorization.split_once(mark)?.1.split(',').next()?.to_owned());
    let (names, sent, time) = (after("SignedHeaders=")?, after("Signature=")?, seen.header("x-amz-date")?);
    let scope = format!("{}/eu-central-1/execute-api/aws4_request", &time[..8]);
    assert!(authorization.contains(&format!("Credential=AKIDEXAMPLE/{scope}")), "{authorization}");
    let headers: String = names.split(';').map(|name| format!("{name}:{}\n", seen.header(name).unwrap_or_default())).collect();
    let canonical = format!("{}\n/mcp\n\n{headers}\n{names}\n{}", seen.verb, hex(&Sha256::digest(&seen.body)));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = format!("AWS4{KEY}").into_bytes();
    for part in scope.split('/') {
        key = hmac(&key, part);
    }
    Some((hex(&hmac(&key, &to_sign)), sent))
}

/// Refuses what is not signed with this key.
fn guard(seen: &Seen) -> Option<Response> {
    let is_good = signatures(seen).is_some_and(|(computed, sent)| computed == sent);
    (!is_good).then(|| Response::status(403))
}

async fn gateway(folder: &Folder, backend: &Backend, key: &str) -> Gateway {
    let file = folder.write("key.txt", key);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    let signer = json!({
        "upstreams": ["only"],
        "service": "execute-api",
        "region": "eu-central-1",
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": "aws",
    });
    let grants = json!(["outbound:only", "secret:aws outbound:only"]);
    let own = json!({
        "secrets": {"aws": format!("file:{}", file.display())},
        "chain": ["builtin:sigv4"],
        "plugins": {"settings": {"sigv4": {"grants": grants, "config": {"signers": [signer]}}}},
    });
    Gateway::start(folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await
}

#[test]
fn a_server_that_checks_signatures_takes_every_request() {
    beside("sigv4", 90, async {
        for era in Era::BOTH {
            let offer = Offer::tools(&["echo"]).only(era).keeping().guarded(guard);
            let backend = Backend::start(offer, |call: Call| async move { call.echo() }).await;
            let folder = Folder::new();
            let gateway = gateway(&folder, &backend, KEY).await;
            let mut caller = gateway.caller(Era::Modern).await;
            assert_eq!(caller.names("tools").await, ["echo"]);
            let result = caller.result("echo", r#"{"n":"é"}"#).await;
            assert_eq!(result["structuredContent"], json!({"n": "é"}), "{era:?}");
            let all: BTreeSet<_> = backend.server.seen().iter().filter_map(signatures).collect();
            assert!(all.len() >= 2 && all.iter().all(|(computed, sent)| computed == sent), "each its own: {all:?}");
            let everything = folder.read("audit.jsonl") + &gateway.metrics().await + &gateway.log(|_| true).join("\n");
            assert!(!everything.contains("canary"), "the key is written down");
        }
    });
}

/// The control.
#[test]
fn another_key_is_found_out() {
    beside("sigv4, another key", 90, async {
        let offer = Offer::tools(&["echo"]).keeping().guarded(guard);
        let backend = Backend::start(offer, |call: Call| async move { call.echo() }).await;
        let folder = Folder::new();
        let gateway = gateway(&folder, &backend, "another-key").await;
        let answer = gateway.caller(Era::Modern).await.call("echo", "{}").await.expect("an answer").json();
        assert!(answer.get("error").is_some(), "{answer}");
        assert_eq!(backend.asked("tools/call"), 0);
        let all: Vec<_> = backend.server.seen().iter().map(signatures).collect();
        assert!(!all.is_empty() && all.iter().all(|both| both.as_ref().is_some_and(|(computed, sent)| computed != sent)), "{all:?}");
    });
}
