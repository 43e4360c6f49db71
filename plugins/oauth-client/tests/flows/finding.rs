//! From an upstream's no to its authorization server, and what stops there.

use serde_json::{Value, json};
use sluice_sdk::testing;

use crate::world::*;

#[test]
fn metadata_is_looked_for_in_order() {
    let root = "https://tools.example.com/.well-known/oauth-protected-resource";
    let told = "https://tools.example.com/custom.json";
    for (header, there, asked) in [
        (format!("Bearer resource_metadata=\"{told}\""), told, vec![told]),
        ("Bearer".to_string(), METADATA, vec![METADATA]),
        ("Bearer".to_string(), root, vec![METADATA, root]),
    ] {
        let world = World::new(per_person());
        world.answers(METADATA, 404, Value::Null);
        world.answers(there, 200, json!({"resource": UPSTREAM, "authorization_servers": [AS]}));
        link_of(world.challenged(&caller("ada"), 401, &header, None));
        let all = world.asked.borrow();
        let first: Vec<&str> = all.iter().take(asked.len()).map(|asked| asked.url.as_str()).collect();
        assert_eq!(first, asked);
    }
}

#[test]
fn a_server_with_a_path_is_asked_at_three_places() {
    let world = World::new(per_person());
    let issuer = "https://as.example.com/tenant";
    world.answers(METADATA, 200, json!({"resource": "https://tools.example.com", "authorization_servers": [issuer]}));
    world.answers("https://as.example.com/tenant/.well-known/openid-configuration", 200, server(issuer));
    world.answers(&format!("{issuer}/register"), 201, json!({"client_id": "registered"}));
    world.link(&caller("ada"));
    let asked: Vec<String> = world.asked.borrow().iter().map(|asked| asked.url.clone()).filter(|url| url.starts_with(AS)).collect();
    assert_eq!(
        asked[..3],
        [
            "https://as.example.com/.well-known/oauth-authorization-server/tenant",
            "https://as.example.com/.well-known/openid-configuration/tenant",
            "https://as.example.com/tenant/.well-known/openid-configuration"
        ]
    );
}

#[test]
fn an_upstream_of_2025_03_26_is_its_own_authorization_server() {
    let world = World::new(per_person());
    world.answers(METADATA, 404, Value::Null);
    let own = "https://tools.example.com";
    world.answers(&format!("{own}/.well-known/oauth-authorization-server"), 200, server(own));
    world.answers(&format!("{own}/register"), 201, json!({"client_id": "registered"}));
    world.link(&caller("ada"));
}

/// Each of these ends before anybody is sent anywhere; the control is the world as it is.
#[test]
fn what_must_not_be_followed_ends_there() {
    let prm = |value: Value| (METADATA, value);
    let asm = |change: fn(&mut Value)| {
        let mut metadata = server(AS);
        change(&mut metadata);
        (AS_METADATA, metadata)
    };
    let servers = json!([AS]);
    for ((url, body), code, said) in [
        (prm(json!({"resource": "https://evil.example/mcp", "authorization_servers": servers})), 5020, "another resource"),
        (prm(json!({"resource": format!("{UPSTREAM}/deeper"), "authorization_servers": servers})), 5020, "another resource"),
        (prm(json!({"authorization_servers": servers})), 5020, "another resource"),
        (prm(json!({"resource": UPSTREAM})), 5020, "no authorization server"),
        (prm(json!({"resource": UPSTREAM, "authorization_servers": ["http://as.example.com"]})), 5020, "no URL"),
        (prm(json!([1])), 5020, "no JSON object"),
        (asm(|m| m["issuer"] = json!("https://as.example.com/")), 5020, "another server's"),
        (asm(|m| m["issuer"] = json!("https://evil.example")), 5020, "another server's"),
        (asm(|m| m["code_challenge_methods_supported"] = json!(["plain"])), 5020, "PKCE"),
        (asm(|m| drop(m.as_object_mut().unwrap().remove("code_challenge_methods_supported"))), 5020, "PKCE"),
        (asm(|m| m["authorization_endpoint"] = json!("javascript:alert(1)")), 5020, "no https URL"),
        (asm(|m| m["authorization_endpoint"] = json!("http://as.example.com/authorize")), 5020, "no https URL"),
        (asm(|m| m["token_endpoint"] = json!("http://169.254.169.254/")), 5020, "no https URL"),
        (asm(|m| drop(m.as_object_mut().unwrap().remove("registration_endpoint"))), 5010, "not registered"),
    ] {
        let world = World::new(per_person());
        world.answers(url, 200, body.clone());
        let (is, message) = rejected(world.challenged(&caller("ada"), 401, "Bearer", None));
        assert!(is == code && message.contains(said), "{body}: {is} {message}");
        assert!(world.asked(&format!("{AS}/register")).is_empty() || said == "PKCE", "{body}");
        assert!(!message.contains("evil.example") && !message.contains("169.254"), "what a server says stays in the log: {message}");
        assert!(!testing::log_lines().is_empty(), "{body}");
    }
    World::new(per_person()).link(&caller("ada"));
}

