//! What is signed of a request, what is not, and what is refused.

use serde_json::{Value, json};
use sluice_plugin_sigv4::Sigv4;
use sluice_plugin_sigv4::problem::OPERATOR;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeDeparture, FakeExchange};

const URL: &str = "https://gateway.example.amazonaws.com:8443/mcp";

fn signer(more: Value) -> Value {
    let mut signer = json!({
        "upstreams": ["aws"], "service": "execute-api", "region": "eu-central-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "key",
    });
    for (name, value) in more.as_object().unwrap() {
        signer[name] = value.clone();
    }
    signer
}

fn plugin(signers: Value) -> Sigv4 {
    testing::reset();
    testing::set_clock_ms(1_440_938_160_000);
    testing::set_secret("key", b"a-canary-key");
    testing::plugin(&json!({"signers": signers}).to_string()).unwrap()
}

fn sign(plugin: &Sigv4, departure: &FakeDeparture) -> OutboundVerdict {
    plugin.on_outbound(departure, &FakeExchange::default())
}

/// The names that are signed, and the signature.
fn signature(verdict: &OutboundVerdict) -> (String, String) {
    let sent = testing::sent(verdict);
    let authorization = &sent.iter().find(|(name, _)| name == "authorization").unwrap_or_else(|| panic!("{verdict:?}")).1;
    let after = |mark: &str| authorization.split_once(mark).unwrap().1.split(',').next().unwrap().to_string();
    (after("SignedHeaders="), after("Signature="))
}

#[test]
fn what_is_of_the_request_is_signed_and_what_hops_may_change_is_not() {
    let plugin = plugin(json!([signer(json!({}))]));
    let departure = || FakeDeparture::new("aws", URL).with_body(b"{}");
    let (names, first) = signature(&sign(&plugin, &departure()));
    assert_eq!(names, "host;x-amz-date");
    for (name, value, is_signed) in [
        ("content-type", "application/json", true),
        ("x-amz-meta-a", "  1   2 ", true),
        ("user-agent", "sluice", false),
        ("accept", "application/json", false),
        ("mcp-session-id", "s", false),
        ("authorization", "", false),
        ("x-amz-date", "20000101T000000Z", false),
    ] {
        let (names, other) = signature(&sign(&plugin, &departure().with_header(name, value)));
        assert_eq!(
            names.split(';').filter(|signed| *signed == name).count(),
            usize::from(is_signed || name == "x-amz-date"),
            "{name}: {names}"
        );
        assert_eq!(other != first, is_signed, "{name}");
    }
    let spaced = signature(&sign(&plugin, &departure().with_header("x-amz-meta-a", "1 2")));
    assert_eq!(spaced, signature(&sign(&plugin, &departure().with_header("x-amz-meta-a", "  1   2 "))));
    // What the connection will say of the host counts, the port with it.
    let named = signature(&sign(&plugin, &departure().with_header("host", "gateway.example.amazonaws.com:8443")));
    assert_eq!(named.1, first);
    let elsewhere = FakeDeparture::new("aws", "https://other.example.com:8443/mcp").with_body(b"{}");
    assert_ne!(signature(&sign(&plugin, &elsewhere)).1, first);
    for other in
        [departure().with_body(b"[]"), departure().with_method("GET"), FakeDeparture::new("aws", &format!("{URL}/x")).with_body(b"{}")]
    {
        assert_ne!(signature(&sign(&plugin, &other)).1, first);
    }
}

#[test]
fn a_body_is_left_out_only_where_the_request_says_so() {
    let plugin = plugin(json!([signer(json!({"payload": "unsigned"}))]));
    let of = |body: &[u8]| sign(&plugin, &FakeDeparture::new("aws", URL).with_body(body));
    let (names, first) = signature(&of(b"{}"));
    assert_eq!((names.as_str(), &first), ("host;x-amz-content-sha256;x-amz-date", &signature(&of(b"[]")).1));
    assert!(testing::sent(&of(b"")).contains(&("x-amz-content-sha256".to_string(), "UNSIGNED-PAYLOAD".to_string())));
}

