//! Answers that are too long to be held pass as they come, at constant memory and no faster than the client takes them; through plugins
//! that take them in pieces; and whoever gets a part of one knows that it is not the whole.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era},
    connection::Connection,
    folder::{Folder, component},
    gateway::{Gateway, command, journal_entry},
    server::{Long, Response},
    turn::{alone, beside, eventually},
};
use serde_json::{Value, json};
use std::{
    io,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

/// What is held of an answer by default.
const HELD: usize = 16 << 20;
/// What the process may grow by, however long the answer: the part up to the cap, which is held until it shows that there is more of it, what
/// is on its way, and the memory of a filter and of its search.
const GROWTH_MAX: usize = 40 << 20;

const SECRETS: [(&str, &str); 3] = [
    ("joe@example.com", "[REDACTED:email]"),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[REDACTED:github-token]"),
    ("4111 1111 1111 1111", "[REDACTED:credit-card]"),
];

/// A text of about this length with secrets at ever other places, and what becomes of it.
fn text(length: usize) -> (String, String) {
    let (mut raw, mut clean) = (String::with_capacity(length), String::with_capacity(length));
    let mut row = 0_usize;
    while raw.len() < length {
        // Each row is longer by a byte, up to a bound, so that the secrets meet every place of a window's end.
        let filler = "lorem \"ipsum\"\tdölör ".repeat(40 + row % 7) + &"x".repeat(row % 211);
        let (secret, mask) = SECRETS[row % SECRETS.len()];
        for (out, found) in [(&mut raw, secret), (&mut clean, mask)] {
            out.push_str(&format!("{row} {filler} {found}\n"));
        }
        row += 1;
    }
    (raw, clean)
}

/// Its JSON string; every third `@` is spelled as an escape.
fn spelled(text: &str) -> String {
    let plain = serde_json::to_string(text).expect("a string");
    let mut out = String::with_capacity(plain.len() + 1024);
    for (n, part) in plain.split('@').enumerate() {
        if n > 0 {
            out.push_str(if n % 3 == 0 { "\\u0040" } else { "@" });
        }
        out.push_str(part);
    }
    out
}

/// The result's members, and the texts in it: a short one, a long one, one in the structured part.
fn members(raw: &str) -> String {
    let (text, short) = (spelled(raw), spelled("short joe@example.com"));
    format!(
        r#""content":[{{"type":"text","text":{short}}},{{"type":"text","text":{text}}}],"structuredContent":{{"n":[1.50,true,null],"mail":{short},"é":{{}}}},"isError":false"#
    )
}

fn check(answer: &Value, text: &str, short: &str) {
    let content = &answer["result"]["content"];
    assert_eq!(content[0]["text"], short);
    let got = content[1]["text"].as_str().unwrap_or_default();
    if got != text {
        let at = got.bytes().zip(text.bytes()).position(|(a, b)| a != b).unwrap_or(got.len().min(text.len()));
        let around = |text: &str| {
            String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(60).min(text.len())..(at + 60).min(text.len())]).into_owned()
        };
        panic!("at {at} of {} and {}: {:?} is not {:?}", got.len(), text.len(), around(got), around(text));
    }
    assert_eq!(answer["result"]["structuredContent"], json!({"n": [1.5, true, null], "mail": short, "é": {}}));
    assert_eq!(answer["result"]["isError"], false);
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Announced,
    Chunked,
    Event,
}

type Made = Arc<Mutex<Option<Long>>>;

