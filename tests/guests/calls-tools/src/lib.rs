//! Calls the tool that the arguments of `ask` name, and answers with what came back.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::{String, ToString};

use serde_json::{Value, json};
use sluice_sdk::prelude::*;
use sluice_sdk::upstream::{self, Error};

#[derive(serde::Deserialize)]
struct Settings {
    /// Its hook for answers calls, too.
    #[serde(default)]
    on_response: bool,
}

#[derive(serde::Deserialize)]
struct Wanted {
    upstream: String,
    tool: String,
    #[serde(default)]
    arguments: Value,
    timeout_ms: Option<u32>,
}

struct CallsTools(Settings);

impl Plugin for CallsTools {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("calls-tools", "0.1.0", "Calls tools.")
            .schema(r#"{"type":"object"}"#)
            .select(Hook::OnRequest, &["tools/call"], &["*_ask"])
            .select(Hook::OnNotification, &[], &[])
            .need("upstream", "to call")
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(CallsTools(settings))
    }
}

fn called(x: &Exchange, wanted: &Wanted) -> Value {
    let arguments = wanted.arguments.to_string();
    match upstream::call_tool(x, &wanted.upstream, &wanted.tool, &arguments, wanted.timeout_ms) {
        Ok(result) => json!({"result": serde_json::from_str::<Value>(&result).unwrap_or(Value::String(result))}),
        Err(Error::Denied(why)) => json!({"error": "denied", "why": why}),
        Err(Error::Unknown) => json!({"error": "unknown"}),
        Err(Error::Failed((code, text))) => json!({"error": "failed", "code": code, "why": text}),
        Err(Error::Timeout) => json!({"error": "timeout"}),
        Err(Error::TooLarge) => json!({"error": "too-large"}),
    }
}

fn answer(said: &Value) -> String {
    json!({"content": [{"type": "text", "text": said.to_string()}], "structuredContent": said, "resultType": "complete"}).to_string()
}

impl OnRequest for CallsTools {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let arguments = x.get("/params/arguments").unwrap_or_default();
        match serde_json::from_str::<Wanted>(&arguments) {
            Ok(wanted) if !self.0.on_response => Verdict::Reply(answer(&called(x, &wanted))),
            _ => Verdict::Next,
        }
    }
}

impl OnResponse for CallsTools {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        let arguments = x.asked("/params/arguments").unwrap_or_default();
        match serde_json::from_str::<Wanted>(&arguments) {
            Ok(wanted) if self.0.on_response => Verdict::Reply(answer(&called(x, &wanted))),
            _ => Verdict::Next,
        }
    }
}

impl OnNotification for CallsTools {
    fn on_notification(&self, _: &Head, x: &Exchange) -> NotificationVerdict {
        let wanted = Wanted { upstream: "b".to_string(), tool: "echo".to_string(), arguments: json!({}), timeout_ms: None };
        let _ = x.set_attr("in-notification", &called(x, &wanted).to_string());
        NotificationVerdict::Next
    }
}

sluice_sdk::export!(CallsTools: on_request, on_response, on_notification);
sluice_sdk::lean!();
