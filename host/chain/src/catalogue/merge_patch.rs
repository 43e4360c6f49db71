//! JSON merge patch (RFC 7386) onto the sender's bytes, so that what is not patched stays as sent.

use bytes::Bytes;
use sluice_wire::{
    json::{DecodeError, Document, IndexDepth, Kind, Limits, Value},
    patch::{Patch, PatchError},
};

/// Why a patch could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The patch or the target is not valid JSON.
    #[error("not valid JSON: {0}")]
    Decode(#[from] DecodeError),
    /// The patch is not an object.
    #[error("a merge patch here must be a JSON object")]
    NotAnObject,
    /// The splice failed.
    #[error("{0}")]
    Patch(#[from] PatchError),
}

/// `target` with `patch` merged in. Both are JSON objects.
pub fn merge_patch(target: &Bytes, patch: &str) -> Result<Bytes, MergeError> {
    let target = Document::parse(target.clone(), &Limits::RESPONSE, IndexDepth::Full)?;
    let patch = Document::parse(Bytes::copy_from_slice(patch.as_bytes()), &Limits::RESPONSE, IndexDepth::Full)?;
    if patch.root().kind() != Kind::Object || target.root().kind() != Kind::Object {
        return Err(MergeError::NotAnObject);
    }
    let mut edits = Patch::new(&target);
    merge(&mut edits, target.root(), patch.root());
    Ok(edits.apply()?)
}

fn merge<'d>(edits: &mut Patch<'d>, target: Value<'d>, patch: Value<'_>) {
    for member in patch.members() {
        let key = member.key.decoded();
        match (target.get(&key), member.value.kind()) {
            (Some(old), Kind::Null) => edits.remove(old),
            (None, Kind::Null) => {}
            (Some(old), Kind::Object) if old.kind() == Kind::Object => merge(edits, old, member.value),
            (Some(old), _) => edits.replace(old, without_nulls(member.value)),
            (None, _) => edits.insert(target, &key, without_nulls(member.value)),
        }
    }
}

/// RFC 7386: nulls inside a new object mean absence.
fn without_nulls(value: Value<'_>) -> Vec<u8> {
    if value.kind() != Kind::Object {
        return value.raw().as_bytes().to_vec();
    }
    let mut out = vec![b'{'];
    for member in value.members().filter(|m| m.value.kind() != Kind::Null) {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(member.key.raw().as_bytes());
        out.push(b':');
        out.extend(without_nulls(member.value));
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_and_leaves_the_rest_as_sent() {
        for (target, patch, expected) in [
            (r#"{"a":1.10,"b":{"c":2}}"#, r#"{"b":{"c":3,"d":{"x":null,"y":1}}}"#, r#"{"a":1.10,"b":{"c":3,"d":{"y":1}}}"#),
            (r#"{"a":1,"b":2}"#, r#"{"a":null,"z":null}"#, r#"{"b":2}"#),
            (r#"{"a":[1]}"#, r#"{"a":{"b":1}}"#, r#"{"a":{"b":1}}"#),
        ] {
            assert_eq!(merge_patch(&Bytes::from_static(target.as_bytes()), patch).unwrap(), expected);
        }
        assert!(matches!(merge_patch(&Bytes::from_static(b"{}"), "[]"), Err(MergeError::NotAnObject)));
    }
}
