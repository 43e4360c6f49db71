//! Groups as an operator configures them.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, command},
    load::SEEN_WITHIN,
    reload::tools,
    turn::{beside, eventually},
};
use serde_json::{Value, json};

fn config(backend: &Backend, groups: Value) -> Value {
    let servers = json!({"git": {"url": backend.url}, "mail": {"url": backend.url}, "wiki": {"url": backend.url}});
    json!({"mcpServers": servers, "sluice": {
        "chain": ["builtin:namespace"],
        "default_group": ["git", "mail"],
        "server_paths": true,
        "groups": groups,
    }})
}

async fn at(gateway: &Gateway, path: &str, era: Era) -> Caller {
    Caller::at(&gateway.address, path, era, &gateway.token).await
}

async fn status(gateway: &Gateway, path: &str) -> u16 {
    let mut caller = Caller::at(&gateway.address, path, Era::Modern, &gateway.token).await;
    caller.ask("tools/list", None, "").await.expect("an answer").status
}

#[test]
fn f108_groups_have_servers_chains_and_settings_of_their_own_and_come_and_go_with_the_file() {
    beside("groups", 120, async {
        let backend = Backend::echo(&["echo", "drop"]).await;
        let folder = Folder::new();
        let ops = json!({"upstreams": ["wiki", "mail"], "settings": {"namespace": {"config": {"separator": "__"}}}});
        let locked = json!({"upstreams": ["wiki"], "chain": ["builtin:rbac", "builtin:namespace"],
            "settings": {"rbac": {"config": {"rules": [{"effect": "allow", "tools": ["echo"]}]}}}});
        let gateway = Gateway::start(&folder, config(&backend, json!({"ops": ops, "locked": locked}))).await;
        for era in Era::BOTH {
            for (path, expected) in [
                ("/mcp", &["git_echo", "git_drop", "mail_echo", "mail_drop"][..]),
                ("/mcp/ops", &["mail__echo", "mail__drop", "wiki__echo", "wiki__drop"]),
                ("/mcp/locked", &["echo"]),
                ("/servers/wiki/mcp", &["echo", "drop"]),
            ] {
                let mut caller = at(&gateway, path, era).await;
                assert_eq!(caller.names("tools").await, expected, "{path} {era:?}");
                caller.result(expected[0], "{}").await;
            }
            let mut locked = at(&gateway, "/mcp/locked", era).await;
            assert_eq!(locked.call("drop", "{}").await.expect("an answer").json()["error"]["code"], -32602);
        }
        eventually(SEEN_WITHIN, || async {
            let audit = std::fs::read_to_string(folder.path("audit.jsonl")).expect("the audit file");
            let has_both =
                audit.lines().any(|line| line.contains(r#""group":"ops""#)) && audit.lines().any(|line| !line.contains(r#""group""#));
            if has_both { Ok(()) } else { Err(audit) }
        })
        .await;
        for path in ["/mcp/nobody", "/servers/nobody/mcp"] {
            assert_eq!(status(&gateway, path).await, 404);
        }

        // One group changes, one goes, one comes, while a client of each is there.
        let (mut before, mut gone) = (at(&gateway, "/mcp/ops", Era::Legacy).await, at(&gateway, "/mcp/locked", Era::Modern).await);
        assert_eq!(gone.names("tools").await, ["echo"]);
        folder.configure(config(&backend, json!({"ops": {"upstreams": ["git"]}, "new": {"chain": []}})));
        let reply = gateway.reload(&gateway.admin_token).await;
        assert_eq!(reply.status, 200, "{}", reply.answer());
        for says in ["groups.locked is set no more", "groups.new is set", "groups.ops.upstreams is otherwise"] {
            assert!(reply.answer().contains(says), "{says}: {}", reply.answer());
        }
        tools(&mut before, &["echo", "drop"]).await;
        assert_eq!((status(&gateway, "/mcp/locked").await, status(&gateway, "/mcp/new").await), (404, 200));
    });
}

#[test]
fn f108_a_group_that_cannot_be_is_refused_with_its_place() {
    beside("groups, bad", 60, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let bad = [
            (json!({"ops": {"upstreams": ["gti"]}}), "did you mean \"git\"?"),
            (json!({"a/b": {"upstreams": ["git"]}}), "cannot be the end of a path"),
            (json!({"sse": {"upstreams": ["git"]}}), "cannot be the end of a path"),
            (
                json!({"ops": {"chain": ["builtin:namespace", "builtin:namespace"]}}),
                "groups.ops.chain has \"builtin:namespace\" a second time",
            ),
        ];
        for (groups, says) in bad {
            let refused = Gateway::refused(&folder, config(&backend, groups)).await;
            assert!(refused.status.code() == Some(3) && refused.stderr.contains(says), "{says}: {}", refused.stderr);
        }
        let ls = |group: &str| {
            let mut command = command(&folder, &config(&backend, json!({"ops": {"upstreams": ["wiki"]}})), "ls");
            let output = command.args(["--group", group]).output().expect("sluice runs");
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        };
        let (ops, none) = tokio::task::block_in_place(|| (ls("ops"), ls("nobody")));
        assert!(ops.contains("  echo  (wiki)") && !ops.contains("(git)"), "{ops}");
        assert!(none.contains("there is no group \"nobody\", but ops"), "{none}");
    });
}
