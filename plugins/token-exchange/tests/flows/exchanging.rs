//! One step: what is asked, for whom an answer is kept, and how long.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::json;
use sluice_plugin_token_exchange::TokenExchange;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeDeparture, FakeExchange};

use crate::world::*;

/// RFC 8693 section 2.1.
#[test]
fn an_exchange_is_asked_for_as_the_rfc_has_it_and_no_secret_is_seen() {
    let world = World::new(exchange(json!({"scopes": ["read", "list"], "actor": {"secret": "actor", "type": "jwt"}})));
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1");
    let asked = world.asked(STS).remove(0);
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "own-token"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("actor_token", "actor-token"),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("resource", UPSTREAM),
        ("scope", "read list"),
        ("client_id", "sluice"),
        ("client_secret", "client-secret"),
    ] {
        assert_eq!(asked.of(name), Some(value), "{name}");
    }
    assert_eq!(asked.of("audience"), None);
    for secret in ["own-token", "actor-token", "client-secret"] {
        assert!(!asked.seen.contains(secret), "{secret} was in the guest");
    }
}

#[test]
fn an_upstream_goes_by_the_name_that_the_server_has_for_it() {
    for (more, audience, resource) in [
        (json!({"audience": "tools-api"}), Some("tools-api"), None),
        (json!({"resource": "https://other.example.com"}), None, Some("https://other.example.com")),
        (json!({"audience": "a", "resource": "https://other.example.com"}), Some("a"), Some("https://other.example.com")),
    ] {
        let world = World::new(exchange(more));
        bearer(world.leaves(&caller("ada")));
        let asked = world.asked(STS).remove(0);
        assert_eq!((asked.of("audience"), asked.of("resource")), (audience, resource));
    }
}

#[test]
fn a_client_shows_itself_as_it_is_registered() {
    let mut config = exchange(json!({}));
    config["servers"]["sts"]["client_auth"] = json!("basic");
    config["servers"]["sts"]["client_id"] = json!("slu:ice");
    let world = World::new(config.clone());
    bearer(world.leaves(&caller("ada")));
    let asked = world.asked(STS).remove(0);
    assert_eq!((asked.header.as_deref(), asked.of("client_id")), (Some("slu%3Aice:client-secret"), None));

    config["servers"]["sts"].as_object_mut().unwrap().retain(|name, _| !name.starts_with("client_"));
    config["servers"]["sts"]["client_id"] = json!("public");
    let world = World::new(config);
    bearer(world.leaves(&caller("ada")));
    let asked = world.asked(STS).remove(0);
    assert_eq!((asked.header.as_deref(), asked.of("client_id"), asked.of("client_secret")), (None, Some("public"), None));
}

#[test]
fn a_token_is_kept_until_shortly_before_it_ends() {
    let world = World::new(exchange(json!({})));
    for who in ["ada", "bob"] {
        assert_eq!(bearer(world.leaves(&caller(who))), "access-1", "the gateway's is everybody's");
    }
    assert_eq!(bearer(world.leaves(&FakeExchange::default())), "access-1");
    testing::advance_ms(569_999);
    bearer(world.leaves(&caller("ada")));
    assert_eq!(world.asked(STS).len(), 1);
    world.answers(STS, 200, issued("access-2"));
    testing::advance_ms(1);
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-2");
    assert_eq!(world.asked(STS).len(), 2);
}

