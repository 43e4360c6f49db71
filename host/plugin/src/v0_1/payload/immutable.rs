//! What no plugin may change: `id`, `jsonrpc`, `method` and the protocol's own `_meta`.

use sluice_wire::{
    json::{Document, Value},
    meta,
};

/// Members of the message that are the protocol's.
pub(super) const ENVELOPE: [&str; 3] = ["id", "jsonrpc", "method"];
/// Members of the message that hold what plugins may edit. None of them can be added or removed.
pub(super) const BODY: [&str; 3] = ["params", "result", "error"];

/// Is this key of `_meta` the protocol's?
pub(crate) fn is_protocol_key(key: &str) -> bool {
    matches!(key, meta::PROGRESS_TOKEN | meta::TRACEPARENT | meta::TRACESTATE | meta::BAGGAGE) || meta::is_reserved(key)
}

/// Does this value of `params` or `result` hold protocol `_meta`?
pub(super) fn holds_protocol_meta(body: Value<'_>) -> bool {
    protocol_members(body).next().is_some()
}

fn protocol_members<'a>(body: Value<'a>) -> impl Iterator<Item = (String, &'a [u8])> + 'a {
    let members = body.get("_meta").into_iter().flat_map(|meta| meta.members());
    members.filter_map(|member| {
        let key = member.key.decoded();
        is_protocol_key(&key).then(|| (key.into_owned(), member.value.raw_bytes()))
    })
}

/// Compare what must not change. Staging refuses such edits one by one; this is the proof that none came through.
pub(super) fn compare(before: &Document, after: &Document) -> Result<(), &'static str> {
    let (before, after) = (before.root(), after.root());
    for name in ENVELOPE {
        if before.get(name).map(|v| v.raw_bytes()) != after.get(name).map(|v| v.raw_bytes()) {
            return Err("they change the envelope");
        }
    }
    for name in BODY {
        match (before.get(name), after.get(name)) {
            (None, None) => {}
            (Some(before), Some(after)) if protocol_members(before).eq(protocol_members(after)) => {}
            (Some(_), Some(_)) => return Err("they change protocol members of _meta"),
            _ => return Err("they add or remove a part of the message"),
        }
    }
    Ok(())
}
