//! A host whose network has an issuer in it, and nobody else.

#![allow(dead_code, reason = "each test uses some of it")]

pub mod issuer;
pub mod rows;

pub use issuer::*;
pub use sluice_plugin_auth_jwt::refused;

use serde_json::{Value, json};
use sluice_plugin_auth_jwt::AuthJwt;
use sluice_sdk::fetch::{Error, Response};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};
use std::cell::RefCell;
use std::rc::Rc;

pub fn config() -> Value {
    json!({"resource": RESOURCE, "issuers": [{"issuer": ISSUER}], "scopes": ["mcp"]})
}

pub fn plugin(config: &Value) -> AuthJwt {
    testing::plugin(&config.to_string()).unwrap_or_else(|error| panic!("{error}"))
}

/// What a network answers, and what it was asked.
#[derive(Clone, Default)]
pub struct Network {
    pub asked: Rc<RefCell<Vec<String>>>,
    pub keys: Rc<RefCell<Value>>,
    pub is_down: Rc<RefCell<bool>>,
}

impl Network {
    /// A fresh host at [`NOW`], whose network has the issuer in it.
    pub fn new() -> Self {
        testing::reset();
        testing::set_clock_ms(*NOW * 1000);
        let network = Network::default();
        *network.keys.borrow_mut() = key_set();
        let own = network.clone();
        testing::answer_fetches(move |sent| own.answer(&sent.request.url));
        network
    }

    fn answer(&self, url: &str) -> Result<Response, Error> {
        self.asked.borrow_mut().push(url.to_string());
        if *self.is_down.borrow() {
            return Err(Error::Unreachable("down".to_string()));
        }
        let body = match url {
            "https://id.example/.well-known/openid-configuration/t" => json!({"issuer": ISSUER, "jwks_uri": "https://id.example/jwks"}),
            "https://id.example/jwks" => self.keys.borrow().clone(),
            _ => return Ok(reply(404, "")),
        };
        Ok(reply(200, &body.to_string()))
    }

    /// How often its keys were asked for.
    pub fn key_questions(&self) -> usize {
        self.asked.borrow().iter().filter(|url| url.ends_with("/jwks")).count()
    }
}

pub fn reply(status: u16, body: &str) -> Response {
    Response { status, headers: Vec::new(), body: body.as_bytes().to_vec(), captured: Vec::new() }
}

pub fn bearer(token: &str) -> Credential {
    Credential { scheme: "bearer".to_string(), value: token.to_string() }
}

/// Who this token is, or why not.
pub fn ask(plugin: &AuthJwt, token: &str) -> Result<Principal, String> {
    ask_from(plugin, token, &FakeExchange::default())
}

pub fn ask_from(plugin: &AuthJwt, token: &str, x: &FakeExchange) -> Result<Principal, String> {
    match plugin.authenticate(&bearer(token), x) {
        Outcome::Identified(who) => Ok(who),
        Outcome::Challenge(no) => Err(no.message),
        Outcome::Abstain => Err("left to others".to_string()),
    }
}
