//! One result, as a rule leaves it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::prelude::*;

use crate::cut::{self, Notes};
use crate::json::{self, Value};
use crate::rule::Rule;
use crate::select;

/// A result that a rule has changed.
#[derive(Debug)]
pub struct Shaped {
    /// What is to be changed in it.
    pub edits: Vec<Edit>,
    /// What was left out.
    pub notes: Notes,
    /// Bytes of its content and data then, without spaces, where that is more than the rule lets pass.
    pub too_long: Option<usize>,
}

/// Shapes `content` and `structuredContent`, each as JSON; nothing if one cannot be read.
pub fn shape(rule: &Rule, content: Option<&str>, structured: Option<&str>) -> Option<Shaped> {
    let mut content = content.map_or(Some(Value::Null), json::read)?;
    let mut structured = structured.map_or(Some(None), |text| json::read(text).map(Some))?;
    let mut notes = Notes::default();
    let echoes = structured.as_ref().map_or_else(Vec::new, |data| echoes(json::items(&content), data));

    if let Some(data) = &mut structured {
        shape_data(rule, data, &mut notes);
    }
    let has_data_changed = !notes.is_empty();
    let written = structured.as_ref().filter(|_| has_data_changed).map(json::write);

    if let Value::Array(blocks) = &mut content {
        for (at, block) in blocks.iter_mut().enumerate() {
            let Some(text) = text_of(block) else { continue };
            match (echoes.contains(&at), &structured) {
                // It says what the data says, and goes on saying it, whole.
                (true, _) => {
                    if let Some(written) = &written {
                        *text = Cow::Owned(written.clone());
                    }
                }
                (false, Some(_)) => cut_text(rule, text, &mut notes),
                (false, None) => {
                    if let Some(shaped) = shape_text(rule, text, &mut notes) {
                        *text = Cow::Owned(shaped);
                    }
                    cut_text(rule, text, &mut notes);
                }
            }
        }
        let all = blocks.len();
        if let Some(max) = rule.blocks_max.filter(|max| *max < all) {
            blocks.truncate(max);
            notes.blocks(all - max, all);
        }
    }
    Some(finish(rule, content, structured.as_ref(), written, notes))
}

fn finish(rule: &Rule, mut content: Value<'_>, structured: Option<&Value<'_>>, written: Option<String>, notes: Notes) -> Shaped {
    let mut edits = Vec::new();
    if !notes.is_empty() {
        if let Some(said) = notes.for_the_model() {
            let note = json::object(Vec::from([("type", json::string(String::from("text"))), ("text", json::string(said))]));
            match &mut content {
                Value::Array(blocks) => blocks.push(note),
                other => *other = Value::Array(Vec::from([note])),
            }
        }
        if !matches!(content, Value::Null) {
            edits.push(Edit::set("/result/content", json::write(&content)));
        }
        edits.extend(written.map(|data| Edit::set("/result/structuredContent", data)));
    }
    let bytes = |value: &Value<'_>| json::write(value).len();
    let too_long = rule.result_bytes_max.and_then(|max| Some(bytes(&content) + structured.map_or(0, bytes)).filter(|bytes| *bytes > max));
    Shaped { edits, notes, too_long }
}

/// Which blocks say what the data says: the protocol wants one that does, for clients that know of no data.
fn echoes(blocks: &[Value<'_>], data: &Value<'_>) -> Vec<usize> {
    let says = |block: &Value<'_>| {
        let text = Some(block).filter(|block| kind(block) == Some("text")).and_then(|block| json::text(json::member(block, "text")?));
        text.and_then(json::read).is_some_and(|said| json::same(&said, data))
    };
    blocks.iter().enumerate().filter(|(_, block)| says(block)).map(|(at, _)| at).collect()
}

fn kind<'v>(block: &'v Value<'_>) -> Option<&'v str> {
    json::text(json::member(block, "type")?)
}

/// The text of a block that has one: its own, or that of a resource in it.
fn text_of<'v, 'a>(block: &'v mut Value<'a>) -> Option<&'v mut Cow<'a, str>> {
    match kind(block)? {
        "text" => text_at(block),
        "resource" => text_at(member_mut(block, "resource")?),
        _ => None,
    }
}

fn text_at<'v, 'a>(value: &'v mut Value<'a>) -> Option<&'v mut Cow<'a, str>> {
    if let Value::String(text) = member_mut(value, "text")? { Some(text) } else { None }
}

fn member_mut<'v, 'a>(value: &'v mut Value<'a>, name: &str) -> Option<&'v mut Value<'a>> {
    let Value::Object(members) = value else { return None };
    members.iter_mut().find(|(key, _)| key == name).map(|(_, member)| member)
}

fn shape_data(rule: &Rule, data: &mut Value<'_>, notes: &mut Notes) {
    if select::select(data, &rule.select) {
        notes.members();
    }
    cut::data(data, rule.items_max, rule.text_bytes_max, &mut String::new(), notes);
}

/// Of a server that writes its data as text and nowhere else; nothing if it is no data, or nothing changes.
fn shape_text(rule: &Rule, text: &str, notes: &mut Notes) -> Option<String> {
    if !rule.changes_data() || !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut data = json::read(text)?;
    let mut own = Notes::default();
    shape_data(rule, &mut data, &mut own);
    if own.is_empty() {
        return None;
    }
    notes.add(own);
    Some(json::write(&data))
}

fn cut_text(rule: &Rule, text: &mut Cow<'_, str>, notes: &mut Notes) {
    if let Some(cut) = rule.text_bytes_max.and_then(|max| cut::text(text, max)) {
        *text = Cow::Owned(cut);
        notes.text();
    }
}
