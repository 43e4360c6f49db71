//! `policy`: Cedar policies decide by role and by arguments, and what they refuse says which policy and reaches no server.

use super::placed;
use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    turn::beside,
};
use serde_json::{Value, json};

const POLICIES: &str = r#"
permit(principal in Role::"dev", action, resource in Upstream::"git");

@id("little")
permit(principal, action == Action::"tools/call", resource == Tool::"bank_pay")
when { context.arguments has amount && context.arguments.amount <= 100 };

@id("no-force")
forbid(principal, action, resource) when { context.arguments has force };
"#;

async fn gateway(folder: &Folder, policies: Value, servers: Value) -> Gateway {
    let keys = json!([
        {"id": "ada", "hash": key_hash("key-ada"), "roles": ["dev"], "tenant": "acme"},
        {"id": "bob", "hash": key_hash("key-bob"), "roles": ["team dev"]},
    ]);
    let config = json!({"policies": policies, "schema": "type Arguments = { amount?: Long, force?: Bool };"});
    let settings = json!({"auth-api-key": {"config": {"keys": keys}}, "policy": {"config": config}});
    let chain = json!(["builtin:auth-api-key", "builtin:namespace", placed(folder, "policy")]);
    let sluice = json!({"chain": chain, "plugins": {"settings": settings}});
    Gateway::start(folder, json!({"mcpServers": servers, "sluice": sluice})).await
}

#[test]
#[ignore = "cargo xtask large"]
fn policies_decide_on_lists_and_arguments() {
    beside("policy", 90, async {
        let (git, bank) = (Backend::recording(&["log", "push"]).await, Backend::recording(&["pay", "close"]).await);
        let servers = json!({"git": {"url": git.url}, "bank": {"url": bank.url}});
        let folder = Folder::new();
        let gateway = gateway(&folder, json!({"all": POLICIES}), servers).await;
        for era in Era::BOTH {
            let mut ada = Caller::new(&gateway.address, era, "key-ada").await;
            let mut bob = Caller::new(&gateway.address, era, "key-bob").await;
            let mut seen = ada.names("tools").await;
            seen.sort();
            assert_eq!(seen, ["bank_pay", "git_log", "git_push"], "{era:?}");
            assert_eq!(bob.names("tools").await, ["bank_pay"], "{era:?}");

            ada.result("git_push", "{}").await;
            bob.result("bank_pay", r#"{"amount":100}"#).await;
            for (tool, arguments, policies) in [
                ("bank_pay", r#"{"amount":101}"#, json!([])),
                ("bank_pay", r#"{"amount":0.5}"#, json!(["little"])),
                ("bank_pay", r#"{"amount":1,"force":false}"#, json!(["no-force"])),
                ("git_push", r#"{"force":null}"#, json!(["no-force"])),
            ] {
                let answer = ada.call(tool, arguments).await.expect("an answer").json();
                let said = (&answer["error"]["code"], &answer["error"]["data"]["policies"]);
                assert_eq!(said, (&json!(4030), &policies), "{tool} {arguments} {era:?}: {answer}");
            }
            let answer = bob.call("git_push", "{}").await.expect("an answer").json();
            assert_eq!(answer["error"]["data"]["reason"], "unknown_name", "{era:?}: {answer}");
        }
        let calls = [git.asked("tools/call"), bank.asked("tools/call")];
        assert_eq!(calls, [2, 2], "what is refused reached no server");
    });
}
