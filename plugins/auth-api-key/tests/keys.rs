//! The plugin as the host would use it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_plugin_auth_api_key::AuthApiKey;
use sluice_plugin_auth_api_key::policy::{BAD_KEY, NO_KEY};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};

const ALICE: &str = "slk_4f1c9a7e5b2d8036aa11bb22cc33dd44";
const BOB: &str = "slk_00112233445566778899aabbccddeeff";

fn hash(key: &str) -> String {
    let hex: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn two_keys() -> Value {
    json!([
        {"id": "alice-laptop", "hash": hash(ALICE), "subject": "alice", "tenant": "acme", "roles": ["admin", "dev"], "scopes": ["read", "write"]},
        {"id": "bob", "hash": hash(BOB).to_uppercase().replace("SHA256", "sha256"), "expires": "2026-01-01T00:00:00Z"}
    ])
}

#[track_caller]
fn ask(config: Value, scheme: &str, value: &str) -> Outcome {
    let plugin: AuthApiKey = testing::plugin(&config.to_string()).unwrap();
    let credential = Credential { scheme: scheme.to_string(), value: value.to_string() };
    plugin.authenticate(&credential, &FakeExchange::default())
}

#[track_caller]
fn check_challenge(outcome: Outcome, code: i32, challenge: &str) {
    let Outcome::Challenge(no) = outcome else { panic!("{outcome:?}") };
    assert_eq!((no.code, no.http_status), (code, Some(401)));
    assert_eq!(no.http_headers, [("www-authenticate".to_string(), challenge.to_string())]);
    assert!(!no.message.contains("slk_"), "it repeats the key");
}

#[test]
fn a_key_is_its_owner() {
    let Outcome::Identified(who) = ask(json!({"keys": two_keys()}), "bearer", ALICE) else { panic!("not known") };
    assert_eq!((who.subject.as_str(), who.tenant.as_deref(), who.ttl_ms), ("alice", Some("acme"), 60_000));
    assert_eq!(who.scopes, ["read", "write"]);
    let claims: Vec<_> = who.claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(claims, [("key", "alice-laptop"), ("role", "admin"), ("role", "dev")]);
}

#[test]
fn no_key_and_a_wrong_key_are_told_apart() {
    let config = json!({"keys": two_keys()});
    check_challenge(ask(config.clone(), "none", ""), NO_KEY, r#"Bearer realm="sluice""#);
    for wrong in ["", "slk_", &ALICE[1..], &format!("{ALICE} "), &ALICE.to_uppercase(), &hash(ALICE)] {
        let challenge = r#"Bearer realm="sluice", error="invalid_token""#;
        check_challenge(ask(config.clone(), "bearer", wrong), BAD_KEY, challenge);
    }
}

#[test]
fn the_challenge_says_where_to_go() {
    let config = json!({"keys": two_keys(), "realm": "a\"b\r\nc", "resource_metadata": "https://x/.well-known/oauth-protected-resource"});
    let challenge = r#"Bearer realm="a\"bc", resource_metadata="https://x/.well-known/oauth-protected-resource""#;
    check_challenge(ask(config, "none", ""), NO_KEY, challenge);
}

#[test]
fn a_header_of_its_own_is_another_scheme() {
    let config = json!({"keys": two_keys(), "header": "x-api-key"});
    assert!(matches!(ask(config.clone(), "header:x-api-key", ALICE), Outcome::Identified(_)));
    assert_eq!(ask(config.clone(), "bearer", ALICE), Outcome::Abstain);
    check_challenge(ask(config, "none", ""), NO_KEY, r#"ApiKey realm="sluice""#);
}

#[test]
fn what_is_not_ours_is_left_to_the_next() {
    let config = json!({"keys": two_keys(), "prefix": "slk_"});
    assert_eq!(ask(config.clone(), "basic", "YWxpY2U6eA=="), Outcome::Abstain);
    assert_eq!(ask(config.clone(), "bearer", "eyJhbGciOiJub25lIn0.e30."), Outcome::Abstain);
    assert!(matches!(ask(config, "bearer", "slk_unknown"), Outcome::Challenge(_)));
}

#[test]
fn a_key_lives_until_it_expires() {
    let ends_ms = 1_767_225_600_000;
    let config = json!({"keys": two_keys()});
    for (now_ms, ttl) in [(ends_ms - 3_600_000, Some(60_000)), (ends_ms - 5_000, Some(5_000)), (ends_ms, None), (ends_ms + 1, None)] {
        testing::set_clock_ms(now_ms);
        match (ask(config.clone(), "bearer", BOB), ttl) {
            (Outcome::Identified(who), Some(ttl)) => assert_eq!((who.subject.as_str(), who.ttl_ms), ("bob", ttl)),
            (Outcome::Challenge(no), None) => assert_eq!(no.message, "this API key has expired"),
            (outcome, _) => panic!("{outcome:?} at {now_ms}"),
        }
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (keys, says) in [
        (json!([{"id": "a", "hash": hash("1")}, {"id": "a", "hash": hash("2")}]), "two keys have the id a"),
        (json!([{"id": "a", "hash": hash("1")}, {"id": "b", "hash": hash("1")}]), "the key b is also another's"),
        (json!([{"id": "a", "hash": "md5:00"}]), "a hash of key a is not sha256"),
        (json!([{"id": "a", "hash": format!("sha256:{}", "é".repeat(32))}]), "a hash of key a is not sha256"),
        (json!([{"id": "a", "hash": hash("1").replace("sha", "hmac-sha")}]), "none is named: set pepper"),
        (
            json!([{"id": "a", "hash": hash("1"), "previous": {"hash": hash("1"), "until": "2999-01-01T00:00:00Z"}}]),
            "the key a is also another's",
        ),
        (json!([{"id": "a", "hash": hash("1"), "previous": {"hash": hash("2"), "until": "later"}}]), "which is no RFC 3339 date"),
        (json!([{"id": "a", "hash": hash("1"), "not_before": "2026-02-30T00:00:00Z"}]), "which is no RFC 3339 date"),
        (
            json!([{"id": "a", "hash": hash("1"), "not_before": "2027-01-01T00:00:00Z", "expires": "2027-01-01T00:00:00Z"}]),
            "before it is valid",
        ),
        (json!([{"id": "a", "hash": hash("1"), "claims": {"role": "admin"}}]), "roles stand under roles"),
        (json!([{"id": "a", "hash": hash("1"), "claims": {"x": "a\nb"}}]), "key a has a control character"),
        (json!([]), "there are no keys"),
        (json!([{"id": "a", "hash": hash("1"), "expires": "soon"}]), "which is no RFC 3339 date"),
        (json!([{"id": "a", "hash": hash("1"), "roles": ["dev\nadmin"]}]), "key a has a control character"),
        (json!([{"id": "a", "hash": hash("1"), "scopes": ["read write"]}]), "a scope has no spaces"),
    ] {
        let error = testing::plugin::<AuthApiKey>(&json!({"keys": keys}).to_string()).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
}

/// The key file of `sluice key` and the settings are one list.
#[test]
fn f046_a_key_file_stands_beside_the_settings() {
    let file = |keys: Value| json!({"keys": two_keys(), "key_file": {"keys": keys}});
    let config =
        file(json!([{"id": "ci", "hash": hash("ci"), "claims": {"team": "infra"}, "created": "2026-11-01T00:00:00Z", "note": "x"}]));
    let Outcome::Identified(who) = ask(config.clone(), "bearer", "ci") else { panic!("not known") };
    assert_eq!((who.subject.as_str(), who.ttl_ms), ("ci", 60_000));
    assert_eq!(who.claims[1], ("team".to_string(), "infra".to_string()));
    assert!(matches!(ask(config, "bearer", ALICE), Outcome::Identified(_)));
    for (keys, says) in [
        (json!([{"id": "bob", "hash": hash("x")}]), "two keys have the id bob"),
        (json!([{"id": "x", "hash": hash(ALICE)}]), "the key x is also another's"),
    ] {
        let error = testing::plugin::<AuthApiKey>(&file(keys).to_string()).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
    // An empty file is one that nobody has a key of.
    check_challenge(ask(json!({"key_file": {}}), "bearer", ALICE), BAD_KEY, r#"Bearer realm="sluice", error="invalid_token""#);
}

#[test]
fn f046_a_key_is_replaced_without_a_gap() {
    let until_ms = 1_767_225_600_000;
    let previous = json!({"hash": hash("old"), "until": "2026-01-01T00:00:00Z"});
    let config = json!({"keys": [{"id": "k", "hash": hash("new"), "subject": "ada", "previous": previous}]});
    for (now_ms, key, found) in [
        (until_ms - 5_000, "old", Ok(5_000)),
        (until_ms - 5_000, "new", Ok(60_000)),
        (until_ms, "old", Err("this API key was replaced by another")),
        (until_ms, "new", Ok(60_000)),
    ] {
        testing::set_clock_ms(now_ms);
        let outcome = match ask(config.clone(), "bearer", key) {
            Outcome::Identified(who) if who.subject == "ada" => Ok(who.ttl_ms),
            Outcome::Challenge(no) => Err(no.message),
            other => panic!("{other:?}"),
        };
        assert_eq!(outcome.as_ref().map_err(String::as_str), found.as_ref().map_err(|said| *said), "{key} at {now_ms}");
    }
}

#[test]
fn a_key_that_is_known_and_not_valid_lets_nobody_in_and_is_noted() {
    let begins_ms = 1_767_225_600_000;
    let keys = json!([
        {"id": "gone", "hash": hash("gone"), "disabled": true},
        {"id": "early", "hash": hash("early"), "not_before": "2026-01-01T00:00:00Z"},
    ]);
    let no = |key: &str| match ask(json!({"keys": keys}), "bearer", key) {
        Outcome::Challenge(no) => Some(no.message),
        Outcome::Identified(_) => None,
        Outcome::Abstain => panic!("it is ours"),
    };
    testing::reset();
    testing::set_clock_ms(begins_ms - 1_000);
    assert_eq!(no("gone").as_deref(), Some("this API key was revoked"));
    assert_eq!(no("early").as_deref(), Some("this API key is not valid yet"));
    let lines = testing::log_lines();
    let said: Vec<_> = lines.iter().map(|line| format!("{line:?}")).collect();
    assert!(said.len() == 2 && said[0].contains("gone") && said[1].contains("early"), "{said:?}");
    testing::set_clock_ms(begins_ms);
    assert_eq!(no("early"), None);
}

#[test]
fn a_pepper_makes_digests_that_only_who_has_it_can_make() {
    use hmac::{Hmac, Mac};
    testing::reset();
    let file = |hash: &str| json!({"pepper": "pepper", "key_file": {"keys": [{"id": "k", "hash": hash}]}});
    let error = |config: &Value| testing::plugin::<AuthApiKey>(&config.to_string()).err().unwrap();
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(b"salt and more").unwrap();
    mac.update(b"key");
    let keyed: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let config = file(&format!("hmac-sha256:{keyed}"));
    assert!(error(&config).contains("pepper: the secret \"pepper\" cannot be used"), "{}", error(&config));
    testing::set_secret("pepper", b"salt and more");
    assert!(matches!(ask(config.clone(), "bearer", "key"), Outcome::Identified(_)));
    assert!(matches!(ask(config.clone(), "bearer", "kex"), Outcome::Challenge(_)));
    // Who can write the file only cannot let himself in; the settings are the operator's, who can do as he likes.
    assert!(error(&file(&hash("forged"))).contains("is not hashed with the pepper"));
    let mut both = config.clone();
    both["keys"] = two_keys();
    assert!(
        matches!(ask(both.clone(), "bearer", ALICE), Outcome::Identified(_))
            && matches!(ask(both, "bearer", "key"), Outcome::Identified(_))
    );
    testing::set_secret("pepper", b"another");
    assert!(matches!(ask(config, "bearer", "key"), Outcome::Challenge(_)));
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    testing::plugin::<AuthApiKey>(&config).map(|_| ()).unwrap();
}