/// Without `expires_in`, or with one that is no number, a token is good for a minute, less half a one.
#[test]
fn a_token_that_does_not_say_when_it_ends_is_not_kept_long() {
    for ends in [json!(null), json!("soon"), json!(-5), json!(1.5)] {
        let world = World::new(exchange(json!({})));
        let mut answer = issued("access-1");
        answer["expires_in"] = ends.clone();
        world.answers(STS, 200, answer);
        bearer(world.leaves(&caller("ada")));
        testing::advance_ms(29_999);
        bearer(world.leaves(&caller("ada")));
        assert_eq!(world.asked(STS).len(), 1, "{ends}");
        testing::advance_ms(1);
        bearer(world.leaves(&caller("ada")));
        assert_eq!(world.asked(STS).len(), 2, "{ends}");
    }
    for (ends, kept_ms) in [(json!(10), 5_000), (json!(1), 1_000), (json!("600"), 570_000), (json!(u64::MAX), 86_370_000)] {
        let world = World::new(exchange(json!({})));
        let mut answer = issued("access-1");
        answer["expires_in"] = ends.clone();
        world.answers(STS, 200, answer);
        bearer(world.leaves(&caller("ada")));
        testing::advance_ms(kept_ms - 1);
        bearer(world.leaves(&caller("ada")));
        testing::advance_ms(1);
        bearer(world.leaves(&caller("ada")));
        assert_eq!(world.asked(STS).len(), 2, "{ends}");
    }
}

/// features.md §51: what a tool does not need, the token of its call has not.
#[test]
fn f051_each_tool_gets_the_scopes_that_it_needs() {
    let world = World::new(exchange(json!({
        "scopes": ["read"], "tools": {"delete_*": ["write", "admin"], "*_issue": ["write"], "search": ["read"]}, "per_call": ["delete_*"],
    })));
    world.answers_with(STS, |asked| Ok((200, issued(&format!("for {}", asked.of("scope").unwrap())).to_string())));
    assert_eq!(bearer(world.leaves(&caller("ada"))), "for read", "lists and handshakes");
    assert_eq!(bearer(world.leaves(&calling("ada", "create_issue"))), "for read write");
    assert_eq!(bearer(world.leaves(&calling("ada", "search"))), "for read");
    assert_eq!(world.asked(STS).len(), 2, "what is the same is got once");
    for _ in 0..2 {
        assert_eq!(bearer(world.leaves(&calling("ada", "delete_issue"))), "for read write admin");
    }
    assert_eq!(world.asked(STS).len(), 4, "a token for each of these calls, and not for the next");
    assert_eq!(bearer(world.leaves(&calling("ada", "create_issue"))), "for read write");
}

/// The name of the tool comes with the call, whatever the upstream's era.
#[test]
fn a_call_leaves_its_tools_name_where_tools_are_told_apart() {
    let world = World::new(exchange(json!({"per_call": ["*"]})));
    let x = caller("ada");
    assert!(matches!(world.plugin.on_request(&testing::head("tools/call").name("search"), &x), Verdict::Next));
    assert_eq!(x.set_attrs()["tool"], "search");
    let long = world.plugin.on_request(&testing::head("tools/call").name(&"x".repeat(5000)), &caller("ada"));
    assert!(matches!(long, Verdict::Reject(_)), "it would leave as if it were no call");
    let (world, x) = (World::new(exchange(json!({}))), caller("ada"));
    assert!(matches!(world.plugin.on_request(&testing::head("tools/call").name("search"), &x), Verdict::Next));
    assert!(x.set_attrs().is_empty());
}

#[test]
fn a_refused_token_goes_once_and_a_new_one_that_is_refused_too_is_the_operators() {
    let world = World::new(exchange(json!({})));
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1");
    testing::advance_ms(10_000);
    world.answers(STS, 200, issued("access-2"));
    assert_eq!(bearer(world.challenged(&caller("ada"), 401, "access-1")), "access-2");
    // Whoever was refused with the old one meanwhile takes the new one.
    assert_eq!(bearer(world.challenged(&caller("bob"), 401, "access-1")), "access-2");
    let (code, message) = rejected(world.challenged(&caller("ada"), 401, "access-2"));
    assert!(code == 5010 && message.contains("refuses the tokens that sts has just issued"), "{message}");
    assert_eq!(world.asked(STS).len(), 2);
}

#[test]
fn a_refused_token_of_one_call_is_not_asked_for_again() {
    let world = World::new(exchange(json!({"per_call": ["*"]})));
    assert_eq!(bearer(world.leaves(&calling("ada", "x"))), "access-1");
    assert_eq!(rejected(world.challenged(&calling("ada", "x"), 401, "access-1")).0, 5010);
    assert_eq!(world.asked(STS).len(), 1);
}

