//! The plugin as the host would use it: assertions that are good, and a table of those that are not.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::Sha256;
use sluice_plugin_auth_proxy::AuthProxy;
use sluice_plugin_auth_proxy::policy::{BAD_ASSERTION, CANNOT_SAY};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};

const NOW: u64 = 1_800_000_000;
const US: &str = "https://mcp.example.com";
const SECRET: &[u8] = b"canary-shared-with-the-edge-0123";

fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn signed_with(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", base64(header), base64(claims));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", base64(signature))
}

fn mac(key: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    move |text| {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> String {
    base64(pair(seed).public_key())
}

fn claims() -> Value {
    json!({"iss": "edge", "aud": US, "sub": "ada", "iat": NOW, "exp": NOW + 30, "jti": "j-1"})
}

/// With some of them others, and those that are null not there.
fn claims_with(other: Value) -> Value {
    let mut all = claims();
    for (name, value) in other.as_object().unwrap() {
        all[name] = value.clone();
    }
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    all
}

fn keyed(claims: &Value) -> String {
    signed_with(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string(), mac(SECRET))
}

fn config(hop: Value, more: Value) -> Value {
    let mut hop = hop;
    hop["issuer"] = hop.get("issuer").cloned().unwrap_or(json!("edge"));
    let mut config = json!({"audiences": ["urn:other", US], "hops": [hop]});
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn shared() -> Value {
    config(json!({"secrets": ["edge"]}), json!({}))
}

fn plugin(config: &Value) -> AuthProxy {
    testing::reset();
    testing::set_clock_ms(NOW * 1000);
    testing::set_secret("edge", SECRET);
    testing::set_secret("edge-next", b"the next one");
    testing::plugin(&config.to_string()).unwrap()
}

fn show(plugin: &AuthProxy, scheme: &str, value: &str, x: &FakeExchange) -> Outcome {
    plugin.authenticate(&Credential { scheme: scheme.to_string(), value: value.to_string() }, x)
}

fn ask(config: &Value, value: &str) -> Outcome {
    show(&plugin(config), "header:x-sluice-identity", value, &FakeExchange::default())
}

#[track_caller]
fn identified(outcome: Outcome) -> Principal {
    let Outcome::Identified(who) = outcome else { panic!("{outcome:?}") };
    who
}

#[track_caller]
fn refused(outcome: Outcome) -> String {
    let Outcome::Challenge(no) = outcome else { panic!("{outcome:?}") };
    assert!(matches!((no.code, no.http_status), (BAD_ASSERTION, Some(401)) | (CANNOT_SAY, Some(503))), "{no:?}");
    no.message
}

#[test]
fn a_hop_says_who_is_calling() {
    let hop = json!({"secrets": ["edge"], "tenants": ["acme", "b*"], "roles": ["dev", "ops-*"], "scopes": ["read*"], "claims": ["email", "level", "gone"], "subject_prefix": "corp:"});
    let said = claims_with(json!({
        "tenant": "beta", "roles": ["dev", "admin", "ops-eu"], "scope": "read:all write read",
        "email": "ada@example.com", "level": [1, true, {"x": 1}], "unasked": "x", "aud": ["x", US],
    }));
    let who = identified(ask(&config(hop, json!({})), &keyed(&said)));
    assert_eq!((who.subject.as_str(), who.tenant.as_deref(), who.ttl_ms), ("corp:ada", Some("beta"), 35_000));
    assert_eq!(who.scopes, ["read:all", "read"]);
    let claims: Vec<_> = who.claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("iss", "edge"), ("role", "dev"), ("role", "ops-eu"), ("email", "ada@example.com"), ("level", "1"), ("level", "true")];
    assert_eq!(claims, expected);
}

#[test]
fn keys_are_rotated_with_two_that_count() {
    let both = config(json!({"secrets": ["edge-next", "edge"]}), json!({}));
    identified(ask(&both, &keyed(&claims())));
    identified(ask(&both, &signed_with(r#"{"alg":"HS256"}"#, &claims().to_string(), mac(b"the next one"))));
    let pairs = config(json!({"public_keys": [public(1), public(2)]}), json!({}));
    for seed in [1, 2] {
        let text = signed_with(r#"{"alg":"EdDSA","kid":"any"}"#, &claims().to_string(), |text| pair(seed).sign(text).as_ref().to_vec());
        identified(ask(&pairs, &text));
    }
    let text = signed_with(r#"{"alg":"EdDSA"}"#, &claims().to_string(), |text| pair(3).sign(text).as_ref().to_vec());
    assert!(refused(ask(&pairs, &text)).contains("signature"));
}

/// Each is a good one but for one thing.
#[test]
fn what_is_not_signed_for_us_and_now_is_refused() {
    const HEADER: &str = r#"{"alg":"HS256"}"#;
    let with = |other: Value| keyed(&claims_with(other));
    let header = |header: &str| signed_with(header, &claims().to_string(), mac(SECRET));
    let body = |claims: &str| signed_with(HEADER, claims, mac(SECRET));
    let good = keyed(&claims());
    identified(ask(&shared(), &good));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let whole = claims().to_string();
    let rows: Vec<(&str, String, &str)> = vec![
        ("nothing", String::new(), "malformed"),
        ("one part", base64(HEADER), "malformed"),
        ("two parts", signed.to_string(), "malformed"),
        ("four parts", format!("{good}.x"), "malformed"),
        ("padding", format!("{good}="), "malformed"),
        ("a space", good.replace('.', ". "), "malformed"),
        ("too long", format!("{}.{signature}", "a".repeat(9000)), "malformed"),
        ("no signature", format!("{signed}."), "signature"),
        ("half a signature", format!("{signed}.{}", &signature[..20]), "signature"),
        ("another signature", format!("{signed}.{}", base64([0; 32])), "signature"),
        ("another key", signed_with(HEADER, &whole, mac(b"other")), "signature"),
        ("an empty key", signed_with(HEADER, &whole, mac(b"")), "signature"),
        ("none", signed_with(r#"{"alg":"none"}"#, &whole, |_| Vec::new()), "algorithm"),
        ("None", header(r#"{"alg":"None"}"#), "algorithm"),
        ("hs256", header(r#"{"alg":"hs256"}"#), "algorithm"),
        ("HS512", header(r#"{"alg":"HS512"}"#), "algorithm"),
        ("RS256", header(r#"{"alg":"RS256"}"#), "algorithm"),
        ("EdDSA of a hop with a shared key", header(r#"{"alg":"EdDSA"}"#), "algorithm"),
        ("no algorithm", header("{}"), "algorithm"),
        ("an algorithm that is a list", header(r#"{"alg":["HS256"]}"#), "malformed"),
        ("two algorithms", header(r#"{"alg":"none","alg":"HS256"}"#), "malformed"),
        ("crit", header(r#"{"alg":"HS256","crit":["x"]}"#), "malformed"),
        ("b64", header(r#"{"alg":"HS256","b64":false}"#), "malformed"),
        ("zip", header(r#"{"alg":"HS256","zip":"DEF"}"#), "malformed"),
        ("an access token", header(r#"{"alg":"HS256","typ":"at+jwt"}"#), "not an identity assertion"),
        ("a header that is a list", header("[]"), "malformed"),
        ("claims that are a text", body("\"ada\""), "malformed"),
        ("claims that go on", body(&format!("{whole} {whole}")), "malformed"),
        ("two subjects", body(&whole.replacen('{', r#"{"sub":"root","#, 1)), "malformed"),
        ("two subjects, one escaped", body(&whole.replacen('{', r#"{"\u0073ub":"root","#, 1)), "malformed"),
        ("two of one name within", body(&whole.replacen('{', r#"{"act":{"sub":"bob","sub":"eve"},"#, 1)), "malformed"),
        ("two of one name in a list", body(&whole.replacen('{', r#"{"x":[{"a":1,"\u0061":2}],"#, 1)), "malformed"),
        ("deep claims", body(&format!("{}1{}", "[".repeat(2000), "]".repeat(2000))), "malformed"),
        ("no issuer", with(json!({"iss": null})), "claim iss"),
        ("another issuer", with(json!({"iss": "Edge"})), "issuer"),
        ("issuers", with(json!({"iss": ["edge"]})), "claim iss"),
        ("no audience", with(json!({"aud": null})), "another gateway"),
        ("another audience", with(json!({"aud": format!("{US}/")})), "another gateway"),
        ("audiences", with(json!({"aud": ["x", "y"]})), "another gateway"),
        ("an audience that is a number", with(json!({"aud": 7})), "claim aud"),
        ("audiences that are no texts", with(json!({"aud": [US, 7]})), "claim aud"),
        ("no end", with(json!({"exp": null})), "claim exp"),
        ("no beginning", with(json!({"iat": null})), "claim iat"),
        ("an end that is a text", with(json!({"exp": "1800000030"})), "claim exp"),
        ("an end out of range", with(json!({"exp": 1e300})), "claim exp"),
        ("a beginning before all", with(json!({"iat": -1})), "claim iat"),
        ("a long life", with(json!({"exp": NOW + 61})), "lives longer"),
        ("no life", with(json!({"exp": NOW})), "lives longer"),
        ("over", with(json!({"iat": NOW - 40, "exp": NOW - 5})), "expired"),
        ("begins later", with(json!({"iat": NOW + 6, "exp": NOW + 30})), "not valid yet"),
        ("not before", with(json!({"nbf": NOW + 6})), "not valid yet"),
        ("not before a text", with(json!({"nbf": "now"})), "claim nbf"),
        ("no subject", with(json!({"sub": null})), "claim sub"),
        ("an empty subject", with(json!({"sub": ""})), "claim sub"),
        ("a subject that is a number", with(json!({"sub": 7})), "claim sub"),
        ("a subject of two lines", with(json!({"sub": "ada\nroot"})), "claim sub"),
        ("a long subject", with(json!({"sub": "a".repeat(600)})), "claim sub"),
        ("a tenant that it has none of", with(json!({"tenant": "acme"})), "claim tenant"),
        ("a tenant that is a list", with(json!({"tenant": ["acme"]})), "claim tenant"),
        ("scopes that are a list", with(json!({"scope": ["read"]})), "claim scope"),
        ("a scope with quotes", with(json!({"scope": "a\"b"})), "claim scope"),
        ("roles that are no texts", with(json!({"roles": [1]})), "claim roles"),
        ("a role of two lines", with(json!({"roles": ["dev\nadmin"]})), "claim roles"),
    ];
    for (what, text, says) in &rows {
        let message = refused(ask(&shared(), text));
        assert!(message.contains(says), "{what}: {message}");
    }
    println!("{} assertions refused", rows.len());
}

/// The public key is known to everybody, so as a shared key it is worth nothing.
#[test]
fn a_public_key_is_no_shared_one() {
    let pairs = config(json!({"public_keys": [public(1)]}), json!({}));
    let key = pair(1).public_key().as_ref().to_vec();
    for bytes in [key.clone(), base64(&key).into_bytes()] {
        let forged = signed_with(r#"{"alg":"HS256"}"#, &claims().to_string(), mac(&bytes));
        assert!(refused(ask(&pairs, &forged)).contains("algorithm"));
        let forged = signed_with(r#"{"alg":"EdDSA"}"#, &claims().to_string(), mac(&bytes));
        assert!(refused(ask(&pairs, &forged)).contains("signature"));
    }
}

#[test]
fn a_tenant_is_one_that_the_hop_may_name() {
    for (hop, said, found) in [
        (json!({"tenant": "acme"}), json!(null), Some("acme")),
        (json!({"tenant": "acme"}), json!("acme"), Some("acme")),
        (json!({"tenant": "acme"}), json!("beta"), None),
        (json!({"tenants": ["acme", "b*"]}), json!("beta"), Some("beta")),
        (json!({"tenants": ["acme", "b*"]}), json!("gamma"), None),
        (json!({"tenants": ["acme", "b*"]}), json!(null), None),
        (json!({"tenants": ["*"]}), json!(""), None),
    ] {
        let mut hop = hop;
        hop["secrets"] = json!(["edge"]);
        match (ask(&config(hop.clone(), json!({})), &keyed(&claims_with(json!({"tenant": said})))), found) {
            (Outcome::Identified(who), Some(found)) => assert_eq!(who.tenant.as_deref(), Some(found)),
            (no @ Outcome::Challenge(_), None) => assert!(refused(no).contains("claim tenant")),
            (other, _) => panic!("{hop} {said}: {other:?}"),
        }
    }
}

#[test]
fn once_means_once() {
    let once = plugin(&config(json!({"secrets": ["edge"]}), json!({"replay": "once"})));
    let show = |text: &str| show(&once, "header:x-sluice-identity", text, &FakeExchange::default());
    let good = keyed(&claims());
    // Nothing that is refused for another reason is used up.
    assert!(refused(show(&keyed(&claims_with(json!({"sub": ""}))))).contains("claim sub"));
    assert_eq!(identified(show(&good)).ttl_ms, 0, "the host keeps no answer");
    assert!(refused(show(&good)).contains("used before"));
    identified(show(&keyed(&claims_with(json!({"jti": "j-2"})))));
    for id in [json!(null), json!(""), json!(7), json!("a\nb"), json!("x".repeat(129))] {
        assert!(refused(show(&keyed(&claims_with(json!({"jti": id}))))).contains("claim jti"), "{id}");
    }
    // Until its last second, and then it is over anyway.
    testing::advance_ms(34_999);
    assert!(refused(show(&good)).contains("used before"));
    testing::advance_ms(1);
    assert!(refused(show(&good)).contains("expired"));
    testing::set_clock_ms(NOW * 1000);
    testing::break_kv("down");
    assert!(refused(show(&keyed(&claims_with(json!({"jti": "j-3"}))))).contains("try again"));
}

#[test]
fn a_hop_shows_its_certificate_where_it_has_to() {
    let plugin = plugin(&config(json!({"secrets": ["edge"], "certificates": ["URI:spiffe://prod/ingress/*"]}), json!({})));
    let show = |x: FakeExchange| show(&plugin, "header:x-sluice-identity", &keyed(&claims()), &x);
    let with = |san: &str| FakeExchange::default().with_attr("transport.tls.san", san);
    identified(show(with("DNS:x URI:spiffe://prod/ingress/eu")));
    for x in [FakeExchange::default(), with(""), with("URI:spiffe://prod/other"), with("DNS:URI:spiffe://prod/ingress/eu")] {
        assert!(refused(show(x)).contains("did not come from"));
    }
}

#[test]
fn what_is_another_credential_is_left_to_the_next() {
    let plugin = plugin(&shared());
    let x = FakeExchange::default();
    for scheme in ["none", "bearer", "basic", "header:x-api-key"] {
        assert_eq!(show(&plugin, scheme, &keyed(&claims()), &x), Outcome::Abstain, "{scheme}");
    }
    let bearer = self::plugin(&config(json!({"secrets": ["edge"]}), json!({"header": "authorization"})));
    identified(show(&bearer, "bearer", &keyed(&claims()), &x));
    for other in [
        "opaque",
        &keyed(&claims_with(json!({"iss": "https://idp.example"}))),
        &signed_with(r#"{"alg":"HS256","typ":"at+jwt"}"#, "{}", mac(SECRET)),
    ] {
        assert_eq!(show(&bearer, "bearer", other, &x), Outcome::Abstain, "{other}");
    }
    let Outcome::Challenge(no) = show(&bearer, "bearer", &keyed(&claims_with(json!({"aud": "x"}))), &x) else { panic!() };
    assert_eq!(no.http_headers, [("www-authenticate".to_string(), r#"Bearer realm="sluice", error="invalid_token""#.to_string())]);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    testing::reset();
    testing::set_secret("edge", SECRET);
    for (config, says) in [
        (json!({"audiences": [], "hops": []}), "audiences is empty"),
        (json!({"audiences": ["a"], "hops": []}), "hops is empty"),
        (config(json!({}), json!({})), "either secrets or public_keys"),
        (config(json!({"secrets": ["edge"], "public_keys": [public(1)]}), json!({})), "and not both"),
        (config(json!({"secrets": ["gone"]}), json!({})), "hops, entry 1: secrets: the secret \"gone\" cannot be used"),
        (config(json!({"public_keys": ["short"]}), json!({})), "is no Ed25519 key"),
        (config(json!({"public_keys": [base64([0; 32])]}), json!({})), "is no Ed25519 key"),
        (config(json!({"secrets": ["edge"], "tenant": "a", "tenants": ["b"]}), json!({})), "a tenant and tenants"),
        (config(json!({"secrets": ["edge"], "claims": ["role"]}), json!({})), "claims: "),
        (config(json!({"secrets": ["edge"], "issuer": "a\nb"}), json!({})), "control character"),
    ] {
        let error = testing::plugin::<AuthProxy>(&config.to_string()).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
    let hop = json!({"issuer": "edge", "secrets": ["edge"]});
    let error = testing::plugin::<AuthProxy>(&json!({"audiences": ["a"], "hops": [hop, hop]}).to_string()).err().unwrap();
    assert!(error.contains("hops, entry 2: another hop is \"edge\" too"), "{error}");
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    testing::reset();
    testing::set_secret("edge-hop", SECRET);
    testing::plugin::<AuthProxy>(&config).map(|_| ()).unwrap();
}
