//! Sends the request that the arguments of a call describe, and answers with what came back.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Value, json};
use sluice_sdk::fetch::{self, Capture, Error, Place, Request, Response};
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::{self, Owner, Secret};

#[derive(serde::Deserialize)]
struct Wanted {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    timeout_ms: Option<u32>,
    /// Kind of place, its text, what goes before it, name of the secret.
    #[serde(default)]
    secrets: Vec<(String, String, String, String)>,
    /// Pointer, name.
    #[serde(default)]
    captures: Vec<(String, String)>,
}

fn get() -> String {
    "GET".into()
}

struct Fetches;

impl Plugin for Fetches {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("fetches", "0.1.0", "Fetches what it is told to.")
            .select(Hook::OnRequest, &["tools/call"], &[])
            .need("fetch", "to fetch")
            .may_need("secret", "to send along")
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Fetches)
    }
}

fn fetch(x: &Exchange, wanted: Wanted) -> Result<Value, Error> {
    let mut request = Request::new(&wanted.method, &wanted.url);
    (request.headers, request.body, request.timeout_ms) = (wanted.headers, wanted.body.into_bytes(), wanted.timeout_ms);
    let mut used = Vec::new();
    for (kind, text, prefix, name) in &wanted.secrets {
        let place = match kind.as_str() {
            "basic" => Place::basic(text),
            "form" => Place::form(text),
            _ => Place::header(text, prefix),
        };
        let secret = Secret::open(name).or_else(|_| secrets::open_own(x, Owner::Principal, name));
        used.push((place, secret.map_err(|_| Error::Denied("no such secret".into()))?));
    }
    let used: Vec<_> = used.iter().map(|(place, secret)| (place.clone(), secret)).collect();
    let captures: Vec<_> = wanted.captures.iter().map(|(pointer, name)| Capture::new(pointer, Owner::Principal, name)).collect();
    let Response { status, headers, body, captured } = fetch::send(x, &request, &used, &captures)?;
    let kept = wanted.captures.iter().map(|(_, name)| match secrets::open_own(x, Owner::Principal, name) {
        Ok(secret) => secret.hmac_sha256(b"").iter().map(|byte| alloc::format!("{byte:02x}")).collect(),
        Err(_) => String::new(),
    });
    let kept: Vec<String> = kept.collect();
    Ok(json!({"status": status, "headers": headers, "body": String::from_utf8_lossy(&body), "captured": captured, "kept": kept}))
}

impl OnRequest for Fetches {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let arguments = x.get("/params/arguments").unwrap_or_default();
        let answer = match serde_json::from_str(&arguments) {
            Ok(wanted) => fetch(x, wanted),
            Err(error) => Err(Error::Denied(error.to_string())),
        };
        let said = answer.unwrap_or_else(|error| match error {
            Error::Denied(why) => json!({"error": "denied", "why": why}),
            Error::Unreachable(why) => json!({"error": "unreachable", "why": why}),
            Error::Timeout => json!({"error": "timeout"}),
            Error::TooLarge => json!({"error": "too-large"}),
        });
        Verdict::Reply(json!({"content": [], "structuredContent": said, "resultType": "complete"}).to_string())
    }
}

sluice_sdk::export!(Fetches: on_request);
sluice_sdk::lean!();
