//! Edits applied to a parsed message, with the rules of the real host: all edits address the document as it was,
//! and overlap is a fault.

use serde_json::Value;

use crate::exchange::{AccessError, Edit};

/// Refuses what is not a plugin's to change.
pub(super) fn permit(edit: &Edit) -> Result<(), AccessError> {
    let pointer = pointer(edit);
    let envelope = ["", "/id", "/jsonrpc", "/method"].contains(&pointer);
    if envelope || pointer.starts_with("/params/_meta/io.modelcontextprotocol~1") {
        return Err(AccessError::Denied(pointer.to_string()));
    }
    Ok(())
}

/// The message after the edits.
pub(super) fn apply(message: &Value, edits: &[Edit]) -> Result<Value, String> {
    check_overlap(edits)?;
    let mut out = message.clone();
    let mut splices: Vec<_> = edits.iter().filter(|edit| matches!(edit, Edit::Splice(_))).collect();
    splices.sort_by_key(|edit| std::cmp::Reverse(range(edit)));
    for edit in splices {
        splice_text(&mut out, edit)?;
    }
    for edit in edits {
        if let Edit::Set((pointer, json)) = edit {
            let value = serde_json::from_str(json).map_err(|error| error.to_string())?;
            set(&mut out, pointer, value)?;
        }
    }
    // From the back, so that a removed element does not move those that are still to go.
    let mut removals: Vec<_> = edits.iter().filter_map(|e| if let Edit::Remove(p) = e { Some(p) } else { None }).collect();
    removals.sort_by_key(|pointer| std::cmp::Reverse(natural(pointer)));
    for pointer in removals {
        remove(&mut out, pointer)?;
    }
    // Names last and the deepest first, since every pointer speaks of the names as they were.
    let mut keys: Vec<_> = edits.iter().filter(|edit| matches!(edit, Edit::SpliceKey(_))).collect();
    keys.sort_by_key(|edit| std::cmp::Reverse((pointer(edit).matches('/').count(), pointer(edit).to_string(), range(edit))));
    rename_keys(&mut out, &keys)?;
    Ok(out)
}

