//! `schema`: what does not fit a tool's schemas is told to the model, and a tool that its server lists otherwise is not there.

use super::placed;
use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era},
    folder::Folder,
    gateway::Gateway,
    turn::beside,
};
use serde_json::{Value, json};

fn pay() -> Value {
    json!({
        "name": "pay",
        "inputSchema": {"type": "object", "properties": {"amount": {"type": "integer", "maximum": 100}}, "required": ["amount"]},
        "outputSchema": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    })
}

/// Pays, and says so as it should unless the amount is 13.
async fn bank() -> Backend {
    let changed = json!({"name": "changed", "inputSchema": {"type": "object", "properties": {"new": {"type": "string"}}}});
    let new = json!({"name": "new", "inputSchema": {"type": "object"}});
    let offer = Offer { legacy: true, modern: true, tools: vec![pay(), changed, new], ..Offer::default() };
    Backend::start(offer.keeping(), |call: Call| async move {
        let id = if call.arguments.contains("13") { "13" } else { "\"x\"" };
        call.members(&format!(r#""content":[],"structuredContent":{{"id":{id}}}"#))
    })
    .await
}

#[test]
#[ignore = "cargo xtask large"]
fn models_hear_what_they_are_to_mend() {
    beside("schema", 90, async {
        let bank = bank().await;
        let folder = Folder::new();
        let config = json!({"tools": [pay(), {"name": "changed", "inputSchema": {"type": "object"}}]});
        let plugins = json!({"settings": {"schema": {"config": config}}});
        let own = json!({"chain": [placed(&folder, "schema")], "plugins": plugins});
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"bank": {"url": bank.url}}, "sluice": own})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            assert_eq!(caller.names("tools").await, ["pay"], "{era:?}");
            let result = caller.result("pay", r#"{"amount":7}"#).await;
            assert_eq!(result["structuredContent"], json!({"id": "x"}), "{era:?}");
            for (arguments, words) in [
                (r#"{"amount":"SECRET"}"#, "- /amount: must be an integer, not a string"),
                (r#"{"amount":101}"#, "- /amount: must be at most 100"),
                ("{}", "- /amount: is missing"),
                (r#"{"amount":13}"#, "- /id: must be a string, not this number"),
            ] {
                let result = caller.result("pay", arguments).await;
                let text = result["content"][0]["text"].as_str().unwrap_or_default();
                assert!(result["isError"] == true && text.contains(words) && !text.contains("SECRET"), "{era:?} {arguments}: {result}");
            }
            hidden(&mut caller, &["changed", "new"]).await;
        }
        assert_eq!(bank.asked("tools/call"), 4, "arguments that do not fit reached no server");
    });
}

async fn hidden(caller: &mut Caller, tools: &[&str]) {
    for tool in tools {
        let answer = caller.call(tool, "{}").await.expect("an answer").json();
        assert_eq!(answer["error"]["data"]["reason"], "unknown_name", "{tool}: {answer}");
    }
}
