//! What is told, and that `auth-proxy` believes it: the two plugins are the two ends of one way.

use serde_json::{Value, json};
use sluice_plugin_auth_proxy::AuthProxy;
use sluice_plugin_forward_identity::ForwardIdentity;
use sluice_plugin_forward_identity::policy::{NOBODY, OPERATOR};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeDeparture, FakeExchange};

const NOW: u64 = 1_800_000_000;
const KEY: &[u8] = b"canary-of-top-and-team-0123456789";

fn fresh() {
    testing::reset();
    testing::set_clock_ms(NOW * 1000);
    testing::set_secret("hop", KEY);
}

fn config(more: Value) -> Value {
    let gateway = json!({"upstreams": ["team-*"], "audience": "https://team.example.com", "secret": "hop"});
    let mut config = json!({"issuer": "top", "gateways": [gateway]});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn plugin(more: Value) -> ForwardIdentity {
    testing::plugin(&config(more).to_string()).unwrap()
}

fn ada() -> FakeExchange {
    let facts = [
        ("principal.subject", "ada"),
        ("principal.authority", "auth-jwt"),
        ("principal.tenant", "acme"),
        ("principal.scopes", "read write"),
        ("principal.claim.role", "dev\nops"),
        ("principal.claim.email", "ada@example.com"),
        ("principal.claim.client_id", "agent-7"),
    ];
    facts.into_iter().fold(FakeExchange::default(), |x, (key, value)| x.with_attr(key, value))
}

fn leaves(plugin: &ForwardIdentity, x: &FakeExchange) -> OutboundVerdict {
    plugin.on_outbound(&FakeDeparture::new("team-a", "https://team.example.com/mcp"), x)
}

fn told(verdict: &OutboundVerdict) -> String {
    assert!(matches!(verdict, OutboundVerdict::Next(_)), "{verdict:?}");
    let mut sent = testing::sent(verdict);
    assert_eq!((sent.len(), sent[0].0.as_str()), (1, "x-sluice-identity"));
    sent.remove(0).1
}

/// The other end.
fn believed(audience: &str, hop: Value, assertion: &str) -> Outcome {
    let mut all = json!({"issuer": "top", "secrets": ["hop"], "tenants": ["acme"], "claims": ["email"]});
    all.as_object_mut().unwrap().extend(hop.as_object().unwrap().clone());
    let there: AuthProxy = testing::plugin(&json!({"audiences": [audience], "replay": "once", "hops": [all]}).to_string()).unwrap();
    there.authenticate(&Credential { scheme: "header:x-sluice-identity".into(), value: assertion.into() }, &FakeExchange::default())
}

/// features.md §26: who calls at the top is who calls at the team's.
#[test]
fn f026_whom_it_speaks_of_is_whom_the_next_gateway_knows() {
    fresh();
    let word = told(&leaves(&plugin(json!({"claims": ["email", "gone"]})), &ada()));
    let Outcome::Identified(who) = believed("https://team.example.com", json!({}), &word) else { panic!("not believed") };
    assert_eq!((who.subject.as_str(), who.tenant.as_deref()), ("ada", Some("acme")));
    assert_eq!(who.scopes, ["read", "write"]);
    let claims: Vec<_> = who.claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(claims, [("iss", "top"), ("role", "dev"), ("role", "ops"), ("email", "ada@example.com")]);
    assert!(!word.contains("canary"));
}

#[test]
fn its_word_is_good_for_one_gateway_for_a_while_and_once() {
    fresh();
    let plugin = plugin(json!({}));
    let (one, other) = (told(&leaves(&plugin, &ada())), told(&leaves(&plugin, &ada())));
    assert_ne!(one, other, "each request has its own");
    let refused = |outcome: Outcome| match outcome {
        Outcome::Challenge(no) => no.message,
        other => panic!("{other:?}"),
    };
    assert!(refused(believed("https://other.example.com", json!({}), &one)).contains("another gateway"));
    assert!(refused(believed("https://team.example.com", json!({"issuer": "another"}), &one)).contains("issuer"));
    testing::set_secret("hop", b"another key of at least 32 bytes!");
    assert!(refused(believed("https://team.example.com", json!({}), &one)).contains("signature"));
    testing::set_secret("hop", KEY);
    assert!(matches!(believed("https://team.example.com", json!({}), &one), Outcome::Identified(_)));
    assert!(refused(believed("https://team.example.com", json!({}), &one)).contains("used before"));
    testing::advance_ms(35_000);
    assert!(refused(believed("https://team.example.com", json!({}), &other)).contains("expired"));
}

#[test]
fn who_is_not_told_of_goes_no_further_and_who_is_not_told_hears_nothing() {
    fresh();
    let plugin = plugin(json!({"authenticators": ["auth-jwt"]}));
    let no = |x: &FakeExchange| match leaves(&plugin, x) {
        OutboundVerdict::Reject(no) => no.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(no(&FakeExchange::default()), NOBODY);
    assert_eq!(no(&ada().with_attr("principal.authority", "host-anonymous")), NOBODY);
    assert_eq!(no(&ada().with_attr("principal.authority", "auth-api-key")), NOBODY);
    assert_eq!(no(&ada().with_attr("principal.subject", &"a".repeat(9000))), OPERATOR);
    told(&leaves(&plugin, &ada()));
    let elsewhere = plugin.on_outbound(&FakeDeparture::new("wiki", "https://wiki.example.com/mcp"), &ada());
    assert!(testing::sent(&elsewhere).is_empty());
}

#[test]
fn without_belief_or_key_nothing_is_sent_again() {
    fresh();
    let plugin = plugin(json!({}));
    let refused = FakeDeparture::new("team-a", "https://team.example.com/mcp").refused(401, &["Assertion"]);
    let OutboundVerdict::Reject(no) = plugin.on_outbound(&refused, &ada()) else { panic!("it left") };
    assert!(no.code == OPERATOR && no.message.contains("does not believe this gateway (HTTP 401)"), "{no:?}");
    testing::reset();
    let OutboundVerdict::Reject(no) = leaves(&plugin, &ada()) else { panic!("it left") };
    assert!(no.code == OPERATOR && !no.message.contains("hop"), "{no:?}");
    assert!(testing::log_lines().iter().any(|line| format!("{line:?}").contains("hop")), "the operator hears which");
}

#[test]
fn settings_that_make_no_sense_are_refused_and_say_where() {
    fresh();
    let gateway = |more: Value| {
        let mut one = json!({"upstreams": ["a"], "audience": "b", "secret": "hop"});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"gateways": [one]})
    };
    let one = &gateway(json!({}))["gateways"][0];
    for (more, says) in [
        (json!({"issuer": ""}), "issuer says nothing"),
        (json!({"gateways": []}), "gateways is empty"),
        (json!({"claims": ["roles"]}), "claims: \"roles\""),
        (gateway(json!({"upstreams": []})), "entry 1: upstreams names nobody"),
        (gateway(json!({"audience": ""})), "entry 1: audience is empty"),
        (gateway(json!({"secret": "gone"})), "entry 1: secret: \"gone\" cannot be used"),
        (gateway(json!({"algorithm": "EdDSA"})), "entry 1: secret: \"hop\" cannot be used"),
        (json!({"gateways": [one, one]}), "entry 2 is never used: entry 1"),
        (json!({"more": 1}), "unknown field"),
    ] {
        let error = testing::plugin::<ForwardIdentity>(&config(more).to_string()).err().unwrap();
        assert!(error.contains(says), "{says}: {error}");
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    fresh();
    testing::set_secret("payments-hop", KEY);
    testing::plugin::<ForwardIdentity>(&serde_json::to_string(&sidecar["config"]).unwrap()).map(|_| ()).unwrap();
}
