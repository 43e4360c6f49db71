//! What leaves is what came, but for what the hop owns.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_era::request::{Hop, RequestError, progress_token, rewrite};
use sluice_wire::{
    json::{Document, IndexDepth, Limits},
    message::Message,
    revision::Revision,
};

const OLD: Revision = Revision::V2025_06_18;
const NEW: Revision = Revision::V2026_07_28;

fn message(text: &str, depth: IndexDepth) -> Message {
    Message::decode(Document::parse(Bytes::from(text.to_owned()), &Limits::REQUEST, depth).unwrap()).unwrap()
}

fn hop<'a>(capabilities: &'a Bytes) -> Hop<'a> {
    Hop { id: 7, owns_progress: true, span: 0xabc, original_name: None, client_info: None, capabilities, log_level: None, as_task: false }
}

/// Rewritten at every useful index depth, which must not matter.
fn rewritten(text: &str, from: Revision, to: Revision, change: impl Fn(&mut Hop<'_>)) -> Result<String, RequestError> {
    let capabilities = Bytes::from_static(b"{}");
    let mut hop = hop(&capabilities);
    change(&mut hop);
    let at = |depth| rewrite(&message(text, depth), from, to, &hop).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    let all = [IndexDepth::Levels(2), IndexDepth::Levels(3), IndexDepth::Levels(4), IndexDepth::Full].map(at);
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    all[0].clone()
}

#[test]
fn within_an_era_only_what_the_hop_owns_changes() {
    for (from, to, sent, expected) in [
        (
            OLD,
            Revision::V2025_11_25,
            r#"{"id" : "a\u0041","jsonrpc":"2.0","method":"x/y"}"#,
            r#"{"id" : 7,"jsonrpc":"2.0","method":"x/y"}"#,
        ),
        (
            OLD,
            OLD,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"a":1.0,"progressToken":"t" },"name":"n"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"a":1.0,"progressToken":7 },"name":"n"}}"#,
        ),
        (
            NEW,
            NEW,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"tasks":{},"x":1e3}}}}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"x":1e3}}}}"#,
        ),
        (
            NEW,
            NEW,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t" }}}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"progressToken":7 }}}"#,
        ),
    ] {
        assert_eq!(rewritten(sent, from, to, |_| {}).unwrap(), expected);
    }
}

