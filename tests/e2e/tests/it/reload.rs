//! Another configuration while traffic runs: all of it or nothing, and no call notices more than what it came with.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era},
    connection::{Connection, Reply},
    folder::{Folder, component},
    gateway::{Gateway, complete, descendants, journal_entry, plain_command},
    load::Load,
    turn::{alone, beside, eventually},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);

impl Folder {
    /// The configuration file, there whole or not at all.
    pub fn configure(&self, config: Value) {
        self.configure_with(complete(self, config).to_string());
    }

    fn configure_with(&self, text: String) {
        let part = self.write(".sluice.json.part", text);
        std::fs::rename(part, self.path("sluice.json")).expect("its name");
    }
}

impl Gateway {
    /// POST of nothing on the admin listener.
    pub async fn reload(&self, token: &str) -> Reply {
        let mut connection = Connection::open(&self.admin).await.expect("the admin listener");
        let request =
            format!("POST /reload HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n", self.admin);
        connection.exchange(request.as_bytes()).await.expect("an answer")
    }
}

pub async fn tools(caller: &mut Caller, expected: &[&str]) {
    let mut last = Vec::new();
    for _ in 0..500 {
        last = caller.names("tools").await;
        if last == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{last:?} instead of {expected:?}");
}

#[test]
fn f107_servers_come_and_go_with_the_file_and_the_others_notice_nothing() {
    beside("reload", 120, async {
        let [stays, goes, comes] = [Backend::recording(&["echo"]).await, Backend::echo(&["echo"]).await, Backend::echo(&["echo"]).await];
        let folder = Folder::new();
        let (_, child) = journal_entry(&folder, "journal.jsonl", &[]);
        let servers = |extra: &[(&str, &Value)]| {
            let mut servers = json!({"stays": {"url": stays.url}});
            extra.iter().for_each(|(name, entry)| servers[*name] = (*entry).clone());
            json!({"mcpServers": servers})
        };
        let (going, coming) = (json!({"url": goes.url}), json!({"url": comes.url}));
        let gateway = Gateway::start(&folder, servers(&[("goes", &going), ("child", &child)])).await;
        let [mut legacy, mut modern] = [gateway.caller(Era::Legacy).await, gateway.caller(Era::Modern).await];
        for caller in [&mut legacy, &mut modern] {
            for tool in ["stays_echo", "goes_echo", "child_environment"] {
                caller.result(tool, "{}").await;
            }
        }
        let handshakes = stays.asked("initialize");
        let children = || descendants(gateway.pid()).into_values().filter(|line| line.contains("journal")).collect::<Vec<_>>();
        assert!(handshakes > 0 && !children().is_empty());

        folder.configure(servers(&[("comes", &coming)]));
        for caller in [&mut legacy, &mut modern] {
            tools(caller, &["stays_echo", "comes_echo"]).await;
            caller.result("stays_echo", "{}").await;
            caller.result("comes_echo", "{}").await;
            let gone = caller.call("goes_echo", "{}").await.expect("an answer").json();
            assert_eq!(gone["error"]["code"], -32602, "{gone}");
        }
        assert_eq!(stays.asked("initialize"), handshakes, "sessions of a server that stays go on");
        eventually(WITHIN, || async {
            let left = children();
            if left.is_empty() { Ok(()) } else { Err(format!("the child of a server that is gone still runs: {left:?}")) }
        })
        .await;
        // Once: whoever reads the file second sees that nothing is otherwise.
        for says in ["takes the server goes away", "takes the server child away", "adds the server comes"] {
            assert_eq!(gateway.log(|line| line.contains(says)).len(), 1, "{says}");
        }

        // A change of a server is another server under its name.
        let changed = json!({"url": comes.url, "headers": {"x-team": "blue"}});
        folder.configure(servers(&[("comes", &changed)]));
        eventually(WITHIN, || async {
            let said = gateway.log(|line| line.contains("begins anew with the server comes: other headers"));
            if said.len() == 1 { Ok(()) } else { Err(format!("{said:?}")) }
        })
        .await;
        legacy.result("comes_echo", "{}").await;
    });
}

#[test]
fn a_bad_configuration_changes_nothing_and_says_why() {
    beside("reload, bad", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let good = json!({"mcpServers": {"only": {"url": backend.url}}});
        let gateway = Gateway::start(&folder, good.clone()).await;
        let mut caller = gateway.caller(Era::Modern).await;
        let generation = gateway.metric("sluice_chain_generation").await;
        let with_auth = json!({"chain": ["builtin:namespace"], "auth": {"allow_anonymous": true, "token_file": folder.path("token")}});
        let bad = [
            ("not JSON".to_owned(), "sluice.json"),
            (complete(&folder, json!({"mcpServers": {"only": {"url": "nonsense"}}})).to_string(), "only"),
            // All of it is judged before any of it counts: the server that comes is good.
            (
                complete(&folder, json!({"mcpServers": {"new": {"url": backend.url}}, "sluice": {"chain": ["builtin:redact", "nobody"]}})).to_string(),
                "nobody.wasm",
            ),
            (
                complete(
                    &folder,
                    json!({"mcpServers": {"new": {"url": backend.url}}, "sluice": {"chain": ["builtin:rate-limit"], "plugins": {"settings": {"rate-limit": {"config": {"limits": 7}}}}}}),
                )
                .to_string(),
                "rate-limit",
            ),
        ];
        let half =
            (complete(&folder, json!({"mcpServers": good["mcpServers"], "sluice": with_auth})).to_string(), "start it again for both");
        for (text, says) in bad.into_iter().chain([half]) {
            folder.configure_with(text);
            let reply = gateway.reload(&gateway.admin_token).await;
            assert_eq!(reply.status, 409, "{}", reply.answer());
            assert!(reply.answer().contains(says), "{says}: {}", reply.answer());
            assert_eq!(caller.names("tools").await, ["echo"]);
            caller.result("echo", "{}").await;
        }
        assert_eq!(gateway.metric("sluice_chain_generation").await, generation);
        assert!(!gateway.errors("the configuration stays as it was").is_empty());
        assert_eq!(gateway.reload("wrong").await.status, 401);

        std::fs::rename(folder.path("sluice.json"), folder.path("elsewhere.json")).expect("it was there");
        assert_eq!(gateway.reload(&gateway.admin_token).await.status, 409, "a file that is not there is no configuration");
        caller.result("echo", "{}").await;

        // The file is good again; what it cannot take up is said, and waits.
        let mut next = good;
        next["sluice"] = json!({"chain": [], "limits": {"connections_max": 99}});
        folder.configure(next);
        let reply = gateway.reload(&gateway.admin_token).await;
        let answer = reply.answer();
        assert_eq!(reply.status, 200, "{answer}");
        assert!(answer.contains("chain: nothing becomes []\n"), "{answer}");
        assert!(answer.contains("limits.connections_max: ") && answer.contains("becomes 99 (with the next start)\n"), "{answer}");
        assert_eq!(caller.names("tools").await, ["echo"]);
        assert!(gateway.reload(&gateway.admin_token).await.answer().contains("(with the next start)"));

        // SIGHUP reads it, too, whatever its time says.
        let backend = Backend::echo(&["other"]).await;
        folder.configure(json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": {"chain": []}}));
        gateway.signal(Signal::SIGHUP);
        tools(&mut caller, &["other"]).await;
    });
}

/// Says which one it is.
async fn named(name: &'static str) -> Backend {
    Backend::start(Offer::tools(&["which"]), move |call: Call| async move {
        call.members(&format!(r#""content":[],"structuredContent":{{"server":"{name}","asked":{}}}"#, call.arguments))
    })
    .await
}

/// What one call saw of servers and filters: `a` or `b`, and never one of each.
fn side(unique: &str, answer: &Value) -> Result<String, String> {
    let result = answer.get("result").ok_or_else(|| answer.to_string())?;
    let (server, filters) = (&result["structuredContent"]["server"], &result["_meta"]["generation"]);
    if result["structuredContent"]["asked"]["unique"] != unique {
        return Err(format!("another call's answer: {answer}"));
    }
    if filters["request"] != filters["response"] || filters["request"] != *server {
        return Err(format!("a mixed configuration: {server} with {filters}"));
    }
    Ok(server.as_str().unwrap_or_default().to_owned())
}

/// `SLUICE_RELOADS` says how many; a thousand take some minutes.
#[test]
fn no_call_fails_and_none_meets_a_mixed_configuration_however_often_it_changes() {
    let reloads = std::env::var("SLUICE_RELOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    alone("reload, load", 30 + reloads, async move {
        let folder = Folder::new();
        folder.drop_in("generation.wasm", component("guest_generation"));
        let backends = [named("a").await, named("b").await];
        let config = |at: usize| {
            let side = ["a", "b"][at];
            let generation = json!({"config": {"generation": side}});
            json!({
                "mcpServers": {"only": {"url": backends[at].url}},
                "sluice": {"chain": ["generation"], "plugins": {"settings": {"generation": generation}}},
            })
        };
        let gateway = Gateway::start(&folder, config(0)).await;
        let load = Load::start(&gateway, "which", Duration::from_millis(2), side).await;
        for turn in 1..=reloads {
            folder.configure(config(turn as usize % 2));
            let reply = gateway.reload(&gateway.admin_token).await;
            assert_eq!(reply.status, 200, "{}", reply.answer());
        }
        let found = load.end().await;
        found.report(&format!("reload, load, {reloads} reloads"));
        assert_eq!(found.tags().len(), 2, "both were in force");
    });
}

#[test]
fn f107_diff_says_in_words_what_would_change() {
    beside("diff", 30, async {
        let folder = Folder::new();
        let old = json!({"mcpServers": {"a": {"url": "https://a.example/mcp"}, "b": {"command": "true", "env": {"KEY": "one"}}}});
        let new = json!({
            "mcpServers": {"b": {"command": "true", "env": {"KEY": "another"}}, "c": {"url": "builtin:clock"}},
            "sluice": {"chain": ["builtin:redact"], "plugins": {"settings": {"redact": {"mode": "audit"}}}, "listen": "127.0.0.1:7999"},
        });
        let files = [("old.json", &old), ("new.json", &new)].map(|(name, config)| folder.write(name, config.to_string()));
        let diff = |old: usize, new: usize| plain_command(&folder).arg("diff").arg(&files[old]).arg(&files[new]).output().expect("it runs");
        let said = diff(0, 1);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said.status.code(), Some(5), "{text}{}", String::from_utf8_lossy(&said.stderr));
        for line in [
            "takes the server a away\n",
            "begins anew with the server b: other env\n",
            "adds the server c (builtin:clock)\n",
            "chain: nothing becomes [\"builtin:redact\"]\n",
            "listen: \"127.0.0.1:7411\" becomes \"127.0.0.1:7999\" (with the next start)\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(text.contains("plugins.settings.redact is set\n") && !text.contains("another"), "{text}");
        // What may have come from the environment is never said.
        let settings = |key: &str| json!({"mcpServers": {}, "sluice": {"plugins": {"settings": {"redact": {"config": {"key": key}}}}}});
        let files = [("one.json", settings("first-5d1")), ("two.json", settings("${SECOND:-second-5d1}"))];
        let files = files.map(|(name, config)| folder.write(name, config.to_string()));
        let said = plain_command(&folder).arg("diff").args(&files).output().expect("it runs");
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(text.contains("plugins.settings.redact.config.key is otherwise\n") && !text.contains("5d1"), "{text}");
        let same = diff(1, 1);
        assert_eq!((same.status.code(), &*same.stdout), (Some(0), &b"nothing would change\n"[..]));
    });
}
