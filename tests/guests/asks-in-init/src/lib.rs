//! Asks the host for something while it starts, and tells every caller what it got: the same for all, or each instance's own.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};

use sluice_sdk::kv::Bucket;
use sluice_sdk::prelude::*;
use sluice_sdk::{clock, log, metrics, patterns, random};

#[derive(serde::Deserialize)]
struct Settings {
    /// "nothing", "log", "patterns", "bad-patterns", "bucket", "counter", "time" or "random".
    asks: String,
}

struct AsksInInit {
    got: String,
    bucket: Option<Bucket>,
}

impl Plugin for AsksInInit {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("asks-in-init", "0.1.0", "Asks the host while it starts.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        let define = |regex: &str| patterns::define("set", &[patterns::Pattern { regex: regex.to_string(), case_insensitive: false }]);
        let (mut got, mut bucket) = (settings.asks.clone(), None);
        match &*settings.asks {
            "log" => log::info("starting"),
            "patterns" => define("x")?,
            "bad-patterns" => got = define("(").err().unwrap_or_default(),
            "bucket" => bucket = Some(Bucket::open("own").map_err(|error| format!("{error:?}"))?),
            "counter" => metrics::add("starts", 1, &[]),
            "time" => got = clock::unix_seconds().to_string(),
            "random" => got = u64::from_le_bytes(random::bytes()).to_string(),
            _ => {}
        }
        Ok(AsksInInit { got, bucket })
    }
}

impl OnRequest for AsksInInit {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        // A handle from `init` is good in the instance that has it.
        if let Some(bucket) = &self.bucket {
            let _ = bucket.get("key");
        }
        let _ = x.set_attr("got", &self.got);
        Verdict::Next
    }
}

sluice_sdk::export!(AsksInInit: on_request);
sluice_sdk::lean!();