#[test]
fn what_else_was_filled_in_is_not_said_to_servers_of_before() {
    let text = |id: u32, context: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"completion/complete","params":{{"ref":{{"type":"ref/prompt","name":"p"}}{context}}}}}"#
        )
    };
    let sent = text(1, r#","context":{"arguments":{"a":"b"}}"#);
    for (to, expected) in [(Revision::V2025_03_26, text(7, "")), (Revision::V2025_06_18, text(7, r#","context":{"arguments":{"a":"b"}}"#))]
    {
        assert_eq!(rewritten(&sent, Revision::V2025_11_25, to, |_| {}).unwrap(), expected, "{to}");
    }
}

#[test]
fn a_renamed_target_keeps_everything_around_it() {
    for (method, params, expected) in [
        ("tools/call", r#"{"name":"a","arguments":{"name":"a"}}"#, r#"{"name":"ö","arguments":{"name":"a"}}"#),
        ("resources/read", r#"{"uri":"x://a"}"#, r#"{"uri":"ö"}"#),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"a"},"argument":{"name":"a","value":""}}"#,
            r#"{"ref":{"type":"ref/prompt","name":"ö"},"argument":{"name":"a","value":""}}"#,
        ),
        ("completion/complete", r#"{"ref":{"type":"ref/resource","uri":"a"}}"#, r#"{"ref":{"type":"ref/resource","uri":"ö"}}"#),
        ("tools/list", r#"{"name":"a"}"#, r#"{"name":"a"}"#),
    ] {
        let text = |id: u32, params: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        let left = rewritten(&text(1, params), OLD, OLD, |hop| hop.original_name = Some("ö")).unwrap();
        assert_eq!(left, text(7, expected), "{method}");
    }
}

#[test]
fn toward_a_modern_server_the_session_stands_on_the_request() {
    let stamp = |sent: &str| {
        let capabilities = Bytes::from_static(br#"{"sampling":{},"experimental":{}}"#);
        let left = rewrite(
            &message(sent, IndexDepth::Levels(3)),
            OLD,
            NEW,
            &Hop { owns_progress: false, client_info: Some(br#"{"name":"c"}"#), log_level: Some("error"), ..hop(&capabilities) },
        );
        serde_json::from_slice::<Value>(&left.unwrap()).unwrap()["params"].clone()
    };
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"sampling": {}, "experimental": {}},
        "io.modelcontextprotocol/clientInfo": {"name": "c"},
        "io.modelcontextprotocol/logLevel": "error",
    });
    assert_eq!(stamp(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#), json!({"_meta": meta}));
    assert_eq!(stamp(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#), json!({"_meta": meta}));
    assert_eq!(
        stamp(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":null,"cursor":"c"}}"#),
        json!({"_meta": meta, "cursor": "c"})
    );
    let mut kept = meta.clone();
    kept["progressToken"] = json!("t");
    kept["v/x"] = json!(1.5);
    let sent = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t","v/x":1.5,"io.modelcontextprotocol/logLevel":"debug"},"name":"n"}}"#;
    assert_eq!(stamp(sent), json!({"_meta": kept, "name": "n"}));
}

#[test]
fn toward_a_legacy_server_only_the_protocols_own_members_go() {
    for (sent, expected) in [
        (
            r#"{"a":1.0,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}"#,
            r#"{"a":1.0}"#,
        ),
        (
            r#"{"_meta":{ "v/x":1.0,"io.modelcontextprotocol/logLevel":"info","traceparent":"t","progressToken":0.5,"io.modelcontextprotocol/other":1}}"#,
            r#"{"_meta":{ "v/x":1.0,"traceparent":"t","progressToken":7,"io.modelcontextprotocol/other":1}}"#,
        ),
        (r#"{"_meta":{}}"#, r#"{}"#),
        ("{}", "{}"),
        (r#"{"a":1,"inputResponses":{"k":{}},"requestState":"s"}"#, r#"{"a":1}"#),
    ] {
        let text = |id: u32, params: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
        assert_eq!(rewritten(&text(1, sent), NEW, OLD, |_| {}).unwrap(), text(7, expected));
    }
}

#[test]
fn what_both_eras_ask_for_crosses() {
    for (method, crosses) in [
        ("tools/list", true),
        ("tools/call", true),
        ("prompts/get", true),
        ("x/y", false),
        ("resources/read", true),
        ("resources/subscribe", false),
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{}}}}"#);
        for (from, to) in [(OLD, NEW), (NEW, OLD)] {
            let left = rewritten(&text, from, to, |_| {});
            assert_eq!(left.is_ok(), crosses, "{method}");
            assert!(crosses || left == Err(RequestError::CannotCross));
        }
        assert!(rewritten(&text, OLD, Revision::V2024_11_05, |_| {}).is_ok());
    }
}

#[test]
fn a_progress_token_keeps_its_spelling() {
    for (token, expected) in
        [(r#""a\u0041""#, Some(r#""a\u0041""#)), ("9007199254740993", Some("9007199254740993")), ("null", None), ("{}", None)]
    {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"_meta":{{"progressToken":{token}}}}}}}"#);
        for depth in [IndexDepth::Levels(2), IndexDepth::Full] {
            assert_eq!(progress_token(&message(&text, depth)).as_deref(), expected.map(str::as_bytes), "{token}");
        }
    }
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,8})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\u00e9\/\ud83d\ude00""#.to_owned()),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[ {} ]", items.join(" , "))),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..6).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(key, value)| format!("{key:?} :{value}")).collect();
                format!("{{{}}}", members.join(",\t"))
            }),
        ]
    })
}

proptest! {
    /// With nothing to own but the id, nothing but the id changes, in both eras, whatever was sent.
    #[test]
    fn spans_outside_the_id_are_the_senders(arguments in any_json(), extra in any_json(), id in "[0-9]{1,18}|\"[a-z\\\\n]{0,9}\"") {
        let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;
        let (before, after) = (
            r#"{"jsonrpc":"2.0", "id": "#,
            format!(r#","extra":{extra},"method":"tools/call","params":{{"name":"n","_meta":{{{version}, "v/x":{extra}}},"arguments":{arguments}}}}}"#),
        );
        let id = if id.starts_with('"') { id } else { id.trim_start_matches('0').to_owned() + "1" };
        let text = format!("{before}{id}{after}");
        prop_assume!(Document::parse(Bytes::from(text.clone()), &Limits::REQUEST, IndexDepth::Full).is_ok());
        for revision in [OLD, NEW] {
            let left = rewritten(&text, revision, revision, |_| {}).unwrap();
            prop_assert_eq!(&left, &format!("{before}7{after}"));
        }
    }

    /// A round trip through the other era's form loses nothing of the client's.
    #[test]
    fn stamping_and_unstamping_meet(arguments in any_json(), cursor in any::<bool>()) {
        let meta = if cursor { r#""_meta":{"v/x":[1.0]},"# } else { "" };
        let params = format!(r#"{{{meta}"name":"n","arguments":{arguments}}}"#);
        let text = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
        prop_assume!(Document::parse(Bytes::from(text(1)), &Limits::REQUEST, IndexDepth::Full).is_ok());
        let there = rewritten(&text(1), OLD, NEW, |hop| hop.owns_progress = false).unwrap();
        let back = rewritten(&there, NEW, OLD, |_| {}).unwrap();
        prop_assert_eq!(back, text(7));
    }
}
