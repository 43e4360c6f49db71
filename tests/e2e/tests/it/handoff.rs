//! Another process takes over while traffic runs: no connection is refused or reset, no call fails.

use crate::{
    backend::{Backend, Call, Offer},
    caller::Era,
    folder::Folder,
    gateway::{Gateway, command, complete},
    load::{Load, SEEN_WITHIN},
    turn::{alone, beside, eventually},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Who serves now; whoever is left at the end of a test is killed.
struct Line(Vec<i32>);

impl Line {
    fn of(gateway: &Gateway) -> Self {
        Self(vec![gateway.pid()])
    }

    fn last(&self) -> i32 {
        *self.0.last().expect("there is one at least")
    }

    /// The next one, once it serves and the one before is gone.
    async fn next(&mut self, gateway: &Gateway) -> i32 {
        kill(Pid::from_raw(self.last()), Signal::SIGUSR2).expect("it is there");
        let times = self.0.len();
        let mut heirs = Vec::new();
        for _ in 0..3000 {
            heirs = gateway.log(|line| line.contains("handed over: no new connection"));
            if heirs.len() >= times {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let said = heirs.get(times - 1).unwrap_or_else(|| panic!("nobody took over: {:#?}", gateway.log(|_| true)));
        let heir = serde_json::from_str::<Value>(said).expect("JSON")["to"].as_i64().expect("a process id");
        self.0.push(i32::try_from(heir).expect("a process id"));
        self.last()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Those before have ended, and their numbers may be others' by now.
        let _ = kill(Pid::from_raw(self.last()), Signal::SIGKILL);
    }
}

async fn echo() -> Backend {
    Backend::start(Offer::tools(&["which"]), |call: Call| async move {
        tokio::time::sleep(Duration::from_millis(3)).await;
        call.members(&format!(r#""content":[],"structuredContent":{}"#, call.arguments))
    })
    .await
}

fn own_answer(unique: &str, answer: &Value) -> Result<String, String> {
    let result = answer.get("result").ok_or_else(|| answer.to_string())?;
    if result["structuredContent"]["unique"] == unique {
        Ok("answered".to_owned())
    } else {
        Err(format!("another call's answer: {answer}"))
    }
}

/// `SLUICE_HANDOFFS` says how many; a hundred take some minutes.
#[test]
fn no_call_fails_however_often_another_process_takes_over() {
    let handoffs = std::env::var("SLUICE_HANDOFFS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    alone("hand-offs", 60 + 10 * handoffs, async move {
        let (folder, backend) = (Folder::new(), echo().await);
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let mut line = Line::of(&gateway);
        let load = Load::of_era(&gateway, Era::Modern, "which", Duration::from_millis(2), own_answer).await;
        for _ in 0..handoffs {
            load.until("answered").await;
            let (before, heir) = (line.last(), line.next(&gateway).await);
            assert_ne!(before, heir);
            load.until("answered").await;
            // The first one is ours to wait for, so it stays in the table.
            if before != gateway.pid() {
                eventually(SEEN_WITHIN, || async {
                    if Path::new(&format!("/proc/{before}")).exists() { Err(format!("{before} is still there")) } else { Ok(()) }
                })
                .await;
            }
        }
        let found = load.end().await;
        assert_eq!(found.tags().len(), 1);
        found.report(&format!("{handoffs} hand-offs"));
    });
}

/// Clients of both eras: with a file to write sessions down in, those of the older one notice nothing either.
#[test]
fn f017_legacy_sessions_go_on_in_the_process_that_takes_over() {
    alone("hand-offs, sessions", 120, async move {
        let (folder, backend) = (Folder::new(), echo().await);
        let own = json!({"state": {"kind": "file", "path": folder.path("state.redb")}});
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        let mut line = Line::of(&gateway);
        let load = Load::start(&gateway, "which", Duration::from_millis(2), own_answer).await;
        for _ in 0..2 {
            load.until("answered").await;
            line.next(&gateway).await;
            load.until("answered").await;
        }
        load.end().await.report("2 hand-offs with a state file");
    });
}

/// What the load above would find if nothing was handed over.
#[test]
fn a_plain_stop_and_start_is_noticed() {
    alone("stop and start", 60, async move {
        let (folder, backend) = (Folder::new(), echo().await);
        let config = |gateway: Option<&Gateway>| {
            let listen = gateway.map_or("127.0.0.1:0", |gateway| &gateway.address).to_owned();
            json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": {"listen": listen}})
        };
        let mut gateway = Gateway::start(&folder, config(None)).await;
        let load = Load::of_era(&gateway, Era::Modern, "which", Duration::from_millis(2), own_answer).await;
        load.until("answered").await;
        gateway.signal(Signal::SIGTERM);
        gateway.ended(Duration::from_secs(20)).await.expect("it ends");
        let _next = Gateway::start(&folder, config(Some(&gateway))).await;
        load.until("answered").await;
        let found = load.end().await;
        assert!(found.failures().iter().any(|why| why.contains("refused")), "{:?}", found.failures().first());
    });
}

#[test]
fn a_new_process_that_does_not_begin_changes_nothing() {
    beside("hand-off, bad", 90, async {
        let (folder, backend) = (Folder::new(), echo().await);
        let good = json!({"mcpServers": {"only": {"url": backend.url}}});
        let gateway = Gateway::start(&folder, good.clone()).await;
        let mut caller = gateway.caller(Era::Legacy).await;
        caller.result("which", r#"{"unique":"a"}"#).await;
        folder.write("sluice.json", "nonsense");
        for times in 1..=2 {
            gateway.signal(Signal::SIGUSR2);
            eventually(Duration::from_secs(20), || async {
                let said = gateway.log(|line| line.contains("the new process does not begin; this one goes on as it was"));
                if said.len() == times { Ok(()) } else { Err(format!("{:#?}", gateway.log(|_| true))) }
            })
            .await;
            caller.result("which", r#"{"unique":"b"}"#).await;
        }
        // And once it can, it does.
        folder.write("sluice.json", complete(&folder, good).to_string());
        let mut line = Line::of(&gateway);
        line.next(&gateway).await;
        gateway.caller(Era::Modern).await.result("which", r#"{"unique":"c"}"#).await;
    });
}

#[test]
fn what_was_counted_in_a_file_counts_on() {
    beside("hand-off, state", 120, async {
        let (folder, backend) = (Folder::new(), Backend::recording(&["echo"]).await);
        let limits = json!([{"name": "some", "key": ["principal"], "burst": 3, "per_hour": 1}]);
        let own = json!({"state": {"kind": "file", "path": folder.path("state.redb")}, "chain": ["builtin:rate-limit"],
            "plugins": {"settings": {"rate-limit": {"config": {"limits": limits}}}}});
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        let (mut line, mut statuses) = (Line::of(&gateway), Vec::new());
        for _ in 0..4 {
            let mut caller = gateway.caller(Era::Modern).await;
            statuses.push(caller.call("echo", "{}").await.expect("an answer").status);
            line.next(&gateway).await;
        }
        assert_eq!(statuses, [200, 200, 200, 429]);
        assert_eq!(backend.asked("tools/call"), 3);
    });
}

/// Somebody answers there, whatever he says.
async fn answers(socket: &Path) {
    let ask = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = tokio::task::block_in_place(ask).expect("an answer");
    assert!(text.starts_with("HTTP/1.1 4"), "{text}");
}

#[test]
fn a_socket_in_the_file_system_is_handed_over_with_its_file() {
    beside("hand-off, socket", 90, async {
        let folder = Folder::new();
        let socket = folder.path("mcp.sock");
        let config = json!({"mcpServers": {"notes": {"url": "builtin:notes"}}, "sluice": {"listen": format!("unix:{}", socket.display())}});
        let mut command = command(&folder, &config, "serve");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(folder.path("log")).expect("a file"));
        let mut child = child.spawn().expect("sluice can be executed");
        let within = |what: &'static str, is: Box<dyn Fn(&str) -> bool>| {
            let log = folder.path("log");
            async move {
                eventually(SEEN_WITHIN, || async {
                    let said = std::fs::read_to_string(&log).unwrap_or_default();
                    if is(&said) { Ok(()) } else { Err(format!("{what}: {said}")) }
                })
                .await;
                std::fs::read_to_string(&log).unwrap_or_default()
            }
        };
        let begun = |times: usize| Box::new(move |said: &str| said.matches("chain in place").count() == times) as Box<dyn Fn(&str) -> bool>;
        within("it begins", begun(1)).await;
        answers(&socket).await;
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGUSR2).expect("it is there");
        let said = within("it hands over", Box::new(|said| said.contains("handed over: no new connection"))).await;
        let last = said.lines().find(|line| line.contains("handed over: no new connection")).expect("that line");
        let heir = serde_json::from_str::<Value>(last).expect("JSON")["to"].as_i64().expect("a process id");
        let line = Line(vec![i32::try_from(heir).expect("a process id")]);
        tokio::task::block_in_place(|| child.wait()).expect("it ends");
        answers(&socket).await;
        kill(Pid::from_raw(line.last()), Signal::SIGTERM).expect("it is there");
        eventually(SEEN_WITHIN, || async { if socket.exists() { Err("its file is still there".to_owned()) } else { Ok(()) } }).await;
    });
}

#[test]
fn sockets_may_come_from_systemd() {
    beside("socket activation", 60, async {
        let (folder, backend) = (Folder::new(), echo().await);
        let bound = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = bound.local_addr().expect("an address");
        // A client that comes before there is anybody waits.
        let early = std::net::TcpStream::connect(address).expect("the socket is there");
        let config = json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": {"listen": address.to_string()}});
        let own = command(&folder, &config, "serve");
        // Its own process has to be the one that is named, so a shell becomes it.
        let script = r#"exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_FDNAMES=mcp LISTEN_PID=$$; exec "$@""#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(own.get_program()).args(own.get_args()).current_dir(folder.root()).env_clear();
        shell.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.stdin(OwnedFd::from(bound)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let gateway = match Gateway::of(&folder, shell).await {
            Ok(gateway) => gateway,
            Err(refused) => panic!("{}", refused.stderr),
        };
        assert_eq!(gateway.address, address.to_string());
        gateway.caller(Era::Modern).await.result("which", r#"{"unique":"a"}"#).await;
        drop(early);
    });
}
