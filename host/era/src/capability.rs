//! What a client declares, less what this version does not carry.

use crate::request::PART;
use bytes::Bytes;
use sluice_wire::{json::Document, meta, patch::Patch};

/// Where a declaration goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// To a server of the client's own era.
    SameEra,
    /// To a server of the other era, whose extensions are not the client's.
    OtherEra,
}

/// Features that need the server to ask the client. They are declared once they are carried.
const NOT_CARRIED: [&str; 4] = ["elicitation", "sampling", "roots", "tasks"];

/// The declaration to send upstream: the client's, without features that are not carried.
///
/// Shares the client's bytes when there is nothing to take out. Anything but a JSON object
/// declares nothing.
pub fn declarable(declared: &Bytes, peer: Peer) -> Bytes {
    if declared.as_ref() == b"{}" {
        return declared.clone();
    }
    let empty = || Bytes::from_static(b"{}");
    let (limits, depth) = PART;
    let Ok(document) = Document::parse_value(declared.clone(), &limits, depth) else {
        return empty();
    };
    let root = document.root();
    if root.kind() != sluice_wire::json::Kind::Object {
        return empty();
    }
    let mut patch = Patch::new(&document);
    for value in NOT_CARRIED.iter().filter_map(|name| root.get(name)) {
        patch.remove(value);
    }
    match root.get("extensions") {
        Some(extensions) if peer == Peer::OtherEra => patch.remove(extensions),
        Some(extensions) => extensions.get(meta::EXTENSION_TASKS).into_iter().for_each(|tasks| patch.remove(tasks)),
        None => {}
    }
    patch.apply().unwrap_or_else(|_| empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(declared: &'static str, peer: Peer) -> String {
        String::from_utf8(declarable(&Bytes::from_static(declared.as_bytes()), peer).to_vec()).unwrap()
    }

    #[test]
    fn what_is_not_carried_is_not_declared_and_the_rest_keeps_its_bytes() {
        for (declared, same, other) in [
            ("{}", "{}", "{}"),
            (r#"{ "x" : 1.0 }"#, r#"{ "x" : 1.0 }"#, r#"{ "x" : 1.0 }"#),
            (r#"{"roots":{},"x":1e2}"#, r#"{"x":1e2}"#, r#"{"x":1e2}"#),
            (r#"{"elicitation":{},"sampling":{},"tasks":{}}"#, "{}", "{}"),
            (
                r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"a/b":{}},"y":[]}"#,
                r#"{"extensions":{"a/b":{}},"y":[]}"#,
                r#"{"y":[]}"#,
            ),
            ("[1]", "{}", "{}"),
            ("{", "{}", "{}"),
        ] {
            assert_eq!(kept(declared, Peer::SameEra), same, "{declared}");
            assert_eq!(kept(declared, Peer::OtherEra), other, "{declared}");
        }
    }

    #[test]
    fn nothing_taken_out_is_not_copied() {
        let declared = Bytes::from_static(br#"{"experimental":{}}"#);
        assert_eq!(declarable(&declared, Peer::SameEra).as_ptr(), declared.as_ptr());
    }
}
