//! Keeps all it sees, and answers with it once: `tools/call` of `recorded`. As the control of the parity run it can be told to
//! look at what belongs to an era.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use sluice_sdk::json;
use sluice_sdk::kv::Bucket;
use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    /// Refuses calls of legacy clients, which no filter should.
    #[serde(default)]
    control: bool,
}

struct Recorder(Settings);

impl Plugin for Recorder {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("recorder", "0.1.0", "Keeps all it sees.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Recorder(settings))
    }
}

/// In kv, since every call may have an instance of its own.
const BUCKET: &str = "seen";
const KEY: &str = "all";

fn kept() -> Option<(Bucket, String)> {
    let bucket = Bucket::open(BUCKET).ok()?;
    let before = bucket.get(KEY).ok()?.unwrap_or_default();
    Some((bucket, String::from_utf8(before).ok()?))
}

fn keep(head: &Head, x: &Exchange) {
    let Some((bucket, mut all)) = kept() else { return };
    let mut labels = String::new();
    for (key, value) in x.attrs("") {
        let comma = if labels.is_empty() { "" } else { "," };
        labels += &format!("{comma}{}:{}", json::string(&key), json::string(&value));
    }
    let kind = match head.kind {
        Kind::Request => "request",
        Kind::Response => "response",
        Kind::Notification => "notification",
        Kind::InputRequest => "input-request",
        Kind::InputResponse => "input-response",
    };
    let comma = if all.is_empty() { "" } else { "," };
    all += &format!(
        r#"{comma}{{"kind":"{kind}","to":"{}","exchange":"{}","round":{},"method":{},"name":{},"labels":{{{labels}}},"message":{}}}"#,
        if head.direction == Direction::ToServer { "server" } else { "client" },
        head.exchange,
        head.round,
        json::string(head.method.as_str()),
        json::string(head.name.as_deref().unwrap_or_default()),
        x.text().unwrap_or_else(|_| "null".into()),
    );
    let _ = bucket.set(KEY, all.as_bytes(), None);
}

impl OnRequest for Recorder {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        if head.name.as_deref() == Some("recorded") {
            let Some((bucket, all)) = kept() else { return Rejection::new(4000, "nothing can be kept").into() };
            let _ = bucket.delete(KEY);
            return Verdict::Reply(format!(r#"{{"content":[],"structuredContent":{{"seen":[{all}]}}}}"#));
        }
        keep(head, x);
        if self.0.control && x.protocol() != "2026-07-28" {
            return Rejection::new(4001, "too old").into();
        }
        Verdict::Next
    }
}

impl OnResponse for Recorder {
    fn on_response(&self, head: &Head, x: &Exchange) -> Verdict {
        if head.name.as_deref() != Some("recorded") {
            keep(head, x);
        }
        Verdict::Next
    }
}

impl OnNotification for Recorder {
    fn on_notification(&self, head: &Head, x: &Exchange) -> NotificationVerdict {
        keep(head, x);
        NotificationVerdict::Next
    }
}

impl OnCatalog for Recorder {
    fn on_catalog(&self, _: &Viewer, kind: ListKind, _: &[Entry]) -> Answer {
        if kind != ListKind::Tools {
            return Answer::keep_all();
        }
        let own = r#"{"name":"recorded","description":"What was seen.","inputSchema":{"type":"object"}}"#;
        Answer { changes: alloc::vec::Vec::new(), added: alloc::vec![own.into()] }
    }
}

sluice_sdk::export!(Recorder: on_request, on_response, on_notification, on_catalog);
sluice_sdk::lean!();
