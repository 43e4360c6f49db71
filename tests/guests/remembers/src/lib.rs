//! Keeps in its memory who called last, which no plugin should, and tells the next caller.
//!
//! Where instances are not shared between principals, nobody is ever told of anyone else.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use core::cell::{Cell, RefCell};

use sluice_sdk::prelude::*;

struct Remembers {
    last: RefCell<String>,
    calls: Cell<u32>,
}

impl Plugin for Remembers {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("remembers", "0.1.0", "Remembers who called.")
    }

    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Remembers { last: RefCell::new("nobody".into()), calls: Cell::new(0) })
    }
}

impl OnRequest for Remembers {
    fn on_request(&self, _: &Head, x: &Exchange) -> Verdict {
        let subject = x.attr("principal.subject").unwrap_or_default();
        let last = self.last.replace(subject);
        self.calls.set(self.calls.get() + 1);
        let _ = x.set_attr("last", &last);
        let _ = x.set_attr("calls", &alloc::format!("{}", self.calls.get()));
        Verdict::Next
    }
}

sluice_sdk::export!(Remembers: on_request);
sluice_sdk::lean!();
