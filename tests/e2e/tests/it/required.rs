//! What must not vanish, and where nobody may listen without asking who comes.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::{Folder, component},
    gateway::{Gateway, key_hash},
    turn::{beside, eventually},
};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

fn sidecar(generation: &str, more: &str) -> String {
    format!("{more}\n[config]\ngeneration = \"{generation}\"\n")
}

/// What the generation guest wrote into an answer; null without it.
async fn tag(caller: &mut Caller) -> Value {
    caller.result("echo", "{}").await["_meta"]["generation"]["response"].take()
}

async fn until(caller: &mut Caller, expected: Value) {
    let until = std::time::Instant::now() + SOON;
    while tag(caller).await != expected {
        assert!(std::time::Instant::now() < until, "{expected} is not in force");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Remove, break and rename: the version that was good stays in force, and an alarm says so.
async fn cannot_vanish(name: &str, folder: &Folder, gateway: &Gateway) {
    let mut caller = gateway.caller(Era::Modern).await;
    until(&mut caller, json!("one")).await;
    for (what, act) in [("removed", true), ("broken", false)] {
        let before = gateway.errors(name).len();
        if act {
            folder.take_out("generation.wasm");
        } else {
            folder.drop_in("generation.wasm", "garbage");
        }
        let lines = eventually(SOON, || async {
            let lines = gateway.errors(name);
            if lines.len() > before { Ok(lines) } else { Err(format!("{what}: no alarm")) }
        })
        .await;
        for _ in 0..50 {
            assert_eq!(tag(&mut caller).await, "one", "{what}: {lines:?}");
        }
        folder.drop_in("generation.wasm", component("guest_generation"));
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    // Good again, it can be replaced as before.
    let more = folder.read("plugins/generation.toml").lines().take_while(|line| *line != "[config]").collect::<Vec<_>>().join("\n");
    folder.drop_in("generation.toml", sidecar("two", &more));
    until(&mut caller, json!("two")).await;
}

#[test]
fn a_plugin_named_in_the_chain_cannot_vanish() {
    beside("required, named", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        folder.drop_in("generation.toml", sidecar("one", ""));
        folder.drop_in("generation.wasm", component("guest_generation"));
        let config = json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": {"chain": ["generation", "builtin:namespace"]}});
        let gateway = Gateway::start(&folder, config).await;
        cannot_vanish("generation", &folder, &gateway).await;
    });
}

#[test]
fn a_plugin_marked_as_required_cannot_vanish() {
    beside("required, marked", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        folder.drop_in("generation.toml", sidecar("one", "required = true"));
        folder.drop_in("generation.wasm", component("guest_generation"));
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        cannot_vanish("generation", &folder, &gateway).await;
    });
}

/// The control: without the mark it does.
#[test]
fn another_plugin_goes_with_its_file() {
    beside("required, control", 60, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        folder.drop_in("generation.toml", sidecar("one", ""));
        folder.drop_in("generation.wasm", component("guest_generation"));
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let mut caller = gateway.caller(Era::Modern).await;
        until(&mut caller, json!("one")).await;
        folder.take_out("generation.wasm");
        until(&mut caller, Value::Null).await;
    });
}

/// From the first moment: what happens between the load and the watch is seen, too.
#[test]
fn a_change_right_after_the_start_is_seen() {
    beside("required, at once", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        for _ in 0..10 {
            let folder = Folder::new();
            folder.drop_in("generation.toml", sidecar("one", ""));
            folder.drop_in("generation.wasm", component("guest_generation"));
            let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
            folder.take_out("generation.wasm");
            until(&mut gateway.caller(Era::Modern).await, Value::Null).await;
        }
    });
}

/// A plugin that never loaded is a failing plugin, not an absent one.
#[test]
fn what_is_missing_or_broken_at_the_start_refuses_it() {
    beside("required, start", 120, async {
        let only = json!({"only": {"url": "builtin:notes"}});
        let folder = Folder::new();
        for (chain, says) in [(json!(["nowhere"]), "nowhere"), (json!(["text"]), "text.wasm")] {
            folder.drop_in("text.wasm", "This is not a component.");
            let refused = Gateway::refused(&folder, json!({"mcpServers": only, "sluice": {"chain": chain}})).await;
            assert!(!refused.status.success() && refused.stderr.contains(says), "{}", refused.stderr);
        }
        let refused = Gateway::refused(&folder, json!({"mcpServers": only})).await;
        assert!(!refused.status.success() && refused.stderr.contains("text.wasm"), "{}", refused.stderr);
    });
}

