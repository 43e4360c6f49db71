//! `compose`: one tool that calls two servers, as who asks, through every other filter.

use crate::{
    backend::{Backend, Offer},
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    turn::beside,
};
use serde_json::json;

/// `bob` may use nothing of `notes`.
async fn gateway(folder: &Folder, issues: &Backend, notes: &Backend) -> Gateway {
    let tool = json!({
        "name": "note_issue",
        "description": "Notes the labels of an issue",
        "input_schema": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"], "additionalProperties": false},
        "steps": [
            {"id": "issue", "upstream": "issues", "tool": "get", "arguments": {"number": {"$from": "/input/number"}}},
            {"id": "note", "upstream": "notes", "tool": "add", "for_each": "/steps/issue/structured/labels",
                "arguments": {"text": {"$text": "{/item} of {/steps/issue/structured/title}"}}},
        ],
        "output": {"notes": {"$from": "/steps/note/results", "$each": "/structured/text"}},
    });
    let settings = json!({
        "auth-api-key": {"config": {"keys": [{"id": "ada", "hash": key_hash("key-ada")}, {"id": "bob", "hash": key_hash("key-bob")}]}},
        "compose": {"config": {"tools": [tool]}, "grants": ["upstream:issues get", "upstream:notes add"]},
        "rbac": {"config": {"rules": [{"effect": "allow"}, {"effect": "deny", "subjects": ["bob"], "upstreams": ["notes"]}]}},
    });
    let own = json!({
        "chain": ["builtin:auth-api-key", "builtin:compose", "builtin:rbac", "builtin:namespace"],
        "plugins": {"settings": settings},
    });
    let servers = json!({"issues": {"url": issues.url}, "notes": {"url": notes.url}});
    Gateway::start(folder, json!({"mcpServers": servers, "sluice": own})).await
}

#[test]
fn f109_a_tool_is_made_of_calls_of_two_servers() {
    beside("compose", 90, async {
        let issues = Backend::start(Offer::tools(&["get"]).keeping(), |call| async move {
            match call.arguments.as_str() {
                r#"{"number":7}"# => {
                    call.members(r#""content":[],"structuredContent":{"title":"Broken","labels":["bug","{/input/number}"]}"#)
                }
                _ => call.error(-32602, "no such issue", "null"),
            }
        })
        .await;
        let notes = Backend::recording(&["add"]).await;
        let folder = Folder::new();
        let gateway = gateway(&folder, &issues, &notes).await;
        for era in Era::BOTH {
            let before = notes.asked("tools/call");
            let mut ada = Caller::new(&gateway.address, era, "key-ada").await;
            // Behind this plugin `namespace` gives its tools a prefix, too.
            assert_eq!(ada.names("tools").await, ["issues_get", "notes_add", "compose_note_issue"], "{era:?}");
            let said = ada.result("compose_note_issue", r#"{"number":7}"#).await;
            assert_eq!(said["structuredContent"], json!({"notes": ["bug of Broken", "{/input/number} of Broken"]}), "{era:?}: {said}");
            assert_eq!(notes.asked("tools/call") - before, 2, "{era:?}");
            let failed = ada.result("compose_note_issue", r#"{"number":8}"#).await;
            let why = failed["content"][0]["text"].as_str().unwrap_or_default();
            assert!(
                failed["isError"] == true && why.starts_with("Step issue (get of issues): ") && why.contains("no such issue"),
                "{failed}"
            );
            let wrong = ada.result("compose_note_issue", r#"{"number":"7"}"#).await;
            assert!(wrong["isError"] == true && wrong.to_string().contains("of type integer"), "{wrong}");

            // What who asks may not use is not used for them either.
            let mut bob = Caller::new(&gateway.address, era, "key-bob").await;
            let refused = bob.result("compose_note_issue", r#"{"number":7}"#).await;
            assert!(refused["isError"] == true && refused.to_string().contains("Step note (add of notes), item 0: "), "{era:?}: {refused}");
            assert_eq!(notes.asked("tools/call") - before, 2, "{era:?}: it reached no server");
        }
    });
}
