//! One batch of every operation of a bucket on each request; the attribute `said` is what came of each.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::kv::{Bucket, Error, Op, Outcome};
use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    /// Instead of one of each: so many times `incr`.
    many: Option<usize>,
}

struct KvBatch(Settings);

impl Plugin for KvBatch {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("kv-batch", "0.1.0", "Counts in batches.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(KvBatch(settings))
    }
}

impl KvBatch {
    fn ops(&self) -> Vec<Op> {
        match self.0.many {
            Some(many) => (0..many).map(|_| Op::incr("many", 1, 60_000)).collect(),
            None => [
                Op::get("last"),
                Op::set("last", b"x", None),
                Op::incr("last", 1, 60_000),
                Op::incr("count", 1, 60_000),
                Op::take("take", 1, 1, 0.001),
                Op::swap("first", None, b"y", None),
                Op::delete("last"),
                Op::get("last"),
            ]
            .into(),
        }
    }
}

fn said(outcome: Result<Outcome, Error>) -> String {
    match outcome {
        Ok(Outcome::Value(value)) => alloc::format!("value:{}", value.map_or(0, |bytes| bytes.len())),
        Ok(Outcome::Done) => "done".into(),
        Ok(Outcome::Count(count)) => alloc::format!("count:{count}"),
        Ok(Outcome::WaitMs(0)) => "taken".into(),
        Ok(Outcome::WaitMs(_)) => "wait".into(),
        Ok(Outcome::Swapped(swapped)) => alloc::format!("swapped:{swapped}"),
        Err(error) => failed(&error).into(),
    }
}

fn failed(error: &Error) -> &'static str {
    match error {
        Error::Denied => "denied",
        Error::Unavailable(_) => "unavailable",
        Error::Conflict => "conflict",
        Error::TooLarge => "too-large",
    }
}

impl OnRequest for KvBatch {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let outcomes = Bucket::open("batch").and_then(|bucket| bucket.batch(&self.ops()));
        let text = match outcomes {
            Ok(outcomes) => outcomes.into_iter().map(said).collect::<Vec<_>>().join(" "),
            Err(error) => failed(&error).into(),
        };
        let _ = x.set_attr("said", &text);
        Verdict::Next
    }
}

sluice_sdk::export!(KvBatch: on_request);
sluice_sdk::lean!();
