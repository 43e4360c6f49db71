//! Keeps servers' debug messages from clients.
#![cfg_attr(target_family = "wasm", no_std)]
extern crate alloc;

use alloc::string::String;
use sluice_sdk::prelude::*;

pub struct Quiet;

impl Plugin for Quiet {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("example-on-notification", "0.1.0", "Keeps servers' debug messages from clients.")
            .select(Hook::OnNotification, &["notifications/message"], &[])
            .stateless()
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Quiet)
    }
}

impl OnNotification for Quiet {
    fn on_notification(&self, _: &Head, x: &Exchange) -> NotificationVerdict {
        match x.get("/params/level").as_deref() {
            Some("\"debug\"") => NotificationVerdict::Drop,
            _ => NotificationVerdict::Next,
        }
    }
}

sluice_sdk::lean!();
sluice_sdk::export!(Quiet: on_notification);
