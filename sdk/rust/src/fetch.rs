//! Requests to hosts that the operator granted (`fetch:https://api.example.com GET,POST`). Imports `sluice:filter/fetch`.
//!
//! ```
//! use sluice_sdk::fetch::{self, Capture, Place, Request};
//! use sluice_sdk::secrets::{Owner, Secret};
//! # use sluice_sdk::testing::{self, FakeExchange};
//! # testing::set_secret("client", b"s");
//! # testing::answer_fetches(|_| Ok(fetch::Response { status: 200, headers: vec![], body: br#"{"access_token":"t"}"#.to_vec(), captured: vec![] }));
//! # let x = &FakeExchange::default();
//! // A token that this plugin uses and never sees.
//! let client = Secret::open("client").unwrap();
//! let ask = Request::post("https://id.example.com/token", b"grant_type=client_credentials").header("content-type", "application/x-www-form-urlencoded");
//! let answer = fetch::send(x, &ask, &[(Place::basic("me"), &client)], &[Capture::new("/access_token", Owner::Plugin, "token").for_ms(60_000)]);
//! assert_eq!(answer.unwrap().captured, [true]);
//! ```

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::exchange::Exchange;
use crate::secrets::{Owner, Secret};

pub use crate::bindings::base::sluice::filter::fetch::{Capture, Error, Place, Request, Response};

impl Request {
    /// Any method.
    pub fn new(method: &str, url: &str) -> Self {
        Request { method: method.to_string(), url: url.to_string(), headers: Vec::new(), body: Vec::new(), timeout_ms: None }
    }

    /// A `GET`.
    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// A `POST`; what the body is, `content-type` says.
    pub fn post(url: &str, body: &[u8]) -> Self {
        Request { body: body.to_vec(), ..Self::new("POST", url) }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// How long it may take, at most.
    pub fn within_ms(mut self, ms: u32) -> Self {
        self.timeout_ms = Some(ms);
        self
    }
}

impl Place {
    /// A header whose value is `prefix` and the secret.
    pub fn header(name: &str, prefix: &str) -> Self {
        Place::Header((name.to_string(), prefix.to_string()))
    }

    /// `authorization: Basic`, the secret as the password.
    pub fn basic(user: &str) -> Self {
        Place::Basic(user.to_string())
    }

    /// A further member of a form.
    pub fn form(name: &str) -> Self {
        Place::Form(name.to_string())
    }
}

impl Capture {
    /// Keeps what is at this JSON pointer of the answer, until the host ends.
    pub fn new(pointer: &str, owner: Owner, name: &str) -> Self {
        Capture { pointer: pointer.to_string(), owner, name: name.to_string(), ttl_ms: None }
    }

    /// For so long.
    pub fn for_ms(mut self, ms: u32) -> Self {
        self.ttl_ms = Some(ms);
        self
    }
}

impl Response {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

/// Sends a request and waits for the answer, whatever its status.
pub fn send(x: &Exchange, request: &Request, secrets: &[(Place, &Secret)], captures: &[Capture]) -> Result<Response, Error> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::base::sluice::filter::fetch::send(x, request, secrets, captures);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::send(x, request, secrets, captures)
}
