//! Users of other systems: what `sluice import` makes of their configuration, started and called.
//!
//! There is no Docker here: a program of that name stands in for it, which writes down how it was started and becomes a server.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era},
    folder::{Folder, journal_server},
    gateway::{Gateway, finish, plain_command},
    server::{Response, Seen},
    turn::beside,
};
use serde_json::{Value, json};
use std::{os::unix::fs::PermissionsExt as _, time::Duration};

/// What it becomes, and what is said about that.
async fn import(folder: &Folder, args: &[&str]) -> (Value, String) {
    let mut command = plain_command(folder);
    command.args(["import", "--output", "imported.json", "--force"]).args(args);
    let ended = finish(command, Duration::from_secs(30)).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    (serde_json::from_str(&folder.read("imported.json")).expect("JSON"), ended.stderr)
}

async fn start(folder: &Folder, mut config: Value, variables: &[(&str, &str)]) -> Gateway {
    // The port of an example may be somebody else's.
    if let Some(own) = config["sluice"].as_object_mut() {
        own.insert("listen".to_owned(), json!("127.0.0.1:0"));
    }
    Gateway::try_start_with(folder, config, variables).await.unwrap_or_else(|refused| panic!("{}", refused.stderr))
}

#[test]
fn f029_f118_servers_of_mcp_proxy_are_at_their_paths_for_whoever_comes() {
    beside("mcp-proxy", 120, async {
        let folder = Folder::new();
        let server = |name: &str| {
            json!({"command": journal_server(), "args": ["--journal", folder.path(name)], "env": {"API_KEY": format!("key-of-the-{name}")},
                "timeout": 60, "transportType": "stdio"})
        };
        let mut resting = server("third");
        resting["enabled"] = json!(false);
        let servers = json!({"mcpServers": {"one": server("first"), "two": server("second"), "three": resting}});
        folder.write("servers.json", servers.to_string());
        let command = ["--", "mcp-proxy", "--port=8080", "--named-server-config", "servers.json", "--stateless"];
        let (config, said) = import(&folder, &command).await;
        assert!(!config.to_string().contains("key-of-the-"), "{config}");
        assert_eq!(said.matches("to do: servers.json:1:").count(), 3, "{said}");

        // Clients bring nothing, as before.
        let gateway = start(&folder, config, &[("API_KEY", "a"), ("TWO_API_KEY", "b")]).await;
        for era in [Era::BOTH, Era::BOTH].concat() {
            for (path, journal) in [("/servers/one/mcp", "first"), ("/servers/two/mcp", "second")] {
                let mut caller = Caller::at(&gateway.address, path, era, "").await;
                caller.result("record", &format!(r#"{{"unique":"{path}-{era:?}"}}"#)).await;
                assert!(folder.read(journal).contains(&format!("{path}-{era:?}")));
            }
        }
        // One process for everybody of one era, however many come.
        let children = crate::gateway::descendants(gateway.pid());
        let servers = children.values().filter(|line| line.contains("journal-server")).count();
        assert_eq!(servers, 4, "{children:?}");
        assert_eq!(
            Caller::at(&gateway.address, "/servers/three/mcp", Era::Modern, "")
                .await
                .ask("tools/list", None, "")
                .await
                .expect("an answer")
                .status,
            404
        );
    });
}

#[test]
fn f118_servers_of_fastmcp_are_reached_with_their_token_and_a_tool_that_is_off_is_off() {
    beside("fastmcp", 120, async {
        let guard = |seen: &Seen| (seen.header("authorization") != Some("Bearer token-of-the-weather")).then(|| Response::status(401));
        let backend = Backend::start(Offer::tools(&["forecast", "reset"]).guarded(guard), |call: Call| async move { call.echo() }).await;
        let folder = Folder::new();
        // FastMCP takes servers without the key around them, too.
        let tools = json!({"reset": {"enabled": false}, "forecast": {"name": "weather_now"}});
        let config = json!({"weather": {"url": backend.url, "transport": "http", "auth": "token-of-the-weather", "tools": tools}});
        folder.write("proxy.json", config.to_string());
        let (config, said) = import(&folder, &["proxy.json"]).await;
        assert!(!config.to_string().contains("token-of-the-"), "{config}");
        assert!(said.contains("set WEATHER_TOKEN where Sluice starts") && said.contains("not carried: proxy.json"), "{said}");

        let gateway = start(&folder, config, &[("WEATHER_TOKEN", "token-of-the-weather")]).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            assert_eq!(caller.names("tools").await, ["forecast"]);
            caller.result("forecast", "{}").await;
            assert_eq!(caller.call("reset", "{}").await.expect("an answer").json()["error"]["code"], -32602);
        }
    });
}

/// A catalog with all that becomes an option of `docker run`.
const CATALOG: &str = "\
registry:
  memory:
    description: A memory
    type: server
    image: mcp/memory@sha256:68eb20db6109f5c312a695fc5ec3386ad15d93ffb765a0b4eb1baf4328dec14f
    secrets: [{ name: memory.password, env: MEMORY_PASSWORD }]
    env: [{ name: MEMORY_URL, value: '{{memory.url}}' }, { name: UNSET, value: '{{memory.nothing}}' }]
    command: ['--journal', '{{memory.journal}}']
    volumes: ['{{memory.paths|volume|into}}', 'data:/data']
    extraHosts: ['db:10.0.0.5']
    user: '1000:1000'
";

#[test]
fn f118_servers_of_dockers_gateway_are_started_as_it_starts_them() {
    beside("docker", 120, async {
        let folder = Folder::new();
        let (journal, args) = (folder.path("journal"), folder.path("args"));
        let docker = format!(
            "#!/bin/sh\nset -e\n[ \"$MEMORY_PASSWORD\" = pw ]\n[ \"$MEMORY_URL\" = bolt://db ]\nprintf '%s\\n' \"$@\" > {}\n\
             while [ \"$1\" != --journal ]; do shift; done\nexec {} \"$@\"\n",
            args.display(),
            journal_server(),
        );
        std::fs::create_dir(folder.path("bin")).expect("a folder");
        let docker = folder.write("bin/docker", docker);
        std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        folder.write("catalog.yaml", CATALOG);
        folder.write("config.yaml", format!("memory: {{ url: 'bolt://db', journal: '{}', paths: [/srv/a, /srv/b] }}\n", journal.display()));
        folder.write("tools.yaml", "memory: [record]\n");
        folder.write("secrets.env", "memory.password=pw-of-the-memory\n");
        let command = ["catalog.yaml", "config.yaml", "tools.yaml", "secrets.env", "--", "docker", "mcp", "gateway", "run"];
        let options = ["--servers=memory", "--transport=streaming", "--port=8811", "--memory=512Mb", "--long-lived"];
        let (config, said) = import(&folder, &[&command[..], &options].concat()).await;
        assert!(!config.to_string().contains("pw-of-the-") && said.contains("secrets.env:1:17: set MEMORY_PASSWORD"), "{config} {said}");

        let path = format!("{}:{}", folder.path("bin").display(), std::env::var("PATH").unwrap_or_default());
        let gateway = start(&folder, config, &[("MEMORY_PASSWORD", "pw"), ("PATH", &path)]).await;
        let mut caller = gateway.caller(Era::Modern).await;
        assert_eq!(caller.names("tools").await, ["record"]);
        caller.result("record", r#"{"unique":"from-docker"}"#).await;
        assert!(folder.read("journal").contains("from-docker"));
        let expected = [
            "run --rm -i --init --security-opt no-new-privileges --cpus 1 --memory 512Mb --pull never",
            "-l docker-mcp=true -l docker-mcp-tool-type=mcp -l docker-mcp-name=memory -l docker-mcp-transport=stdio",
            "-e MEMORY_PASSWORD -e MEMORY_URL -v /srv/a:/srv/a:ro -v /srv/b:/srv/b:ro -v data:/data -u 1000:1000 --add-host db:10.0.0.5",
            "mcp/memory@sha256:68eb20db6109f5c312a695fc5ec3386ad15d93ffb765a0b4eb1baf4328dec14f --journal",
        ];
        let found = folder.read("args").replace('\n', " ");
        assert_eq!(found.trim(), format!("{} {}", expected.join(" "), journal.display()));
    });
}

#[test]
fn a_file_that_is_there_is_written_over_only_with_force() {
    beside("import, force", 60, async {
        let folder = Folder::new();
        folder.write("servers.json", r#"{"mcpServers": {"a": {"command": "uvx", "args": ["x"], "timeout": 5}}}"#);
        folder.write("sluice.toml", "mine");
        let mut command = plain_command(&folder);
        command.args(["import", "servers.json", "-o", "sluice.toml"]);
        let ended = finish(command, Duration::from_secs(30)).await;
        assert_eq!((ended.status.code(), folder.read("sluice.toml").as_str()), (Some(1), "mine"));
        assert!(ended.stderr.contains("--force writes over what is there"), "{}", ended.stderr);
        let mut command = plain_command(&folder);
        command.args(["import", "servers.json", "-o", "sluice.toml", "--force"]);
        assert_eq!(finish(command, Duration::from_secs(30)).await.status.code(), Some(0));
        assert!(folder.read("sluice.toml").starts_with("[mcpServers.a]"));
    });
}