/// A server that answers each call with these members, however long; the last answer it began is kept.
async fn server(era: Option<Era>, kind: Kind, members: String, spoil: impl Fn(&mut Long) + Send + Sync + 'static) -> (Backend, Made) {
    let offer = Offer::tools(&["export"]);
    let offer = if let Some(era) = era { offer.only(era) } else { offer };
    let (made, members, spoil) = (Made::default(), Arc::new(members), Arc::new(spoil));
    let kept = made.clone();
    let backend = Backend::start(offer, move |call: Call| {
        let (members, kept, spoil) = (members.clone(), kept.clone(), spoil.clone());
        async move {
            if call.arguments.contains("short") {
                return call.members(r#""content":[]"#);
            }
            let kind_of_result = if call.era == Era::Modern { r#","resultType":"complete""# } else { "" };
            // As many servers write it: the id stands behind the result.
            let mut long = Long::new(format!(r#"{{"result":{{{members}{kind_of_result}}},"jsonrpc":"2.0","id":{}}}"#, call.id));
            (long.is_event, long.is_announced) = (kind == Kind::Event, kind == Kind::Announced);
            spoil(&mut long);
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(long.clone());
            Response::long(long)
        }
    })
    .await;
    (backend, made)
}

async fn gateway(folder: &Folder, backend: &Backend, chain: &[&str], more: Value) -> Gateway {
    let mut config = json!({"mcpServers": {"http": {"url": backend.url}}, "sluice": {"chain": chain}});
    for (key, value) in more.as_object().into_iter().flatten() {
        config["sluice"][key] = value.clone();
    }
    let limits = &mut config["sluice"]["limits"];
    if limits.get("response_stream_bytes_max").is_none() {
        limits["response_stream_bytes_max"] = json!(256 << 20);
    }
    Gateway::start(folder, config).await
}

/// Resident now, and at most so far.
fn resident(pid: i32) -> (usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).unwrap_or_default() << 10
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// Forgets the peak.
fn forget_peak(pid: i32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("our own child");
}

fn patient(mut caller: Caller) -> Caller {
    caller.patience = Duration::from_secs(240);
    caller
}

#[test]
fn sixty_four_mib_pass_at_constant_memory_as_they_are_and_redacted() {
    alone("long answers", 900, async {
        let (raw, clean) = text(64 << 20);
        for (chain, expected, short) in
            [(&[][..], &raw, "short joe@example.com"), (&["builtin:redact"][..], &clean, "short [REDACTED:email]")]
        {
            for kind in [Kind::Announced, Kind::Event] {
                let (backend, made) = server(None, kind, members(&raw), |_| {}).await;
                let folder = Folder::new();
                let gateway = gateway(&folder, &backend, chain, json!({})).await;
                let mut caller = patient(gateway.caller(Era::Modern).await);
                caller.result("export", r#"{"a":"short"}"#).await;
                let (before, _) = resident(gateway.pid());
                forget_peak(gateway.pid());
                let started = Instant::now();
                let reply = caller.call("export", "{}").await.expect("an answer");
                let took = started.elapsed();
                let (_, peak) = resident(gateway.pid());
                assert_eq!((reply.status, reply.header("content-length")), (200, None), "it comes as it comes");
                check(&reply.json(), expected, short);
                let growth = peak.saturating_sub(before);
                let sent = made.lock().unwrap().as_ref().unwrap().text.len();
                println!(
                    "{chain:?} {kind:?}: {sent} bytes in {:.1} s, resident {:.1} MiB before, at most {:.1} MiB more",
                    took.as_secs_f64(),
                    before as f64 / 1048576.0,
                    growth as f64 / 1048576.0
                );
                assert!(growth < GROWTH_MAX, "{growth}");
                let told = gateway.exchanges().into_iter().rfind(|line| line["name"] == "export").unwrap();
                assert_eq!(
                    (&told["outcome"], &told["streamed"], told.get("truncated")),
                    (&json!("answered"), &json!(true), None),
                    "{told}"
                );
                assert!(told["responseBytes"].as_u64().unwrap() as usize > 60 << 20, "{told}");
                assert_eq!(gateway.metric(r#"sluice_answers_streamed_total{end="whole"}"#).await, 1.0);
            }
        }
        // The control: held whole, as it is where the cap allows that, it costs more than its length.
        let (backend, _) = server(None, Kind::Announced, members(&raw), |_| {}).await;
        let folder = Folder::new();
        let gateway = gateway(&folder, &backend, &[], json!({"limits": {"response_bytes_max": 128 << 20}})).await;
        let mut caller = patient(gateway.caller(Era::Modern).await);
        caller.result("export", r#"{"a":"short"}"#).await;
        let (before, _) = resident(gateway.pid());
        forget_peak(gateway.pid());
        check(&caller.call("export", "{}").await.expect("an answer").json(), &raw, "short joe@example.com");
        let growth = resident(gateway.pid()).1.saturating_sub(before);
        println!("held whole: {:.1} MiB more", growth as f64 / 1048576.0);
        assert!(growth > 64 << 20, "{growth}");
    });
}

#[test]
fn every_pair_of_eras_gets_the_same_text_over_json_and_events() {
    beside("long answers in all eras", 900, async {
        let (raw, clean) = text(HELD + (3 << 20));
        for server_era in Era::BOTH {
            for kind in [Kind::Chunked, Kind::Event] {
                let (backend, _) = server(Some(server_era), kind, members(&raw), |_| {}).await;
                for (chain, expected, short) in
                    [(&[][..], &raw, "short joe@example.com"), (&["builtin:redact"][..], &clean, "short [REDACTED:email]")]
                {
                    let folder = Folder::new();
                    let gateway = gateway(&folder, &backend, chain, json!({})).await;
                    for client_era in Era::BOTH {
                        let mut caller = patient(gateway.caller(client_era).await);
                        let answer = caller.call("export", "{}").await.expect("an answer").json();
                        check(&answer, expected, short);
                        let has_kind = answer["result"].get("resultType").is_some();
                        assert_eq!(has_kind, client_era == Era::Modern, "{client_era:?} {server_era:?}");
                        println!("{client_era:?} client, {server_era:?} server, {kind:?}, {chain:?}: as it should be");
                    }
                }
            }
        }
    });
}

/// One call whose body is read by hand.
async fn begun(gateway: &Gateway, era: Era) -> (Caller, Connection) {
    let mut caller = patient(gateway.caller(era).await);
    let id = caller.next_id();
    let body = caller.text(&id, "tools/call", r#""name":"export","arguments":{}"#);
    let request = caller.head("POST", "tools/call", Some("export"), body.len(), "") + &body;
    let mut connection = Connection::open(&gateway.address).await.expect("it listens");
    connection.stream.write_all(request.as_bytes()).await.expect("it reads");
    let head = connection.head().await.expect("an answer");
    assert_eq!(head.status, 200);
    (caller, connection)
}

/// What comes of the body, and how it ends.
async fn rest(connection: &mut Connection) -> (Vec<u8>, io::Result<()>) {
    let mut body = Vec::new();
    loop {
        match connection.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return (body, Ok(())),
            Err(error) => return (body, Err(error)),
        }
    }
}

/// The last record of the audit log, once there is one of an end like this.
async fn audited(folder: &Folder, outcome: &str) -> Value {
    eventually(Duration::from_secs(60), || async {
        let text = std::fs::read_to_string(folder.path("audit.jsonl")).map_err(|error| error.to_string())?;
        let records: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let ended: Vec<&Value> = records.iter().filter(|record| record["name"] == "export").collect();
        assert!(ended.len() <= 1, "it ended once: {ended:?}");
        ended.last().filter(|record| record["outcome"] == outcome).map(|record| (*record).clone()).ok_or_else(|| format!("{records:?}"))
    })
    .await
}

#[test]
fn a_slow_reader_holds_the_server_back_and_one_that_leaves_ends_the_call() {
    alone("backpressure", 300, async {
        let size = 128 << 20;
        let (backend, made) = server(None, Kind::Chunked, members(&text(size).0), |_| {}).await;
        let folder = Folder::new();
        let gateway = gateway(&folder, &backend, &[], json!({})).await;
        let (_caller, mut connection) = begun(&gateway, Era::Modern).await;
        connection.chunk().await.expect("a piece").expect("not the end");
        let taken = || made.lock().unwrap().as_ref().map_or(0, |long| long.taken.load(Relaxed));
        // Until nothing moves any more.
        let mut last = 0;
        let stalled = eventually(Duration::from_secs(60), || {
            let (now, before) = (taken(), std::mem::replace(&mut last, taken()));
            async move {
                tokio::time::sleep(Duration::from_millis(500)).await;
                if now == before && now > HELD { Ok(now) } else { Err(format!("{now} taken")) }
            }
        })
        .await;
        println!("a client that does not read: {stalled} of {size} bytes were taken from the server");
        assert!(stalled < size / 2, "{stalled}");
        drop(connection);
        let record = audited(&folder, "cancelled").await;
        assert_eq!((&record["streamed"], &record["truncated"]), (&json!(true), &json!(true)), "{record}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let after = taken();
        println!("after it left: {after}");
        assert!(after < size / 2, "the server went on for nobody: {after}");
    });
}

#[test]
fn what_breaks_off_is_never_taken_for_whole() {
    beside("broken answers", 600, async {
        let (raw, _) = text(HELD + (6 << 20));
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P";
        let refusing = json!({"plugins": {"settings": {"redact": {"config": {"actions": {"jwt": "refuse"}}}}}});
        let with_jwt = members(&(raw.clone() + jwt));
        type Case<'a> = (&'a str, &'a [&'a str], Value, String, fn(&mut Long), &'a str, &'a str);
        let cases: [Case<'_>; 6] = [
            ("a filter refuses", &["builtin:redact"], refusing, with_jwt, |_| {}, "refused", "redact refused"),
            ("the server dies", &[], json!({}), members(&raw), |long| long.dies_after = Some(HELD + (4 << 20)), "failed", "went away"),
            (
                "no JSON",
                &[],
                json!({}),
                members(&raw),
                |long| *Arc::make_mut(&mut long.text).last_mut().unwrap() = b']',
                "failed",
                "unexpected byte",
            ),
            (
                "something behind it",
                &[],
                json!({}),
                members(&raw),
                |long| {
                    let text = Arc::make_mut(&mut long.text);
                    text.resize(text.len() + 300_000, b' ');
                    text.push(b'x');
                },
                "failed",
                "outside the protocol",
            ),
            (
                "another's id",
                &[],
                json!({}),
                members(&raw),
                |long| {
                    let text = Arc::make_mut(&mut long.text);
                    text.truncate(text.len() - 1);
                    text.extend_from_slice(b"9}");
                },
                "failed",
                "not asked",
            ),
            (
                "longer than allowed",
                &[],
                json!({"limits": {"response_stream_bytes_max": HELD + (4 << 20)}}),
                members(&raw),
                |_| {},
                "failed",
                "sent more than",
            ),
        ];
        for (name, chain, more, members, spoil, outcome, cause) in cases {
            for (kind, era) in [(Kind::Chunked, Era::Modern), (Kind::Event, Era::Legacy)] {
                let (backend, _) = server(None, kind, members.clone(), spoil).await;
                let folder = Folder::new();
                let gateway = gateway(&folder, &backend, chain, more.clone()).await;
                let (_caller, mut connection) = begun(&gateway, era).await;
                let (body, ended) = rest(&mut connection).await;
                assert!(ended.is_err(), "{name}: {} bytes ended well", body.len());
                assert!(serde_json::from_slice::<Value>(&body).is_err(), "{name}: what came is a whole message");
                assert!(!String::from_utf8_lossy(&body).contains("eyJhbGciOiJIUzI1NiJ9"), "{name}");
                let record = audited(&folder, outcome).await;
                assert_eq!((&record["streamed"], &record["truncated"]), (&json!(true), &json!(true)), "{record}");
                assert!(record["cause"].as_str().is_some_and(|said| said.contains(cause)), "{name}: {record}");
                assert_eq!(gateway.metric(r#"sluice_answers_streamed_total{end="truncated"}"#).await, 1.0, "{name}");
                println!("{name} ({kind:?}): {} bytes, then the connection broke: {}", body.len(), record["cause"]);
            }
        }
    });
}

#[test]
fn an_answer_that_must_be_held_is_refused_with_the_plugin_in_the_way() {
    beside("in the way", 200, async {
        let (backend, _) = server(None, Kind::Chunked, members(&text(HELD + (2 << 20)).0), |_| {}).await;
        for era in Era::BOTH {
            let folder = Folder::new();
            folder.drop_in("recorder.wasm", component("guest_recorder"));
            let gateway = gateway(&folder, &backend, &["recorder", "builtin:redact"], json!({})).await;
            let mut caller = patient(gateway.caller(era).await);
            let answer = caller.call("export", "{}").await.expect("an answer").json();
            let error = &answer["error"];
            assert_eq!(error["data"]["reason"], "upstream_too_large", "{answer}");
            assert!(
                error["message"].as_str().is_some_and(|said| said.contains("plugin recorder") && said.contains("on-chunk")),
                "{answer}"
            );
        }
        let folder = Folder::new();
        let gateway = gateway(&folder, &backend, &[], json!({"limits": {"response_stream_bytes_max": 0}})).await;
        let answer = patient(gateway.caller(Era::Modern).await).call("export", "{}").await.expect("an answer").json();
        assert_eq!(answer["error"]["data"]["reason"], "upstream_too_large", "{answer}");
    });
}

/// One answer over pipes on both sides: a child's line, a client's line.
async fn over_pipes(chain: &[&str], times: u64, then_die: bool) -> Vec<String> {
    let folder = Folder::new();
    let (_, child) = journal_entry(&folder, "journal.jsonl", &[]);
    let config = json!({
        "mcpServers": {"child": child},
        "sluice": {"chain": chain, "limits": {"response_stream_bytes_max": 256 << 20}},
    });
    let mut process = Command::from(command(&folder, &config, "stdio"));
    let mut process = process.stdin(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("sluice can be executed");
    let (mut stdin, stdout) = (process.stdin.take().expect("a pipe"), process.stdout.take().expect("a pipe"));
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"}});
    let call = json!({"name": "record", "arguments": {"unique": "from joe@example.com, é\n", "times": times}});
    let mut said = String::new();
    for message in [
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": "long", "method": "tools/call", "params": call}),
        json!({"jsonrpc": "2.0", "id": "next", "method": "ping"}),
    ] {
        said += &format!("{message}\n");
    }
    let pid = process.id().expect("it runs").cast_signed();
    stdin.write_all(said.as_bytes()).await.expect("it reads");
    let mut lines = BufReader::new(stdout);
    let (mut heard, mut before) = (Vec::new(), 0);
    let of_long = |line: &String| line.contains(r#""id":"long""#);
    while !heard.iter().any(of_long) {
        let mut line = String::new();
        if then_die {
            // A part of the line, and then its writer is gone.
            let mut part = vec![0; 1 << 20];
            if heard.len() == 2 {
                lines.read_exact(&mut part).await.expect("a part of it");
                let children = crate::gateway::descendants(pid);
                for pid in children.keys() {
                    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
                }
            }
        }
        let read = tokio::time::timeout(Duration::from_secs(240), lines.read_line(&mut line)).await.expect("an answer in time");
        assert!(read.expect("text") > 0, "it ended: {} lines", heard.len());
        heard.push(line);
        if heard.len() == 2 {
            forget_peak(pid);
            before = resident(pid).0;
        }
    }
    let growth = resident(pid).1.saturating_sub(before);
    println!("{chain:?}: resident {:.1} MiB before, at most {:.1} MiB more", before as f64 / 1048576.0, growth as f64 / 1048576.0);
    assert!(growth < GROWTH_MAX, "{growth}");
    heard
}

#[test]
fn long_lines_pass_pipes_and_one_that_broke_off_is_followed_by_its_error() {
    beside("long lines", 600, async {
        let unit = "from joe@example.com, é\n";
        let times = (64 << 20) / unit.len();
        for (chain, unit) in [(&[][..], unit.to_owned()), (&["builtin:redact"][..], unit.replace("joe@example.com", "[REDACTED:email]"))] {
            let heard = over_pipes(chain, times as u64, false).await;
            let line = heard.iter().find(|line| line.contains(r#""id":"long""#)).unwrap();
            let answer: Value = serde_json::from_str(line).expect("a whole message");
            assert!(answer["result"]["content"][0]["text"] == unit.repeat(times), "{chain:?}");
            println!("{chain:?}: a line of {} bytes", line.len());
        }
        let heard = over_pipes(&[], times as u64, true).await;
        let error: Value = serde_json::from_str(heard.last().unwrap()).expect("a whole message");
        assert_eq!(error["error"]["data"]["reason"], "outcome_unknown", "{error}");
        assert!(serde_json::from_str::<Value>(&heard[heard.len() - 2]).is_err(), "the line that broke off is no message");
        println!("after {} bytes of a line: {error}", heard[heard.len() - 2].len());
    });
}

#[test]
fn a_client_that_leaves_while_the_server_is_slow_is_noticed_and_the_server_let_go() {
    beside("a slow server", 300, async {
        let raw = text(HELD + (6 << 20)).0;
        for (kind, era) in [(Kind::Chunked, Era::Modern), (Kind::Event, Era::Legacy)] {
            let (backend, made) = server(None, kind, members(&raw), |long| long.stalls_after = Some(HELD + (4 << 20))).await;
            let folder = Folder::new();
            let gateway = gateway(&folder, &backend, &[], json!({})).await;
            let (_caller, mut connection) = begun(&gateway, era).await;
            // All that there is, so that it is not the client who is waited for.
            let mut got = 0;
            while let Ok(piece) = tokio::time::timeout(Duration::from_secs(2), connection.chunk()).await {
                got += piece.expect("nothing broke").expect("not the end").len();
            }
            let is_left = made.lock().unwrap().as_ref().unwrap().is_left.clone();
            assert!(got > HELD + (3 << 20) && !is_left.load(Relaxed), "{kind:?}: {got}");
            drop(connection);
            let left = Instant::now();
            let record = audited(&folder, "cancelled").await;
            assert_eq!((&record["streamed"], &record["truncated"]), (&json!(true), &json!(true)), "{record}");
            eventually(Duration::from_secs(10), || async {
                if is_left.load(Relaxed) { Ok(()) } else { Err("the server still waits".to_owned()) }
            })
            .await;
            // Where nobody notices, the server's 60 s of silence end it.
            assert!(left.elapsed() < Duration::from_secs(20), "{kind:?}: {:?}", left.elapsed());
            println!("{kind:?} to a {era:?} client: noticed after {:?}", left.elapsed());
        }
    });
}

/// What names may cost beyond `GROWTH_MAX`: each string in the 8 KiB that are read at once takes 3 bytes there and 4 KiB for its pointer,
/// which is 11 MiB, and as much again for how an allocator keeps them.
const NAMES_MAX: usize = 24 << 20;

#[test]
fn long_and_deep_names_cost_no_more_than_their_bound() {
    alone("hostile names", 600, async {
        let strings = 200_000;
        let list = vec![r#""""#; strings].join(",");
        let filler = spelled(&text(HELD + (2 << 20)).0);
        // They come first, in the part that was held and is read in the largest pieces.
        let hostile =
            |name: &str| format!(r#""structuredContent":{{"{name}":{{"{name}":[{list}]}}}},"content":[{{"type":"text","text":{filler}}}]"#);
        for (length, is_refused) in [(2_000, false), (3_000, true)] {
            let name = "n".repeat(length);
            let (backend, _) = server(None, Kind::Announced, hostile(&name), |_| {}).await;
            let folder = Folder::new();
            let gateway = gateway(&folder, &backend, &["builtin:redact"], json!({})).await;
            let mut caller = patient(gateway.caller(Era::Modern).await);
            caller.result("export", r#"{"a":"short"}"#).await;
            let (before, _) = resident(gateway.pid());
            forget_peak(gateway.pid());
            let started = Instant::now();
            let answer = caller.call("export", "{}").await.expect("an answer").json();
            let (took, growth) = (started.elapsed(), resident(gateway.pid()).1.saturating_sub(before));
            println!("twice {length} bytes of names: {:.1} s, at most {:.1} MiB more", took.as_secs_f64(), growth as f64 / 1048576.0);
            assert!(growth < GROWTH_MAX + NAMES_MAX, "{growth}");
            assert!(took < Duration::from_secs(120), "{took:?}");
            if is_refused {
                let told = answer["error"]["message"].as_str().unwrap_or_default();
                assert!(told.contains("names of nested members are longer than 4096 bytes"), "{told}");
            } else {
                let inside = &answer["result"]["structuredContent"][name.as_str()][name.as_str()];
                assert_eq!(inside.as_array().map(Vec::len), Some(strings));
            }
        }
    });
}
