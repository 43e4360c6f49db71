//! As the gateway itself: client credentials, and one header.

use serde_json::{Value, json};
use sluice_plugin_oauth_client::outbound::Decision;
use sluice_sdk::testing::{self, FakeExchange};

use crate::world::*;

fn as_the_gateway() -> Value {
    json!({
        "clients": {"own": {"issuer": AS, "client_id": "gateway", "client_secret": "app"}},
        "upstreams": {"tools": {"mode": "client_credentials", "client": "own", "scopes": ["read"]}},
    })
}

fn world() -> World {
    let world = World::new(as_the_gateway());
    testing::set_secret("app", b"app-secret");
    world.answers(&format!("{AS}/token"), 200, json!({"access_token": "access-1", "token_type": "Bearer", "expires_in": 600}));
    world
}

#[test]
fn one_token_serves_everybody_and_is_renewed() {
    let world = world();
    assert!(matches!(world.leaves(&caller("ada")), Decision::Bare), "the upstream says first what it wants");
    assert_eq!(bearer(world.challenged(&caller("ada"), 401, "Bearer", None)), "access-1");
    assert_eq!(bearer(world.leaves(&caller("bob"))), "access-1");
    assert_eq!(bearer(world.leaves(&FakeExchange::default())), "access-1");
    let asked = world.asked(&format!("{AS}/token"));
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].of("grant_type"), asked[0].of("scope"), asked[0].of("resource")),
        (Some("client_credentials"), Some("read"), Some(UPSTREAM))
    );
    assert_eq!(asked[0].secrets, [("client_secret".to_string(), "app-secret".to_string())]);
    testing::advance_ms(600_000);
    world.answers(&format!("{AS}/token"), 200, json!({"access_token": "access-2", "token_type": "Bearer"}));
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-2");
}

/// Section 5.3: the client's own token is fine, so it hears neither 401 nor a challenge.
#[test]
fn refused_service_credentials_are_the_operators() {
    let world = world();
    world.answers(&format!("{AS}/token"), 401, json!({"error": "invalid_client"}));
    for _ in 0..3 {
        let (code, message) = rejected(world.challenged(&caller("ada"), 401, "Bearer", None));
        assert!(code == 5010 && message.contains("operator"), "{message}");
    }
    assert_eq!(world.asked(&format!("{AS}/token")).len(), 1, "remembered for a while");
    testing::advance_ms(30_000);
    world.answers(&format!("{AS}/token"), 200, json!({"access_token": "access-1", "token_type": "Bearer"}));
    assert_eq!(bearer(world.challenged(&caller("ada"), 401, "Bearer", None)), "access-1");
    let (code, _) = rejected(world.challenged(&caller("ada"), 401, "Bearer", Some("access-1")));
    assert_eq!(code, 5010, "a token that has just come is not wanted");
}

#[test]
fn more_scope_is_got_without_anybody() {
    let world = world();
    world.challenged(&caller("ada"), 401, "Bearer", None);
    world.answers(&format!("{AS}/token"), 200, json!({"access_token": "access-2", "token_type": "Bearer"}));
    let no = "Bearer error=\"insufficient_scope\", scope=\"write\"";
    assert_eq!(bearer(world.challenged(&caller("ada"), 403, no, Some("access-1"))), "access-2");
    assert_eq!(world.asked(&format!("{AS}/token"))[1].of("scope"), Some("read write"));
    assert_eq!(rejected(world.challenged(&caller("ada"), 403, no, Some("access-2"))).0, 5010);
}

#[test]
fn the_clients_of_another_server_are_not_shown() {
    let world = world();
    world.answers(METADATA, 200, json!({"resource": UPSTREAM, "authorization_servers": ["https://new.example.com"]}));
    let (code, message) = rejected(world.challenged(&caller("ada"), 401, "Bearer", None));
    assert!(code == 5010 && message.contains("registered at"), "{message}");
    assert!(world.asked.borrow().iter().all(|asked| !asked.url.contains("new.example.com")), "it is not even asked");
}

#[test]
fn tokens_of_another_kind_are_no_bearer_tokens() {
    let world = world();
    world.answers(&format!("{AS}/token"), 200, json!({"access_token": "access-1", "token_type": "DPoP"}));
    assert_eq!(rejected(world.challenged(&caller("ada"), 401, "Bearer", None)).0, 5020);
    assert!(matches!(world.leaves(&caller("bob")), Decision::Reject(_)), "and none is kept");
}

#[test]
fn one_header_for_everybody() {
    let config = json!({"upstreams": {"tools": {"mode": "header", "header": {"name": "x-api-key", "prefix": "", "secret": "key"}}}});
    let world = World::new(config);
    assert_eq!(rejected(world.leaves(&caller("ada"))).0, 5010, "not granted");
    testing::set_secret("key", b"k");
    let Decision::With(name, prefix, secret) = world.leaves(&caller("ada")) else { panic!() };
    assert!(name == "x-api-key" && prefix.is_empty() && secret.equals(b"k"));
    assert_eq!(rejected(world.challenged(&caller("ada"), 401, "Bearer", Some("k"))).0, 5010);
}
