//! `sluice stdio`: one client on a pair of pipes, in either era.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Era, LEGACY, MODERN, stamp},
    folder::Folder,
    gateway::{command, command_line, descendants, journal_entry},
    turn::{beside, eventually},
};
use serde_json::{Value, json};
use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

struct Pipes {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Pipes {
    fn start(folder: &Folder, config: &Value) -> Self {
        let mut command = Command::from(command(folder, config, "stdio"));
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("sluice can be executed");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { stdin: child.stdin.take(), child, stdout }
    }

    async fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("not closed yet");
        stdin.write_all(format!("{line}\n").as_bytes()).await.expect("it reads");
        stdin.flush().await.expect("it reads");
    }

    async fn hear(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(60), self.stdout.next_line()).await;
        line.expect("an answer in time").expect("text").expect("it has not ended")
    }

    async fn ask(&mut self, line: &str) -> Value {
        self.say(line).await;
        let answer = self.hear().await;
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Close its input; how it ends.
    async fn close(mut self) -> ExitStatus {
        drop(self.stdin.take());
        let status = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        status.expect("it ends soon after its input").expect("our own child")
    }
}

fn initialize(version: &str) -> String {
    let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"}});
    json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params}).to_string()
}

fn request(era: Era, id: &str, method: &str, members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    let params = match era {
        Era::Legacy => format!("{{{members}}}"),
        Era::Modern => format!(r#"{{{members}{comma}"_meta":{{{}}}}}"#, stamp()),
    };
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

fn call(era: Era, id: &str, tool: &str, unique: &str) -> String {
    request(era, id, "tools/call", &format!(r#""name":"{tool}","arguments":{{"unique":"{unique}","x": 1.10}}"#))
}

#[test]
fn both_eras_speak_over_pipes_and_the_end_of_input_ends_all() {
    beside("stdio", 120, async {
        for era in Era::BOTH {
            let backend = Backend::recording(&["echo"]).await;
            let folder = Folder::new();
            let (_, child) = journal_entry(&folder, "journal.jsonl", &[]);
            let mut pipes = Pipes::start(&folder, &json!({"mcpServers": {"http": {"url": backend.url}, "child": child}}));
            if era == Era::Legacy {
                let opened = pipes.ask(&initialize(LEGACY)).await;
                assert_eq!((&opened["id"], &opened["result"]["protocolVersion"]), (&json!("init"), &json!(LEGACY)), "{opened}");
                pipes.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
                let pong = pipes.ask(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).await;
                assert_eq!(pong, json!({"jsonrpc": "2.0", "id": "p", "result": {}}));
            } else {
                let said = pipes.ask(&request(era, "1", "server/discover", "")).await;
                assert!(said["result"]["supportedVersions"].as_array().is_some_and(|all| all.contains(&json!(MODERN))), "{said}");
            }
            let list = pipes.ask(&request(era, r#""\u006c""#, "tools/list", "")).await;
            let names: Vec<_> = list["result"]["tools"].as_array().expect("a list").iter().map(|tool| tool["name"].clone()).collect();
            assert_eq!(names, ["http_echo", "child_record", "child_slow", "child_spawn", "child_environment", "child_reach"]);
            pipes.say(&call(era, r#""\u0041-1""#, "http_echo", "one")).await;
            let answer = pipes.hear().await;
            assert!(
                answer.contains(r#""id":"\u0041-1""#) && answer.contains(r#""structuredContent":{"unique":"one","x": 1.10}"#),
                "{answer}"
            );
            let answer = pipes.ask(&call(era, "2", "child_record", "two")).await;
            assert_eq!(answer["result"]["content"][0]["text"], "two");
            at_once(&mut pipes, era).await;
            bad_lines(&mut pipes, era).await;

            let children = descendants(pipes.child.id().expect("it runs").cast_signed());
            assert!(!children.is_empty());
            let status = pipes.close().await;
            assert_eq!(status.code(), Some(0), "{status}");
            eventually(Duration::from_secs(5), || async {
                let left: Vec<_> = children.iter().filter(|(pid, line)| command_line(**pid) == **line && !line.is_empty()).collect();
                if left.is_empty() { Ok(()) } else { Err(format!("still running: {left:?}")) }
            })
            .await;
            println!("stdio: {era:?}: {} children gone after the end of input", children.len());
        }
    });
}

/// Requests need not wait for each other; each answer has its request's id.
async fn at_once(pipes: &mut Pipes, era: Era) {
    for id in 100..150 {
        pipes.say(&call(era, &id.to_string(), if id % 2 == 0 { "http_echo" } else { "child_record" }, &format!("u{id}"))).await;
    }
    let mut seen = Vec::new();
    for _ in 100..150 {
        let answer: Value = serde_json::from_str(&pipes.hear().await).expect("JSON");
        let id = answer["id"].as_u64().expect("a number");
        assert!(answer["result"].to_string().contains(&format!("u{id}")), "{answer}");
        seen.push(id);
    }
    seen.sort_unstable();
    assert_eq!(seen, (100..150).collect::<Vec<_>>());
}

/// A bad line is answered with an error, and the next one is read.
async fn bad_lines(pipes: &mut Pipes, era: Era) {
    for (line, code) in [
        ("not JSON", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32700),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
    ] {
        let answer = pipes.ask(line).await;
        assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
        assert!(answer["error"]["data"]["requestId"].is_string(), "{line}: {answer}");
    }
    let answer = pipes.ask(&request(era, "3", "tools/fly", "")).await;
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    let answer = pipes.ask(&call(era, "4", "http_echo", "after")).await;
    assert_eq!(answer["result"]["structuredContent"]["unique"], "after");
}

/// What is in flight when the input ends is answered before the end.
#[test]
fn what_is_in_flight_at_the_end_of_input_is_answered() {
    beside("stdio, end", 60, async {
        let backend = Backend::start(Offer::tools(&["slow"]), |call: Call| async move {
            tokio::time::sleep(Duration::from_millis(700)).await;
            call.echo()
        })
        .await;
        let folder = Folder::new();
        let mut pipes = Pipes::start(&folder, &json!({"mcpServers": {"http": {"url": backend.url}}}));
        pipes.ask(&request(Era::Modern, "1", "tools/list", "")).await;
        pipes.say(&call(Era::Modern, "2", "slow", "x")).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(pipes.stdin.take());
        let answer: Value = serde_json::from_str(&pipes.hear().await).expect("JSON");
        assert_eq!(answer["result"]["structuredContent"]["unique"], "x", "{answer}");
        assert_eq!(pipes.close().await.code(), Some(0));
    });
}

/// Notifications come in order before their answer, each on a line of its own; cancelling ends a call.
#[test]
fn notifications_and_cancelling() {
    beside("stdio, notifications", 60, async {
        let backend = Backend::start(Offer::tools(&["work", "slow"]), |call: Call| async move {
            if call.name == "slow" {
                tokio::time::sleep(Duration::from_secs(30)).await;
                return call.echo();
            }
            let token = call.progress_token.clone().unwrap_or_default();
            let note = |step: usize| {
                format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step}}}}}"#)
            };
            call.echo().behind((1..4).map(|step| (Duration::from_millis(5), note(step))).collect())
        })
        .await;
        let folder = Folder::new();
        let mut pipes = Pipes::start(&folder, &json!({"mcpServers": {"http": {"url": backend.url}}}));
        pipes.ask(&initialize(LEGACY)).await;
        pipes.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        pipes.say(&request(Era::Legacy, "1", "tools/call", r#""name":"work","arguments":{},"_meta":{"progressToken":"t"}"#)).await;
        for step in 1..4 {
            let note: Value = serde_json::from_str(&pipes.hear().await).expect("JSON");
            assert_eq!(note["params"], json!({"progressToken": "t", "progress": step}));
        }
        assert!(pipes.hear().await.contains(r#""id":1,"#));
        pipes.say(&request(Era::Legacy, "2", "tools/call", r#""name":"slow","arguments":{}"#)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        pipes.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#).await;
        // No answer for it; the next one is the next request's.
        let pong = pipes.ask(r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#).await;
        assert_eq!(pong["id"], 3);
        assert_eq!(pipes.close().await.code(), Some(0));
    });
}

/// A child has no secrets of ours in its environment.
#[test]
fn a_child_gets_the_allowlist_and_its_own() {
    beside("stdio, environment", 60, async {
        let folder = Folder::new();
        let (_, mut child) = journal_entry(&folder, "journal.jsonl", &[]);
        child["env"] = json!({"OWN": "1"});
        let config = json!({"mcpServers": {"child": child}});
        let mut command = Command::from(command(&folder, &config, "stdio"));
        command.env("SLUICE_SECRET_OF_OURS", "x").env("LD_LIBRARY_PATH", "/nowhere");
        command.stdin(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().expect("sluice can be executed");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut pipes = Pipes { stdin: child.stdin.take(), child, stdout };
        let answer = pipes.ask(&call(Era::Modern, "1", "environment", "")).await;
        // The last is the way that a request has come, for a gateway among children (ADR 48).
        assert_eq!(answer["result"]["content"][0]["text"], "HOME OWN PATH SLUICE_VIA", "{answer}");
        assert_eq!(pipes.close().await.code(), Some(0));
    });
}

/// A server that has to be killed: it writes down the end of its input and SIGTERM, and stays.
const STUBBORN: &str = r#"
trap 'echo term >> "$0"' TERM
while read -r line; do
    id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
    case "$line" in
    *'"initialize"'*)
        printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"stubborn","version":"1"}}}\n' "$id"
        ;;
    *'"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}}\n' "$id" ;;
    esac
done
echo eof >> "$0"
while :; do sleep 60; done
"#;

#[test]
fn s097_the_end_of_input_closes_stdin_then_terminates_then_kills_and_the_proxy_exits() {
    beside("stdio_end", 120, async {
        let folder = Folder::new();
        let notes = folder.path("notes");
        let stubborn = json!({"command": "sh", "args": ["-c", STUBBORN, notes]});
        let mut pipes = Pipes::start(&folder, &json!({"mcpServers": {"stubborn": stubborn}}));
        pipes.ask(&initialize(LEGACY)).await;
        let list = pipes.ask(&request(Era::Legacy, "1", "tools/list", "")).await;
        assert_eq!(list["result"]["tools"][0]["name"], "t", "{list}");
        let children = descendants(pipes.child.id().expect("it runs").cast_signed());
        assert!(!children.is_empty());
        let status = pipes.close().await;
        assert_eq!(status.code(), Some(0), "{status}");
        assert_eq!(std::fs::read_to_string(&notes).expect("its notes"), "eof\nterm\n");
        eventually(Duration::from_secs(5), || async {
            let left: Vec<_> = children.iter().filter(|(pid, line)| command_line(**pid) == **line && !line.is_empty()).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("still running: {left:?}")) }
        })
        .await;
    });
}
