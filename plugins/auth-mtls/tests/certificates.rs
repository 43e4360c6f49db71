//! The plugin as the host would use it.

use serde_json::{Value, json};
use sluice_plugin_auth_mtls::AuthMtls;
use sluice_plugin_auth_mtls::policy::UNKNOWN_CERTIFICATE;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};

const PRINT: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn shown(subject: &str, san: &str) -> FakeExchange {
    FakeExchange::default()
        .with_attr("transport.tls.fingerprint", PRINT)
        .with_attr("transport.tls.subject", subject)
        .with_attr("transport.tls.san", san)
}

fn ask_with(rules: &Value, more: Value, scheme: &str, x: &FakeExchange) -> Outcome {
    let mut config = json!({"rules": rules});
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    let plugin: AuthMtls = testing::plugin(&config.to_string()).unwrap();
    plugin.authenticate(&Credential { scheme: scheme.to_string(), value: "x".to_string() }, x)
}

fn ask(rules: &Value, x: &FakeExchange) -> Outcome {
    ask_with(rules, json!({}), "none", x)
}

#[track_caller]
fn subject(outcome: Outcome) -> String {
    let Outcome::Identified(who) = outcome else { panic!("{outcome:?}") };
    who.subject
}

#[track_caller]
fn check_refused(outcome: Outcome, says: &str) {
    let Outcome::Challenge(no) = outcome else { panic!("{outcome:?}") };
    assert_eq!((no.code, no.http_status), (UNKNOWN_CERTIFICATE, Some(403)));
    assert!(no.message.contains(says), "{}", no.message);
}

#[test]
fn f046_a_workload_is_who_its_spiffe_id_says() {
    let rules = json!([{
        "name": "spiffe://prod.example/ns/*/sa/*", "subject": "{1}/{2}", "tenant": "{1}", "roles": ["workload", "sa-{2}"],
        "scopes": ["tools:call"], "claims": {"spiffe_id": "{0}"},
    }]);
    let Outcome::Identified(who) = ask(&rules, &shown("", "URI:spiffe://prod.example/ns/pay/sa/api DNS:api.pay")) else { panic!() };
    assert_eq!((who.subject.as_str(), who.tenant.as_deref(), who.ttl_ms), ("pay/api", Some("pay"), 60_000));
    assert_eq!(who.scopes, ["tools:call"]);
    let claims: Vec<_> = who.claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let id = "spiffe://prod.example/ns/pay/sa/api";
    assert_eq!(claims, [("certificate", PRINT), ("role", "workload"), ("role", "sa-api"), ("spiffe_id", id)]);
    for other in [
        "URI:spiffe://prod.example/ns/pay/sa/api URI:spiffe://prod.example/ns/pay/sa/root",
        "URI:spiffe://evil.example/ns/pay/sa/api",
        "DNS:spiffe://prod.example/ns/pay/sa/api",
        "",
    ] {
        check_refused(ask(&rules, &shown("CN=spiffe://prod.example/ns/pay/sa/api", other)), "is not known here");
    }
}

/// What the host cannot show in one word it leaves out of the names, and says that it did.
#[test]
fn a_spiffe_id_beside_a_hidden_uri_is_nobodys() {
    let rules = json!([{"name": "spiffe://prod.example/a"}, {"name": "URI:spiffe://prod.example/b", "subject": "any of its URIs"}]);
    let with = |uri: &str, hidden: &str| ask(&rules, &shown("", uri).with_attr("transport.tls.san.hidden", hidden));
    assert_eq!(subject(with("URI:spiffe://prod.example/a", "DNS email")), "spiffe://prod.example/a");
    check_refused(with("URI:spiffe://prod.example/a", "DNS URI"), "is not known here");
    assert_eq!(subject(with("URI:spiffe://prod.example/b", "URI")), "any of its URIs");
}

