//! Uses every operation of a bucket on each request and notes what came of it.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::kv::{Bucket, Error};
use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    #[serde(default = "counts")]
    bucket: String,
    #[serde(default = "minute")]
    ttl_ms: u32,
}

fn counts() -> String {
    "counts".into()
}

fn minute() -> u32 {
    60_000
}

struct KvCounter(Settings);

impl Plugin for KvCounter {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("kv-counter", "0.1.0", "Counts in kv.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(KvCounter(settings))
    }
}

impl KvCounter {
    fn count(&self, head: &Head, x: &Exchange) -> Result<(), Error> {
        let bucket = Bucket::open(&self.0.bucket)?;
        let name = head.name.as_deref().unwrap_or_default();
        let count = bucket.incr(&alloc::format!("count {name}"), 1, self.0.ttl_ms)?;
        let wait_ms = bucket.take(&alloc::format!("take {name}"), 1, 3, 1.0)?;
        let before = bucket.get("last")?.map_or("none".into(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        bucket.set("last", name.as_bytes(), Some(self.0.ttl_ms))?;
        let first = bucket.swap("first", None, name.as_bytes(), None)?;
        bucket.set("gone", b"x", None)?;
        bucket.delete("gone")?;
        let gone = bucket.get("gone")?.is_none();
        for (key, value) in [
            ("count", alloc::format!("{count}")),
            ("wait-ms", alloc::format!("{wait_ms}")),
            ("before", before),
            ("first", alloc::format!("{first}")),
            ("gone", alloc::format!("{gone}")),
        ] {
            let _ = x.set_attr(key, &value);
        }
        Ok(())
    }
}

impl OnRequest for KvCounter {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        if let Err(error) = self.count(head, x) {
            let said = match error {
                Error::Denied => "denied",
                Error::Unavailable(_) => "unavailable",
                Error::Conflict => "conflict",
                Error::TooLarge => "too-large",
            };
            let _ = x.set_attr("error", said);
        }
        Verdict::Next
    }
}

sluice_sdk::export!(KvCounter: on_request);
sluice_sdk::lean!();
