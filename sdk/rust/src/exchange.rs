//! What is lent for one hook call, cut along the powers of the contract.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::json::Json;

pub use crate::bindings::base::sluice::filter::patterns::Hit;
pub use crate::bindings::base::sluice::filter::payload::Edit;
pub use crate::bindings::base::sluice::filter::types::{AccessError, Direction, Head, Kind};

/// One request with its notifications and its answer, as a hook sees it. See [`Facts`], [`Payload`] and [`Scan`].
#[cfg(target_family = "wasm")]
pub use crate::bindings::base::sluice::filter::types::Exchange;
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::FakeExchange as Exchange;

/// What a person said to a [`Suspension`](crate::verdict::Suspension).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elicited {
    /// Yes, with the form filled in: JSON text of an object.
    Accept(Json),
    /// No.
    Decline,
    /// Neither: the question was closed, or nobody answered in time.
    Cancel,
}

/// Where the message goes, and attributes: the caller, the client, allowed headers, and what filters said. Imports nothing.
pub trait Facts {
    /// The operator's name of the server this goes to or comes from, once known.
    fn upstream(&self) -> Option<String>;
    /// Revision of the client's side, such as `2026-07-28`. Empty in `authenticate`.
    fn protocol(&self) -> String;
    /// An attribute by its whole key: `principal.subject`, `http.header.user-agent`, `guard.score`.
    fn attr(&self, key: &str) -> Option<String>;
    /// All attributes whose key starts so.
    fn attrs(&self, prefix: &str) -> Vec<(String, String)>;
    /// Sets `<this plugin>.<key>`. At most 64 of 4 KiB.
    fn set_attr(&self, key: &str, value: &str) -> Result<(), AccessError>;

    /// What the person behind the client said to the plugin of this name, if it has asked.
    fn elicited(&self, plugin: &str) -> Option<Elicited> {
        let attr = |key: &str| self.attr(&alloc::format!("{plugin}.answer.{key}"));
        Some(match attr("action")?.as_str() {
            "accept" => Elicited::Accept(attr("content").unwrap_or_else(|| "{}".to_string())),
            "decline" => Elicited::Decline,
            _ => Elicited::Cancel,
        })
    }
}

/// The message itself. Imports `sluice:filter/payload`.
pub trait Payload {
    /// The value at a JSON pointer, as JSON text.
    fn get(&self, pointer: &str) -> Option<Json>;
    /// Several at once, cheaper than one by one.
    fn get_many(&self, pointers: &[&str]) -> Vec<Option<Json>>;
    /// The whole message.
    fn text(&self) -> Result<Json, AccessError>;
    /// Stages edits, all against the message as this hook received it. They apply with [`Verdict::Next`].
    ///
    /// [`Verdict::Next`]: crate::verdict::Verdict::Next
    fn stage(&self, edits: &[Edit]) -> Result<(), AccessError>;
    /// In `on_response` and `on_notification`: part of the request as this filter left it.
    fn asked(&self, pointer: &str) -> Option<Json>;
}

/// Patterns run by the host over the message. Imports `sluice:filter/patterns`; define them in
/// [`Plugin::new`](crate::plugin::Plugin::new) with [`patterns::define`](crate::patterns::define).
pub trait Scan {
    /// All hits of a set at or below `roots` (none: the whole message but its envelope).
    fn scan(&self, set: &str, roots: &[&str]) -> Result<Vec<Hit>, AccessError>;
}

impl Edit {
    /// Replaces the value at the pointer, or adds the member.
    pub fn set(pointer: &str, json: Json) -> Self {
        Edit::Set((pointer.to_string(), json))
    }

    /// Removes the member or element.
    pub fn remove(pointer: &str) -> Self {
        Edit::Remove(pointer.to_string())
    }

    /// Replaces bytes of the decoded string at the pointer.
    pub fn splice(pointer: &str, range: core::ops::Range<u32>, text: &str) -> Self {
        Edit::Splice((pointer.to_string(), range.start, range.end, text.to_string()))
    }

    /// Replaces bytes of the decoded name of the member at the pointer.
    pub fn splice_key(pointer: &str, range: core::ops::Range<u32>, text: &str) -> Self {
        Edit::SpliceKey((pointer.to_string(), range.start, range.end, text.to_string()))
    }
}

#[cfg(target_family = "wasm")]
mod guest {
    use super::*;
    use crate::bindings::base::sluice::filter::{patterns, payload};

    impl Facts for Exchange {
        fn upstream(&self) -> Option<String> {
            Exchange::upstream(self)
        }
        fn protocol(&self) -> String {
            Exchange::protocol(self)
        }
        fn attr(&self, key: &str) -> Option<String> {
            Exchange::attr(self, key)
        }
        fn attrs(&self, prefix: &str) -> Vec<(String, String)> {
            Exchange::attrs(self, prefix)
        }
        fn set_attr(&self, key: &str, value: &str) -> Result<(), AccessError> {
            Exchange::set_attr(self, key, value)
        }
    }

    impl Payload for Exchange {
        fn get(&self, pointer: &str) -> Option<Json> {
            payload::get(self, pointer)
        }
        fn get_many(&self, pointers: &[&str]) -> Vec<Option<Json>> {
            payload::get_many(self, &owned(pointers))
        }
        fn text(&self) -> Result<Json, AccessError> {
            payload::text(self)
        }
        fn stage(&self, edits: &[Edit]) -> Result<(), AccessError> {
            payload::stage(self, edits)
        }
        fn asked(&self, pointer: &str) -> Option<Json> {
            payload::asked(self, pointer)
        }
    }

    impl Scan for Exchange {
        fn scan(&self, set: &str, roots: &[&str]) -> Result<Vec<Hit>, AccessError> {
            patterns::scan(self, set, &owned(roots))
        }
    }

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }
}
