//! Answers with the hits of its patterns.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::json;
use sluice_sdk::patterns::{self, Pattern};
use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    patterns: Vec<String>,
    #[serde(default)]
    case_insensitive: bool,
    #[serde(default)]
    roots: Vec<String>,
}

struct Scans(Settings);

impl Plugin for Scans {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("scan", "0.1.0", "Answers with hits.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        let case_insensitive = settings.case_insensitive;
        let pattern = |regex: &String| Pattern { regex: regex.clone(), case_insensitive };
        let all: Vec<_> = settings.patterns.iter().map(pattern).collect();
        patterns::define("all", &all)?;
        Ok(Scans(settings))
    }
}

impl OnRequest for Scans {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let roots: Vec<&str> = self.0.roots.iter().map(String::as_str).collect();
        let hits = match x.scan("all", &roots) {
            Ok(hits) => hits,
            Err(AccessError::TooLarge) => return Rejection::new(4000, "too-large").into(),
            Err(AccessError::Denied(_)) => return Rejection::new(4000, "denied").into(),
            Err(AccessError::BadPointer(_)) => return Rejection::new(4000, "bad-pointer").into(),
        };
        let hits: Vec<_> = hits
            .iter()
            .map(|hit| {
                let (pointer, text) = (json::string(&hit.pointer), json::string(&hit.text));
                alloc::format!("[{pointer},{},{},{},{},{text}]", hit.in_key, hit.start, hit.end, hit.pattern)
            })
            .collect();
        Verdict::Reply(alloc::format!(r#"{{"content":[],"structuredContent":{{"hits":[{}]}}}}"#, hits.join(",")))
    }
}

sluice_sdk::export!(Scans: on_request);
sluice_sdk::lean!();
