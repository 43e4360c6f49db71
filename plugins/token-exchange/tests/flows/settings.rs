//! Settings that can be used, and what is said of the others.

use serde_json::{Value, json};
use sluice_plugin_token_exchange::TokenExchange;
use sluice_plugin_token_exchange::config::Config;
use sluice_sdk::testing;

use crate::world::{exchange, id_jag};

/// What the page shows can be pasted.
#[test]
fn the_examples_of_the_page_are_accepted() {
    let page = include_str!("../../README.md");
    let examples: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    for sidecar in examples {
        let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
        let config = serde_json::to_string(&sidecar["config"]).unwrap();
        testing::plugin::<TokenExchange>(&config).map(|_| ()).unwrap();
    }
}

/// The host fills in the schema's defaults; they must be ours.
#[test]
fn schema_and_code_agree() {
    let schema: Value = serde_json::from_str(include_str!("../../config.schema.json")).unwrap();
    let ours: Config = serde_json::from_value(id_jag()).unwrap();
    let server = &schema["properties"]["servers"]["additionalProperties"]["properties"];
    let upstream = &schema["properties"]["upstreams"]["additionalProperties"]["properties"];
    let (sts, corp, tools) = (&ours.servers["sts"], &ours.servers["corp"], &ours.upstreams["tools"]);
    assert_eq!(server["sign_in"]["properties"]["scopes"]["default"], json!(corp.sign_in.as_ref().unwrap().scopes));
    assert_eq!(server["client_auth"]["default"], "post");
    assert!(format!("{:?} {:?}", corp.client_auth, sts.client_auth) == "Post Basic");
    assert_eq!((&upstream["tools"]["default"], &upstream["per_call"]["default"]), (&json!(tools.tools), &json!(tools.per_call)));
    let least: Config = serde_json::from_value(exchange(json!({}))).unwrap();
    assert_eq!(upstream["scopes"]["default"], json!(least.upstreams["tools"].scopes));
    assert_eq!(schema["$defs"]["secret"]["properties"]["type"]["default"], "access_token");
    assert_eq!(schema["$defs"]["key"]["properties"]["algorithm"]["default"], "ES256");
}

#[test]
fn settings_that_do_not_fit_together_are_refused_with_what_to_change() {
    let with = |mut config: Value, pointer: &str, value: Value| {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"))[name] = value;
        config
    };
    for (config, what) in [
        (with(id_jag(), "/public_url", json!("https://mcp.example.com/x")), "public_url https://mcp.example.com/x has a path"),
        (with(id_jag(), "/public_url", json!(null)), "public_url has to say"),
        (
            with(id_jag(), "/servers/sts/token_endpoint", json!("http://sts.example.com/token")),
            "servers.sts.token_endpoint http://sts.example.com/token is not https",
        ),
        (with(id_jag(), "/servers/corp/issuer", json!("corp")), "servers.corp.issuer corp has no scheme"),
        (with(id_jag(), "/servers/corp/sign_in/userinfo_endpoint", json!("javascript:x")), "servers.corp.sign_in.userinfo_endpoint"),
        (with(id_jag(), "/servers/corp/sign_in/scopes", json!(["profile"])), "needs openid"),
        (with(id_jag(), "/servers/corp/client_key", json!({"secret": "k"})), "both a client_secret and a client_key"),
        (with(id_jag(), "/servers/sts/client_secret", json!(null)), "client_auth says where client_secret stands"),
        (with(id_jag(), "/servers/A B", json!({"issuer": "https://x", "token_endpoint": "https://x", "client_id": "c"})), "small letters"),
        (with(id_jag(), "/servers/corp/sign_in", json!(null)), "servers.corp needs sign_in"),
        (with(id_jag(), "/upstreams/tools/server", json!("nobody")), "upstreams.tools.server nobody is not one of servers"),
        (with(id_jag(), "/upstreams/tools/idp", json!("nobody")), "upstreams.tools.idp nobody is not one of servers"),
        (with(id_jag(), "/upstreams/tools/idp", json!(null)), "needs idp"),
        (with(id_jag(), "/upstreams/tools/audience", json!("x")), "audience is the issuer of server"),
        (with(id_jag(), "/upstreams/tools/subject", json!({"signed_in": "access_token"})), "has to be an id_token or saml2"),
        (with(id_jag(), "/upstreams/tools/subject", json!({"secret": "own"})), "has to be an id_token or saml2"),
        (with(id_jag(), "/upstreams/tools/scopes", json!(["a b"])), "\"a b\" is no scope"),
        (with(id_jag(), "/upstreams/tools/tools", json!({"x": ["\""]})), "is no scope"),
        (exchange(json!({"scopes": vec!["s"; 65]})), "65 scopes"),
        (exchange(json!({"resource": "tools"})), "upstreams.tools.resource tools"),
        (exchange(json!({"idp": "sts"})), "idp has no part in this"),
        (
            exchange(json!({"subject": {"key": {"secret": "k"}, "issuer": "i", "tenant_claim": "sub"}})),
            "tenant_claim sub says something else",
        ),
        (exchange(json!({"subject": {"caller": true}})), "did not match any variant"),
        (exchange(json!({"scope": ["a"]})), "unknown field `scope`"),
    ] {
        let why = testing::plugin::<TokenExchange>(&config.to_string()).map(drop).unwrap_err();
        assert!(why.contains(what), "{what}: {why}");
    }
    for config in [id_jag(), exchange(json!({"subject": {"secret": "own", "type": "saml2"}}))] {
        testing::plugin::<TokenExchange>(&config.to_string()).map(drop).unwrap();
    }
}
