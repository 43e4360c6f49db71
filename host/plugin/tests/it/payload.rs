//! Reading messages and editing them.

use crate::support::{Call, call, engine, labels, load, load_with, settings};
use serde_json::{Value, json};
use sluice_chain::{
    fault::Fault,
    filter::{Filter, NotificationVerdict, Verdict},
};
use sluice_plugin::Power;

fn text(verdict: Result<Verdict, Fault>) -> String {
    match verdict {
        Ok(Verdict::Next(Some(message))) => String::from_utf8(message.bytes().to_vec()).unwrap(),
        Ok(Verdict::Reply(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Spacing, escapes and number forms that a parse and print would lose.
const ODD: &str = r#"{ "jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"ls","arguments":{"n":1.10,"s":"a\u0040b/c","k\u0065y":[1,2]},"_meta":{"progressToken":"p","own":"o"}} }"#;

async fn edits(edits: Value) -> (Result<Verdict, Fault>, Vec<String>) {
    let filter = load(&engine(), "echo-edit", json!({"on": "request", "edits": edits})).await;
    let mut call = Call::raw("ls", ODD);
    let verdict = call.request(&filter).await;
    (verdict, labels(&call))
}

#[tokio::test]
async fn what_is_read_is_what_was_sent() {
    let engine = engine();
    let pointers = json!(["/params/arguments/n", "/params/arguments/key/1", "/params/none", "", "nonsense"]);
    for by in ["get", "get-many"] {
        let filter = load(&engine, "reads-arguments", json!({"pointers": pointers, "by": by})).await;
        assert!(filter.interest().reads_payload);
        let said = text(Call::raw("ls", ODD).request(&filter).await);
        assert_eq!(said, format!(r#"{{"content":[],"structuredContent":{{"read":[1.10,2,null,{},null]}}}}"#, ODD));
    }
    let filter = load(&engine, "reads-arguments", json!({"pointers": [], "by": "text"})).await;
    assert!(text(Call::raw("ls", ODD).request(&filter).await).contains(ODD));
    let filter = load(&engine, "reads-arguments", json!({"pointers": ["/params/name"], "by": "asked"})).await;
    let mut answered = Call::raw("ls", ODD).answered(json!({"content": []}));
    assert!(text(answered.response(&filter).await).contains(r#"["ls"]"#));
}

#[tokio::test]
async fn what_reading_is_measured_with_reads() {
    let filter = load(&engine(), "two-reads", json!({})).await;
    assert!(filter.interest().reads_payload);
    assert!(matches!(call("ls", json!({"text": "some"})).request(&filter).await, Ok(Verdict::Next(None))));
    // The control: where there is nothing, it has seen so.
    let verdict = call("ls", json!({})).request(&filter).await;
    assert!(matches!(&verdict, Ok(Verdict::Reject(no)) if no.code == 4000), "{verdict:?}");
}

#[tokio::test]
async fn an_edit_changes_its_span_and_nothing_else() {
    let (verdict, said) = edits(json!([
        {"set": ["/params/arguments/n", "2.50"]},
        {"splice": ["/params/arguments/s", 1, 2, " at "]},
        {"set": ["/params/arguments/new", "{\"x\":1}"]},
        {"set": ["/params/arguments/key/-", "3"]},
        {"splice_key": ["/params/arguments/key", 0, 1, "K"]},
        {"set": ["/params/_meta/own", "\"mine\""]},
    ]))
    .await;
    let expected = r#"{ "jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"ls","arguments":{"n":2.50,"s":"a at b/c","K\u0065y":[1,2,3],"new":{"x":1}},"_meta":{"progressToken":"p","own":"mine"}} }"#;
    assert_eq!(text(verdict), expected);
    assert_eq!(said, ["echo-edit.staged=ok"]);
    let (verdict, _) = edits(json!([{"remove": "/params/arguments/s"}])).await;
    assert_eq!(text(verdict), ODD.replace(r#","s":"a\u0040b/c""#, ""));
}

#[tokio::test]
async fn what_is_not_a_plugins_to_change_is_refused_when_staged() {
    for edit in [
        json!({"set": ["/id", "8"]}),
        json!({"remove": "/id"}),
        json!({"set": ["/method", "\"tools/list\""]}),
        json!({"splice": ["/method", 0, 5, "x"]}),
        json!({"splice_key": ["/method", 0, 1, "M"]}),
        json!({"set": ["/jsonrpc", "\"1.0\""]}),
        json!({"set": ["", "{}"]}),
        json!({"set": ["/extra", "1"]}),
        json!({"remove": "/params"}),
        json!({"set": ["/params", "{}"]}),
        json!({"set": ["/params/_meta", "{}"]}),
        json!({"remove": "/params/_meta"}),
        json!({"remove": "/params/_meta/progressToken"}),
        json!({"set": ["/params/_meta/progressToken", "\"q\""]}),
        json!({"splice": ["/params/_meta/progressToken", 0, 1, "q"]}),
        json!({"set": ["/params/_meta/traceparent", "\"00-0\""]}),
        json!({"set": ["/params/_meta/io.modelcontextprotocol~1clientInfo", "{}"]}),
        json!({"splice_key": ["/params/_meta/own", 0, 3, "progressToken"]}),
        json!({"splice_key": ["/params/_meta", 0, 1, "m"]}),
    ] {
        let (verdict, said) = edits(json!([{"set": ["/params/arguments/n", "9"]}, edit])).await;
        assert!(said[0].starts_with("echo-edit.staged=denied"), "{edit}: {said:?}");
        assert!(matches!(verdict, Ok(Verdict::Next(None))), "all of one call or nothing: {edit}");
    }
    let filter = load(&engine(), "edit-id", json!({})).await;
    let mut call = Call::raw("ls", ODD);
    let verdict = call.request(&filter).await;
    assert!(labels(&call).contains(&"edit-id.accepted=0".to_owned()), "{:?} {verdict:?}", labels(&call));
    assert!(matches!(verdict, Ok(Verdict::Next(None))), "{verdict:?}");
}

#[tokio::test]
async fn bad_pointers_and_bad_json_are_told_at_once() {
    for (edit, says) in [
        (json!({"set": ["/params/arguments/none/x", "1"]}), "bad-pointer"),
        (json!({"set": ["/params/arguments/key/9", "1"]}), "bad-pointer"),
        (json!({"remove": "/params/arguments/none"}), "bad-pointer"),
        (json!({"splice": ["/params/arguments/n", 0, 1, "x"]}), "bad-pointer"),
        (json!({"splice": ["/params/arguments/s", 2, 1, "x"]}), "bad-pointer"),
        (json!({"splice": ["/params/arguments/s", 0, 99, "x"]}), "bad-pointer"),
        (json!({"splice_key": ["/params/arguments/key", 0, 9, "x"]}), "bad-pointer"),
        (json!({"set": ["/params/arguments/n", "{\"a\":1,\"a\":2}"]}), "denied"),
        (json!({"set": ["/params/arguments/n", "nope"]}), "denied"),
    ] {
        let (verdict, said) = edits(json!([edit])).await;
        assert!(said[0].starts_with(&format!("echo-edit.staged={says}")), "{edit}: {said:?}");
        assert!(matches!(verdict, Ok(Verdict::Next(None))));
    }
}

#[tokio::test]
async fn edits_of_one_place_are_a_fault_and_leave_nothing() {
    let engine = engine();
    for (how, faults) in [
        ("splices", true),
        ("set-in-set", true),
        ("set-and-splice", true),
        ("remove-and-set", true),
        ("out-of-range", false),
        ("inside-a-character", false),
        ("no-parent", false),
        ("bad-pointer", false),
        ("not-a-string", false),
    ] {
        let filter = load(&engine, "overlap-edit", json!({"how": how})).await;
        let mut call = call("ls", json!({"a": "éclair", "o": {"b": 1}, "n": 1}));
        let before = call.pass.message.bytes().clone();
        let verdict = call.request(&filter).await;
        match &verdict {
            Err(Fault::BadReply(_)) => assert!(faults, "{how}: {verdict:?}"),
            Ok(Verdict::Next(None)) => assert!(!faults, "{how}: {:?}", labels(&call)),
            other => panic!("{how}: {other:?}"),
        }
        assert_eq!(*call.pass.message.bytes(), before);
    }
}

#[tokio::test]
async fn edits_before_a_refusal_are_not_seen() {
    let config = json!({"on": "request", "edits": [{"set": ["/params/arguments/n", "2"]}], "then_reject": true});
    let filter = load(&engine(), "echo-edit", config).await;
    let mut call = Call::raw("ls", ODD);
    assert!(matches!(call.request(&filter).await, Ok(Verdict::Reject(_))));
    assert_eq!(*call.pass.message.bytes(), ODD);
}

#[tokio::test]
async fn answers_and_notifications_are_edited_too() {
    let engine = engine();
    let config = json!({"on": "response", "edits": [{"set": ["/result/content", "[]"]}, {"remove": "/result/structuredContent"}]});
    let filter = load(&engine, "echo-edit", config).await;
    let mut answered = call("ls", json!({})).answered(json!({"content": [1], "structuredContent": {}, "isError": false}));
    assert_eq!(text(answered.response(&filter).await), r#"{"jsonrpc":"2.0","id":7,"result":{"content":[],"isError":false}}"#);
    let config = json!({"on": "notification", "edits": [{"set": ["/params/message", "\"…\""]}]});
    let filter = load(&engine, "echo-edit", config).await;
    let mut notified = call("ls", json!({})).notified("notifications/progress", json!({"progress": 1, "message": "secret"}));
    let Ok(NotificationVerdict::Next(Some(message))) = notified.notification(&filter).await else { panic!("no edit") };
    assert_eq!(*message.bytes(), r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"message":"…"}}"#);
}

#[tokio::test]
async fn a_power_that_is_taken_away_reads_nothing_and_changes_nothing() {
    let engine = engine();
    let without = |name: &str, config: Value| {
        let mut settings = settings(name, config);
        settings.denied = vec![Power::Payload, Power::Patterns];
        settings
    };
    let filter = load_with(&engine, without("reads-arguments", json!({"pointers": ["/params/name"], "by": "get"}))).await;
    assert!(!filter.interest().reads_payload);
    assert!(text(Call::raw("ls", ODD).request(&filter).await).contains(r#""read":[null]"#));
    let filter = load_with(&engine, without("reads-arguments", json!({"pointers": [], "by": "text"}))).await;
    assert!(text(Call::raw("ls", ODD).request(&filter).await).contains(r#""read":[null]"#));
    let filter = load_with(&engine, without("echo-edit", json!({"on": "request", "edits": [{"set": ["/params/arguments/n", "2"]}]}))).await;
    let mut call = Call::raw("ls", ODD);
    assert!(matches!(call.request(&filter).await, Ok(Verdict::Next(None))));
    assert!(labels(&call)[0].starts_with("echo-edit.staged=denied"));
}

#[tokio::test]
async fn what_a_guest_writes_is_as_strict_as_what_a_peer_sends() {
    let engine = engine();
    for what in ["invalid", "duplicate-key", "lone-surrogate", "deep", "trailing", "not-an-object"] {
        for to in ["reply", "data", "set"] {
            // An array is a fine value and fine data; a result has to be an object.
            if what == "not-an-object" && to != "reply" {
                continue;
            }
            let filter = load(&engine, "bad-json", json!({"what": what, "to": to, "pointer": "/params/arguments/n"})).await;
            let mut call = Call::raw("ls", ODD);
            let verdict = call.request(&filter).await;
            match (to, &verdict) {
                // Staging refuses it at once, and the guest goes on without.
                ("set", Ok(Verdict::Next(None) | Verdict::Reject(_)) | Err(Fault::BadReply(_))) => {}
                ("reply" | "data", Err(Fault::BadReply(_))) => {}
                _ => panic!("{what} as {to}: {verdict:?}"),
            }
            assert_eq!(*call.pass.message.bytes(), ODD);
        }
    }
}

#[tokio::test]
async fn one_call_cannot_multiply_the_message() {
    let engine = engine();
    // The whole message, a thousand times; and more pointers than host calls.
    for (pointers, says) in [(vec![""; 900], "bytes through host calls"), (vec!["/params/none"; 1_100], "host calls")] {
        let mut settings = settings("reads-arguments", json!({"pointers": pointers, "by": "get-many"}));
        settings.limits.host_bytes_max = 1 << 20;
        settings.limits.cpu = std::time::Duration::from_secs(5);
        let filter = load_with(&engine, settings).await;
        let fault = call("ls", json!({"q": "x".repeat(2_000)})).request(&filter).await.unwrap_err();
        assert!(matches!(&fault, Fault::Limit(why) if why.contains(says)), "{fault}");
    }
}
