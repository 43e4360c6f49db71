//! `read-only`: what changes something is neither shown nor called, and a server is believed only where the operator trusts it.

use super::with;
use crate::{
    backend::{Backend, Offer, tool},
    caller::Era,
    folder::Folder,
    gateway::Gateway,
    turn::beside,
};
use serde_json::{Value, json};

/// A server that says of all its tools that they change nothing but of `push`.
async fn server(tools: &[&str]) -> Backend {
    let define = |name: &&str| {
        let mut tool = tool(name);
        tool["annotations"] = json!({"readOnlyHint": *name != "push"});
        tool
    };
    let offer = Offer { legacy: true, modern: true, tools: tools.iter().map(define).collect(), ..Offer::default() };
    Backend::start(offer.keeping(), |call| async move { call.echo() }).await
}

async fn sees(gateway: &Gateway, tools: &[&str], not: &[&str]) {
    for era in Era::BOTH {
        let mut caller = gateway.caller(era).await;
        assert_eq!(caller.names("tools").await, tools, "{era:?}");
        for name in tools {
            caller.result(name, "{}").await;
        }
        for name in not {
            let answer = caller.call(name, "{}").await.expect("an answer").json();
            let said = (&answer["error"]["code"], &answer["error"]["data"]["reason"]);
            assert_eq!(said, (&json!(-32602), &json!("unknown_name")), "{name} {era:?}: hidden is as if it were not there: {answer}");
        }
    }
}

#[test]
fn what_may_change_something_is_neither_shown_nor_called() {
    beside("read-only", 90, async {
        let (git, mail) = (server(&["get_log", "push"]).await, server(&["get_mail", "send"]).await);
        let servers = json!({"git": {"url": git.url}, "mail": {"url": mail.url}});
        // `mail` lies about `send`, and is not trusted.
        let config = json!({"trust": ["git"], "allow": [{"upstreams": ["mail"], "tools": ["get_*"]}]});
        let folder = Folder::new();
        let settings = json!({"read-only": {"config": config}});
        let sluice = json!({"chain": ["builtin:read-only", "builtin:namespace"], "plugins": {"settings": settings}});
        let gateway = Gateway::start(&folder, json!({"mcpServers": servers, "sluice": sluice})).await;
        sees(&gateway, &["git_get_log", "mail_get_mail"], &["git_push", "mail_send"]).await;
        assert_eq!([git.asked("tools/call"), mail.asked("tools/call")], [2, 2], "what is hidden reached no server");
    });
}

/// The control, and what trust is worth.
#[test]
fn a_server_that_is_trusted_is_believed() {
    beside("read-only, trust", 90, async {
        let mail = server(&["get_mail", "send"]).await;
        for (config, shown) in [
            (json!({"trust": ["*"]}), vec!["get_mail", "send"]),
            (json!({"trust": ["*"], "deny": [{"tools": ["send"]}]}), vec!["get_mail"]),
        ] {
            let folder = Folder::new();
            let gateway = with(&folder, "read-only", config, json!({"mail": {"url": mail.url}})).await;
            sees(&gateway, &shown, &[]).await;
        }
    });
}

#[test]
fn settings_that_hide_everything_without_saying_so_are_refused() {
    beside("read-only, settings", 60, async {
        let folder = Folder::new();
        let settings: Value = json!({"read-only": {"config": {}}});
        let sluice = json!({"chain": ["builtin:read-only"], "plugins": {"settings": settings}});
        let refused = Gateway::refused(&folder, json!({"mcpServers": {"demo": {"url": "http://127.0.0.1:9/mcp"}}, "sluice": sluice})).await;
        assert!(refused.stderr.contains("every tool would be hidden"), "{}", refused.stderr);
    });
}
