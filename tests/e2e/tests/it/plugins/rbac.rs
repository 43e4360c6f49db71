//! `rbac`: two callers of one endpoint, who see and call different things; and one set of rules before and behind `namespace`.

use crate::{
    backend::{Backend, Offer, tool},
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, command, finish, key_hash},
    turn::beside,
};
use serde_json::{Value, json};
use std::time::Duration;

async fn server(tools: &[&str]) -> Backend {
    let define = |name: &&str| {
        let mut tool = tool(name);
        tool["annotations"] = json!({"readOnlyHint": name.starts_with("get")});
        tool
    };
    let offer = Offer { legacy: true, modern: true, tools: tools.iter().map(define).collect(), ..Offer::default() };
    Backend::start(offer.keeping(), |call| async move { call.echo() }).await
}

fn config(chain: Value, rules: Value, servers: Value) -> Value {
    let keys = json!([
        {"id": "ada", "hash": key_hash("key-ada"), "roles": ["dev"], "tenant": "acme"},
        {"id": "bob", "hash": key_hash("key-bob"), "roles": ["team dev"]},
    ]);
    let settings = json!({"auth-api-key": {"config": {"keys": keys}}, "rbac": {"config": {"rules": rules}}});
    json!({"mcpServers": servers, "sluice": {"chain": chain, "plugins": {"settings": settings}}})
}

async fn gateway(folder: &Folder, chain: Value, rules: Value, servers: Value) -> Gateway {
    Gateway::start(folder, config(chain, rules, servers)).await
}

/// What one caller is shown and can call, and what it cannot.
async fn sees(gateway: &Gateway, key: &str, tools: &[&str], not: &[&str]) {
    for era in Era::BOTH {
        let mut caller = Caller::new(&gateway.address, era, key).await;
        assert_eq!(caller.names("tools").await, tools, "{key} {era:?}");
        for name in tools {
            caller.result(name, "{}").await;
        }
        for name in not {
            let answer = caller.call(name, "{}").await.expect("an answer").json();
            let said = (&answer["error"]["code"], &answer["error"]["data"]["reason"]);
            assert_eq!(said, (&json!(-32602), &json!("unknown_name")), "{key} {name} {era:?}: hidden is as if it were not there: {answer}");
        }
    }
}

#[test]
fn each_caller_sees_and_calls_what_its_role_allows() {
    beside("rbac", 90, async {
        let (git, mail) = (server(&["get_log", "push"]).await, server(&["get_mail", "send"]).await);
        let servers = json!({"git": {"url": git.url}, "mail": {"url": mail.url}});
        let folder = Folder::new();
        let rules = json!([
            {"effect": "allow", "roles": ["dev"], "upstreams": ["git"]},
            {"effect": "allow", "read_only": true, "upstreams": ["mail"]},
            {"effect": "deny", "tools": ["push"], "tenants": ["acme"]},
        ]);
        let before = gateway(&folder, json!(["builtin:auth-api-key", "builtin:rbac", "builtin:namespace"]), rules, servers.clone()).await;
        sees(&before, "key-ada", &["git_get_log", "mail_get_mail"], &["git_push", "mail_send"]).await;
        sees(&before, "key-bob", &["mail_get_mail"], &["git_get_log", "git_push", "mail_send"]).await;
        let calls = [git.asked("tools/call"), mail.asked("tools/call")];
        assert_eq!(calls, [2, 4], "what is hidden reached no server");

        // Behind the plugin that names, the rules speak of the names that callers know.
        let folder = Folder::new();
        let rules = json!([{"effect": "allow", "roles": ["dev"], "tools": ["git_*"]}]);
        let behind = gateway(&folder, json!(["builtin:auth-api-key", "builtin:namespace", "builtin:rbac"]), rules, servers).await;
        sees(&behind, "key-ada", &["git_get_log", "git_push"], &["mail_send"]).await;
        sees(&behind, "key-bob", &[], &["git_get_log"]).await;
    });
}

/// `sluice access` with these words.
async fn access(folder: &Folder, config: &Value, words: &[&str]) -> Vec<String> {
    let mut command = command(folder, config, "access");
    command.args(words);
    let ended = finish(command, Duration::from_secs(60)).await;
    assert!(ended.status.success(), "{words:?}: {}", ended.stderr);
    ended.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn f087_f138_an_operator_reads_who_sees_what() {
    beside("sluice access", 90, async {
        let (git, mail) = (server(&["get_log", "push"]).await, server(&["get_mail"]).await);
        let servers = json!({"git": {"url": git.url}, "mail": {"url": mail.url}});
        let rules = json!([
            {"effect": "allow", "roles": ["dev"], "upstreams": ["git"]},
            {"effect": "allow", "subjects": ["carol"], "upstreams": ["mail"]},
            {"effect": "deny", "tools": ["push"], "tenants": ["acme"]},
        ]);
        let folder = Folder::new();
        let config = config(json!(["builtin:auth-api-key", "builtin:rbac", "builtin:namespace"]), rules, servers);
        let dev = access(&folder, &config, &["--as", "eve", "--role", "dev"]).await;
        assert_eq!(dev, ["tools", "sees git_get_log (git)", "sees git_push (git)", "does not get_mail (mail)"]);
        let acme = access(&folder, &config, &["--as", "eve", "--role", "dev", "--tenant", "acme"]).await;
        assert_eq!(acme, ["tools", "sees git_get_log (git)", "does not push (git)", "does not get_mail (mail)"]);
        let log = access(&folder, &config, &["--tool", "git_get_log"]).await;
        assert_eq!(log, ["sees it ada (ada) tenant acme, role dev", "does not bob (bob) role team dev"]);
        assert_eq!(access(&folder, &config, &["--tool", "git_push", "--as", "x", "--role", "dev"]).await, ["sees it x role dev"]);
        assert_eq!([git.asked("tools/call"), mail.asked("tools/call")], [0, 0]);
    });
}
