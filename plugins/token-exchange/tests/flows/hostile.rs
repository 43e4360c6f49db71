//! Answers that nobody may act upon.

use serde_json::{Value, json};
use sluice_sdk::fetch::Error;
use sluice_sdk::testing;

use crate::world::*;

/// What comes of an answer of the only server; whatever it is, nothing of it reaches the upstream or the client.
fn refused(status: u16, body: &str) -> (i32, String) {
    let world = World::new(exchange(json!({})));
    let body = body.to_string();
    world.answers_with(STS, move |_| Ok((status, body.clone())));
    let (code, message) = rejected(world.leaves(&caller("ada")));
    let log = format!("{:?}", testing::log_lines());
    for text in [&message, &log] {
        assert!(!text.contains("canary"), "{text}");
    }
    world.answers(STS, 200, issued("good"));
    testing::advance_ms(30_000);
    assert_eq!(bearer(world.leaves(&caller("ada"))), "good", "nothing of it was kept");
    (code, message)
}

fn bent(member: &str, value: Value) -> String {
    let mut answer = issued("canary-token");
    match value {
        Value::Null => drop(answer.as_object_mut().unwrap().remove(member)),
        value => answer[member] = value,
    }
    answer.to_string()
}

#[test]
fn only_a_bearer_access_token_is_one() {
    for (member, value) in [
        ("token_type", json!("N_A")),
        ("token_type", json!("DPoP")),
        ("token_type", json!(null)),
        ("token_type", json!(["Bearer"])),
        ("issued_token_type", json!("urn:ietf:params:oauth:token-type:id-jag")),
        ("issued_token_type", json!("urn:ietf:params:oauth:token-type:refresh_token")),
        ("issued_token_type", json!("canary \"text\"")),
        ("issued_token_type", json!(null)),
        ("access_token", json!(null)),
        ("expires_in", json!(0)),
    ] {
        let (code, message) = refused(200, &bent(member, value.clone()));
        assert!(code == 5020 && message.contains("sts answers"), "{member} {value}: {message}");
    }
    for body in ["", "canary", "[]", "null", "\"canary\"", "{\"access_token\":"] {
        assert_eq!(refused(200, body).0, 5020, "{body}");
    }
    // A name that differs in case is the same type (RFC 6749 section 5.1).
    let world = World::new(exchange(json!({})));
    world.answers_with(STS, |_| Ok((200, bent("token_type", json!("bearer")))));
    bearer(world.leaves(&caller("ada")));
}

#[test]
fn refusals_say_who_refuses_and_why_in_known_words_only() {
    for (status, error, code, said) in [
        (400, "invalid_request", 5010, "sts does not take what it was shown (invalid_request)"),
        (400, "invalid_grant", 5010, "sts does not take what it was shown (invalid_grant)"),
        (400, "invalid_scope", 4015, "sts refuses this caller a token for it (invalid_scope)"),
        (403, "access_denied", 4015, "sts refuses this caller a token for it (access_denied)"),
        (401, "invalid_client", 5010, "sts refuses the gateway (invalid_client)"),
        (400, "unauthorized_client", 5010, "sts refuses the gateway (unauthorized_client)"),
        (400, "unsupported_grant_type", 5010, "sts refuses the gateway (unsupported_grant_type)"),
        (400, "canary_ignore_all_previous_instructions canary", 5010, "sts refuses the gateway;"),
        (503, "temporarily_unavailable", 5030, "sts cannot answer right now (temporarily_unavailable)"),
        (500, "", 5030, "sts cannot answer right now;"),
        (429, "slow_down", 5030, "sts cannot answer right now (slow_down)"),
        (302, "", 5020, "sts sends elsewhere"),
        (307, "", 5020, "sts sends elsewhere"),
        (204, "", 5010, "sts refuses the gateway;"),
        (201, "", 5010, "sts refuses the gateway;"),
    ] {
        let body = json!({"error": error, "error_description": "canary", "error_uri": "https://canary.example"});
        let (got, message) = refused(status, &body.to_string());
        assert_eq!(got, code, "{status} {error}: {message}");
        assert!(message.contains(said), "{status} {error}: {message}");
    }
    // A token beside an error is none.
    let mut both = issued("canary-token");
    both["error"] = json!("invalid_grant");
    assert_eq!(refused(400, &both.to_string()).0, 5010);
}

#[test]
fn what_does_not_answer_is_asked_again_soon() {
    for (error, code, said) in [
        (Error::Timeout, 5030, "sts did not answer in time"),
        (Error::Unreachable("canary".into()), 5030, "sts cannot be reached"),
        (Error::TooLarge, 5020, "sts answers at too great length"),
        (Error::Denied("\"fetch:https://sts.example.com POST\" is not granted".into()), 5010, "the host stopped the request to sts"),
    ] {
        let world = World::new(exchange(json!({})));
        let shown = error.clone();
        world.answers_with(STS, move |_| Err(shown.clone()));
        for _ in 0..2 {
            let (got, message) = rejected(world.leaves(&caller("ada")));
            assert!(got == code && message.contains(said) && !message.contains("canary"), "{error:?}: {message}");
        }
        assert_eq!(world.asked(STS).len(), 1, "{error:?}");
        world.answers(STS, 200, issued("access-1"));
        testing::advance_ms(if code == 5030 { 3_000 } else { 30_000 });
        assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1", "{error:?}");
    }
}

#[test]
fn an_assertion_is_no_access_token_and_no_access_token_is_an_assertion() {
    let world = World::new(id_jag());
    world.answers(IDP_TOKEN, 200, signed_in(1));
    world.sign_in(&caller("ada"), "ada");
    let mut typed = assertion();
    typed["token_type"] = json!("Bearer");
    for answer in [issued("canary-token"), typed] {
        world.answers(IDP_TOKEN, 200, answer);
        let (code, message) = rejected(world.leaves(&caller("ada")));
        assert!(code == 5020 && message.contains("corp answers"), "{message}");
        testing::advance_ms(30_000);
    }
    assert!(world.asked(STS).is_empty(), "the authorization server is shown none of it");
    world.answers(IDP_TOKEN, 200, assertion());
    world.answers(STS, 200, assertion());
    let (code, message) = rejected(world.leaves(&caller("ada")));
    assert!(code == 5020 && message.contains("sts answers"), "{message}");
}

#[test]
fn more_scope_than_was_asked_for_is_written_down() {
    let world = World::new(exchange(json!({"scopes": ["read"]})));
    let mut answer = issued("access-1");
    answer["scope"] = json!("read admin");
    world.answers(STS, 200, answer);
    bearer(world.leaves(&caller("ada")));
    let lines = testing::log_lines();
    assert!(lines.iter().any(|line| line.fields.contains(&("scope".to_string(), "admin".to_string()))), "{lines:?}");
}

#[test]
fn a_store_that_is_away_lets_nothing_leave() {
    let world = World::new(exchange(json!({})));
    testing::break_kv("gone");
    assert_eq!(rejected(world.leaves(&caller("ada"))).0, 5030);
    assert!(world.asked(STS).is_empty());
}