#[test]
fn an_open_address_needs_tls_and_an_authenticator() {
    beside("required, listeners", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let servers = json!({"only": {"url": backend.url}});
        let proxy = json!({"addresses": ["10.9.8.7"], "public_url": "https://mcp.example.com"});
        let folder = Folder::new();
        let plain = json!({"mcpServers": servers, "sluice": {"listen": "0.0.0.0:0"}});
        let refused = Gateway::refused(&folder, plain).await;
        assert!(!refused.status.success() && refused.stderr.contains("trusted_proxy"), "{}", refused.stderr);

        for chain in [json!([]), json!(["builtin:namespace"])] {
            let unguarded = json!({"mcpServers": servers, "sluice": {"listen": "0.0.0.0:0", "trusted_proxy": proxy, "chain": chain}});
            let refused = Gateway::refused(&folder, unguarded).await;
            assert!(!refused.status.success() && refused.stderr.contains("builtin:auth-api-key"), "{}", refused.stderr);
        }

        let guarded = json!({
            "mcpServers": servers,
            "sluice": {
                "listen": "0.0.0.0:0",
                "trusted_proxy": proxy,
                "chain": ["builtin:auth-api-key"],
                "plugins": {"settings": {"auth-api-key": {"config": {"keys": [{"id": "k", "hash": key_hash("open-key")}]}}}},
            },
        });
        let gateway = Gateway::start(&folder, guarded).await;
        let loopback = gateway.address.replace("0.0.0.0", "127.0.0.1");
        let mut caller = Caller::new(&loopback, Era::Modern, "open-key").await;
        caller.result("echo", "{}").await;
    });
}

/// At a swap as at the start: the last authenticator of an open listener stays.
#[test]
fn the_last_authenticator_of_an_open_listener_stays() {
    beside("required, door", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        folder.drop_in("auth.toml", format!("[config]\nkeys = [{{ id = \"k\", hash = \"{}\" }}]\n", key_hash("open-key")));
        folder.drop_in("auth.wasm", component("sluice_plugin_auth_api_key"));
        let config = json!({
            "mcpServers": {"only": {"url": backend.url}},
            "sluice": {"listen": "0.0.0.0:0", "trusted_proxy": {"addresses": ["10.9.8.7"], "public_url": "https://mcp.example.com"}},
        });
        let gateway = Gateway::start(&folder, config).await;
        let loopback = gateway.address.replace("0.0.0.0", "127.0.0.1");
        folder.take_out("auth.wasm");
        eventually(SOON, || async {
            let lines = gateway.errors("authenticat");
            if lines.is_empty() { Err("no alarm".to_owned()) } else { Ok(()) }
        })
        .await;
        let mut known = Caller::new(&loopback, Era::Modern, "open-key").await;
        known.result("echo", "{}").await;
        for key in ["", "wrong", &gateway.token] {
            let mut stranger = Caller::silent(&loopback, Era::Modern, key);
            assert_eq!(stranger.call("echo", "{}").await.expect("an answer").status, 401, "{key}");
        }
    });
}

#[test]
fn the_empty_chain_is_empty() {
    beside("required, empty chain", 60, async {
        let (one, two) = (Backend::echo(&["echo", "first"]).await, Backend::echo(&["echo", "second"]).await);
        let folder = Folder::new();
        // A directory with plugins changes nothing about a chain that is spelled out.
        folder.drop_in("trap.wasm", component("guest_trap"));
        let gateway =
            Gateway::start(&folder, json!({"mcpServers": {"one": {"url": one.url}, "two": {"url": two.url}}, "sluice": {"chain": []}}))
                .await;
        assert!(gateway.ready.ends_with("upstreams=2 chain=[]"), "{}", gateway.ready);
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            assert_eq!(caller.names("tools").await, ["echo", "first", "second"], "the earlier upstream keeps the name");
            caller.result("echo", "{}").await;
        }
    });
}
