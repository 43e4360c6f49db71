//! Decides as its settings say.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    /// "request", "response" or "notification".
    on: String,
    /// Only for this tool, prompt or URI.
    name: Option<String>,
    verdict: Wanted,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    Next,
    /// JSON text.
    Reply(String),
    Reject {
        code: i32,
        message: String,
        data: Option<String>,
        status: Option<u16>,
        #[serde(default)]
        headers: Vec<(String, String)>,
        #[serde(default)]
        as_tool_result: bool,
    },
    /// Asks a person, until there is an answer.
    Suspend {
        message: String,
        form: Option<String>,
        url: Option<String>,
    },
    /// A verdict the host does not know.
    Other(String),
}

struct Decides(Settings);

impl Plugin for Decides {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("verdict", "0.1.0", "Decides as told.").schema(r#"{"type":"object","required":["on","verdict"]}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Decides(settings))
    }
}

impl Decides {
    fn verdict(&self, on: &str, head: &Head) -> Verdict {
        if self.0.on != on || self.0.name.is_some() && self.0.name != head.name {
            return Verdict::Next;
        }
        match &self.0.verdict {
            Wanted::Next => Verdict::Next,
            Wanted::Reply(json) => Verdict::Reply(json.clone()),
            Wanted::Suspend { message, form: _, url: Some(url) } => Verdict::suspend(Suspension::url(message, url)),
            Wanted::Suspend { message, form: Some(form), url: None } => Verdict::suspend(Suspension::form(message, form.clone())),
            Wanted::Suspend { message, form: None, url: None } => Verdict::suspend(Suspension::confirm(message)),
            Wanted::Other(name) => Verdict::Other((name.clone(), "{}".into())),
            Wanted::Reject { code, message, data, status, headers, as_tool_result } => Verdict::Reject(Rejection {
                code: *code,
                message: message.clone(),
                data: data.clone(),
                http_status: *status,
                http_headers: headers.clone(),
                as_tool_result: *as_tool_result,
            }),
        }
    }
}

impl OnRequest for Decides {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        match self.verdict("request", head) {
            Verdict::Suspend(_) if x.elicited("verdict").is_some() => Verdict::Next,
            verdict => verdict,
        }
    }
}

impl OnResponse for Decides {
    fn on_response(&self, head: &Head, _: &Exchange) -> Verdict {
        self.verdict("response", head)
    }
}

impl OnNotification for Decides {
    fn on_notification(&self, head: &Head, _: &Exchange) -> NotificationVerdict {
        match self.verdict("notification", head) {
            Verdict::Next => NotificationVerdict::Next,
            Verdict::Reply(_) | Verdict::Suspend(_) => NotificationVerdict::Drop,
            Verdict::Reject(no) => NotificationVerdict::Reject(no),
            Verdict::Other(other) => NotificationVerdict::Other(other),
        }
    }
}

sluice_sdk::export!(Decides: on_request, on_response, on_notification);
sluice_sdk::lean!();
