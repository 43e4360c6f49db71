//! What leaves is what came: everything that is not the hop's own keeps its sender's bytes, both ways, in both eras.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era, stamp},
    folder::Folder,
    gateway::{Gateway, key_hash},
    server::Response,
    turn::{beside, rng},
};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

const MESSAGES: usize = 600;
const KEY: &str = "span-key-3f9a2c71";

/// Writes JSON in every spelling the grammar has.
struct Scribe<'r> {
    rng: &'r mut fastrand::Rng,
    /// No line ends between tokens: where a frame ends with one, a hop has to replace them.
    one_line: bool,
    /// Data for the redaction plugin: what is written, and what is to come of it.
    finds: Vec<(&'static str, &'static str)>,
}

const FINDS: [(&str, &str); 4] = [
    ("joe@example.com", "[REDACTED:email]"),
    (r"j\u006fe\u0040example.com", "[REDACTED:email]"),
    ("4111 1111 1111 1111", "[REDACTED:credit-card]"),
    ("DE89 3704 0044 0532 0130 00", "[REDACTED:iban]"),
];

/// A text and what is to become of it on the way.
#[derive(Clone, Default)]
struct Pair {
    sent: String,
    expected: String,
}

impl Pair {
    fn push(&mut self, both: &str) {
        self.sent.push_str(both);
        self.expected.push_str(both);
    }

    fn add(&mut self, other: &Pair) {
        self.sent.push_str(&other.sent);
        self.expected.push_str(&other.expected);
    }
}

impl Scribe<'_> {
    fn space(&mut self) -> &'static str {
        let spaces = if self.one_line { ["", "", " ", "\t", "  "] } else { ["", "", " ", "\n\t", "\r\n"] };
        spaces[self.rng.usize(..5)]
    }

    fn number(&mut self) -> &'static str {
        const NUMBERS: [&str; 12] = [
            "1.10",
            "1e2",
            "9007199254740993",
            "-0",
            "0.1E+05",
            "123456789012345678901234567890",
            "1E-400",
            "-1.50e-7",
            "0",
            "10000000000000000000000.0",
            "0.30000000000000004",
            "1.0",
        ];
        NUMBERS[self.rng.usize(..NUMBERS.len())]
    }

    fn piece(&mut self) -> &'static str {
        const PIECES: [&str; 14] = [
            r"\u0041",
            r"\/",
            r"\ud83d\ude00",
            "😀",
            "é",
            r"\u00e9",
            r"\t",
            r"\\",
            r#"\""#,
            "water ",
            "turns the wheel ",
            r"\u0000",
            "\u{2028}",
            "/",
        ];
        PIECES[self.rng.usize(..PIECES.len())]
    }

    fn string(&mut self) -> Pair {
        let mut pair = Pair::default();
        pair.push("\"");
        for _ in 0..self.rng.usize(..4) {
            pair.push(self.piece());
        }
        if !self.finds.is_empty() && self.rng.u8(..) < 64 {
            let (written, expected) = self.finds[self.rng.usize(..self.finds.len())];
            pair.push(" ; ");
            pair.add(&Pair { sent: written.into(), expected: expected.into() });
            pair.push(" ; ");
            pair.push(self.piece());
        }
        pair.push("\"");
        pair
    }

    fn value(&mut self, depth: usize) -> Pair {
        let mut pair = Pair::default();
        match self.rng.usize(..if depth == 0 { 4 } else { 6 }) {
            0 | 1 => pair = self.string(),
            2 => pair.push(self.number()),
            3 => pair.push(["true", "false", "null"][self.rng.usize(..3)]),
            4 => {
                pair.push("[");
                for at in 0..self.rng.usize(..4) {
                    pair.push(if at > 0 { "," } else { "" });
                    pair.push(self.space());
                    let value = self.value(depth - 1);
                    pair.add(&value);
                    pair.push(self.space());
                }
                pair.push("]");
            }
            _ => pair = self.object(depth - 1, &Pair::default()),
        }
        pair
    }

    /// An object whose keys come in no order, with these members somewhere among them.
    fn object(&mut self, depth: usize, fixed: &Pair) -> Pair {
        let mut members: Vec<Pair> = (0..self.rng.usize(..4)).map(|at| self.member(at, depth)).collect();
        if !fixed.sent.is_empty() {
            members.insert(self.rng.usize(..=members.len()), fixed.clone());
        }
        let mut pair = Pair::default();
        pair.push("{");
        for (at, member) in members.iter().enumerate() {
            pair.push(if at > 0 { "," } else { "" });
            pair.push(self.space());
            pair.add(member);
            pair.push(self.space());
        }
        pair.push("}");
        pair
    }

    /// A member under a key of its own that no protocol knows, now and then written with escapes.
    fn member(&mut self, at: usize, depth: usize) -> Pair {
        let mut pair = Pair::default();
        let prefix = ["zeta", "x-", r"\u0061lpha", "ключ", r"a\/b ~", "Method", "_"][self.rng.usize(..7)];
        pair.push(&format!("\"{prefix}{at}\"{}:{}", self.space(), self.space()));
        let value = self.value(depth);
        pair.add(&value);
        pair
    }
}

