//! Who a token makes of its caller, what callers hear, and what they may ask for.

mod support;

use serde_json::{Value, json};
use sluice_plugin_auth_jwt::refused::Refused;
use sluice_sdk::fetch::{Place, Response};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, advance_ms};
use support::*;

const METADATA: &str = r#"resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp", scope="mcp""#;

fn issuer(more: Value) -> Value {
    let mut issuer = json!({"issuer": ISSUER});
    issuer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"resource": RESOURCE, "issuers": [issuer]})
}

fn who(config: &Value, other: Value) -> Result<Principal, String> {
    Network::new();
    ask(&plugin(config), &token(HEADER, &claims_with(other), By::Rs256))
}

#[test]
fn claims_become_a_principal() {
    let config =
        issuer(json!({"subject_prefix": "corp:", "tenant_claim": "org", "tenants": ["acme"], "roles_claim": "/realm_access/roles",
        "roles": {"grp-1": "admin"}, "claims": ["email", "/a~1b/c"]}));
    let said = json!({"org": "acme", "realm_access": {"roles": ["grp-1", "grp-2"]}, "email": "ada@example.com", "a/b": {"c": [1, true]},
        "client_id": "cli", "exp": *NOW + 20});
    let who = who(&config, said).unwrap();
    assert_eq!((who.subject.as_str(), who.tenant.as_deref()), ("corp:ada", Some("acme")));
    assert_eq!(who.scopes, ["mcp", "notes"]);
    assert_eq!(who.ttl_ms, 50_000, "not beyond its end and the leeway");
    let claims: Vec<_> = who.claims.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(claims, ["iss=https://id.example/t", "client_id=cli", "role=admin", "email=ada@example.com", "a~1b/c=1", "a~1b/c=true"]);
}

#[test]
fn nobody_speaks_for_another_tenant() {
    let listed = issuer(json!({"tenant_claim": "org", "tenants": ["acme"]}));
    for (config, org, tenant) in [
        (&listed, json!("acme"), Ok(Some("acme"))),
        (&listed, json!("globex"), Err(Refused::Claim("tenant"))),
        (&listed, json!(["acme"]), Err(Refused::Claim("tenant"))),
        (&listed, Value::Null, Err(Refused::Claim("tenant"))),
        (&issuer(json!({"tenant": "acme"})), json!("globex"), Ok(Some("acme"))),
        (&issuer(json!({})), json!("globex"), Ok(None)),
    ] {
        let found = who(config, json!({"org": org}));
        assert_eq!(found.as_ref().map(|who| who.tenant.as_deref()).map_err(String::clone), tenant.map_err(|no| no.to_string()));
    }
}

#[test]
fn subjects_of_two_issuers_are_never_one() {
    let two = |a: &str, b: &str| {
        let issuers = json!([{"issuer": "https://a", "subject_prefix": a}, {"issuer": "https://b", "subject_prefix": b}]);
        testing::plugin::<sluice_plugin_auth_jwt::AuthJwt>(&json!({"resource": RESOURCE, "issuers": issuers}).to_string()).map(|_| ())
    };
    assert_eq!(two("a:", "b:"), Ok(()));
    for (a, b) in [("", ""), ("", "b:"), ("a:", "a:"), ("a", "ab")] {
        assert!(two(a, b).is_err_and(|why| why.contains("subject_prefix")), "{a:?} {b:?}");
    }
}

#[test]
fn clients_of_one_person_can_be_kept_apart() {
    let mut config = issuer(json!({}));
    config["per_client"] = json!(true);
    let subject = |client: Value, sub: &str| who(&config, json!({"client_id": client, "sub": sub})).map(|who| who.subject);
    assert_eq!(subject(json!("cli"), "ada").unwrap(), "cli/ada");
    assert_ne!(subject(json!("a/b"), "c").unwrap(), subject(json!("a"), "b/c").unwrap());
    assert!(subject(Value::Null, "ada").is_err());
}

#[test]
fn roles_are_texts_or_there_are_none() {
    let config = issuer(json!({"roles_claim": "roles"}));
    let roles = |said: Value| who(&config, json!({"roles": said})).map(|who| who.claims.iter().filter(|(name, _)| name == "role").count());
    assert_eq!(roles(json!(["a", "b"])), Ok(2));
    assert_eq!(roles(json!("a")), Ok(1));
    assert_eq!(roles(Value::Null), Ok(0));
    for bad in [json!(1), json!([1]), json!({"a": true})] {
        assert_eq!(roles(bad), Err(Refused::Claim("roles").to_string()));
    }
    assert_eq!(roles(json!(["team admin"])), Ok(1), "one role, and not the role `admin`");
    assert_eq!(roles(json!(["team\nadmin"])), Err(Refused::Claim("text").to_string()));
}