#[test]
fn the_first_rule_that_fits_counts() {
    let rules = json!([
        {"name": format!("fingerprint:{}", PRINT.replace("aabb", "AABB")), "subject": "the one"},
        {"name": "DNS:*.agents.example", "subject": "agent {1}"},
    ]);
    assert_eq!(subject(ask(&rules, &shown("", "DNS:a.agents.example"))), "the one");
    let rules = json!([{"name": "email:*@example.com"}, {"name": "DNS:*.agents.example", "subject": "agent {1}"}, {"name": "subject:CN=*,O=Acme"}, {"name": "IP:10.0.0.7", "subject": "host"}]);
    assert_eq!(subject(ask(&rules, &shown("", "DNS:A.agents.example email:ada@example.com"))), "ada@example.com");
    assert_eq!(subject(ask(&rules, &shown("", "DNS:A.agents.example"))), "agent a");
    assert_eq!(subject(ask(&rules, &shown("CN=ada,O=Acme", "IP:10.0.0.7"))), "CN=ada,O=Acme");
    assert_eq!(subject(ask(&rules, &shown("", "IP:10.0.0.7"))), "host");
    check_refused(ask(&rules, &shown("CN=ada,O=Acme2", "")), "is not known here");
}

/// Of several names that fit, the client would choose who it is.
#[test]
fn a_certificate_of_two_callers_is_nobodys() {
    let rules = json!([{"name": "DNS:*.agents.example"}, {"name": "subject:CN=x", "subject": "later"}]);
    check_refused(ask(&rules, &shown("CN=x", "DNS:a.agents.example DNS:b.agents.example")), "several callers");
    let fixed = json!([{"name": "DNS:*.agents.example", "subject": "agents"}]);
    assert_eq!(subject(ask(&fixed, &shown("", "DNS:a.agents.example DNS:b.agents.example"))), "agents");
    assert_eq!(subject(ask(&rules, &shown("", "DNS:a.agents.example DNS:A.agents.example"))), "a.agents.example");
}

#[test]
fn who_shows_none_or_brings_a_credential_is_left_to_the_next() {
    let rules = json!([{"name": "DNS:a"}]);
    assert_eq!(ask(&rules, &FakeExchange::default()), Outcome::Abstain);
    // Only the host writes these facts; a header of that name is another one.
    assert_eq!(ask(&rules, &FakeExchange::default().with_attr("http.header.transport.tls.fingerprint", PRINT)), Outcome::Abstain);
    assert_eq!(ask_with(&rules, json!({}), "bearer", &shown("", "DNS:a")), Outcome::Abstain);
    assert_eq!(subject(ask_with(&rules, json!({"credentials": "ignore"}), "bearer", &shown("", "DNS:a"))), "a");
}

#[test]
fn long_names_are_nobodys() {
    let rules = json!([{"name": "DNS:*.example"}]);
    check_refused(ask(&rules, &shown("", &format!("DNS:{}.example", "a".repeat(600)))), "too long");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (rules, says) in [
        (json!([]), "rules is empty"),
        (json!([{"name": "DNS:a"}, {"name": "x"}]), "rules, entry 2: name: \"x\" has no kind"),
        (json!([{"name": "DNS:*.a", "subject": "{2}"}]), "subject: \"{2}\" asks for the * number 2, and the name has 1"),
        (json!([{"name": "DNS:*.a", "tenant": "{x}"}]), "tenant: "),
        (json!([{"name": "DNS:*.a", "roles": ["{1"]}]), "roles: "),
        (json!([{"name": "DNS:*.a", "claims": {"role": "admin"}}]), "roles stand under roles"),
        (json!([{"name": "DNS:*.a", "claims": {"x": "a\nb"}}]), "claims: "),
        (json!([{"name": "DNS:*.a", "scopes": ["a b"]}]), "a scope has no spaces"),
        (json!([{"name": "DNS:*.a", "subject": ""}]), "subject: "),
    ] {
        let error = testing::plugin::<AuthMtls>(&json!({"rules": rules}).to_string()).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    testing::plugin::<AuthMtls>(&config).map(|_| ()).unwrap();
}
