//! T25: keys that change, issuers that are away, floods of names that nobody has.

mod support;

use serde_json::json;
use sluice_plugin_auth_jwt::refused::Refused;
use sluice_sdk::kv::Bucket;
use sluice_sdk::testing::{self, advance_ms};
use support::*;

fn no(refused: &Refused) -> Result<&str, String> {
    Err(refused.to_string())
}

fn taken(token: &str) -> Result<&'static str, String> {
    ask(&plugin(&config()), token).map(|_| "taken")
}

#[test]
fn an_issuer_is_asked_once_and_then_known_to_all_instances() {
    let network = Network::new();
    for _ in 0..5 {
        assert_eq!(taken(&good()), Ok("taken"));
    }
    let asked = network.asked.borrow().clone();
    assert_eq!(
        asked,
        [
            "https://id.example/.well-known/oauth-authorization-server/t",
            "https://id.example/.well-known/openid-configuration/t",
            "https://id.example/jwks",
        ]
    );
    advance_ms(599_000);
    let later = token(HEADER, &claims_with(json!({"exp": *NOW + 10_000})), By::Rs256);
    assert_eq!((taken(&later), network.key_questions()), (Ok("taken"), 1));
    advance_ms(1_000);
    assert_eq!((taken(&later), network.key_questions()), (Ok("taken"), 2));
}

#[test]
fn a_flood_of_unknown_keys_asks_once_in_an_interval() {
    let network = Network::new();
    let plugin = plugin(&config());
    assert!(ask(&plugin, &good()).is_ok());
    advance_ms(10_000);
    for at in 0..1000 {
        let header = format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"k{at}"}}"#);
        assert_eq!(ask(&plugin, &token(&header, &claims().to_string(), By::Nobody)).map(|_| ""), no(&Refused::Key));
    }
    assert_eq!(network.key_questions(), 2);
}

#[test]
fn a_new_key_is_found_and_an_old_one_goes() {
    let network = Network::new();
    assert_eq!(taken(&good()), Ok("taken"));
    *network.keys.borrow_mut() = json!({"keys": [rsa_jwk(&KEYS.rsa_other, json!({"kid": "next"}))]});
    advance_ms(10_000);
    let next = token(r#"{"alg":"RS256","typ":"at+jwt","kid":"next"}"#, &claims_with(json!({"exp": *NOW + 10_000})), By::Other);
    assert_eq!(taken(&next), Ok("taken"));
    assert_eq!(taken(&good()).as_deref(), no(&Refused::Key).as_deref());
    assert_eq!(network.key_questions(), 2, "the old one was known to be gone");
}

#[test]
fn a_key_that_was_taken_away_goes_with_the_next_refresh() {
    let network = Network::new();
    let later = token(HEADER, &claims_with(json!({"exp": *NOW + 10_000})), By::Rs256);
    assert_eq!(taken(&later), Ok("taken"));
    *network.keys.borrow_mut() = json!({"keys": []});
    assert_eq!(taken(&later), Ok("taken"));
    advance_ms(600_000);
    assert_eq!(taken(&later).as_deref(), no(&Refused::Key).as_deref());
}

#[test]
fn while_an_issuer_is_away_its_keys_serve_and_strangers_wait() {
    let network = Network::new();
    let long = token(HEADER, &claims_with(json!({"exp": *NOW + 1_000_000})), By::Rs256);
    assert_eq!(taken(&long), Ok("taken"));
    *network.is_down.borrow_mut() = true;
    advance_ms(3_600_000);
    for _ in 0..10 {
        assert_eq!(taken(&long), Ok("taken"));
    }
    let strange = token(r#"{"alg":"RS256","typ":"at+jwt","kid":"new"}"#, &claims_with(json!({"exp": *NOW + 1_000_000})), By::Rs256);
    assert_eq!(taken(&strange).as_deref(), no(&Refused::Unavailable).as_deref());
    let tried = network.asked.borrow().len();
    assert_eq!(tried, 4, "a failure stands for the interval, too");
    advance_ms(86_400_000);
    assert_eq!(taken(&long).as_deref(), no(&Refused::Unavailable).as_deref(), "keys do not serve for ever");
    *network.is_down.borrow_mut() = false;
    advance_ms(10_000);
    assert_eq!(taken(&long), Ok("taken"));
    let warned = testing::log_lines().iter().filter(|line| line.message.contains("does not say what its keys are")).count();
    assert!(warned >= 2, "the operator hears of it");
}

#[test]
fn one_asks_and_the_others_wait_or_go_on() {
    let network = Network::new();
    let lock = || Bucket::open("issuers").unwrap().set(&format!("asking/{ISSUER}"), b"", Some(6_000)).unwrap();
    lock();
    assert_eq!(taken(&good()).as_deref(), no(&Refused::Unavailable).as_deref(), "nothing is known, and another asks");
    assert_eq!(network.asked.borrow().len(), 0);
    // Whoever asked has died: its place is free after a while.
    advance_ms(6_000);
    assert_eq!(taken(&good()), Ok("taken"));
    advance_ms(600_000);
    lock();
    let later = token(HEADER, &claims_with(json!({"exp": *NOW + 10_000})), By::Rs256);
    assert_eq!((taken(&later), network.key_questions()), (Ok("taken"), 1), "what is known is good enough meanwhile");
}

#[test]
fn another_issuers_metadata_is_not_believed() {
    Network::new();
    testing::answer_fetches(|sent| {
        let body = match sent.request.url.as_str() {
            "https://id.example/jwks" => key_set().to_string(),
            _ => json!({"issuer": "https://id.example", "jwks_uri": "https://id.example/jwks"}).to_string(),
        };
        Ok(reply(200, &body))
    });
    assert_eq!(taken(&good()).as_deref(), no(&Refused::Unavailable).as_deref());
    let config = json!({"resource": RESOURCE, "issuers": [{"issuer": ISSUER, "jwks_uri": "https://id.example/jwks"}]});
    advance_ms(10_000);
    assert!(ask(&plugin(&config), &good()).is_ok(), "the operator has said where the keys are");
}

#[test]
fn keys_are_not_fetched_in_the_clear() {
    Network::new();
    testing::answer_fetches(|sent| match sent.request.url.as_str() {
        "http://id.example/jwks" => panic!("it was asked"),
        _ => Ok(reply(200, &json!({"issuer": ISSUER, "jwks_uri": "http://id.example/jwks"}).to_string())),
    });
    assert_eq!(taken(&good()).as_deref(), no(&Refused::Unavailable).as_deref());
}

#[test]
fn a_store_that_is_away_lets_nobody_in_and_accuses_nobody() {
    Network::new();
    testing::break_kv("down");
    assert_eq!(taken(&good()).as_deref(), no(&Refused::Unavailable).as_deref());
}

#[test]
fn what_an_issuer_writes_breaks_nothing() {
    let many: Vec<_> = (0..10_000).map(|at| json!({"kty": "RSA", "kid": at})).collect();
    for keys in [json!(null), json!([]), json!({}), json!({"keys": {}}), json!({"keys": [1, null, {}, {"kty": 1}]}), json!({"keys": many})]
    {
        let network = Network::new();
        *network.keys.borrow_mut() = keys;
        assert!(taken(&good()).is_err());
    }
}
