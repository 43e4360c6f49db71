//! Every code point there is, in every kind of field: what nobody sees or a terminal obeys does not pass, and nothing else is touched.

use regex::Regex;
use serde_json::{Value, json};
use sluice_plugin_guard::Guard;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};

/// Code points a message.
const BATCH: usize = 512;

/// What must go, by tables that are not ours: ignorable by default, controls of text's direction, other controls, and annotations.
fn oracle() -> Regex {
    Regex::new(r"[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cc}\x{FFF9}-\x{FFFB}--\t\n\r]").unwrap()
}

/// Each between letters, with a space behind, so that it is judged by letters alone; and what is to be left.
fn batches() -> (Vec<(String, String)>, usize, usize) {
    let oracle = oracle();
    let (mut batches, mut all, mut bad) = (Vec::new(), 0, 0);
    // Marks of direction are judged by the whole text, so none stands beside a letter that runs to the left.
    let turns = Regex::new(r"\p{Bidi_Control}").unwrap();
    let (turning, others): (Vec<char>, Vec<char>) =
        (0..=0x10FFFF).filter_map(char::from_u32).partition(|c| turns.is_match(c.encode_utf8(&mut [0; 4])));
    for some in others.chunks(BATCH).chain([&turning[..]]) {
        let (mut said, mut left) = (String::new(), String::new());
        for c in some {
            let is_bad = oracle.is_match(c.encode_utf8(&mut [0; 4]));
            // A carriage return before a letter overwrites its line, and what begins a sequence takes a letter along: tested by themselves.
            let begins = matches!(c, '\r' | '\x1b' | '\u{90}' | '\u{98}' | '\u{9b}' | '\u{9d}'..='\u{9f}');
            let behind = if begins { "\n" } else { "b" };
            said.extend(["a", c.encode_utf8(&mut [0; 4]), behind, " "]);
            left.push('a');
            if !is_bad {
                left.push(*c);
            }
            left.extend([behind, " "]);
            (all, bad) = (all + 1, bad + usize::from(is_bad));
        }
        batches.push((said, left));
    }
    (batches, all, bad)
}

type Kinds = &'static [(&'static str, fn(&str) -> (Head, Value))];

fn answered(method: &str, result: Value) -> (Head, Value) {
    (testing::head(method).answered(), json!({"result": result}))
}

fn told(method: &str, kind: Kind, params: Value) -> (Head, Value) {
    (Head { kind, ..testing::head(method).answered() }, json!({"method": method, "params": params}))
}

/// Where a server writes what it likes.
const KINDS: Kinds = &[
    ("text", |s| answered("tools/call", json!({"content": [{"type": "text", "text": s}]}))),
    ("tool error", |s| answered("tools/call", json!({"content": [{"type": "text", "text": s}], "isError": true}))),
    ("structured content", |s| answered("tools/call", json!({"content": [], "structuredContent": {"rows": [{"a": [s]}]}}))),
    ("member's name", |s| answered("tools/call", json!({"content": [], "structuredContent": {"rows": {s: 1}}}))),
    ("embedded resource", |s| answered("tools/call", json!({"content": [{"type": "resource", "resource": {"uri": "u", "text": s}}]}))),
    ("link", |s| answered("tools/call", json!({"content": [{"type": "resource_link", "uri": "u", "name": "n", "description": s}]}))),
    ("resource", |s| answered("resources/read", json!({"contents": [{"uri": "u", "text": s}]}))),
    ("prompt", |s| answered("prompts/get", json!({"messages": [{"role": "user", "content": {"type": "text", "text": s}}]}))),
    ("error", |s| (testing::head("tools/call").answered(), json!({"error": {"code": 1, "message": s}}))),
    ("data of an error", |s| (testing::head("tools/call").answered(), json!({"error": {"code": 1, "message": "m", "data": {"a": s}}}))),
    ("progress", |s| told("notifications/progress", Kind::Notification, json!({"progressToken": 1, "progress": 1, "message": s}))),
    ("log", |s| told("notifications/message", Kind::Notification, json!({"level": "info", "data": {"a": s}}))),
    ("elicitation", |s| told("elicitation/create", Kind::InputRequest, json!({"message": s, "requestedSchema": {}}))),
    ("sampling", |s| {
        told("sampling/createMessage", Kind::InputRequest, json!({"messages": [{"role": "user", "content": {"type": "text", "text": s}}]}))
    }),
];

/// Batches that do not come out as they must; of definitions too.
fn failures(plugin: &Guard, said: &str, left: &str) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for (name, kind) in KINDS {
        let (head, message) = kind(said);
        let x = FakeExchange::new(&message.to_string());
        let passed = match head.kind {
            Kind::Response => plugin.on_response(&head, &x) == Verdict::Next,
            _ => plugin.on_notification(&head, &x) == NotificationVerdict::Next,
        };
        if !passed || x.edited().as_ref() != Ok(&kind(left).1) {
            failed.push(*name);
        }
    }
    let definition = json!({"name": "t", "description": said, "inputSchema": {"properties": {"a": {"description": said}}}}).to_string();
    let changes =
        plugin.on_catalog(&FakeViewer::of(1).with_definitions(&[&definition]), ListKind::Tools, &[Entry::new("s", "t", "")]).changes;
    let expected = json!({"description": left, "inputSchema": {"properties": {"a": {"description": left}}}});
    let is_as_expected = match &changes[..] {
        [Change::Keep] => said == left,
        [Change::Patch(patch)] => serde_json::from_str::<Value>(patch).unwrap() == expected,
        _ => false,
    };
    if !is_as_expected {
        failed.push("definition");
    }
    failed
}

#[test]
fn every_code_point_in_every_kind_of_field() {
    // A definition that smuggles is hidden by default; here it is to be seen what is left.
    let plugin: Guard = testing::plugin(r#"{"definitions":{"smuggled":"strip"}}"#).unwrap();
    let (batches, all, bad) = batches();
    let mut failed = 0;
    for (said, left) in &batches {
        for name in failures(&plugin, said, left) {
            failed += 1;
            if failed <= 10 {
                let wrong = said.split(' ').zip(left.split(' ')).find(|(said, _)| failures(&plugin, said, said).contains(&name));
                println!("{name}: {:?} of the batch that begins with {:?}", wrong, &said.chars().nth(1));
            }
        }
    }
    println!(
        "{all} code points, {bad} of which must go, in {} kinds of field: {failed} batches of {} wrong",
        KINDS.len() + 1,
        batches.len()
    );
    assert_eq!(failed, 0);
    assert_eq!(all, 0x110000 - 0x800, "all but surrogates");
}

/// The control: without the detectors the same test finds every batch that has something to find.
#[test]
fn without_detectors_the_sweep_fails() {
    let off = json!({"smuggled": "off", "hidden": "off", "terminal": "off"});
    let plugin: Guard = testing::plugin(&json!({"messages": off, "definitions": off}).to_string()).unwrap();
    let (batches, ..) = batches();
    let dirty: Vec<_> = batches.iter().filter(|(said, left)| said != left).collect();
    for (said, left) in &dirty {
        assert_eq!(failures(&plugin, said, left).len(), KINDS.len() + 1);
    }
    println!(
        "{} batches of {} have something to find, and without detectors all of them fail in each kind of field",
        dirty.len(),
        batches.len()
    );
    assert!(!dirty.is_empty());
}
