//! `shape`: results come to clients of both eras smaller than servers sent them, and say so; what they no longer keep is not promised.

use super::with;
use crate::{
    backend::{Backend, Call, Offer, tool},
    caller::Era,
    folder::Folder,
    server::Response,
    turn::beside,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Rows as data and as text, a long text, and a text that is data.
async fn talkative() -> Backend {
    let mut rows = tool("rows");
    rows["outputSchema"] = json!({"type": "object", "required": ["took"]});
    let mut plain = tool("plain");
    plain["outputSchema"] = json!({"type": "object"});
    let offer = Offer { legacy: true, modern: true, tools: vec![rows, plain, tool("text"), tool("untyped")], ..Offer::default() };
    Backend::start(offer.keeping(), |call: Call| async move { answer(&call) }).await
}

fn answer(call: &Call) -> Response {
    let data = r#"{"rows":[{"id":1.10,"x":"y"},{"id":2},{"id":3}],"took":7}"#;
    let text = serde_json::to_string(data).expect("a string");
    match call.name.as_str() {
        "rows" => call.members(&format!(r#""content":[{{"type":"text","text":{text}}}],"structuredContent":{data}"#)),
        "untyped" => call.members(&format!(r#""content":[{{"type":"text","text":{text}}}]"#)),
        "text" => call.members(&format!(r#""content":[{{"type":"text","text":"{}"}}]"#, "é".repeat(400))),
        _ => call.echo(),
    }
}

#[test]
fn results_are_shaped_and_say_so_in_both_eras() {
    beside("shape", 90, async {
        let backend = talkative().await;
        let folder = Folder::new();
        let rules = json!([
            {"tools": ["rows", "untyped"], "select": ["/rows/*/id"], "items_max": 2},
            {"tools": ["text"], "text_bytes_max": 101},
        ]);
        let gateway = with(&folder, "shape", json!({"rules": rules}), json!({"only": {"url": backend.url}})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            let reply = caller.call("rows", "{}").await.expect("an answer").answer();
            assert!(reply.contains(r#""structuredContent":{"rows":[{"id":1.10},{"id":2}]}"#), "numbers keep their spelling: {reply}");
            let result = caller.result("rows", "{}").await;
            let said: Value = serde_json::from_str(result["content"][0]["text"].as_str().expect("a text")).expect("JSON");
            assert_eq!(said, result["structuredContent"], "{era:?}: {result}");
            let note = "[left out of this result: 1 of 3 items of /rows; members that are not needed here]";
            assert_eq!(result["content"][1]["text"], note, "{era:?}: {result}");

            let untyped = caller.result("untyped", "{}").await;
            assert_eq!(untyped["content"][0]["text"], r#"{"rows":[{"id":1.10},{"id":2}]}"#, "{untyped}");
            let text = caller.result("text", "{}").await;
            assert_eq!(text["content"][0]["text"], format!("{}[… 700 of 800 bytes left out]", "é".repeat(50)), "{text}");
            let plain = caller.result("plain", r#"{"a":[1,2,3]}"#).await;
            assert_eq!(plain["structuredContent"], json!({"a": [1, 2, 3]}), "no rule is about it: {plain}");

            let list = caller.ask("tools/list", None, "").await.expect("a list").json();
            let promises: BTreeMap<&str, bool> = list["result"]["tools"]
                .as_array()
                .expect("tools")
                .iter()
                .map(|tool| (tool["name"].as_str().expect("a name"), tool.get("outputSchema").is_some()))
                .collect();
            let expected = BTreeMap::from([("plain", true), ("rows", false), ("text", false), ("untyped", false)]);
            assert_eq!(promises, expected, "{era:?}");
        }
    });
}

#[test]
fn what_is_too_long_is_refused_for_the_model_to_read() {
    beside("shape, too long", 60, async {
        let backend = talkative().await;
        let folder = Folder::new();
        let rules = json!([{"result_bytes_max": 300}]);
        let gateway = with(&folder, "shape", json!({"rules": rules}), json!({"only": {"url": backend.url}})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            let result = caller.result("text", "{}").await;
            let said = result["content"][0]["text"].as_str().unwrap_or_default();
            assert!(result["isError"] == true && said.contains("at most 300 may pass") && !said.contains('é'), "{era:?}: {result}");
            caller.result("rows", "{}").await;
        }
    });
}
