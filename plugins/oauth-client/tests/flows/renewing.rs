//! Tokens that end, are refused, or are good for too little.

use std::rc::Rc;

use serde_json::json;
use sluice_plugin_oauth_client::outbound::Decision;
use sluice_sdk::kv::Bucket;
use sluice_sdk::testing;

use crate::world::*;

fn token_url() -> String {
    format!("{AS}/token")
}

fn connected() -> World {
    let world = World::new(per_person());
    world.connect(&caller("ada"), "ada");
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1");
    world
}

#[test]
fn a_token_that_ends_is_renewed_before_it_is_sent() {
    let world = connected();
    world.answers(&token_url(), 200, tokens("access-2", "refresh-2"));
    testing::advance_ms(3_569_000);
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1", "31 seconds are left");
    testing::advance_ms(1_000);
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-2");
    let asked = world.asked(&token_url()).pop().unwrap();
    assert_eq!((asked.of("grant_type"), asked.of("resource")), (Some("refresh_token"), Some(UPSTREAM)));
    assert_eq!(asked.secrets, [("refresh_token".to_string(), "refresh-1".to_string())]);
}

#[test]
fn a_refused_token_is_renewed_once_and_others_use_what_came_of_it() {
    let world = connected();
    testing::advance_ms(60_000);
    world.answers(&token_url(), 200, tokens("access-2", "refresh-2"));
    let ada = caller("ada");
    assert_eq!(bearer(world.challenged(&ada, 401, "Bearer error=\"invalid_token\"", Some("access-1"))), "access-2");
    assert_eq!(
        bearer(world.challenged(&ada, 401, "Bearer error=\"invalid_token\"", Some("access-1"))),
        "access-2",
        "a call that was slower"
    );
    assert_eq!(world.asked(&token_url()).len(), 2, "one code, one refresh");
    // Fresh, and refused: refreshing it again would go on for ever.
    link_of(world.challenged(&ada, 401, "Bearer error=\"invalid_token\"", Some("access-2")));
    assert_eq!(world.asked(&token_url()).len(), 2);
}

#[test]
fn a_refresh_token_that_is_over_leads_back_to_the_person() {
    let world = connected();
    world.answers(&token_url(), 400, json!({"error": "invalid_grant"}));
    testing::advance_ms(3_600_000);
    assert!(matches!(world.leaves(&caller("ada")), Decision::Bare), "the upstream says what it wants");
    link_of(world.challenged(&caller("ada"), 401, "Bearer", None));
    assert_eq!(world.asked(&token_url()).len(), 2, "it is not tried again");
}

#[test]
fn a_server_that_is_away_costs_no_grant() {
    let world = connected();
    world.answers(&token_url(), 0, json!(null));
    testing::advance_ms(3_600_000);
    assert_eq!(rejected(world.leaves(&caller("ada"))).0, 5030);
    world.answers(&token_url(), 200, json!({"access_token": "access-2", "token_type": "bearer", "expires_in": 3600}));
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-2");
    testing::advance_ms(3_600_000);
    world.answers(&token_url(), 200, tokens("access-3", "refresh-3"));
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-3");
    let asked = world.asked(&token_url()).pop().unwrap();
    assert_eq!(asked.secrets[0].1, "refresh-1", "without a new one the old one stays");
}

#[test]
fn one_at_a_time_renews_and_the_others_wait_for_it() {
    let world = connected();
    testing::advance_ms(3_600_000);
    // Another has the turn. While this one waits, it gets its token and is done.
    let (bucket, grant) = (Bucket::open("grants").unwrap(), turn_and_grant());
    assert_eq!(bucket.swap(&grant.0, None, b"other", Some(10_000)), Ok(true));
    let refreshed = Rc::new(std::cell::Cell::new(false));
    let done = refreshed.clone();
    testing::while_sleeping(move || {
        if !done.replace(true) {
            let bucket = Bucket::open("grants").unwrap();
            let mut known: serde_json::Value = serde_json::from_slice(&bucket.get(&grant.1).unwrap().unwrap()).unwrap();
            known["generation"] = json!(2);
            known["ends"] = json!(9_000_000);
            bucket.set(&grant.1, known.to_string().as_bytes(), None).unwrap();
        }
    });
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1", "what the host keeps under the name");
    assert!(refreshed.get());
    assert_eq!(world.asked(&token_url()).len(), 1, "only the code was ever shown");
}

#[test]
fn who_waits_too_long_says_so_and_the_next_one_has_its_turn() {
    let world = connected();
    testing::advance_ms(3_600_000);
    let (bucket, grant) = (Bucket::open("grants").unwrap(), turn_and_grant());
    assert_eq!(bucket.swap(&grant.0, None, b"other", Some(10_000)), Ok(true));
    assert_eq!(rejected(world.leaves(&caller("ada"))).0, 5030);
    testing::advance_ms(10_000);
    world.answers(&token_url(), 200, tokens("access-2", "refresh-2"));
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-2");
}

