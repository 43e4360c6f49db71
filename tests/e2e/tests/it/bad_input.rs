//! Whatever comes in, the answer is the one the protocol has for it, within the deadline, and nobody else notices.

use crate::{
    backend::Backend,
    caller::{Caller, Era, LEGACY, MODERN, stamp},
    connection::{Connection, Reply},
    folder::{Folder, component},
    gateway::{Gateway, command, finish},
    turn::{beside, eventually, rng},
};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt as _;

const GOOD_CALLS_MIN: usize = 500;
const ROUNDS: usize = 10;
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// One bad request and what it must be answered with.
struct Case {
    what: &'static str,
    era: Era,
    /// Headers besides those every request has, whole lines.
    headers: String,
    body: Vec<u8>,
    status: u16,
    code: i64,
    reason: &'static str,
}

/// Good calls in both eras while bad ones come in; how many were made and how many went wrong.
struct Traffic {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    lanes: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Traffic {
    async fn start(gateway: &Gateway) -> Self {
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut lanes = Vec::new();
        for era in [Era::Legacy, Era::Modern, Era::Legacy, Era::Modern] {
            let mut caller = gateway.caller(era).await;
            let (stop, made) = (stop.clone(), made.clone());
            lanes.push(tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Relaxed) {
                    let unique = made.fetch_add(1, Relaxed);
                    match caller.call("echo", &format!(r#"{{"unique":{unique}}}"#)).await {
                        Ok(reply) if reply.json()["result"]["structuredContent"]["unique"] == unique => {}
                        Ok(reply) => failures.push(reply.answer()),
                        Err(error) => failures.push(error.to_string()),
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                failures
            }));
        }
        Self { stop, made, lanes }
    }

