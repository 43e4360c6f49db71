//! Where a guest may call tools, and which. The calls themselves are the host's, and tested with it.

use crate::support::{call, engine, labels, settings, try_load};
use serde_json::{Value, json};
use sluice_chain::filter::Verdict;
use sluice_plugin::{Settings, WasmFilter};
use std::sync::Arc;

async fn load(grants: &[&str]) -> Result<Arc<WasmFilter>, String> {
    let grants = grants.iter().map(|grant| (*grant).to_owned()).collect();
    let settings = Settings { grants, ..settings("calls-tools", json!({})) };
    try_load(&engine(), settings).await.map_err(|error| error.to_string())
}

async fn asked(filter: &WasmFilter, upstream: &str, tool: &str) -> Value {
    let wanted = json!({"upstream": upstream, "tool": tool, "arguments": {}});
    let Ok(Verdict::Reply(result)) = call("a_ask", wanted).request(filter).await else { panic!("it always answers") };
    serde_json::from_slice::<Value>(&result).unwrap()["structuredContent"].take()
}

#[tokio::test]
async fn a_plugin_that_calls_tools_is_refused_without_a_grant() {
    let error = load(&[]).await.err().unwrap();
    let line = "needs `upstream` (to call), which is not granted; add to calls-tools.toml: grants = [\"upstream:<upstream> <tool>\"]";
    assert!(error.contains(line), "{error}");
}

#[tokio::test]
async fn a_call_that_is_not_granted_gets_nowhere() {
    let filter = load(&["upstream:b e*"]).await.unwrap();
    for (upstream, tool) in [("b", "slow"), ("a", "echo"), ("", ""), ("b", "")] {
        let said = asked(&filter, upstream, tool).await;
        assert!(said["error"] == "denied" && said["why"].as_str().unwrap().ends_with("is not granted"), "{upstream} {tool}: {said}");
    }
    // The control: what is granted gets as far as the host, and there is none here.
    let said = asked(&filter, "b", "echo").await;
    assert_eq!(said["why"], "this host calls no tools here", "{said}");
}

#[tokio::test]
async fn a_notification_is_no_time_for_calls() {
    let filter = load(&["upstream:b e*"]).await.unwrap();
    let mut note = call("a_ask", json!({})).notified("notifications/message", json!({}));
    note.notification(&filter).await.unwrap();
    let said = labels(&note);
    assert!(said.len() == 1 && said[0].contains("in on-request and on-response only"), "{said:?}");
}
