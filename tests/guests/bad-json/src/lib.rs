//! Answers and edits with text that is not strict JSON.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    /// How: "invalid", "duplicate-key", "lone-surrogate", "deep", "not-an-object", "trailing".
    what: String,
    /// Where to: "reply", "set" or "data" (of a rejection).
    to: String,
    /// "request" or "response".
    #[serde(default = "request")]
    on: String,
    /// Target of "set".
    pointer: Option<String>,
}

fn request() -> String {
    "request".into()
}

struct BadJson(Settings);

impl Plugin for BadJson {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("bad-json", "0.1.0", "Writes JSON that is none.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(BadJson(settings))
    }
}

impl BadJson {
    fn text(&self) -> String {
        match self.0.what.as_str() {
            "duplicate-key" => r#"{"content":[],"a":1,"\u0061":2}"#.into(),
            "lone-surrogate" => r#"{"content":[{"type":"text","text":"\ud800"}]}"#.into(),
            "deep" => "[".repeat(10_000) + &"]".repeat(10_000),
            "not-an-object" => "42".into(),
            "trailing" => r#"{"content":[]} {"id":1}"#.into(),
            _ => r#"{"content":[}"#.into(),
        }
    }

    fn answer(&self, on: &str, x: &Exchange) -> Verdict {
        if self.0.on != on {
            return Verdict::Next;
        }
        match self.0.to.as_str() {
            "set" => {
                let pointer = self.0.pointer.as_deref().unwrap_or("/params/arguments/x");
                // Whether the host refuses here or at the end is its own affair; a test looks at what comes out.
                let _ = x.stage(&[Edit::set(pointer, self.text())]);
                Verdict::Next
            }
            "data" => Rejection::new(4000, "see data").data(self.text()).into(),
            _ => Verdict::Reply(self.text()),
        }
    }
}

impl OnRequest for BadJson {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        self.answer("request", x)
    }
}

impl OnResponse for BadJson {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        self.answer("response", x)
    }
}

sluice_sdk::export!(BadJson: on_request, on_response);
sluice_sdk::lean!();