#[test]
fn a_token_bound_to_a_certificate_needs_that_certificate() {
    Network::new();
    let bound = token(HEADER, &claims_with(json!({"cnf": {"x5t#S256": b64([0xab; 32])}})), By::Rs256);
    let with = |print: &str| ask_from(&plugin(&config()), &bound, &FakeExchange::default().with_attr("transport.tls.fingerprint", print));
    assert!(with(&format!("sha256:{}", "ab".repeat(32))).is_ok());
    assert!(with(&format!("sha256:{}", "ac".repeat(32))).is_err());
}

fn challenge(scheme: &str, value: &str) -> Rejection {
    let credential = Credential { scheme: scheme.to_string(), value: value.to_string() };
    match plugin(&config()).authenticate(&credential, &FakeExchange::default()) {
        Outcome::Challenge(no) => no,
        other => panic!("{other:?}"),
    }
}

fn header(no: &Rejection) -> &str {
    &no.http_headers[0].1
}

#[test]
fn a_client_hears_what_is_wrong_and_where_to_go() {
    Network::new();
    let no = challenge("none", "");
    assert_eq!((no.code, no.http_status, header(&no)), (4010, Some(401), format!("Bearer {METADATA}").as_str()));
    let no = challenge("bearer", "opaque");
    let why = r#"error="invalid_token", error_description="the access token is malformed""#;
    assert_eq!((no.code, no.http_status, header(&no)), (4011, Some(401), format!("Bearer {why}, {METADATA}").as_str()));
    let no = challenge("bearer", &token(HEADER, &claims_with(json!({"scope": "notes"})), By::Rs256));
    let why = r#"error="insufficient_scope", error_description="this access token does not allow that""#;
    assert_eq!((no.code, no.http_status, header(&no)), (4030, Some(403), format!("Bearer {why}, {METADATA}").as_str()));
    testing::break_kv("down");
    let no = challenge("bearer", &good());
    assert_eq!((no.code, no.http_status), (5030, Some(503)), "not the caller's fault");
}

#[test]
fn what_is_not_ours_is_left_to_others() {
    Network::new();
    let mut config = config();
    config["left_prefixes"] = json!(["slk_"]);
    for (scheme, value) in [("basic", "YTpi"), ("header:x-api-key", "k"), ("bearer", "slk_1")] {
        let credential = Credential { scheme: scheme.to_string(), value: value.to_string() };
        assert!(matches!(plugin(&config).authenticate(&credential, &FakeExchange::default()), Outcome::Abstain), "{scheme}");
    }
}

#[test]
fn a_request_needs_its_scopes() {
    let mut config = config();
    config["includes"] = json!({"admin": ["write"], "write": ["read"]});
    config["requires"] = json!([{"methods": ["tools/call"], "names": ["notes_*"], "scopes": ["read"]},
        {"methods": ["tools/call"], "names": ["notes_add"], "scopes": ["write"]}]);
    let ask = |granted: &str, name: &str, kind: &str| {
        let x = FakeExchange::default().with_attr("principal.scopes", granted).with_attr("transport.kind", kind);
        match plugin(&config).on_request(&testing::head("tools/call").name(name), &x) {
            Verdict::Next => None,
            Verdict::Reject(no) => Some((no.http_status, header(&no).split("scope=\"").nth(1).unwrap().trim_end_matches('"').to_string())),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask("mcp", "clock", "http"), None);
    assert_eq!(ask("mcp read", "notes_get", "http"), None);
    assert_eq!(ask("mcp admin", "notes_add", "http"), None);
    assert_eq!(ask("mcp read openid", "notes_add", "http"), Some((Some(403), "mcp read write".to_string())));
    assert_eq!(ask("mcp", "notes_add", "http"), Some((Some(403), "mcp read write".to_string())));
    assert_eq!(ask("", "notes_add", "stdio"), None, "the operator's own");
}

#[test]
fn metadata_is_where_clients_look_and_says_what_was_configured() {
    let get = |config: &Value, path: &str| {
        let request = HttpRequest {
            method: "GET".to_string(),
            path: path.to_string(),
            query: None,
            headers: vec![("host".to_string(), "evil.example".to_string())],
            body: Vec::new(),
            base: "https://evil.example".to_string(),
        };
        let answer = plugin(config).on_http(&request, &FakeExchange::default());
        (answer.status, serde_json::from_slice::<Value>(&answer.body).unwrap_or_default())
    };
    let expected = json!({"resource": RESOURCE, "authorization_servers": [ISSUER], "bearer_methods_supported": ["header"], "scopes_supported": ["mcp"]});
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        assert_eq!(get(&config(), path), (200, expected.clone()), "{path}");
    }
    for path in
        ["/.well-known/oauth-protected-resource/", "/.well-known/oauth-protected-resources", "/.well-known/oauth-protected-resource/other"]
    {
        assert_eq!(get(&config(), path).0, 404, "{path}");
    }
    let mut two = config();
    two["more_resources"] = json!(["https://mcp.example/sse"]);
    assert_eq!(get(&two, "/.well-known/oauth-protected-resource/sse").1["resource"], "https://mcp.example/sse");
    assert_eq!(get(&two, "/.well-known/oauth-protected-resource").0, 404, "of two it is neither");
}

