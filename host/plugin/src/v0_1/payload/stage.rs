//! From a guest's edit to a bound one, with everything checked that can be checked before it is applied.

use super::{
    super::bindings::sluice::filter::{payload::Edit, types::AccessError},
    Staged,
    immutable::{BODY, ENVELOPE, holds_protocol_meta, is_protocol_key},
};
use sluice_wire::{
    json::{Document, IndexDepth, Kind, Limits, NodeId, Value, validate},
    patch::{Patch, PatchError},
};
use std::borrow::Cow;

/// Bytes a guest handed over for one edit.
pub(super) fn size(edit: &Edit) -> usize {
    match edit {
        Edit::Set((pointer, json)) => pointer.len() + json.len(),
        Edit::Remove(pointer) => pointer.len(),
        Edit::Splice((pointer, _, _, text)) | Edit::SpliceKey((pointer, _, _, text)) => pointer.len() + text.len() + 8,
    }
}

/// Bind all edits of one call, or none.
pub(super) fn bind(document: &Document, edits: Vec<Edit>, limits: &Limits) -> Result<Vec<Staged>, AccessError> {
    let mut last = LastText::default();
    edits
        .into_iter()
        .map(|edit| match edit {
            Edit::Set((pointer, json)) => set(document, &pointer, json, limits),
            Edit::Remove(pointer) => remove(document, &pointer),
            Edit::Splice((pointer, a, b, text)) => {
                let value = find(document, &pointer)?;
                permit(document, &pointer, false)?;
                last.check(value.node(), a, b, || value.as_str()).ok_or_else(|| bad(&pointer))?;
                Ok(Staged::Splice(value.node(), a, b, text))
            }
            Edit::SpliceKey((pointer, a, b, text)) => splice_key(document, &pointer, a, b, text),
        })
        .collect()
}

/// Put a bound edit into a patch of the same document.
pub(super) fn put(patch: &mut Patch<'_>, document: &Document, edit: Staged) -> Result<(), PatchError> {
    let value = |node| document.value(node).ok_or(PatchError::Foreign);
    match edit {
        Staged::Replace(node, json) => patch.replace(value(node)?, json),
        Staged::Remove(node) => patch.remove(value(node)?),
        Staged::Insert(node, key, json) => patch.insert(value(node)?, &key, json),
        Staged::Append(node, json) => patch.append(value(node)?, json),
        Staged::Splice(node, a, b, text) => patch.splice_str(value(node)?, a as usize, b as usize, &text)?,
        Staged::SpliceKey(node, a, b, text) => {
            let key = document.key(node).ok_or(PatchError::Foreign)?;
            patch.splice_key(key, a as usize, b as usize, &text)?;
        }
    }
    Ok(())
}

fn bad(pointer: &str) -> AccessError {
    AccessError::BadPointer(pointer.to_owned())
}

fn find<'d>(document: &'d Document, pointer: &str) -> Result<Value<'d>, AccessError> {
    document.pointer(pointer).ok_or_else(|| bad(pointer))
}

/// The first three tokens say whether a place is the plugin's to touch. `whole` is an edit that replaces or
/// removes what the pointer names, not a part of it.
fn permit(document: &Document, pointer: &str, whole: bool) -> Result<(), AccessError> {
    let mut tokens = pointer.split('/').skip(1);
    let (first, second, third) = (tokens.next(), tokens.next(), tokens.next());
    let no = |why: &str| Err(AccessError::Denied(format!("{pointer}: {why}")));
    let Some(first) = first else { return no("the message as a whole is not a plugin's to change") };
    if ENVELOPE.contains(&first) {
        return no("the envelope is not a plugin's to change");
    }
    if !BODY.contains(&first) {
        return no("only params, result and error can be edited");
    }
    let body = document.root().get(first).ok_or_else(|| bad(pointer))?;
    match (second, third.map(unescape)) {
        (None, _) if whole && holds_protocol_meta(body) => no("it holds protocol members of _meta"),
        (Some("_meta"), None) if whole && holds_protocol_meta(body) => no("it holds protocol members"),
        (Some("_meta"), Some(key)) if is_protocol_key(&key) => no("protocol members of _meta are not a plugin's to change"),
        _ => Ok(()),
    }
}

