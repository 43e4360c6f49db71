//! Each hook, and the imports that are not about payloads, through guests that do as they are told.

use crate::support::{call, engine, labels, load, load_with, settings};
use serde_json::{Value, json};
use sluice_chain::{
    attributes::Attributes,
    fault::Fault,
    filter::{Authentication, Credential, Filter, Hook, NotificationVerdict, Verdict},
    record::{Ended, Outcome, Passed},
    verdict::Ask,
};
use sluice_plugin::{Limits, Settings, WasmFilter};
use sluice_wire::revision::Revision;
use std::time::Duration;

async fn decides(on: &str, verdict: Value) -> std::sync::Arc<WasmFilter> {
    load(&engine(), "verdict", json!({"on": on, "verdict": verdict})).await
}

#[tokio::test]
async fn a_filter_that_reads_facts_lets_pass() {
    let filter = load(&engine(), "facts-only", json!({})).await;
    assert!(!filter.interest().reads_payload, "{:?}", filter.imports());
    assert!(filter.interest().hooks.iter().any(|(hook, _)| *hook == Hook::OnRequest));
    let mut call = call("ls", json!({}));
    for _ in 0..3 {
        assert!(matches!(call.request(&filter).await, Ok(Verdict::Next(None))));
    }
    assert!(labels(&call).is_empty());
    assert_eq!(filter.identity().digest.len(), 64);
}

#[tokio::test]
async fn a_reply_is_an_object_and_arrives_as_written() {
    let text = r#"{"content":[],"n":1.10}"#;
    for on in ["request", "response"] {
        let filter = decides(on, json!({"reply": text})).await;
        let mut call = call("ls", json!({}));
        let verdict = match on {
            "request" => call.request(&filter).await,
            _ => call.answered(json!({})).response(&filter).await,
        };
        assert!(matches!(&verdict, Ok(Verdict::Reply(bytes)) if bytes == text), "{verdict:?}");
    }
}

