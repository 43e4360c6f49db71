//! The plugin on requests that are about to leave.

use serde_json::{Value, json};
use sluice_plugin_static_header::{OPERATOR, StaticHeader};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeDeparture, FakeExchange};

fn plugin(headers: &Value) -> StaticHeader {
    testing::plugin(&json!({"headers": headers}).to_string()).unwrap()
}

fn leaves(plugin: &StaticHeader, upstream: &str) -> OutboundVerdict {
    plugin.on_outbound(&FakeDeparture::new(upstream, "https://api.example.com/mcp"), &FakeExchange::default())
}

/// The headers that a request to this upstream leaves with, secrets in clear.
fn sent(plugin: &StaticHeader, upstream: &str) -> Vec<(String, String)> {
    let verdict = leaves(plugin, upstream);
    assert!(matches!(verdict, OutboundVerdict::Next(_)), "{verdict:?}");
    testing::sent(&verdict)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn each_upstream_gets_its_own_and_of_one_name_the_first() {
    testing::reset();
    testing::set_secret("github", b"canary-github");
    testing::set_secret("others", b"canary-others");
    let plugin = plugin(&json!([
        {"upstreams": ["github"], "name": "Authorization", "secret": "github", "prefix": "Bearer "},
        {"upstreams": ["git*", "mail"], "name": "authorization", "secret": "others"},
        {"upstreams": ["*"], "name": "X-Environment", "value": "test bench"},
    ]));
    assert_eq!(sent(&plugin, "github"), pairs(&[("authorization", "Bearer canary-github"), ("x-environment", "test bench")]));
    assert_eq!(sent(&plugin, "gitlab"), pairs(&[("authorization", "canary-others"), ("x-environment", "test bench")]));
    assert_eq!(sent(&plugin, "mail"), pairs(&[("authorization", "canary-others"), ("x-environment", "test bench")]));
    assert_eq!(sent(&plugin, "web"), pairs(&[("x-environment", "test bench")]));
}

/// The same headers say that there is nothing better, so the host does not send it again, and later plugins may act.
#[test]
fn a_challenge_changes_nothing() {
    testing::reset();
    testing::set_secret("key", b"canary-key");
    let plugin = plugin(&json!([{"upstreams": ["a"], "name": "x-api-key", "secret": "key"}]));
    let departure = FakeDeparture::new("a", "https://a.example.com/mcp").refused(401, &["Bearer"]).with_sent(b"canary-key");
    let again = plugin.on_outbound(&departure, &FakeExchange::default());
    assert_eq!(testing::sent(&again), sent(&plugin, "a"));
}

#[test]
fn without_its_secret_a_request_stays_here_and_the_client_does_not_hear_which() {
    testing::reset();
    testing::set_secret("canary-name", b"canary-value");
    let plugin = plugin(
        &json!([{"upstreams": ["a"], "name": "x-api-key", "secret": "canary-name"}, {"upstreams": ["b"], "name": "x-b", "value": "1"}]),
    );
    testing::reset();
    let OutboundVerdict::Reject(no) = leaves(&plugin, "a") else { panic!("it left") };
    assert_eq!(no.code, OPERATOR);
    assert!(!no.message.contains("canary") && no.message.contains("a cannot be used"), "{}", no.message);
    let lines = testing::log_lines();
    assert!(lines.len() == 1 && format!("{lines:?}").contains("canary-name"), "the operator hears which: {lines:?}");
    assert_eq!(sent(&plugin, "b"), pairs(&[("x-b", "1")]), "the others go on");
}

#[test]
fn settings_that_make_no_sense_are_refused_and_say_where() {
    testing::reset();
    testing::set_secret("key", b"k");
    let header = |name: &str, value: &str| json!([{"upstreams": ["a"], "name": name, "value": value}]);
    for (bad, why) in [
        (json!([]), "headers is empty"),
        (json!([{"upstreams": [], "name": "x", "value": "1"}]), "entry 1: upstreams names nobody"),
        (json!([{"upstreams": ["a", ""], "name": "x", "value": "1"}]), "entry 1: upstreams names nobody"),
        (header("Content-Type", "text/plain"), "the header content-type belongs"),
        (header("MCP-Session-Id", "1"), "the header mcp-session-id belongs"),
        (header("Host", "evil.example.com"), "the header host belongs"),
        (header("x-user_name", "1"), "belongs"),
        (header("x y", "1"), "is no name of a header"),
        (header("", "1"), "is no name of a header"),
        (header("x", "1\r\ny: 2"), "its value is none that a header has"),
        (header("x", " 1"), "its value is none that a header has"),
        (header("x", ""), "its value is none that a header has"),
        (header("x", "é"), "its value is none that a header has"),
        (header("Authorization", "Bearer t"), "put it under sluice.secrets"),
        (json!([{"upstreams": ["a"], "name": "x"}]), "neither a value nor a secret"),
        (json!([{"upstreams": ["a"], "name": "x", "value": "1", "secret": "key"}]), "one of the two"),
        (json!([{"upstreams": ["a"], "name": "x", "value": "1", "prefix": "p"}]), "a prefix stands before a secret"),
        (
            json!([{"upstreams": ["a"], "name": "x", "secret": "key", "prefix": "p\n"}, {"upstreams": ["a"], "name": "x", "secret": "key", "prefix": "\u{7f}"}]),
            "its value is none",
        ),
        (json!([{"upstreams": ["a"], "name": "x", "secret": "other"}]), "the secret \"other\" cannot be used: secret:other is not granted"),
        (
            json!([{"upstreams": ["a*"], "name": "x", "value": "1"}, {"upstreams": ["ab", "ac*"], "name": "X", "value": "2"}]),
            "entry 2 is never used: entry 1 sets x",
        ),
        (Value::Array((0..33).map(|n| json!({"upstreams": ["a"], "name": format!("x-{n}"), "value": "1"})).collect()), "33 headers"),
    ] {
        let error = testing::plugin::<StaticHeader>(&json!({"headers": bad}).to_string()).err().unwrap_or_else(|| panic!("{bad}"));
        assert!(error.contains(why), "{bad}: {error}");
    }
    // Neighbours of what is refused.
    plugin(&json!([{"upstreams": ["a"], "name": "x", "value": "1"}, {"upstreams": ["a*"], "name": "x", "value": "2"}]));
    plugin(&json!([{"upstreams": ["a"], "name": "cookie", "secret": "key"}]));
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    testing::reset();
    testing::set_secret("github", b"t");
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    testing::plugin::<StaticHeader>(&serde_json::to_string(&sidecar["config"]).unwrap()).map(|_| ()).unwrap();
}