/// Calls back with every string and every member name at or below a value.
pub(super) fn each_text(at: &str, value: &Value, found: &mut impl FnMut(&str, bool, &str)) {
    match value {
        Value::String(text) => found(at, false, text),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                each_text(&format!("{at}/{i}"), item, found);
            }
        }
        Value::Object(members) => {
            for (name, item) in members {
                let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                found(&place, true, name);
                each_text(&place, item, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn check_overlap(edits: &[Edit]) -> Result<(), String> {
    for (i, a) in edits.iter().enumerate() {
        for b in &edits[i + 1..] {
            let same = pointer(a) == pointer(b);
            let clash = match (range(a), range(b)) {
                (Some(a_range), Some(b_range)) => {
                    let alike = matches!(a, Edit::Splice(_)) == matches!(b, Edit::Splice(_));
                    same && alike && a_range.0 < b_range.1 && b_range.0 < a_range.1
                }
                _ => within(pointer(a), b) || within(pointer(b), a),
            };
            if clash {
                return Err(format!("edits overlap at {}", pointer(a)));
            }
        }
    }
    Ok(())
}

/// Whether a pointer lies in what an edit replaces whole.
fn within(inner: &str, edit: &Edit) -> bool {
    let whole = matches!(edit, Edit::Set(_) | Edit::Remove(_)) && !pointer(edit).ends_with("/-");
    whole && inner.strip_prefix(pointer(edit)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn pointer(edit: &Edit) -> &str {
    match edit {
        Edit::Set((pointer, _)) | Edit::Remove(pointer) => pointer,
        Edit::Splice((pointer, ..)) | Edit::SpliceKey((pointer, ..)) => pointer,
    }
}

fn range(edit: &Edit) -> Option<(u32, u32)> {
    match edit {
        Edit::Splice((_, a, b, _)) | Edit::SpliceKey((_, a, b, _)) => Some((*a, *b)),
        Edit::Set(_) | Edit::Remove(_) => None,
    }
}

fn splice_text(out: &mut Value, edit: &Edit) -> Result<(), String> {
    let (Edit::Splice((pointer, a, b, new)) | Edit::SpliceKey((pointer, a, b, new))) = edit else { return Ok(()) };
    match out.pointer_mut(pointer) {
        Some(Value::String(text)) => replace(text, *a, *b, new),
        _ => Err(format!("{pointer} is no string")),
    }
}

fn replace(text: &mut String, a: u32, b: u32, new: &str) -> Result<(), String> {
    let (a, b) = (a as usize, b as usize);
    if text.get(a..b).is_none() {
        return Err(format!("{a}..{b} is not on character boundaries"));
    }
    text.replace_range(a..b, new);
    Ok(())
}

fn set(out: &mut Value, pointer: &str, value: Value) -> Result<(), String> {
    let (parent, name) = split(pointer)?;
    match out.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.insert(name, value);
            Ok(())
        }
        Some(Value::Array(items)) if name == "-" => {
            items.push(value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let place = name.parse().ok().and_then(|i: usize| items.get_mut(i));
            *place.ok_or_else(|| format!("no {pointer}"))? = value;
            Ok(())
        }
        _ => Err(format!("{parent} has no members")),
    }
}

fn remove(out: &mut Value, pointer: &str) -> Result<(), String> {
    let (parent, name) = split(pointer)?;
    let gone = match out.pointer_mut(parent) {
        Some(Value::Object(members)) => members.shift_remove(&name).is_some(),
        Some(Value::Array(items)) => match name.parse().ok().filter(|i: &usize| *i < items.len()) {
            Some(i) => {
                items.remove(i);
                true
            }
            None => false,
        },
        _ => false,
    };
    if gone { Ok(()) } else { Err(format!("no {pointer}")) }
}

fn rename_keys(out: &mut Value, edits: &[&Edit]) -> Result<(), String> {
    let mut i = 0;
    while i < edits.len() {
        let same = edits[i..].iter().take_while(|e| pointer(e) == pointer(edits[i])).count();
        let (parent, name) = split(pointer(edits[i]))?;
        let mut renamed = name.clone();
        for edit in &edits[i..i + same] {
            if let Edit::SpliceKey((_, a, b, new)) = edit {
                replace(&mut renamed, *a, *b, new)?;
            }
        }
        let Some(Value::Object(members)) = out.pointer_mut(parent) else {
            return Err(format!("{parent} has no members"));
        };
        *members = members
            .iter()
            .map(|(key, value)| (if *key == name { format!("\u{0}{renamed}") } else { key.clone() }, value.clone()))
            .collect();
        i += same;
    }
    unmark(out)
}

/// A new name carries a mark until all are given, so that it is not taken for an old one.
fn unmark(value: &mut Value) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(unmark),
        Value::Object(members) => {
            let mut out = serde_json::Map::new();
            for (key, mut item) in std::mem::take(members) {
                unmark(&mut item)?;
                let name = key.strip_prefix('\u{0}').unwrap_or(&key).to_string();
                if out.insert(name.clone(), item).is_some() {
                    return Err(format!("two members named {name}"));
                }
            }
            *members = out;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn split(pointer: &str) -> Result<(&str, String), String> {
    let (parent, name) = pointer.rsplit_once('/').ok_or_else(|| format!("bad pointer {pointer}"))?;
    Ok((parent, name.replace("~1", "/").replace("~0", "~")))
}

/// Array places in number order.
fn natural(pointer: &str) -> Vec<(usize, String)> {
    pointer.split('/').map(|part| (part.parse().unwrap_or(0), part.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, edits: &[Edit], after: Result<&str, &str>) {
        let got = apply(&serde_json::from_str(before).unwrap(), edits).map(|v| v.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), after);
    }

    #[test]
    fn edits_speak_of_the_document_as_it_was() {
        check(
            r#"{"p":{"a":"one two","k":[1,2,3]}}"#,
            &[
                Edit::splice("/p/a", 0..3, "1"),
                Edit::splice("/p/a", 4..7, "2"),
                Edit::splice_key("/p/a", 0..1, "b"),
                Edit::remove("/p/k/0"),
                Edit::remove("/p/k/2"),
                Edit::set("/p/new", "{}".into()),
            ],
            Ok(r#"{"p":{"b":"1 2","k":[2],"new":{}}}"#),
        );
    }

    #[test]
    fn overlap_is_a_fault() {
        let text = r#"{"p":{"a":"one"}}"#;
        check(text, &[Edit::splice("/p/a", 0..2, ""), Edit::splice("/p/a", 1..3, "")], Err("edits overlap at /p/a"));
        check(text, &[Edit::set("/p", "1".into()), Edit::splice("/p/a", 0..1, "")], Err("edits overlap at /p"));
    }

    #[test]
    fn names_may_change_places_but_not_clash() {
        let edits = [Edit::splice_key("/a", 0..1, "b"), Edit::splice_key("/b", 0..1, "a")];
        check(r#"{"a":1,"b":2}"#, &edits, Ok(r#"{"b":1,"a":2}"#));
        check(r#"{"a":1,"b":2}"#, &edits[..1], Err("two members named b"));
    }
}