fn introspecting(answer: impl Fn(&str) -> Value + 'static) -> Value {
    Network::new();
    testing::set_secret("client", b"client-secret");
    testing::answer_fetches(move |sent| {
        let body = match sent.request.url.as_str() {
            "https://id.example/introspect" => {
                let [(Place::Basic(user), secret)] = &sent.secrets[..] else { panic!("no secret") };
                assert_eq!((user.as_str(), *secret), ("gateway", &b"client-secret"[..]));
                answer(std::str::from_utf8(&sent.request.body).unwrap())
            }
            "https://id.example/.well-known/oauth-authorization-server/t" => {
                json!({"issuer": ISSUER, "introspection_endpoint": "https://id.example/introspect"})
            }
            other => panic!("{other}"),
        };
        Ok::<Response, _>(reply(200, &body.to_string()))
    });
    issuer(json!({"introspection": {"client_id": "gateway", "secret": "client"}}))
}

#[test]
fn of_a_token_that_says_nothing_its_issuer_is_asked() {
    let said = |other: Value| {
        let mut said: Value = serde_json::from_str(&claims_with(other)).unwrap();
        said["active"] = json!(true);
        let config = introspecting(move |_| said.clone());
        ask(&plugin(&config), "opaque+/ token").map(|who| who.subject)
    };
    assert_eq!(said(json!({})).as_deref(), Ok("ada"));
    assert_eq!(said(json!({"iss": null, "exp": null})).as_deref(), Ok("ada"), "RFC 7662 has them optional");
    assert_eq!(said(json!({"token_type": "Bearer", "token_use": "access_token"})).as_deref(), Ok("ada"));
    for (other, refused) in [
        (json!({"aud": "https://other.example"}), Refused::Audience),
        (json!({"aud": null}), Refused::Claim("aud")),
        (json!({"iss": "https://other.example"}), Refused::Issuer),
        (json!({"exp": *NOW - 60}), Refused::Expired),
        (json!({"sub": null}), Refused::Claim("sub")),
        (json!({"token_use": "refresh_token"}), Refused::Inactive),
        (json!({"token_type": "refresh_token"}), Refused::Inactive),
        (json!({"token_type": 1}), Refused::Inactive),
    ] {
        assert_eq!(said(other), Err(refused.to_string()));
    }
    let config = introspecting(|body| {
        assert_eq!(body, "token=opaque%2B%2F+token&token_type_hint=access_token");
        json!({"active": "true"})
    });
    assert_eq!(ask(&plugin(&config), "opaque+/ token").map(|_| ()), Err(Refused::Unavailable.to_string()), "not a yes");
}

#[test]
fn a_token_that_is_not_valid_is_asked_about_once() {
    let asked = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = asked.clone();
    let config = introspecting(move |_| {
        count.set(count.get() + 1);
        json!({"active": false})
    });
    let plugin = plugin(&config);
    for _ in 0..10 {
        assert_eq!(ask(&plugin, "gone").map(|_| ()), Err(Refused::Inactive.to_string()));
    }
    assert_eq!(asked.get(), 1);
    for at in 0..1000 {
        assert!(ask(&plugin, &format!("random{at}")).is_err());
    }
    assert_eq!(asked.get(), 50, "and whoever tries many is slowed");
    let other = FakeExchange::default().with_attr("transport.peer", "192.0.2.1");
    assert_eq!(ask_from(&plugin, "gone too", &other).map(|_| ()), Err(Refused::Inactive.to_string()), "others are not");
    advance_ms(60_000);
    assert!(ask(&plugin, "gone").is_err());
    assert_eq!(asked.get(), 52);
}

/// Many people may share an address.
#[test]
fn tokens_that_are_valid_slow_nobody() {
    let config = introspecting(|_| {
        let mut said = claims();
        said["active"] = json!(true);
        said
    });
    let plugin = plugin(&config);
    assert!((0..200).all(|at| ask(&plugin, &format!("good{at}")).is_ok()));
}

/// The page's example must load.
#[test]
fn the_page_tells_the_truth() {
    let page = include_str!("../README.md");
    let example = page.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Table = toml::from_str(example).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    assert!(testing::plugin::<sluice_plugin_auth_jwt::AuthJwt>(&config).is_ok());
}
