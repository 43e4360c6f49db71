//! T24: the table of tokens, each held against the plugin. The host's tests hold it against the component.

mod support;

use serde_json::json;
use support::{
    rows::{Row, all, honest},
    *,
};

#[test]
fn every_token_is_taken_for_what_it_is() {
    let rows = all();
    let (mut wrong, passed) = (Vec::new(), rows.iter().filter(|row| row.refused.is_none()).count());
    for Row { name, token, refused } in &rows {
        Network::new();
        let outcome = ask(&plugin(&config()), token);
        let is_right = match (&outcome, refused) {
            (Ok(who), None) => who.subject == "ada",
            (Err(message), Some(refused)) => *message == refused.to_string(),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{name}: {outcome:?}, not {refused:?}"));
        }
    }
    println!("{} tokens: {passed} to be taken, {} not; {} wrong", rows.len(), rows.len() - passed, wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() - passed >= 100 && passed >= 15, "{} rows", rows.len());
}

/// The control of the table: with the issuer's keys exchanged nothing passes, so what passed did by its signature.
#[test]
fn nothing_passes_under_other_keys() {
    for Row { name, token, .. } in honest() {
        let network = Network::new();
        *network.keys.borrow_mut() = json!({"keys": [rsa_jwk(&KEYS.rsa_other, json!({"kid": "r"}))]});
        assert!(ask(&plugin(&config()), &token).is_err(), "{name}");
    }
}
