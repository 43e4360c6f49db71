//! Answers with what it reads: one pointer, many, the whole message, and in an answer what was asked.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    pointers: Vec<String>,
    /// "get", "get-many", "text" or (in answers) "asked".
    by: String,
    /// Let pass instead of answering: for measuring what reading costs.
    #[serde(default)]
    silent: bool,
}

struct ReadsArguments(Settings);

impl Plugin for ReadsArguments {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("reads-arguments", "0.1.0", "Answers with what it reads.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(ReadsArguments(settings))
    }
}

impl ReadsArguments {
    fn read(&self, x: &Exchange) -> Verdict {
        let pointers: Vec<&str> = self.0.pointers.iter().map(String::as_str).collect();
        let values: Vec<Option<String>> = match self.0.by.as_str() {
            "text" => alloc::vec![x.text().ok()],
            "get-many" => x.get_many(&pointers),
            "asked" => pointers.iter().map(|pointer| x.asked(pointer)).collect(),
            _ => pointers.iter().map(|pointer| x.get(pointer)).collect(),
        };
        if self.0.silent {
            return Verdict::Next;
        }
        let texts: Vec<_> = values.into_iter().map(|value| value.unwrap_or("null".into())).collect();
        Verdict::Reply(alloc::format!(r#"{{"content":[],"structuredContent":{{"read":[{}]}}}}"#, texts.join(",")))
    }
}

impl OnRequest for ReadsArguments {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        if self.0.by == "asked" { Verdict::Next } else { self.read(x) }
    }
}

impl OnResponse for ReadsArguments {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        if self.0.by == "asked" { self.read(x) } else { Verdict::Next }
    }
}

sluice_sdk::export!(ReadsArguments: on_request, on_response);
sluice_sdk::lean!();
