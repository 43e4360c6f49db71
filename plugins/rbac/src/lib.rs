//! Who may see and call what.
//!
//! [`policy`] holds the rules and answers every question, [`config`] reads the settings.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

pub mod config;
mod hint;
pub mod policy;

use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

use config::Config;
use policy::{FORBIDDEN, Rules, Thing};

/// The plugin.
pub struct Rbac(Rules);

/// What nobody needs a rule for: lists show what may be used, and the rest is how a session goes on.
const ALWAYS: [&str; 6] = ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "ping", "logging/setLevel"];

/// What servers ask clients.
const QUESTIONS: [&str; 3] = ["roots/list", "sampling/createMessage", "elicitation/create"];

impl Plugin for Rbac {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("rbac", env!("CARGO_PKG_VERSION"), "Says who may see and call what.")
            .schema(include_str!("../config.schema.json"))
            .select(Hook::OnNotification, &QUESTIONS, &[])
            .stateless()
    }

    fn new(config: Config) -> Result<Self, String> {
        Rules::new(config).map(Rbac)
    }
}

impl OnCatalog for Rbac {
    fn on_catalog(&self, viewer: &Viewer, kind: ListKind, entries: &[Entry]) -> Answer {
        let (caller, thing) = (self.0.caller(|key| viewer.attr(key)), Thing::of(kind));
        let change = |(at, entry): (u32, &Entry)| {
            let changes_nothing = || viewer.definition(at).is_some_and(|definition| hint::is_read_only(&definition));
            if self.0.allow_entry(&caller, thing, entry, changes_nothing) { Change::Keep } else { Change::Hide }
        };
        (0..).zip(entries).map(change).collect::<Vec<_>>().into()
    }
}

impl OnRequest for Rbac {
    fn on_request(&self, head: &Head, x: &Exchange) -> Verdict {
        let method = head.method.as_str();
        if head.kind != Kind::Request || ALWAYS.contains(&method) {
            return Verdict::Next;
        }
        let caller = self.0.caller(|key| x.attr(key));
        if self.0.allow_method(&caller, method, x.upstream().as_deref()) {
            return Verdict::Next;
        }
        Rejection::new(FORBIDDEN, "you may not use this here").status(403).into()
    }
}

impl OnNotification for Rbac {
    fn on_notification(&self, head: &Head, x: &Exchange) -> NotificationVerdict {
        let may_be_asked = || self.0.allow_question(&self.0.caller(|key| x.attr(key)), head.method.as_str(), x.upstream().as_deref());
        // The server hears that nobody answers, and goes on without.
        if head.kind != Kind::InputRequest || may_be_asked() { NotificationVerdict::Next } else { NotificationVerdict::Drop }
    }
}

sluice_sdk::export!(Rbac: on_catalog, on_request, on_notification);
sluice_sdk::lean!();
