//! `auth-proxy`: who a proxy in front says is calling, and nobody who says so himself.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    connection::Reply,
    folder::Folder,
    gateway::Gateway,
    turn::beside,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use std::{
    os::unix::fs::PermissionsExt as _,
    time::{SystemTime, UNIX_EPOCH},
};

const SECRET: &str = "canary-edge-0123456789abcdef0123456789abcdef";
const US: &str = "https://mcp.example.com";

fn assertion(algorithm: &str, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(format!(r#"{{"alg":"{algorithm}"}}"#)), part(claims.to_string()));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn claims(issuer: &str, id: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    json!({"iss": issuer, "aud": US, "sub": "ada", "tenant": "acme", "iat": now, "exp": now + 30, "jti": id})
}

fn keyed(text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text).as_ref().to_vec()
}

#[test]
fn a_signed_word_of_the_hop_counts_once_and_no_other_does() {
    beside("auth-proxy", 90, async {
        let backend = Backend::recording(&["echo"]).await;
        let folder = Folder::new();
        let file = folder.write("edge.txt", SECRET);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
        let paired = |text: &[u8]| pair.sign(text).as_ref().to_vec();
        let hops = json!([
            {"issuer": "edge", "secrets": ["edge"], "tenants": ["acme"]},
            {"issuer": "partner", "public_keys": [BASE64_URL_SAFE_NO_PAD.encode(pair.public_key())], "tenants": ["*"], "subject_prefix": "partner:"},
        ]);
        let settings = json!({"grants": ["secret:edge"], "config": {"audiences": [US], "replay": "once", "hops": hops}});
        let own = json!({
            "secrets": {"edge": format!("file:{}", file.display())},
            "auth": {"credential_headers": ["x-sluice-identity"]},
            "chain": ["builtin:auth-proxy"],
            "plugins": {"settings": {"auth-proxy": settings}},
        });
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        let mut caller = Caller::silent(&gateway.address, Era::Modern, "");
        let body = caller.text("1", "tools/call", r#""name":"echo","arguments":{}"#);
        let mut show = async |text: &str| -> Reply {
            caller.post_with("tools/call", Some("echo"), &body, &format!("x-sluice-identity: {text}\r\n")).await.expect("an answer")
        };
        let good = assertion("HS256", &claims("edge", "1"), keyed);
        assert!(show(&good).await.json().get("result").is_some(), "it is let in");
        assert!(show(&assertion("EdDSA", &claims("partner", "1"), paired)).await.json().get("result").is_some(), "so is the other");
        let calls = backend.asked("tools/call");
        let mut other = claims("edge", "2");
        other["aud"] = json!("https://another.example.com");
        for (text, says) in [
            (good, "used before"),
            (assertion("HS256", &other, keyed), "another gateway"),
            (assertion("HS256", &claims("partner", "2"), keyed), "algorithm"),
            (assertion("EdDSA", &claims("partner", "3"), |_| vec![0; 64]), "signature"),
            (assertion("none", &claims("edge", "3"), |_| Vec::new()), "algorithm"),
            ("ada".to_owned(), "malformed"),
        ] {
            let reply = show(&text).await;
            let message = reply.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
            assert!(reply.status == 401 && message.contains(says), "{says}: {}", reply.answer());
        }
        assert_eq!(backend.asked("tools/call"), calls, "nothing of it reached the server");
        let trail = folder.audited(&[r#""principal":"ada","tenant":"acme""#, r#""principal":"partner:ada""#]).await;
        let everything = trail + &gateway.log(|_| true).join("\n");
        assert!(!everything.contains("canary"), "the key is written down");
        let sent = backend.server.seen();
        assert!(sent.iter().all(|seen| seen.header("x-sluice-identity").is_none()), "an assertion is for us alone");
    });
}