#[tokio::test]
async fn a_rejection_arrives_whole() {
    let no = json!({"reject": {"code": 4030, "message": "no", "data": "{\"a\":1}", "status": 403, "headers": [["Retry-After", "1"]], "as_tool_result": true}});
    let filter = decides("request", no).await;
    let Ok(Verdict::Reject(no)) = call("ls", json!({})).request(&filter).await else { panic!("no rejection") };
    assert_eq!((no.code, &*no.message, no.data.as_deref()), (4030, "no", Some(r#"{"a":1}"#)));
    assert_eq!((no.http_status, no.as_tool_result), (Some(403), true));
    assert_eq!(no.http_headers, [("retry-after".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn a_question_to_a_person_arrives_whole_and_a_bad_one_is_a_fault() {
    let form = r#"{"type":"object","properties":{"why":{"type":"string"}}}"#;
    let filter = decides("request", json!({"suspend": {"message": "sure?", "form": form}})).await;
    let Ok(Verdict::Suspend(asks)) = call("ls", json!({})).request(&filter).await else { panic!("nobody is asked") };
    assert!(asks.message == "sure?" && asks.ttl.is_none() && matches!(&asks.ask, Ask::Form(schema) if schema == form), "{asks:?}");
    let filter = decides("request", json!({"suspend": {"message": "open", "url": "https://example.com/a"}})).await;
    let Ok(Verdict::Suspend(asks)) = call("ls", json!({})).request(&filter).await else { panic!("nobody is asked") };
    assert!(matches!(&asks.ask, Ask::Url(url) if url == "https://example.com/a"), "{asks:?}");
    for (asks, says) in [
        (json!({"message": ""}), "nothing"),
        (json!({"message": "x".repeat(5000)}), "4096 bytes"),
        (json!({"message": "m", "url": "javascript:x"}), "no http link"),
        (json!({"message": "m", "url": "https://a b"}), "no http link"),
        (json!({"message": "m", "form": "{"}), "form is refused"),
        (json!({"message": "m", "form": r#"{"type":"object"}"#}), "no schema of an object"),
        (json!({"message": "m", "form": r#"{"type":"array","properties":{}}"#}), "no schema of an object"),
    ] {
        let filter = decides("request", json!({ "suspend": asks })).await;
        let verdict = call("ls", json!({})).request(&filter).await;
        assert!(matches!(&verdict, Err(Fault::BadReply(why)) if why.contains(says)), "{verdict:?}");
    }
    let late = decides("response", json!({"suspend": {"message": "sure?"}})).await;
    let verdict = call("ls", json!({})).answered(json!({})).response(&late).await;
    assert!(matches!(&verdict, Err(Fault::BadReply(why)) if why.contains("past its request")), "{verdict:?}");
}

#[tokio::test]
async fn an_exchange_counts_once_however_many_rounds_it_has() {
    let filter = load(&engine(), "kv-counter", json!({})).await;
    let count = |again| {
        let filter = filter.clone();
        async move {
            let mut call = call("ls", json!({}));
            call.pass.again = again;
            call.request(&filter).await.unwrap();
            labels(&call).into_iter().find(|label| label.starts_with("kv-counter.count=")).unwrap()
        }
    };
    assert_eq!(count(false).await, "kv-counter.count=1");
    assert_eq!(count(true).await, "kv-counter.count=1");
    assert_eq!(count(false).await, "kv-counter.count=2");
}

#[tokio::test]
async fn what_the_recorder_saw_it_tells_once() {
    let filter = load(&engine(), "recorder", json!({})).await;
    assert!(matches!(call("ls", json!({"a": 1.0})).request(&filter).await, Ok(Verdict::Next(None))));
    for (turn, kept) in [(0, 1), (1, 0)] {
        let Ok(Verdict::Reply(said)) = call("recorded", json!({})).request(&filter).await else { panic!("it answers for itself") };
        let said: Value = serde_json::from_slice(&said).unwrap();
        let seen = said["structuredContent"]["seen"].as_array().unwrap();
        assert_eq!(seen.len(), kept, "{turn}: {said}");
    }
}

#[tokio::test]
async fn rejections_that_no_peer_may_see_are_faults() {
    for (no, says) in [
        (json!({"code": -32000, "message": ""}), "code of the protocol"),
        (json!({"code": -32768, "message": ""}), "code of the protocol"),
        (json!({"code": 1, "message": "", "data": "{"}), "data"),
        (json!({"code": 1, "message": "", "status": 100}), "HTTP status"),
        (json!({"code": 1, "message": "", "headers": [["a b", "c"]]}), "headers"),
        (json!({"code": 1, "message": "", "headers": [["a", "b\r\nc: d"]]}), "headers"),
    ] {
        let filter = decides("request", json!({"reject": no})).await;
        let fault = call("ls", json!({})).request(&filter).await.unwrap_err();
        assert!(matches!(&fault, Fault::BadReply(why) if why.contains(says)), "{no}: {fault}");
    }
}

#[tokio::test]
async fn an_unknown_verdict_is_a_fault() {
    let filter = decides("request", json!({"other": "teleport"})).await;
    let fault = call("ls", json!({})).request(&filter).await.unwrap_err();
    assert!(matches!(&fault, Fault::BadReply(why) if why.contains("teleport")), "{fault}");
}

#[tokio::test]
async fn notifications_pass_are_dropped_or_end_their_exchange() {
    let filter = load(&engine(), "notify-drop", json!({"methods": ["notifications/progress"]})).await;
    let mut progress = call("ls", json!({})).notified("notifications/progress", json!({"progress": 1}));
    assert!(matches!(progress.notification(&filter).await, Ok(NotificationVerdict::Drop)));
    let mut message = call("ls", json!({})).notified("notifications/message", json!({"data": 1}));
    assert!(matches!(message.notification(&filter).await, Ok(NotificationVerdict::Next(None))));
    let filter = decides("notification", json!({"reject": {"code": 4000, "message": "enough"}})).await;
    assert!(matches!(message.notification(&filter).await, Ok(NotificationVerdict::Reject(no)) if no.code == 4000));
}

#[tokio::test]
async fn labels_are_the_plugins_own_and_facts_are_read() {
    let config = json!({"set": {"a": "1"}, "copy": {"who": "principal.subject", "none": "principal.tenant"}, "list": "client."});
    let filter = load(&engine(), "label", config).await;
    let mut call = call("ls", json!({}));
    assert!(matches!(call.request(&filter).await, Ok(Verdict::Next(None))));
    let mut said = labels(&call);
    said.sort();
    assert_eq!(said, ["label.a=1", "label.all=client.name=test\n", "label.none=absent", "label.who=local"]);
}

#[tokio::test]
async fn a_filter_asks_where_a_message_goes() {
    let filter = load(&engine(), "label", json!({"place": true})).await;
    let mut known = call("ls", json!({}));
    known.request(&filter).await.unwrap();
    assert_eq!(labels(&known), ["label.place=files 2026-07-28"]);
    let mut unknown = call("ls", json!({}));
    (unknown.pass.head.upstream, unknown.pass.head.protocol) = (None, Revision::LEGACY[0]);
    unknown.request(&filter).await.unwrap();
    assert_eq!(labels(&unknown), [format!("label.place=- {}", Revision::LEGACY[0].as_str())], "not what the last caller's was");
}

#[tokio::test]
async fn too_many_or_too_long_labels_are_refused() {
    let many: Value = (0..65).map(|i| (format!("k{i}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    for set in [many, json!({"k": "x".repeat(4097)}), json!({"": "v"})] {
        let filter = load(&engine(), "label", json!({"set": set})).await;
        let verdict = call("ls", json!({})).request(&filter).await;
        assert!(matches!(&verdict, Ok(Verdict::Reject(_))), "{verdict:?}");
    }
}

#[tokio::test]
async fn labels_of_a_call_that_went_wrong_are_gone() {
    // It labels first and then returns what no host takes.
    let filter = load(&engine(), "overlap-edit", json!({"how": "splices"})).await;
    let mut call = call("ls", json!({"a": "éclair", "o": {"b": 1}, "n": 1}));
    assert!(call.request(&filter).await.is_err());
    assert!(labels(&call).is_empty(), "{:?}", labels(&call));
    assert!(call.pass.attributes.find("principal.subject").is_some(), "the facts came back");
}

#[tokio::test]
async fn the_phases_of_one_plugin_share_labels() {
    let filter = load(&engine(), "generation", json!({"generation": "7"})).await;
    let mut call = call("ls", json!({}));
    call.request(&filter).await.unwrap();
    let Ok(Verdict::Next(Some(after))) = call.answered(json!({"content": []})).response(&filter).await else { panic!("no edit") };
    let meta = after.document().pointer("/result/_meta/generation").unwrap().raw();
    assert_eq!(serde_json::from_str::<Value>(meta).unwrap(), json!({"request": "7", "response": "7"}));
}

#[tokio::test]
async fn every_kv_operation_counts_in_the_plugins_own_bucket() {
    let engine = engine();
    let filter = load(&engine, "kv-counter", json!({})).await;
    let mut calls = Vec::new();
    for _ in 0..5 {
        let mut call = call("ls", json!({}));
        call.request(&filter).await.unwrap();
        calls.push(labels(&call));
    }
    let has = |call: usize, label: &str| calls[call].iter().any(|l| l == label);
    assert!(has(0, "kv-counter.count=1") && has(4, "kv-counter.count=5"), "{calls:?}");
    assert!(has(0, "kv-counter.wait-ms=0") && !has(4, "kv-counter.wait-ms=0"), "the burst is 3: {calls:?}");
    assert!(has(0, "kv-counter.before=none") && has(1, "kv-counter.before=ls"), "{calls:?}");
    assert!(has(0, "kv-counter.first=true") && has(1, "kv-counter.first=false"), "{calls:?}");
    assert!(calls.iter().all(|c| c.iter().any(|l| l == "kv-counter.gone=true")));
    // Another bucket of the same plugin, and the same bucket after a reload.
    let other = load(&engine, "kv-counter", json!({"bucket": "other"})).await;
    let again = load(&engine, "kv-counter", json!({})).await;
    for (filter, count) in [(other, "kv-counter.count=1"), (again, "kv-counter.count=6")] {
        let mut call = call("ls", json!({}));
        call.request(&filter).await.unwrap();
        assert!(labels(&call).iter().any(|l| l == count), "{:?}", labels(&call));
    }
}

#[tokio::test]
async fn a_batch_is_its_operations_in_order_and_counts_as_all_of_them() {
    let engine = engine();
    let said = async |config: Value, limits: Limits, again: bool| {
        let filter = load_with(&engine, Settings { limits, ..settings("kv-batch", config) }).await;
        let mut call = call("ls", json!({}));
        call.pass.again = again;
        let verdict = call.request(&filter).await;
        (verdict, labels(&call))
    };
    let one_of_each = async |again| said(json!({}), Limits::default(), again).await.1;
    assert_eq!(one_of_each(false).await, ["kv-batch.said=value:0 done conflict count:1 taken swapped:true done value:0"]);
    assert_eq!(one_of_each(false).await, ["kv-batch.said=value:0 done conflict count:2 wait swapped:false done value:0"]);
    assert_eq!(one_of_each(true).await, ["kv-batch.said=value:0 done conflict count:2 taken swapped:false done value:0"]);
    let (_, many) = said(json!({"many": 256}), Limits::default(), false).await;
    assert!(many[0].ends_with("count:255 count:256"), "{many:?}");
    let (verdict, refused) = said(json!({"many": 257}), Limits::default(), false).await;
    assert!(verdict.is_ok() && refused == ["kv-batch.said=too-large"], "{verdict:?}, {refused:?}");
    let (verdict, _) = said(json!({"many": 256}), Limits { host_calls_max: 100, ..Limits::default() }, false).await;
    assert!(matches!(&verdict, Err(Fault::Limit(why)) if why.contains("host calls")), "{verdict:?}");
}

#[tokio::test]
async fn kv_that_is_taken_away_or_full_says_so() {
    let mut denied = settings("kv-counter", json!({}));
    denied.denied = vec![sluice_plugin::Power::Kv];
    let full = Settings { limits: Limits { kv_keys_max: 1, ..Limits::default() }, ..settings("kv-counter", json!({})) };
    for (settings, says) in [(denied, "kv-counter.error=denied"), (full, "kv-counter.error=too-large")] {
        let filter = load_with(&engine(), settings).await;
        let mut call = call("ls", json!({}));
        call.request(&filter).await.unwrap();
        assert_eq!(labels(&call), [says]);
    }
    let denied = Settings { denied: vec![sluice_plugin::Power::Kv], ..settings("kv-batch", json!({})) };
    let filter = load_with(&engine(), denied).await;
    let mut call = call("ls", json!({}));
    call.request(&filter).await.unwrap();
    assert_eq!(labels(&call), ["kv-batch.said=denied"]);
}

#[tokio::test]
async fn the_end_of_an_exchange_is_told() {
    let filter = load(&engine(), "done-recorder", json!({})).await;
    let pass = call("ls", json!({})).pass;
    let ended = Ended {
        head: pass.head.clone(),
        principal: pass.principal.clone(),
        attributes: pass.attributes.clone(),
        generation: 1,
        parent: None,
        outcome: Outcome::Refused,
        code: Some(4030),
        tool_error: false,
        cause: None,
        request_bytes: 123,
        response_bytes: 45,
        stream: None,
        took: Duration::from_micros(678),
        upstream_took: Duration::from_micros(90),
        passed: vec![Passed {
            filter: filter.identity().clone(),
            hook: Hook::OnRequest,
            verdict: "reject",
            took: Duration::from_micros(5),
        }],
    };
    filter.on_done(&ended).await.unwrap();
    let Ok(Verdict::Reply(said)) = call("done", json!({})).request(&filter).await else { panic!("it answers for itself") };
    let said = String::from_utf8(said.to_vec()).unwrap();
    for part in ["refused", "4030", "123", "45", "\"timed\":true", "done-recorder on-request reject"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

#[tokio::test]
async fn a_guest_that_is_asked_for_a_hook_it_has_not_is_no_crash() {
    let filter = load(&engine(), "facts-only", json!({})).await;
    let credential = Credential { scheme: "bearer".into(), value: "x".into() };
    let outcome = filter.authenticate(&credential, &mut Attributes::default()).await;
    assert!(matches!(outcome, Err(Fault::Instantiate(_)) | Ok(Authentication::Abstain)), "{outcome:?}");
}