    async fn end(self, what: &str) {
        while self.made.load(Relaxed) < GOOD_CALLS_MIN {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.stop.store(true, Relaxed);
        for lane in self.lanes {
            let failures = lane.await.expect("a lane ends well");
            assert!(failures.is_empty(), "{failures:#?}");
        }
        println!("{what}: meanwhile {} good calls, 0 failed", self.made.load(Relaxed));
    }
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

/// A `tools/call` of an era around this text for `arguments`.
fn call(era: Era, arguments: &str) -> Vec<u8> {
    let meta = if era == Era::Modern { format!(r#","_meta":{{{}}}"#, stamp()) } else { String::new() };
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","arguments":{arguments}{meta}}}}}"#).into_bytes()
}

fn usual(era: Era, session: &str) -> String {
    let of_era = match era {
        Era::Legacy => format!("mcp-session-id: {session}\r\nmcp-protocol-version: {LEGACY}\r\n"),
        Era::Modern => format!("mcp-protocol-version: {MODERN}\r\nmcp-method: tools/call\r\nmcp-name: echo\r\n"),
    };
    format!("content-type: application/json\r\naccept: application/json, text/event-stream\r\n{of_era}")
}

/// Bodies that are refused alike in both eras.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16, i64, &'static str)> {
    let raw = |text: &str| text.as_bytes().to_vec();
    vec![
        ("empty", raw(""), 400, -32700, "json"),
        ("truncated", raw(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"na"#), 400, -32700, "json"),
        ("not JSON", raw("hello"), 400, -32700, "json"),
        ("not UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xfe\"}".to_vec(), 400, -32700, "json"),
        ("a byte order mark", raw("\u{feff}{}"), 400, -32700, "json"),
        ("two documents", raw(r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#), 400, -32700, "json"),
        ("a comment", raw(r#"{"jsonrpc":"2.0","id":1,"method":"ping"/**/}"#), 400, -32700, "json"),
        ("a trailing comma", raw(r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#), 400, -32700, "json"),
        ("duplicate keys", raw(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}"#), 400, -32700, "json"),
        ("duplicate keys, one escaped", call(Era::Legacy, r#"{"a":1,"\u0061":2}"#), 400, -32700, "json"),
        ("duplicate keys far down", call(Era::Legacy, r#"{"a":[{"b":{"c":1,"c":1}}]}"#), 400, -32700, "json"),
        ("a lone surrogate", call(Era::Legacy, r#"{"a":"\ud800"}"#), 400, -32700, "json"),
        ("a number like no other", call(Era::Legacy, r#"{"a":01}"#), 400, -32700, "json"),
        ("nested 65 deep", call(Era::Legacy, &nested(65)), 400, -32700, "json"),
        ("nested 1,000,000 deep", raw(&"[".repeat(1_000_000)), 400, -32700, "json"),
        ("300,000 nodes", call(Era::Legacy, &format!("[{}0]", "0,".repeat(300_000))), 400, -32700, "json"),
        ("no JSON-RPC version", raw(r#"{"id":1,"method":"ping"}"#), 400, -32600, "envelope"),
        ("another JSON-RPC version", raw(r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#), 400, -32600, "envelope"),
        ("no method", raw(r#"{"jsonrpc":"2.0","id":1}"#), 400, -32600, "envelope"),
        ("a method that is no text", raw(r#"{"jsonrpc":"2.0","id":1,"method":7}"#), 400, -32600, "envelope"),
        ("an id that is null", raw(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#), 400, -32600, "envelope"),
        ("an id with a fraction", raw(r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#), 400, -32600, "envelope"),
        ("an id that is a list", raw(r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#), 400, -32600, "envelope"),
        ("params that are a text", raw(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#), 400, -32602, "envelope"),
        ("a number alone", raw("42"), 400, -32600, "envelope"),
    ]
}

fn cases(session: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for era in Era::BOTH {
        for (what, body, status, code, reason) in bodies() {
            cases.push(Case { what, era, headers: usual(era, session), body, status, code, reason });
        }
        let mut of_headers = |what, headers: String, status, code, reason| {
            cases.push(Case { what, era, headers, body: call(era, "{}"), status, code, reason });
        };
        let usual = usual(era, session);
        for (what, kind) in [("text", "text/plain"), ("XML", "application/xml"), ("Latin-1", "application/json; charset=latin1")] {
            of_headers(what, usual.replace("content-type: application/json", &format!("content-type: {kind}")), 415, 4150, "content_type");
        }
        of_headers("no content type", usual.replace("content-type: application/json\r\n", ""), 415, 4150, "content_type");
        of_headers("two content types", format!("{usual}content-type: application/json\r\n"), 415, 4150, "content_type");
        of_headers("a compressed body", format!("{usual}content-encoding: gzip\r\n"), 415, 4150, "content_encoding");
        of_headers("an Accept without streams", usual.replace(", text/event-stream", ""), 406, 4060, "accept");
        of_headers("another Origin", format!("{usual}origin: https://evil.example\r\n"), 403, 4030, "origin");
        of_headers("the Origin null", format!("{usual}origin: null\r\n"), 403, 4030, "origin");
    }
    cases.extend(legacy_cases(session));
    cases.extend(modern_cases());
    cases
}

fn legacy_cases(session: &str) -> Vec<Case> {
    let usual = usual(Era::Legacy, session);
    let case =
        |what, headers: String, body: Vec<u8>, status, code, reason| Case { what, era: Era::Legacy, headers, body, status, code, reason };
    let request = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}"}}"#).into_bytes();
    let good = call(Era::Legacy, "{}");
    let other = |to: &str| usual.replace(session, to);
    vec![
        case("an unknown method", usual.clone(), request("tools/fly"), 200, -32601, "method"),
        case("a method of the other era", usual.clone(), request("server/discover"), 200, -32601, "method"),
        case("a method that differs in case", usual.clone(), request("Tools/Call"), 200, -32601, "method"),
        case("an unknown session", other("0123456789abcdef0123456789abcdef"), good.clone(), 404, 4040, "session"),
        case("a session of another shape", other("../../etc/passwd"), good.clone(), 404, 4040, "session"),
        case("no session", usual.replace(&format!("mcp-session-id: {session}\r\n"), ""), good.clone(), 400, -32600, "session_missing"),
        case("two sessions", format!("{usual}mcp-session-id: {session}\r\n"), good.clone(), 400, -32600, "session_missing"),
        case("an unknown version", usual.replace(LEGACY, "2099-01-01"), good.clone(), 400, -32600, "version"),
        case("a batch", usual.clone(), [b"[", good.as_slice(), b"]"].concat(), 400, -32600, "batch"),
        case("an empty batch", usual.clone(), b"[]".to_vec(), 400, -32600, "batch"),
        case("a huge batch", usual.clone(), format!("[{}1]", "1,".repeat(100_000)).into_bytes(), 400, -32600, "batch"),
    ]
}

fn modern_cases() -> Vec<Case> {
    let usual = usual(Era::Modern, "");
    let case =
        |what, headers: String, body: Vec<u8>, status, code, reason| Case { what, era: Era::Modern, headers, body, status, code, reason };
    let good = call(Era::Modern, "{}");
    let text = String::from_utf8(good.clone()).expect("UTF-8");
    let without = |line: &str| usual.replace(line, "");
    let request =
        |method: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{"_meta":{{{}}}}}}}"#, stamp()).into_bytes();
    let named = |method: &str| usual.replace("tools/call", method).replace("mcp-name: echo\r\n", "");
    vec![
        case("an unknown method", named("tools/fly"), request("tools/fly"), 404, -32601, "method"),
        case("a method of the other era", named("ping"), request("ping"), 404, -32601, "method"),
        case("no Mcp-Method", without("mcp-method: tools/call\r\n"), good.clone(), 400, -32020, "header_mismatch"),
        case("another Mcp-Method", usual.replace("tools/call", "tools/list"), good.clone(), 400, -32020, "header_mismatch"),
        case("Mcp-Method in another case", usual.replace("tools/call", "TOOLS/CALL"), good.clone(), 400, -32020, "header_mismatch"),
        case("two Mcp-Method", format!("{usual}mcp-method: tools/call\r\n"), good.clone(), 400, -32020, "header_mismatch"),
        case("no Mcp-Name", without("mcp-name: echo\r\n"), good.clone(), 400, -32020, "header_mismatch"),
        case("another Mcp-Name", usual.replace("mcp-name: echo", "mcp-name: other"), good.clone(), 400, -32020, "header_mismatch"),
        case(
            "Mcp-Name that is no base64",
            usual.replace("mcp-name: echo", "mcp-name: =?base64?%%?="),
            good.clone(),
            400,
            -32020,
            "header_mismatch",
        ),
        case("no version header", without(&format!("mcp-protocol-version: {MODERN}\r\n")), good.clone(), 400, -32020, "header_mismatch"),
        case("another version header", usual.replace(MODERN, LEGACY), good.clone(), 400, -32020, "header_mismatch"),
        case(
            "an unknown version",
            usual.replace(MODERN, "2099-01-01"),
            text.replace(MODERN, "2099-01-01").into_bytes(),
            400,
            -32022,
            "version",
        ),
        case(
            "no capabilities",
            usual.clone(),
            text.replace(r#","io.modelcontextprotocol/clientCapabilities":{}"#, "").into_bytes(),
            400,
            -32602,
            "meta",
        ),
        case(
            "_meta that is a list",
            usual.clone(),
            br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","_meta":[]}}"#.to_vec(),
            400,
            -32602,
            "meta",
        ),
    ]
}

/// `extra` before the headers of the case: Host and credential, mostly.
async fn send(gateway: &Gateway, headers: &str, body: &[u8]) -> Reply {
    let mut connection = Connection::open(&gateway.address).await.expect("a connection");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n{headers}content-length: {}\r\n\r\n",
        gateway.address,
        gateway.token,
        body.len()
    );
    let request = [head.as_bytes(), body].concat();
    let answered = tokio::time::timeout(ANSWERED_WITHIN, connection.exchange(&request)).await;
    answered.expect("within the deadline").expect("an answer")
}

#[test]
fn every_bad_request_gets_its_own_answer_and_good_ones_go_on() {
    beside("bad_input", 120, async {
        let mut rng = rng("bad_input");
        let backend = Backend::recording(&["echo"]).await;
        let folder = Folder::new();
        let mut gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let session = gateway.caller(Era::Legacy).await.session.expect("a session");
        let traffic = Traffic::start(&gateway).await;
        let mut cases: Vec<Case> = (0..ROUNDS).flat_map(|_| cases(&session)).collect();
        rng.shuffle(&mut cases);
        let mut wrong = Vec::new();
        for case in &cases {
            let began = Instant::now();
            let reply = send(&gateway, &case.headers, &case.body).await;
            let took = began.elapsed();
            let answer = reply.json();
            let error = &answer["error"];
            let as_told = reply.status == case.status && error["code"] == case.code && error["data"]["reason"] == case.reason;
            let has_id = error["data"]["requestId"].as_str().is_some_and(|id| id.len() == 16);
            if !as_told || !has_id || took > ANSWERED_WITHIN {
                let Case { what, era, status, code, reason, .. } = case;
                wrong.push(format!("{era:?}, {what}: expected {status} {code} {reason}, got {} {answer} after {took:?}", reply.status));
            }
        }
        println!("bad_input: N={} bad requests, {} answered otherwise than told", cases.len(), wrong.len());
        traffic.end("bad_input").await;
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(gateway.is_running());
        assert!(backend.asked("tools/call") > 0);
        assert_eq!(backend.asked("tools/fly"), 0);
    });
}

#[test]
fn what_is_too_large_or_too_slow_is_cut() {
    beside("bad_input, sizes", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let config = json!({
            "mcpServers": {"only": {"url": backend.url}},
            "sluice": {"limits": {"request_bytes_max": 100_000, "header_bytes_max": 16_384, "body_timeout_ms": 700, "header_timeout_ms": 700}},
        });
        let mut gateway = Gateway::start(&folder, config).await;
        let traffic = Traffic::start(&gateway).await;
        let usual = usual(Era::Modern, "");

        let large = call(Era::Modern, &format!("\"{}\"", "x".repeat(200_000)));
        let reply = send(&gateway, &usual, &large).await;
        assert_eq!((reply.status, &reply.json()["error"]["data"]["reason"]), (413, &json!("too_large")));

        let head = |rest: &str| {
            format!("POST /mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n{usual}{rest}\r\n", gateway.address, gateway.token)
        };
        // The same without saying how long it is.
        let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
        let reply = raw(&gateway, &[head("transfer-encoding: chunked\r\n"), chunk.clone(), chunk].concat()).await;
        assert_eq!(reply.expect("an answer").status, 413);

        let long = format!("x-long: {}\r\n", "x".repeat(20_000));
        assert_eq!(raw(&gateway, &head(&long)).await.expect("an answer").status, 431);

        // A body that stops half-way: the connection stays open, or its end comes early.
        let began = Instant::now();
        let reply = raw(&gateway, &(head("content-length: 500\r\n") + "{\"jsonrpc\"")).await.expect("an answer");
        assert_eq!((reply.status, &reply.json()["error"]["data"]["reason"]), (408, &json!("body_timeout")));
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        half_closed(&gateway, &(head("content-length: 500\r\n") + "{\"jsonrpc\"")).await;

        // A head that never ends.
        let began = Instant::now();
        let slow = raw(&gateway, "POST /mcp HTTP/1.1\r\nhost: ").await;
        assert!(slow.is_none_or(|reply| reply.status == 408) && began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());

        traffic.end("bad_input, sizes").await;
        assert!(gateway.is_running());
    });
}

/// Bytes as they are; the answer, or none if the connection just ends.
async fn raw(gateway: &Gateway, bytes: &str) -> Option<Reply> {
    let mut connection = Connection::open(&gateway.address).await.expect("a connection");
    // The other side may have said enough before all is written.
    let _ = connection.stream.write_all(bytes.as_bytes()).await;
    tokio::time::timeout(Duration::from_secs(10), connection.reply()).await.expect("within the deadline").ok()
}

async fn half_closed(gateway: &Gateway, bytes: &str) {
    let mut connection = Connection::open(&gateway.address).await.expect("a connection");
    connection.stream.write_all(bytes.as_bytes()).await.expect("written");
    connection.stream.shutdown().await.expect("half closed");
    let reply = tokio::time::timeout(Duration::from_secs(10), connection.reply()).await.expect("within the deadline");
    // hyper may end the connection without a word; what counts is that it ends.
    if let Ok(reply) = reply {
        assert_eq!((reply.status, &reply.json()["error"]["data"]["reason"]), (400, &json!("body_incomplete")));
    }
}

/// Requests that two parsers could read as two different ones.
#[test]
fn ambiguous_http_is_refused() {
    beside("bad_input, ambiguous HTTP", 60, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let traffic = Traffic::start(&gateway).await;
        let key = format!("authorization: Bearer {}\r\n", gateway.token);
        let host = format!("host: {}\r\n", gateway.address);
        let usual = usual(Era::Modern, "");
        let body = String::from_utf8(call(Era::Modern, "{}")).expect("UTF-8");
        let length = format!("content-length: {}\r\n", body.len());
        for (what, request) in [
            ("two lengths", format!("POST /mcp HTTP/1.1\r\n{host}{key}{usual}{length}content-length: 5\r\n\r\n{body}")),
            ("a length with a sign", format!("POST /mcp HTTP/1.1\r\n{host}{key}{usual}content-length: +{}\r\n\r\n{body}", body.len())),
            ("a coding after chunked", format!("POST /mcp HTTP/1.1\r\n{host}{key}{usual}transfer-encoding: chunked, gzip\r\n\r\n{body}")),
            ("no Host", format!("POST /mcp HTTP/1.1\r\n{key}{usual}{length}\r\n{body}")),
            ("two Hosts", format!("POST /mcp HTTP/1.1\r\n{host}{host}{key}{usual}{length}\r\n{body}")),
            ("another Host", format!("POST /mcp HTTP/1.1\r\nhost: evil.example\r\n{key}{usual}{length}\r\n{body}")),
            ("another Host in the target", format!("POST http://evil.example/mcp HTTP/1.1\r\n{host}{key}{usual}{length}\r\n{body}")),
            ("two credentials", format!("POST /mcp HTTP/1.1\r\n{host}{key}{key}{usual}{length}\r\n{body}")),
            ("no credential", format!("POST /mcp HTTP/1.1\r\n{host}{usual}{length}\r\n{body}")),
            ("another path", format!("POST /mcp/ HTTP/1.1\r\n{host}{key}{usual}{length}\r\n{body}")),
            ("another verb", format!("PUT /mcp HTTP/1.1\r\n{host}{key}{usual}{length}\r\n{body}")),
            ("a folded header", format!("POST /mcp HTTP/1.1\r\n{host}{key}{usual}x-a: b\r\n c\r\n{length}\r\n{body}")),
            ("space before the colon", format!("POST /mcp HTTP/1.1\r\n{host}{key}{usual}content-length : {}\r\n\r\n{body}", body.len())),
            ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned()),
            ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ] {
            let reply = raw(&gateway, &request).await;
            assert!(reply.as_ref().is_none_or(|reply| (400..500).contains(&reply.status)), "{what}: {reply:?}");
        }
        // Both kinds of length at once are smuggling's oldest trick: whatever is made of it, it is one request, and the connection ends.
        let both = format!(
            "POST /mcp HTTP/1.1\r\n{host}{key}{usual}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        let mut connection = Connection::open(&gateway.address).await.expect("a connection");
        connection.stream.write_all(both.as_bytes()).await.expect("written");
        if let Ok(reply) = connection.reply().await {
            let next = tokio::time::timeout(Duration::from_millis(500), connection.reply()).await;
            assert!(!matches!(next, Ok(Ok(_))), "one request, two answers; the first: {reply:?}");
        }
        traffic.end("bad_input, ambiguous HTTP").await;
    });
}

/// A file in the plugin directory that is no plugin changes nothing, and says why in one line that names it.
#[test]
fn a_bad_plugin_file_is_named_in_one_line() {
    beside("bad_input, plugin files", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let traffic = Traffic::start(&gateway).await;
        let good = component("guest_generation");
        let core_module = b"\0asm\x01\0\0\0\x05\x03\x01\0\x01".to_vec();
        for (name, bytes, sidecar, says) in [
            ("core-module.wasm", core_module, None, "core module"),
            ("text.wasm", b"This is not a component.".to_vec(), None, "not WebAssembly"),
            ("empty.wasm", Vec::new(), None, "empty"),
            ("cut.wasm", good[..good.len() - 100].to_vec(), None, ""),
            ("imports.wasm", component("guest_unknown_import"), None, "evil:host/x"),
            ("manifest.wasm", component("guest_bad_manifest"), None, "manifest"),
            ("spins.wasm", component("guest_describe_spins"), None, "describe"),
            ("init.wasm", component("guest_init_fails"), None, "does not start"),
            ("settings.wasm", good.clone(), Some("[config]\ngeneration = 7\n"), "settings"),
            ("sidecar.wasm", good.clone(), Some("[config\n"), "sidecar.toml"),
            ("unknown-key.wasm", good.clone(), Some("requried = true\n[config]\ngeneration = \"x\"\n"), "required"),
        ] {
            if let Some(sidecar) = sidecar {
                folder.drop_in(&name.replace(".wasm", ".toml"), sidecar);
            }
            folder.drop_in(name, bytes);
            let stem = name.trim_end_matches(".wasm");
            let lines = eventually(Duration::from_secs(20), || async {
                let lines = gateway.errors(stem);
                if lines.is_empty() { Err(format!("{name}: no line")) } else { Ok(lines) }
            })
            .await;
            assert!(lines.len() == 1 && lines[0].contains(says), "{name}: {lines:#?}");
            folder.take_out(name);
            if sidecar.is_some() {
                folder.take_out(&name.replace(".wasm", ".toml"));
            }
        }
        traffic.end("bad_input, plugin files").await;
        assert_eq!(gateway.log(|line| line.contains("chain in place")).len(), 1, "the chain of the start stayed in force");
    });
}

/// What lies in the directory and is no file of ours is not read: a link, a pipe, a folder, what others may write.
#[test]
fn a_plugin_is_a_regular_file_that_nobody_else_can_write() {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
        process::Command,
    };
    beside("bad_input, tricks with files", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let traffic = Traffic::start(&gateway).await;
        // One that would refuse every call, were it loaded.
        let trap = folder.write("trap.wasm", component("guest_trap"));
        let place = |name: &str| folder.path(&format!("plugins/{name}"));
        for (name, says) in
            [("link.wasm", "symbolic link"), ("pipe.wasm", "regular file"), ("dir.wasm", "regular file"), ("open.wasm", "chmod go-w")]
        {
            let path = place(name);
            match name {
                "link.wasm" => symlink(&trap, &path).expect("a link"),
                "pipe.wasm" => assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success()),
                "dir.wasm" => fs::create_dir(&path).expect("a folder"),
                _ => {
                    fs::write(&path, component("guest_trap")).expect("a file");
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("its mode");
                }
            }
            let lines = eventually(Duration::from_secs(20), || async {
                let lines = gateway.errors(name);
                if lines.is_empty() { Err(format!("{name}: no line")) } else { Ok(lines) }
            })
            .await;
            assert!(lines.len() == 1 && lines[0].contains(says), "{name}: {lines:#?}");
            if path.is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) }.expect("it was there");
        }
        // Neither a hidden file nor another ending is a plugin.
        folder.drop_in(".hidden.wasm", component("guest_trap"));
        folder.drop_in("plugin.wasm.bak", component("guest_trap"));
        tokio::time::sleep(Duration::from_millis(800)).await;
        traffic.end("bad_input, tricks with files").await;
        assert_eq!(gateway.log(|line| line.contains("chain in place")).len(), 1, "the chain of the start stayed in force");
    });
}

#[test]
fn ten_mistakes_are_shown_at_once() {
    beside("bad_input, configuration", 60, async {
        let folder = Folder::new();
        folder.write("mistakes.toml", MISTAKES);
        for verb in ["check", "serve"] {
            let mut command = crate::gateway::plain_command(&folder);
            command.arg(verb).arg("--config").arg(folder.path("mistakes.toml"));
            let ended = finish(command, Duration::from_secs(20)).await;
            assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
            let shown = ended.stderr.lines().filter(|line| line.contains("mistakes.toml:")).count();
            assert_eq!(shown, 10, "{verb}: {}", ended.stderr);
            for line in [2, 3, 6, 8, 12, 13, 14, 15, 18, 19] {
                let place = format!("mistakes.toml:{line}:");
                assert_eq!(ended.stderr.matches(&place).count(), 1, "{verb}: {place}\n{}", ended.stderr);
            }
            assert!(!ended.stderr.contains("hunter2") && ended.stdout.is_empty());
        }
        let good =
            finish(command(&folder, &json!({"mcpServers": {"notes": {"url": "builtin:notes"}}}), "check"), Duration::from_secs(60)).await;
        assert_eq!(good.status.code(), Some(0), "{}", good.stderr);
    });
}

const MISTAKES: &str = r#"[mcpServers.github]
command = "npx -y @acme/server-github"
[mcpServers.GitHub]
url = "https://example.com/mcp"
[mcpServers.old]
type = "websocket"
url = "https://example.com/sse"
[mcpServers.nothing]
args = ["x"]

[sluice]
listen = "0.0.0.0:7411"
allowed_hsots = ["mcp.example.com"]
admin = { token = "hunter2hunter2" }
chain = ["builtin:redcat"]

[sluice.limits]
call_timeout_ms = "30s"
json_depth_max = 1
"#;

/// Somebody else's mistakes must not read like ours: an upstream that answers nonsense is named, and only its calls fail.
#[test]
fn an_upstream_that_answers_nonsense_is_named() {
    use crate::{
        backend::{Call, Offer},
        server::Response,
    };
    beside("bad_input, answers", 60, async {
        let nonsense = Backend::start(Offer::tools(&["t"]), |call: Call| async move {
            let body = match call.arguments.as_str() {
                r#"{"k":0}"# => "not JSON".to_owned(),
                r#"{"k":1}"# => format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"a":1,"a":2}}}}"#, call.id),
                r#"{"k":2}"# => r#"{"jsonrpc":"2.0","id":424242,"result":{}}"#.to_owned(),
                r#"{"k":3}"# => format!(r#"{{"jsonrpc":"2.0","id":{},"result":{}}}"#, call.id, nested(100)),
                _ => String::new(),
            };
            Response::json(body)
        })
        .await;
        let good = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"bad": {"url": nonsense.url}, "good": {"url": good.url}}})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            for kind in 0..5 {
                let answer = caller.call("bad_t", &format!(r#"{{"k":{kind}}}"#)).await.expect("an answer").json();
                let data = &answer["error"]["data"];
                assert_eq!((&answer["error"]["code"], &data["upstream"]), (&json!(-32603), &json!("bad")), "{kind}: {answer}");
                assert!(data["reason"].as_str().is_some_and(|reason| reason.starts_with("upstream_")), "{kind}: {answer}");
                caller.result("good_echo", "{}").await;
            }
        }
    });
}

/// No answer is better than two: a caller whose key is wrong learns nothing but that.
#[test]
fn without_a_credential_every_route_says_the_same() {
    beside("bad_input, credentials", 60, async {
        let backend = Backend::recording(&["echo"]).await;
        let folder = Folder::new();
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let session = gateway.caller(Era::Legacy).await.session.expect("a session");
        for key in ["", "wrong"] {
            for era in Era::BOTH {
                for verb in ["POST", "GET", "DELETE"] {
                    let mut stranger = Caller::silent(&gateway.address, era, key);
                    stranger.session = Some(session.clone());
                    let body = if verb == "POST" { call(era, "{}") } else { Vec::new() };
                    let head = stranger.head(verb, "tools/call", Some("echo"), body.len(), "");
                    let reply = stranger.send(&[head.as_bytes(), &body].concat()).await.expect("an answer");
                    assert_eq!(reply.status, 401, "{verb} {era:?}");
                    assert!(reply.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer ")), "{verb}");
                }
            }
        }
        assert_eq!(backend.asked("tools/call"), 0, "nothing of it reached the server");
    });
}
