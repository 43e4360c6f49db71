//! What a transport must know of what a legacy server can do.

use bytes::Bytes;
use sluice_wire::{
    json::{Document, IndexDepth, Limits},
    listen::{List, Lists},
};

/// What matters here of what a server can do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Capabilities {
    pub(crate) has_logging: bool,
    /// Lists whose changes it announces.
    pub(crate) announces: Lists,
    pub(crate) has_subscribe: bool,
    /// It may have something to say outside calls.
    pub(crate) speaks_unasked: bool,
}

impl Capabilities {
    pub(crate) fn of(capabilities: &Bytes) -> Self {
        let Ok(document) = Document::parse_value(capabilities.clone(), &Limits::RESPONSE, IndexDepth::Levels(2)) else {
            return Self::default();
        };
        let root = document.root();
        let says = |kind: &str, what: &str| root.get(kind).and_then(|kind| kind.get(what)?.as_bool()).unwrap_or(false);
        let has_logging = root.get("logging").is_some();
        let announces: Lists = List::ALL.into_iter().filter(|list| says(list.capability(), "listChanged")).collect();
        let has_subscribe = says("resources", "subscribe");
        Self { has_logging, announces, has_subscribe, speaks_unasked: has_logging || has_subscribe || !announces.is_empty() }
    }
}