/// As the plugin names them.
fn turn_and_grant() -> (String, String) {
    let key = sluice_plugin_oauth_client::grant::Held::of(AS, "tools", "8:auth-jwt/-/ada").pair().name;
    (format!("turn-{key}"), key)
}

#[test]
fn more_scope_is_asked_for_beside_what_there_is_and_not_for_ever() {
    let world = World::new(per_person());
    let ada = caller("ada");
    let first = link_of(world.challenged(&ada, 401, "Bearer scope=\"read\"", None));
    let (asked, cookie) = world.consent(&first, "ada");
    world.back(&asked, &cookie, &[("code", "good"), ("iss", AS)]);
    bearer(world.leaves(&ada));
    let no = "Bearer error=\"insufficient_scope\", scope=\"write\"";
    let mut links = vec![];
    for access in ["access-1", "access-2"] {
        let link = link_of(world.challenged(&ada, 403, no, Some(access)));
        assert_eq!(link_of(world.challenged(&ada, 403, no, Some(access))), link, "asked again, no further try");
        assert_eq!(bearer(world.leaves(&ada)), access, "everything else goes on");
        let next = if access == "access-1" { "access-2" } else { "access-3" };
        world.answers(&token_url(), 200, tokens(next, "refresh"));
        let (asked, cookie) = world.consent(&link, "ada");
        assert_eq!(of(&asked, "scope"), "read write");
        world.back(&asked, &cookie, &[("code", "good"), ("iss", AS)]);
        links.push(link);
        assert_eq!(bearer(world.leaves(&ada)), next);
    }
    let (code, message) = rejected(world.challenged(&ada, 403, no, Some("access-3")));
    assert!(code == 5020 && message.contains("more scope"), "{message}");
    assert_ne!(links[0], links[1]);
    testing::advance_ms(10 * 60 * 1000);
    link_of(world.challenged(&ada, 403, no, Some("access-3")));
}

#[test]
fn a_refresh_token_is_asked_for_where_there_is_a_scope_for_it() {
    for (supported, scope, prompt) in [(json!(["read", "offline_access"]), "read offline_access", "consent"), (json!(["read"]), "read", "")]
    {
        let world = World::new(per_person());
        let mut metadata = server(AS);
        metadata["scopes_supported"] = supported;
        world.answers(AS_METADATA, 200, metadata);
        let (asked, _) = world.consent(&link_of(world.challenged(&caller("ada"), 401, "Bearer scope=read", None)), "ada");
        assert_eq!((of(&asked, "scope"), of(&asked, "prompt")), (scope, prompt));
    }
}

/// Statement 125: a new authorization server hears nothing of the old one's.
#[test]
fn a_new_server_gets_nothing_of_the_old_one() {
    let world = connected();
    testing::advance_ms(60_000);
    let new = "https://new.example.com";
    world.answers(METADATA, 200, json!({"resource": UPSTREAM, "authorization_servers": [new]}));
    world.answers(&format!("{new}/.well-known/oauth-authorization-server"), 200, server(new));
    world.answers(&format!("{new}/register"), 201, json!({"client_id": "new client", "token_endpoint_auth_method": "none"}));
    world.answers(&format!("{new}/token"), 200, tokens("access-4", "refresh-4"));
    let ada = caller("ada");
    let link = link_of(world.challenged(&ada, 401, "Bearer error=\"invalid_token\"", Some("access-1")));
    let (asked, cookie) = world.consent(&link, "ada");
    assert_eq!(of(&asked, "client_id"), "new client");
    assert_eq!(world.back(&asked, &cookie, &[("code", "good"), ("iss", new)]).status, 200);
    assert_eq!(bearer(world.leaves(&ada)), "access-4");
    for asked in world.asked.borrow().iter().filter(|asked| asked.url.starts_with(new)) {
        let everything = format!("{asked:?}");
        assert!(
            !everything.contains("registered") && !everything.contains("refresh-1") && !everything.contains("access-1"),
            "{everything}"
        );
    }
    assert_eq!(world.asked(&token_url()).len(), 1, "and the old one is not asked either");
}

#[test]
fn a_host_that_has_forgotten_its_secrets_asks_again() {
    let world = connected();
    let pair = sluice_plugin_oauth_client::grant::Held::of(AS, "tools", "8:auth-jwt/-/ada").pair();
    pair.forget(&caller("ada"));
    assert!(matches!(world.leaves(&caller("ada")), Decision::Bare));
    link_of(world.challenged(&caller("ada"), 401, "Bearer", None));
}
