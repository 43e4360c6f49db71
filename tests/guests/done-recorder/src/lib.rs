//! Keeps what it is told at the end of each exchange, and answers with it: `tools/call` of `done`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;

use sluice_sdk::json;
use sluice_sdk::kv::Bucket;
use sluice_sdk::metrics;
use sluice_sdk::plugin::{Done, Ending};
use sluice_sdk::prelude::*;

struct DoneRecorder;

impl Plugin for DoneRecorder {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("done-recorder", "0.1.0", "Keeps what it is told at the end.").stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(DoneRecorder)
    }
}

/// In kv, since every call may have an instance of its own.
const BUCKET: &str = "done";

impl OnRequest for DoneRecorder {
    fn on_request(&self, head: &Head, _: &Exchange) -> Verdict {
        if head.name.as_deref() != Some("done") {
            return Verdict::Next;
        }
        let last = Bucket::open(BUCKET).and_then(|bucket| bucket.get("last"));
        let last = last.ok().flatten().map_or("null".into(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        Verdict::Reply(alloc::format!(r#"{{"content":[],"structuredContent":{{"last":{last}}}}}"#))
    }
}

impl OnDone for DoneRecorder {
    fn on_done(&self, head: &Head, done: &Done, x: &Exchange) {
        let outcome = match done.outcome {
            Ending::Answered => "answered",
            Ending::Refused => "refused",
            Ending::Failed => "failed",
            Ending::Cancelled => "cancelled",
        };
        let mut passed = String::new();
        for step in &done.passed {
            if !passed.is_empty() {
                passed.push(',');
            }
            passed += &json::string(&alloc::format!("{} {} {}", step.plugin, step.hook, step.verdict));
        }
        let record = alloc::format!(
            r#"{{"exchange":{},"method":{},"outcome":"{outcome}","code":{},"requestBytes":{},"responseBytes":{},"timed":{},"passed":[{passed}],"subject":{}}}"#,
            head.exchange,
            json::string(head.method.as_str()),
            done.code.map_or("null".into(), |code| alloc::format!("{code}")),
            done.request_bytes,
            done.response_bytes,
            done.micros >= done.upstream_micros,
            json::string(&x.attr("principal.subject").unwrap_or_default()),
        );
        metrics::add("done", 1, &[("outcome", outcome)]);
        if let Ok(bucket) = Bucket::open(BUCKET) {
            let _ = bucket.set("last", record.as_bytes(), None);
            let _ = bucket.incr(outcome, 1, u32::MAX);
        }
    }
}

sluice_sdk::export!(DoneRecorder: on_request, on_done);
sluice_sdk::lean!();
