//! Stages the edits its settings list. With edits that overlap or point nowhere it is a hostile one.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

/// {"on":"request","edits":[{"set":["/params/arguments/a","1"]},{"splice":["/params/arguments/b",0,3,"x"]}]}
#[derive(serde::Deserialize)]
struct Settings {
    /// "request", "response" or "notification".
    on: String,
    edits: Vec<Wanted>,
    /// One call of the host for each edit.
    #[serde(default)]
    one_by_one: bool,
    /// Refuse after staging: nothing staged may then be seen.
    #[serde(default)]
    then_reject: bool,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    Set(String, String),
    Remove(String),
    Splice(String, u32, u32, String),
    SpliceKey(String, u32, u32, String),
}

struct EchoEdit(Settings);

impl Plugin for EchoEdit {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("echo-edit", "0.1.0", "Edits as told.")
            .schema(r#"{"type":"object","required":["on","edits"]}"#)
            .edits(&["/params/**", "/result/**", "/error/**"])
            .stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(EchoEdit(settings))
    }
}

impl EchoEdit {
    /// Notes what the host said as the attribute `staged`.
    fn edit(&self, on: &str, x: &Exchange) -> Option<Rejection> {
        if self.0.on != on {
            return None;
        }
        let edits: Vec<_> = self.0.edits.iter().map(edit).collect();
        let at_once = if self.0.one_by_one { 1 } else { edits.len().max(1) };
        let staged = edits.chunks(at_once).try_for_each(|edits| x.stage(edits));
        let said = match staged {
            Ok(()) => "ok".into(),
            Err(AccessError::TooLarge) => "too-large".into(),
            Err(AccessError::Denied(why)) => alloc::format!("denied: {why}"),
            Err(AccessError::BadPointer(why)) => alloc::format!("bad-pointer: {why}"),
        };
        let _ = x.set_attr("staged", &said);
        self.0.then_reject.then(|| Rejection::new(4000, "edited and refused"))
    }
}

fn edit(wanted: &Wanted) -> Edit {
    match wanted {
        Wanted::Set(pointer, json) => Edit::set(pointer, json.clone()),
        Wanted::Remove(pointer) => Edit::remove(pointer),
        Wanted::Splice(pointer, a, b, text) => Edit::splice(pointer, *a..*b, text),
        Wanted::SpliceKey(pointer, a, b, text) => Edit::splice_key(pointer, *a..*b, text),
    }
}

impl OnRequest for EchoEdit {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        self.edit("request", x).map_or(Verdict::Next, Verdict::Reject)
    }
}

impl OnResponse for EchoEdit {
    fn on_response(&self, _: &Head, x: &Exchange) -> Verdict {
        self.edit("response", x).map_or(Verdict::Next, Verdict::Reject)
    }
}

impl OnNotification for EchoEdit {
    fn on_notification(&self, _: &Head, x: &Exchange) -> NotificationVerdict {
        self.edit("notification", x).map_or(NotificationVerdict::Next, NotificationVerdict::Reject)
    }
}

sluice_sdk::export!(EchoEdit: on_request, on_response, on_notification);
sluice_sdk::lean!();