/// Section 5.3 of the protocol's paper: with credentials like these a step-up is the operator's.
#[test]
fn more_scope_is_the_operators_to_grant() {
    let world = World::new(exchange(json!({})));
    bearer(world.leaves(&caller("ada")));
    let (code, message) = rejected(world.challenged(&caller("ada"), 403, "access-1"));
    assert!(code == 5010 && message.contains("more scope"), "{message}");
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1", "it is good for everything else");
}

#[test]
fn a_no_is_remembered_for_a_while_and_for_this_only() {
    let world = World::new(exchange(json!({"tools": {"x": ["more"]}})));
    world.answers(STS, 400, json!({"error": "invalid_target", "error_description": "canary"}));
    for _ in 0..3 {
        let (code, message) = rejected(world.leaves(&caller("ada")));
        assert!(code == 4015 && message.contains("sts refuses this caller a token for it (invalid_target)"), "{message}");
    }
    assert_eq!(world.asked(STS).len(), 1);
    world.answers(STS, 200, issued("access-1"));
    assert_eq!(bearer(world.leaves(&calling("ada", "x"))), "access-1", "other scopes are another question");
    testing::advance_ms(30_000);
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1");
    let log = format!("{:?}", testing::log_lines());
    assert!(log.contains("HTTP 400 invalid_target") && !log.contains("canary"), "{log}");
}

/// The second call comes while the first one is still being answered.
#[test]
fn one_asks_and_the_others_wait() {
    let world = World::new(exchange(json!({})));
    let (waits, second) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
    let (looked, said) = (waits.clone(), second.clone());
    testing::while_sleeping(move || looked.set(looked.get() + 1));
    world.answers_with(STS, move |_| {
        let other: TokenExchange = testing::plugin(&exchange(json!({})).to_string()).unwrap();
        *said.borrow_mut() = Some(other.on_outbound(&FakeDeparture::new("tools", UPSTREAM), &caller("bob")));
        Ok((200, issued("access-1").to_string()))
    });
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1");
    let (code, message) = rejected(second.take().unwrap());
    assert!(code == 5030 && message.contains("takes too long"), "{message}");
    assert_eq!((waits.get(), world.asked(STS).len()), (30, 1), "it looked for three seconds, and asked nobody");
    assert_eq!(bearer(world.leaves(&caller("bob"))), "access-1");
}

#[test]
fn callers_with_tokens_of_their_own_share_nothing() {
    let world = World::new(id_jag());
    world.answers(IDP_TOKEN, 200, signed_in(1));
    world.sign_in(&caller("ada"), "ada");
    world.answers(IDP_TOKEN, 200, assertion());
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1");
    link_of(world.leaves(&caller("bob")));
    let nameless = FakeExchange::default().with_attr("principal.id", "x").with_attr("principal.authority", "host-anonymous");
    for x in [nameless, FakeExchange::default()] {
        assert_eq!(rejected(world.leaves(&x)).0, 4014);
    }
}

#[test]
fn an_assertion_of_the_gateway_needs_a_key_that_signs() {
    let config = exchange(json!({"subject": {"key": {"secret": "client"}, "issuer": "https://mcp.example.com"}}));
    let world = World::new(config);
    // The fake host signs with HS256 only; the real one is in tests/e2e.
    let (code, message) = rejected(world.leaves(&caller("ada")));
    assert!(code == 5010 && message.contains("a secret cannot be used"), "{message}");
    assert!(world.asked(STS).is_empty(), "nothing leaves unsigned");
}

#[test]
fn upstreams_that_are_not_named_are_left_alone() {
    let world = World::new(exchange(json!({})));
    let verdict = world.plugin.on_outbound(&FakeDeparture::new("other", "https://other"), &caller("ada"));
    assert!(matches!(verdict, OutboundVerdict::Next(headers) if headers.0.is_empty()));
    assert!(world.asked.borrow().is_empty());
}
