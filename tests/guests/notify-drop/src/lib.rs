//! Drops the notifications its settings name.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Settings {
    methods: Vec<String>,
}

struct NotifyDrop(Settings);

impl Plugin for NotifyDrop {
    type Config = Settings;

    fn manifest() -> Manifest {
        Manifest::new("notify-drop", "0.1.0", "Drops notifications.").schema(r#"{"type":"object"}"#).stateless()
    }

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(NotifyDrop(settings))
    }
}

impl OnNotification for NotifyDrop {
    fn on_notification(&self, head: &Head, _: &Exchange) -> NotificationVerdict {
        if self.0.methods.iter().any(|method| *method == head.method.as_str()) {
            NotificationVerdict::Drop
        } else {
            NotificationVerdict::Next
        }
    }
}

sluice_sdk::export!(NotifyDrop: on_notification);
sluice_sdk::lean!();