/// `both` with `@ID@` where the id stands.
fn message(scribe: &mut Scribe<'_>, members: &[Pair]) -> Pair {
    let mut all: Vec<Pair> = members.to_vec();
    all.push(plain(r#""jsonrpc" : "2.0""#));
    all.push(plain(r#""id":@ID@"#));
    // Beside params, result and error plugins see nothing: `what_stands_beside_the_params_is_seen_too`.
    let finds = std::mem::take(&mut scribe.finds);
    all.push(scribe.member(9, 2));
    scribe.finds = finds;
    scribe.rng.shuffle(&mut all);
    let mut pair = Pair::default();
    pair.push("{");
    for (at, member) in all.iter().enumerate() {
        pair.push(if at > 0 { "," } else { "" });
        pair.push(scribe.space());
        pair.add(member);
        pair.push(scribe.space());
    }
    pair.push("}");
    pair
}

fn plain(both: &str) -> Pair {
    Pair { sent: both.into(), expected: both.into() }
}

fn around(before: &str, middle: &Pair, after: &str) -> Pair {
    let mut pair = Pair::default();
    pair.push(before);
    pair.add(middle);
    pair.push(after);
    pair
}

/// `arrived` is `template` with some id in it.
#[track_caller]
fn assert_same(what: &str, template: &str, arrived: &str) {
    let (before, after) = template.split_once("@ID@").expect("a place for the id");
    let middle = arrived.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    let is_id = middle.is_some_and(|id| serde_json::from_str::<serde_json::Value>(id).is_ok_and(|id| id.is_string() || id.is_u64()));
    assert!(is_id, "{what}\nsent:    {template:?}\narrived: {arrived:?}");
}

/// A backend that answers each call with the next prepared response, its id put in.
type Script = Arc<Mutex<Vec<Scripted>>>;

#[derive(Clone, Default)]
struct Scripted {
    answer: String,
    notifications: Vec<String>,
}

async fn scripted(era: Era, script: Script) -> Backend {
    let offer = Offer::tools(&["echo"]).only(era).keeping();
    Backend::start(offer, move |call: Call| {
        let next = (call.method == "tools/call").then(|| script.lock().expect("no panic").pop());
        async move {
            let Some(next) = next else { return call.result("{}") };
            let Scripted { answer, notifications } = next.expect("a scripted answer for each call");
            let answer = Response::json(answer.replace("@ID@", &call.id));
            if notifications.is_empty() {
                return answer;
            }
            let token = call.progress_token.unwrap_or_default();
            answer.behind(notifications.iter().map(|note| (Duration::ZERO, note.replace("@TOKEN@", &token))).collect())
        }
    })
    .await
}

/// The client's `params`, whose name is `name` here and `renamed` there.
fn request(scribe: &mut Scribe<'_>, era: Era, name: &str, renamed: &str, more_meta: &str) -> Pair {
    let arguments = scribe.object(4, &Pair::default());
    let arguments = around(r#""arguments": "#, &arguments, "");
    let target = Pair { sent: format!(r#""name" :"{name}""#), expected: format!(r#""name" :"{renamed}""#) };
    let mut members = vec![target, arguments, scribe.member(7, 3)];
    let own = scribe.member(5, 2);
    let meta = match (era, more_meta.is_empty()) {
        (Era::Modern, true) => around(&format!(r#""_meta":{{{} ,"#, stamp()), &own, " }"),
        (Era::Modern, false) => around(&format!(r#""_meta":{{{}, {more_meta},"#, stamp()), &own, " }"),
        (Era::Legacy, true) => around(r#""_meta":{ "#, &own, "}"),
        (Era::Legacy, false) => around(&format!(r#""_meta":{{{more_meta},"#), &own, "}"),
    };
    members.push(meta);
    scribe.rng.shuffle(&mut members);
    let mut params = Pair::default();
    for (at, member) in members.iter().enumerate() {
        params.push(if at > 0 { " ," } else { "" });
        params.add(member);
    }
    let params = around(r#""params":{"#, &params, "}");
    message(scribe, &[params, plain(r#""method":"tools/call""#)])
}

/// The server's response, a result or an error.
fn response(scribe: &mut Scribe<'_>, era: Era) -> Pair {
    if scribe.rng.u8(..) < 50 {
        let data = scribe.value(3);
        let text = scribe.string();
        let mut error = around(r#""error":{"code":-32050 ,"data":"#, &data, r#", "message":"#);
        error.add(&text);
        error.push("}");
        return message(scribe, &[error]);
    }
    let text = scribe.string();
    let content = around(r#""content":[{"text":"#, &text, r#" ,"type":"text"}]"#);
    let structured = scribe.object(4, &content);
    let structured = around(r#""structuredContent":"#, &structured, ", ");
    let result_type = if era == Era::Modern { r#","resultType":"complete""# } else { "" };
    let mut result = around(r#""result":{"#, &structured, "");
    result.add(&content);
    result.push(result_type);
    let more = scribe.member(3, 3);
    result.push(" , ");
    result.add(&more);
    result.push(" }");
    message(scribe, &[result])
}

/// One client and one server of an era, and this many messages each way.
async fn check(era: Era, chain: &str, rng: &mut fastrand::Rng) {
    let script = Script::default();
    let backend = scripted(era, script.clone()).await;
    let folder = Folder::new();
    let four = chain == "four";
    let config =
        if four { four_plugins(&backend.url) } else { json!({"mcpServers": {"up": {"url": backend.url}}, "sluice": {"chain": []}}) };
    let gateway = Gateway::start(&folder, config).await;
    let key = if four { KEY } else { gateway.token.as_str() };
    let mut caller = Caller::new(&gateway.address, era, key).await;
    let (name, renamed) = if four { ("up_echo", "echo") } else { ("echo", "echo") };
    let finds = if four { FINDS.to_vec() } else { Vec::new() };
    for at in 0..MESSAGES {
        let mut scribe = Scribe { rng, one_line: false, finds: finds.clone() };
        let asked = request(&mut scribe, era, name, renamed, "");
        let answered = response(&mut scribe, era);
        script.lock().expect("no panic").push(Scripted { answer: answered.sent.clone(), notifications: Vec::new() });
        let id = [r#""\u0041-1""#, "0", "9007199254740993", r#""é""#, "-7"][at % 5];
        let reply = caller.post("tools/call", Some(name), &asked.sent.replace("@ID@", id)).await.expect("an answer");
        assert_same("request", &asked.expected, &backend.last_call());
        assert_eq!(reply.answer(), answered.expected.replace("@ID@", id), "response, sent as {:?}", answered.sent);
    }
    println!("spans: {era:?}, {chain} chain: N={MESSAGES} requests and as many answers, all bytes as sent");
}

fn four_plugins(url: &str) -> serde_json::Value {
    json!({
        "mcpServers": {"up": {"url": url}},
        "sluice": {
            "chain": ["builtin:auth-api-key", "builtin:rate-limit", "builtin:redact", "builtin:namespace"],
            "plugins": {"settings": {
                "auth-api-key": {"config": {"keys": [{"id": "k", "hash": key_hash(KEY)}]}},
                "rate-limit": {"config": {"limits": [{"name": "all", "per_second": 1_000_000}]}},
                "namespace": {"config": {"prefix": "always"}},
            }},
        },
    })
}

#[test]
fn an_empty_chain_passes_every_byte_but_the_id() {
    beside("spans, empty chain", 120, async {
        let mut rng = rng("spans, empty chain");
        for era in Era::BOTH {
            check(era, "empty", &mut rng).await;
        }
    });
}

#[test]
fn with_four_plugins_only_what_they_edit_differs() {
    beside("spans, four plugins", 180, async {
        let mut rng = rng("spans, four plugins");
        for era in Era::BOTH {
            check(era, "four", &mut rng).await;
        }
    });
}

/// What an event stream carries: the same, on one line.
#[test]
fn notifications_pass_as_they_are() {
    beside("spans, notifications", 120, async {
        let mut rng = rng("spans, notifications");
        for era in Era::BOTH {
            for chain in ["empty", "four"] {
                notifications(era, chain, &mut rng).await;
            }
        }
    });
}

async fn notifications(era: Era, chain: &str, rng: &mut fastrand::Rng) {
    let script = Script::default();
    let backend = scripted(era, script.clone()).await;
    let folder = Folder::new();
    let four = chain == "four";
    let config =
        if four { four_plugins(&backend.url) } else { json!({"mcpServers": {"up": {"url": backend.url}}, "sluice": {"chain": []}}) };
    let gateway = Gateway::start(&folder, config).await;
    let mut caller = Caller::new(&gateway.address, era, if four { KEY } else { &gateway.token }).await;
    if era == Era::Legacy {
        caller.ask("logging/setLevel", None, r#""level":"debug""#).await.expect("an answer");
    }
    let (name, renamed) = if four { ("up_echo", "echo") } else { ("echo", "echo") };
    let finds = if four { FINDS.to_vec() } else { Vec::new() };
    let count = MESSAGES / 3;
    for _ in 0..count {
        let mut scribe = Scribe { rng, one_line: true, finds: finds.clone() };
        let level = if era == Era::Modern {
            r#""progressToken":"t\u002f1","io.modelcontextprotocol/logLevel":"debug""#
        } else {
            r#""progressToken":"t\u002f1""#
        };
        let asked = request(&mut scribe, era, name, renamed, level);
        let answered = response(&mut scribe, era);
        let text = scribe.string();
        let more = scribe.member(2, 3);
        let progress = around(
            r#"{"method":"notifications/progress" ,"params":{"progress": 1.10,"progressToken":@TOKEN@, "#,
            &more,
            r#"},"jsonrpc":"2.0"}"#,
        );
        let mut log = around(r#"{"params":{"level" :"info","data":"#, &text, ", ");
        log.add(&more);
        log.push(r#" }, "jsonrpc":"2.0","method":"notifications/message"}"#);
        script.lock().expect("no panic").push(Scripted { answer: answered.sent, notifications: vec![progress.sent, log.sent] });
        let reply = caller.post("tools/call", Some(name), &asked.sent.replace("@ID@", "4")).await.expect("an answer");
        let expected = [progress.expected.replace("@TOKEN@", r#""t\u002f1""#), log.expected, answered.expected.replace("@ID@", "4")];
        assert_eq!(reply.messages(), expected, "{era:?} {chain}");
    }
    println!("spans: {era:?}, {chain} chain: N={} notifications, all bytes as sent", 2 * count);
}

/// From one era to the other the envelope changes; what client and server say to each other does not.
#[test]
fn across_eras_content_keeps_its_bytes() {
    beside("spans, across eras", 120, async {
        let mut rng = rng("spans, across eras");
        for (client, server) in [(Era::Legacy, Era::Modern), (Era::Modern, Era::Legacy)] {
            let script = Script::default();
            let backend = scripted(server, script.clone()).await;
            let folder = Folder::new();
            let gateway = Gateway::start(&folder, json!({"mcpServers": {"up": {"url": backend.url}}, "sluice": {"chain": []}})).await;
            let mut caller = gateway.caller(client).await;
            for _ in 0..MESSAGES {
                let mut scribe = Scribe { rng: &mut rng, one_line: false, finds: Vec::new() };
                let arguments = scribe.object(4, &Pair::default()).sent;
                let structured = scribe.object(4, &Pair::default()).sent;
                let more = scribe.member(3, 3).sent;
                let result_type = if server == Era::Modern { r#","resultType":"complete""# } else { "" };
                let result = format!(r#"{{"content":[ ], {more} ,"structuredContent":{structured}{result_type}}}"#);
                script
                    .lock()
                    .expect("no panic")
                    .push(Scripted { answer: format!(r#"{{"jsonrpc":"2.0","id":@ID@,"result":{result}}}"#), ..Scripted::default() });
                let reply = caller.call("echo", &arguments).await.expect("an answer");
                let arrived = backend.last_call();
                assert!(arrived.contains(&format!(r#""arguments":{arguments}"#)), "sent {arguments:?}, arrived {arrived:?}");
                let answer = reply.answer();
                assert!(
                    answer.contains(&format!(r#""content":[ ], {more} ,"structuredContent":{structured}"#)),
                    "sent {result:?}, arrived {answer:?}"
                );
            }
            println!("spans: {client:?} client, {server:?} server: N={MESSAGES} calls, arguments and results as sent");
        }
    });
}

/// A member that JSON-RPC does not know is passed on like everything else, so a policy has to see it like everything else.
#[test]
fn what_stands_beside_the_params_is_seen_too() {
    beside("spans, beside the params", 60, async {
        for era in Era::BOTH {
            let script = Script::default();
            let backend = scripted(era, script.clone()).await;
            let folder = Folder::new();
            let gateway = Gateway::start(&folder, four_plugins(&backend.url)).await;
            let mut caller = Caller::new(&gateway.address, era, KEY).await;
            let plain = caller.text("1", "tools/call", r#""name":"up_echo","arguments":{}"#);
            let asked = plain.replace(r#","method""#, r#","more":["joe@example.com"],"method""#);
            let refused = caller.post("tools/call", Some("up_echo"), &asked).await.expect("an answer").answer();
            assert!(refused.contains("could not be taken out"), "{era:?}: {refused}");
            assert_eq!(backend.asked("tools/call"), 0, "{era:?}: what cannot be redacted does not go on");

            let answer = r#"{"jsonrpc":"2.0","id":@ID@,"more":"joe@example.com","result":{"content":[],"resultType":"complete"}}"#;
            script.lock().expect("no panic").push(Scripted { answer: answer.into(), ..Scripted::default() });
            let answer = caller.post("tools/call", Some("up_echo"), &plain).await.expect("an answer").answer();
            assert_eq!(backend.asked("tools/call"), 1, "{era:?}");
            assert!(!answer.contains("joe@example.com"), "{era:?}: to the client: {answer}");
        }
    });
}