fn unescape(token: &str) -> Cow<'_, str> {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { token.into() }
}

fn set(document: &Document, pointer: &str, json: String, limits: &Limits) -> Result<Staged, AccessError> {
    permit(document, pointer, true)?;
    check_json(pointer, &json, limits)?;
    if let Some(value) = document.pointer(pointer) {
        return Ok(Staged::Replace(value.node(), json));
    }
    let (parent, token) = pointer.rsplit_once('/').ok_or_else(|| bad(pointer))?;
    if parent.is_empty() {
        return Err(AccessError::Denied(format!("{pointer}: a message's parts cannot be added")));
    }
    let parent = find(document, parent)?;
    match parent.kind() {
        Kind::Object => Ok(Staged::Insert(parent.node(), unescape(token).into_owned(), json)),
        Kind::Array if token == "-" => Ok(Staged::Append(parent.node(), json)),
        _ => Err(bad(pointer)),
    }
}

fn check_json(pointer: &str, json: &str, limits: &Limits) -> Result<(), AccessError> {
    if json.len() > limits.bytes_max {
        return Err(AccessError::TooLarge);
    }
    validate(json.as_bytes(), limits).map_err(|why| AccessError::Denied(format!("{pointer}: {why}")))?;
    // A whole body may bring a `_meta`, but not the protocol's.
    let is_body = pointer.bytes().filter(|b| *b == b'/').count() <= 2;
    if is_body && json.contains("_meta") | pointer.ends_with("/_meta") {
        let text = match pointer.ends_with("/_meta") {
            true => format!("{{\"_meta\":{json}}}"),
            false => json.to_owned(),
        };
        let parsed = Document::parse_value(text.into(), limits, IndexDepth::Levels(3)).map_err(|_| bad(pointer))?;
        if holds_protocol_meta(parsed.root()) {
            return Err(AccessError::Denied(format!("{pointer}: protocol members of _meta are not a plugin's to write")));
        }
    }
    Ok(())
}

fn remove(document: &Document, pointer: &str) -> Result<Staged, AccessError> {
    permit(document, pointer, true)?;
    if pointer.bytes().filter(|b| *b == b'/').count() == 1 {
        return Err(AccessError::Denied(format!("{pointer}: a message's parts cannot be removed")));
    }
    Ok(Staged::Remove(find(document, pointer)?.node()))
}

fn splice_key(document: &Document, pointer: &str, a: u32, b: u32, text: String) -> Result<Staged, AccessError> {
    permit(document, pointer, true)?;
    let (parent, token) = pointer.rsplit_once('/').ok_or_else(|| bad(pointer))?;
    if parent.is_empty() {
        return Err(AccessError::Denied(format!("{pointer}: a message's parts cannot be renamed")));
    }
    let member = find(document, parent)?.member(&unescape(token)).ok_or_else(|| bad(pointer))?;
    let key = member.key.decoded();
    let (start, end) = (a as usize, b as usize);
    let fits = start <= end && key.is_char_boundary(start) && key.is_char_boundary(end);
    if !fits {
        return Err(bad(pointer));
    }
    let after = [&key[..start], &text, &key[end..]].concat();
    let in_meta = parent.ends_with("/_meta") && parent.bytes().filter(|b| *b == b'/').count() == 2;
    if in_meta && is_protocol_key(&after) || parent.bytes().filter(|b| *b == b'/').count() == 1 && after == "_meta" {
        return Err(AccessError::Denied(format!("{pointer}: that name is the protocol's")));
    }
    Ok(Staged::SpliceKey(member.key.node(), a, b, text))
}

/// The string that the last splice went to: many splices of one long string come in a row, and each look at it
/// costs its length.
#[derive(Default)]
struct LastText<'d> {
    node: Option<NodeId>,
    text: Cow<'d, str>,
}

impl<'d> LastText<'d> {
    /// Do `a` and `b` fit the string at `node`?
    fn check(&mut self, node: NodeId, a: u32, b: u32, read: impl FnOnce() -> Option<Cow<'d, str>>) -> Option<()> {
        if self.node != Some(node) {
            self.text = read()?;
            self.node = Some(node);
        }
        let (a, b) = (a as usize, b as usize);
        (a <= b && self.text.is_char_boundary(a) && self.text.is_char_boundary(b)).then_some(())
    }
}