#[test]
fn each_upstream_has_its_signer_and_the_others_none() {
    let plugin = plugin(json!([signer(json!({"upstreams": ["aws-eu"]})), signer(json!({"upstreams": ["aws-*"], "region": "us-east-1"}))]));
    let scope = |upstream: &str| {
        let sent = testing::sent(&sign(&plugin, &FakeDeparture::new(upstream, URL)));
        sent.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.split('/').nth(2).unwrap().to_string())
    };
    assert_eq!(scope("aws-eu").as_deref(), Some("eu-central-1"));
    assert_eq!(scope("aws-us").as_deref(), Some("us-east-1"));
    assert_eq!(scope("github"), None);
}

#[test]
fn what_cannot_be_signed_does_not_leave_and_no_word_of_it_is_secret() {
    let plugin = plugin(json!([signer(json!({}))]));
    let hidden = FakeDeparture::new("aws", URL).with_header("x-amz-meta-a", "");
    let challenged = FakeDeparture::new("aws", URL).refused(401, &["Bearer"]);
    let pathless = FakeDeparture::new("aws", "no url");
    let mut verdicts = vec![sign(&plugin, &hidden), sign(&plugin, &challenged), sign(&plugin, &pathless)];
    testing::set_clock_ms(u64::MAX);
    verdicts.push(sign(&plugin, &FakeDeparture::new("aws", URL)));
    let mut logged = testing::log_lines();
    testing::reset();
    verdicts.push(sign(&plugin, &FakeDeparture::new("aws", URL)));
    for verdict in &verdicts {
        let OutboundVerdict::Reject(no) = verdict else { panic!("{verdict:?}") };
        assert!(no.code == OPERATOR && no.message.starts_with("aws cannot be used") && !no.message.contains("key"), "{no:?}");
    }
    logged.extend(testing::log_lines());
    assert_eq!(logged.len(), verdicts.len(), "the operator hears why, each time");
    assert!(!format!("{verdicts:?} {logged:?}").contains("canary"));
}

#[test]
fn settings_that_make_no_sense_are_refused_and_say_where() {
    testing::reset();
    testing::set_secret("key", b"k");
    testing::set_secret("hidden", b"t");
    for (bad, why) in [
        (json!([]), "signers is empty"),
        (json!([signer(json!({})), signer(json!({"upstreams": []}))]), "entry 2: upstreams names nobody"),
        (json!([signer(json!({"service": "Bedrock"}))]), "entry 1: service is AWS's name"),
        (json!([signer(json!({"region": ""}))]), "entry 1: region is AWS's name"),
        (json!([signer(json!({"access_key_id": "a b"}))]), "access_key_id is 1 to 128"),
        (json!([signer(json!({"query": "a=b+c"}))]), "query has a +"),
        (json!([signer(json!({"query": "?a=b"}))]), "query is what stands behind"),
        (json!([signer(json!({"query": "a=b\n"}))]), "query is what stands behind"),
        (
            json!([signer(json!({"secret_access_key": "other"}))]),
            "secret_access_key: the secret \"other\" cannot be used: secret:other is not granted",
        ),
        (json!([signer(json!({"session_token": "other"}))]), "session_token: the secret \"other\""),
        (json!([signer(json!({"session_token": "hidden"}))]), "grants = [\"reveal:hidden\"]"),
        (json!([signer(json!({"upstreams": ["a*"]})), signer(json!({"upstreams": ["ab"]}))]), "entry 2 is never used"),
    ] {
        let error = testing::plugin::<Sigv4>(&json!({"signers": bad}).to_string()).err().unwrap_or_else(|| panic!("{bad}"));
        assert!(error.contains(why), "{bad}: {error}");
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    testing::reset();
    testing::set_secret("aws", b"k");
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    testing::plugin::<Sigv4>(&serde_json::to_string(&sidecar["config"]).unwrap()).map(|_| ()).unwrap();
}