#[test]
fn a_broken_server_is_not_taken_for_one_that_has_nothing() {
    let world = World::new(per_person());
    world.answers(METADATA, 502, Value::Null);
    assert_eq!(rejected(world.challenged(&caller("ada"), 401, "Bearer", None)).0, 5030);
    world.answers(METADATA, 0, Value::Null);
    assert_eq!(rejected(world.challenged(&caller("ada"), 401, "Bearer", None)).0, 5030);
    assert_eq!(world.asked.borrow().len(), 2, "no other place was tried");
}

#[test]
fn the_gateway_is_known_by_hand_or_by_its_document_or_registers_itself() {
    let mut config = per_person();
    config["client_metadata_url"] = json!("https://mcp.example.com/-/oauth-client/client.json");
    let mut metadata = server(AS);
    metadata["client_id_metadata_document_supported"] = json!(true);

    let world = World::new(config.clone());
    world.answers(AS_METADATA, 200, metadata.clone());
    let (asked, _) = world.consent(&world.link(&caller("ada")), "ada");
    assert_eq!(of(&asked, "client_id"), "https://mcp.example.com/-/oauth-client/client.json");
    let document: Value = serde_json::from_slice(&world.visit("GET", "/-/oauth-client/client.json", "", "").body).unwrap();
    assert_eq!(document["client_id"], "https://mcp.example.com/-/oauth-client/client.json");
    assert_eq!(document["redirect_uris"], json!(["https://mcp.example.com/-/oauth-client/callback"]));

    config["clients"] = json!({"mine": {"issuer": AS, "client_id": "by hand", "client_secret": "app"}});
    config["upstreams"]["tools"]["client"] = json!("mine");
    let world = World::new(config);
    testing::set_secret("app", b"app-secret");
    world.answers(AS_METADATA, 200, metadata);
    let (asked, cookie) = world.consent(&world.link(&caller("ada")), "ada");
    assert_eq!(of(&asked, "client_id"), "by hand");
    world.back(&asked, &cookie, &[("code", "good"), ("iss", AS)]);
    assert_eq!(world.asked(&format!("{AS}/token"))[0].secrets, [("client_secret".to_string(), "app-secret".to_string())]);
    assert!(world.asked(&format!("{AS}/register")).is_empty());

    let world = World::new(per_person());
    let (ada, bob) = (world.link(&caller("ada")), world.link(&caller("bob")));
    let registrations = world.asked(&format!("{AS}/register"));
    assert!(registrations.len() == 1 && ada != bob, "once an issuer");
    let wanted: Value = serde_json::from_slice(&registrations[0].body).unwrap();
    assert_eq!((&wanted["application_type"], &wanted["token_endpoint_auth_method"]), (&json!("web"), &json!("client_secret_post")));
}

#[test]
fn a_client_by_hand_is_used_at_its_own_server_only() {
    let mut config = per_person();
    config["clients"] = json!({"mine": {"issuer": "https://other.example.com", "client_id": "by hand", "client_secret": "app"}});
    config["upstreams"]["tools"]["client"] = json!("mine");
    let world = World::new(config);
    let (code, message) = rejected(world.challenged(&caller("ada"), 401, "Bearer", None));
    assert!(code == 5010 && message.contains("registered at"), "{message}");
}

/// The secret of a registration is shown in the way that the server takes, and nowhere else.
#[test]
fn a_registered_secret_is_kept_by_the_host() {
    for (method, place) in [("client_secret_post", "client_secret"), ("client_secret_basic", "basic:id%20with%2Fsigns")] {
        let world = World::new(per_person());
        let mut metadata = server(AS);
        metadata["token_endpoint_auth_methods_supported"] = json!([method]);
        world.answers(AS_METADATA, 200, metadata);
        let registered = json!({"client_id": "id with/signs", "client_secret": "registered-secret", "token_endpoint_auth_method": method});
        world.answers(&format!("{AS}/register"), 201, registered);
        world.connect(&caller("ada"), "ada");
        let asked = &world.asked(&format!("{AS}/token"))[0];
        assert_eq!(asked.secrets, [(place.to_string(), "registered-secret".to_string())]);
        assert!(!String::from_utf8_lossy(&asked.body).contains("registered-secret"), "the plugin does not know it");
    }
}
