//! Writes into every answer which generation of itself saw the request and which the answer.
//!
//! A call that two generations had a part in shows two values.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::json;
use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    generation: String,
}

struct Generation(Settings);

impl Plugin for Generation {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("generation", "0.1.0", "Says which generation it is.")
            .schema(r#"{"type":"object","properties":{"generation":{"type":"string"}},"required":["generation"]}"#)
            .edits(&["/result/_meta/**"])
            .stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Generation(settings))
    }
}

impl OnRequest for Generation {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let _ = x.set_attr("request", &self.0.generation);
        Verdict::Next
    }
}

impl OnResponse for Generation {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        let request = json::string(&x.attr("generation.request").unwrap_or_default());
        let response = json::string(&self.0.generation);
        let both = alloc::format!(r#"{{"request":{request},"response":{response}}}"#);
        // The parent must exist; an answer without a result, an error, is left alone.
        let edit = match x.get_many(&["/result", "/result/_meta"]).as_slice() {
            [Some(_), Some(_)] => Edit::set("/result/_meta/generation", both),
            [Some(_), None] => Edit::set("/result/_meta", alloc::format!(r#"{{"generation":{both}}}"#)),
            _ => return Verdict::Next,
        };
        match x.stage(&[edit]) {
            Ok(()) => Verdict::Next,
            Err(_) => Rejection::new(4000, "the host took no edit of _meta").into(),
        }
    }
}

sluice_sdk::export!(Generation: on_request, on_response);
sluice_sdk::lean!();
