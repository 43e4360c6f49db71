//! The standard plugins, as components.

use crate::support::{call, engine, guests, load, load_with, settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_chain::{
    attributes::Attributes,
    catalogue::{Change, Entry, ListKind, Offer, Viewer},
    filter::{Authentication, Credential, Filter, Verdict},
};
use sluice_plugin::{Scope, Settings};
use std::{fmt::Write, sync::Arc};

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().fold("sha256:".to_owned(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn bearer(value: &str) -> Credential {
    Credential { scheme: "bearer".into(), value: value.into() }
}

#[tokio::test]
async fn api_keys_become_principals() {
    let keys = json!({"keys": [{"id": "laptop", "hash": sha256("slk_0123456789abcdef0123456789abcdef"), "subject": "ada", "tenant": "acme", "roles": ["dev"], "scopes": ["read"]}]});
    let filter = load(&engine(), "auth-api-key", keys).await;
    let facts = || Attributes::new(Arc::new(vec![("transport.kind".into(), "http".into())]));
    let good = filter.authenticate(&bearer("slk_0123456789abcdef0123456789abcdef"), &mut facts()).await.unwrap();
    let Authentication::Identified(who, ttl) = good else { panic!("{good:?}") };
    assert_eq!((&*who.subject, who.tenant.as_deref(), &*who.authority), ("ada", Some("acme"), "auth-api-key"));
    assert!(who.claims.iter().any(|(k, v)| &**k == "role" && &**v == "dev"));
    assert!(ttl <= std::time::Duration::from_secs(60));
    let bad = filter.authenticate(&bearer("slk_wrong"), &mut facts()).await.unwrap();
    let Authentication::Challenge(no) = bad else { panic!("{bad:?}") };
    assert_eq!(no.http_status, Some(401));
    assert!(no.http_headers.iter().any(|(name, _)| name == "www-authenticate"));
    let other = filter.authenticate(&Credential { scheme: "basic".into(), value: "x".into() }, &mut facts()).await.unwrap();
    assert!(matches!(other, Authentication::Abstain), "{other:?}");
}

#[tokio::test]
async fn callers_over_their_rate_are_refused() {
    let config = json!({"limits": [{"name": "each", "per_hour": 3, "burst": 3}]});
    let filter = load(&engine(), "rate-limit", config).await;
    for who in ["ada", "bob"] {
        for turn in 0..5 {
            let verdict = call("ls", json!({})).by(who).request(&filter).await.unwrap();
            match verdict {
                Verdict::Next(None) => assert!(turn < 3, "{who} {turn}"),
                Verdict::Reject(no) => {
                    assert!(turn >= 3 && no.code == 4290, "{who} {turn} {no:?}");
                    assert!(no.http_headers.iter().any(|(name, _)| name == "retry-after"));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn two_upstreams_get_prefixes() {
    let filter = load(&engine(), "namespace", json!({})).await;
    for (upstreams, expected) in [(1, "Keep"), (2, "Rename(\"git_log\")")] {
        let entry = |upstream: usize, owner: &str, name: &str| Entry {
            name: name.into(),
            upstream: Some(upstream),
            owner: owner.into(),
            original: name.into(),
            definition: json!({"name": name}).to_string().into(),
            digest: "00".into(),
            task: None,
        };
        let all = [entry(0, "git", "log"), entry(1, "mail", "log")];
        let mut offer = Offer {
            kind: ListKind::Tools,
            entries: Arc::new(all[..upstreams].to_vec()),
            upstreams: upstreams as u32,
            viewer: Viewer::default(),
            changes: Vec::new(),
            own: Vec::new(),
        };
        filter.on_catalog(&mut offer).await.unwrap();
        let first = offer.changes.first().cloned().unwrap_or(Change::Keep);
        assert_eq!(format!("{first:?}"), expected);
    }
}

#[tokio::test]
async fn personal_data_is_redacted_both_ways() {
    let engine = engine();
    let filter = load_with(&engine, Settings { scope: Scope::All, ..settings("redact", json!({})) }).await;
    let mut asked = call("send", json!({"to": "ada@example.com", "note": "card 4111 1111 1111 1111", "ok": "nothing"}));
    let Ok(Verdict::Next(Some(after))) = asked.request(&filter).await else { panic!("nothing was edited") };
    let arguments =
        |message: &sluice_wire::message::Message| serde_json::from_slice::<Value>(message.bytes()).unwrap()["params"]["arguments"].clone();
    assert_eq!(arguments(&after), json!({"to": "[REDACTED:email]", "note": "card [REDACTED:credit-card]", "ok": "nothing"}));
    let mut clean = call("send", json!({"ok": "nothing"}));
    assert!(matches!(clean.request(&filter).await, Ok(Verdict::Next(None))));
    let mut answered =
        call("send", json!({})).answered(json!({"content": [{"type": "text", "text": "to ada@example.com"}], "isError": false}));
    let Ok(Verdict::Next(Some(after))) = answered.response(&filter).await else { panic!("nothing was edited") };
    assert!(std::str::from_utf8(after.bytes()).unwrap().contains("to [REDACTED:email]"));
}

#[tokio::test]
async fn each_standard_plugin_is_what_its_folder_says() {
    let engine = engine();
    let plugins: Vec<String> = guests::all().into_iter().filter(|(_, prefix)| *prefix == "sluice-plugin-").map(|(name, _)| name).collect();
    assert!(plugins.len() >= 15, "{plugins:?}");
    for name in &plugins {
        let found = engine.inspect(guests::bytes(name), &settings(name, json!({}))).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((found.manifest.name.as_str(), found.hooks.is_empty()), (name.as_str(), false));
    }
}
