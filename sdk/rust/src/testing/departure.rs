//! A request that is about to leave, in a test.

use sha2::{Digest, Sha256};

use super::FakeSecret;
use crate::outbound::{Challenge, Departs, OutboundVerdict, Value};

/// What [`Departure`](crate::outbound::Departure) is natively.
#[derive(Debug, Clone)]
pub struct FakeDeparture {
    upstream: String,
    url: String,
    method: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    challenge: Option<Challenge>,
    sent: Vec<Vec<u8>>,
}

impl FakeDeparture {
    /// A `POST` to this upstream.
    pub fn new(upstream: &str, url: &str) -> Self {
        FakeDeparture {
            upstream: upstream.to_string(),
            url: url.to_string(),
            method: "POST".to_string(),
            headers: Vec::new(),
            body: Vec::new(),
            challenge: None,
            sent: Vec::new(),
        }
    }

    /// With another method.
    pub fn with_method(mut self, method: &str) -> Self {
        self.method = method.to_string();
        self
    }

    /// With a header that is set.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// With this body.
    pub fn with_body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// Refused a moment ago, with these values of `WWW-Authenticate`.
    pub fn refused(mut self, status: u16, www_authenticate: &[&str]) -> Self {
        let www_authenticate = www_authenticate.iter().map(ToString::to_string).collect();
        self.challenge = Some(Challenge { status, www_authenticate });
        self
    }

    /// And it was sent with this secret then.
    pub fn with_sent(mut self, secret: &[u8]) -> Self {
        self.sent.push(secret.to_vec());
        self
    }
}

impl Departs for FakeDeparture {
    fn upstream(&self) -> String {
        self.upstream.clone()
    }
    fn url(&self) -> String {
        self.url.clone()
    }
    fn method(&self) -> String {
        self.method.clone()
    }
    fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }
    fn body_sha256(&self) -> Vec<u8> {
        Sha256::digest(&self.body).to_vec()
    }
    fn challenge(&self) -> Option<Challenge> {
        self.challenge.clone()
    }
    fn refused(&self, secret: &FakeSecret) -> bool {
        self.challenge.is_some() && self.sent.contains(&secret.bytes)
    }
}

/// The headers that a request would leave with, secrets in clear; none unless the verdict lets it go.
pub fn sent(verdict: &OutboundVerdict) -> Vec<(String, String)> {
    let OutboundVerdict::Next(headers) = verdict else { return Vec::new() };
    let value = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Secret(prefix, secret) => format!("{prefix}{}", String::from_utf8_lossy(&secret.bytes)),
    };
    headers.0.iter().map(|(name, one)| (name.clone(), value(one))).collect()
}
