//! A stdio server that behaves as its arguments say: `legacy`, `modern`, `dual`, and one fault or more.
//!
//! With `TRACE=FILE` it writes down every line it gets, with its process id.

use sluice_wire::{
    json::{Document, IndexDepth, Limits, quote},
    message::Message,
};
use std::{
    fs::OpenOptions,
    io::{BufRead, Write},
    process::{Command, Stdio, exit},
    time::Duration,
};

fn main() {
    let server = Server { words: words() };
    server.begin();
    let mut held = Held::default();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        trace(&line);
        let document = Document::parse(line.clone().into(), &Limits::REQUEST, IndexDepth::Full).expect("strict JSON");
        server.hear(&Message::decode(document).expect("a message"), &mut held);
    }
    if server.is("stays") {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

struct Server {
    words: Vec<String>,
}

/// `ERA=FILE`: the era is what the file says, so that it can change from one child to the next.
fn words() -> Vec<String> {
    let mut words: Vec<_> = std::env::args().skip(1).collect();
    if let Ok(path) = std::env::var("ERA") {
        words.push(std::fs::read_to_string(path).expect("the file with the era"));
    }
    words
}

/// What waits for something else to come.
#[derive(Default)]
struct Held {
    /// The call that asked the client something, and the answers so far.
    asker: Option<(String, Vec<String>)>,
    /// So many answers make the result.
    wanted: usize,
    /// Open `subscriptions/listen`.
    listens: Vec<String>,
}

impl Server {
    fn is(&self, word: &str) -> bool {
        self.words.iter().any(|one| one == word)
    }

    fn begin(&self) {
        if self.is("starts-slowly") {
            std::thread::sleep(Duration::from_millis(400));
        }
        if self.is("dies-at-once") {
            eprintln!("cannot find my configuration");
            exit(7);
        }
        if self.is("junk") {
            println!("Welcome to my server!\n\n{{\"not\": \"json-rpc\"}}\n{{broken");
        }
        if self.is("floods-stderr") {
            for n in 0..20_000 {
                eprintln!("{n} \u{1b}[31m all work and no play makes a dull server");
            }
        }
    }

    fn hear(&self, message: &Message, held: &mut Held) {
        let id = message.id().map(|id| id.token().to_owned());
        match (message.method(), id) {
            ("server/discover", Some(_)) if self.is("dies-on-probe") => exit(1),
            ("server/discover", Some(_)) if self.is("ignores-probe") => {}
            ("server/discover", Some(id)) if self.is("modern") || self.is("dual") => {
                result(&id, r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#);
            }
            ("initialize", Some(_)) if self.is("never-newline") => {
                print!("{{\"jsonrpc\":");
                flush();
            }
            ("initialize", Some(id)) if !self.is("modern") => {
                let version = message.param("protocolVersion").expect("a version").raw().to_owned();
                let capabilities = match self.is("changes") {
                    true => r#"{"tools":{"listChanged":true},"resources":{"subscribe":true}}"#,
                    false => r#"{"tools":{},"logging":{}}"#,
                };
                result(
                    &id,
                    &format!(
                        r#"{{"protocolVersion":{version},"capabilities":{capabilities},"serverInfo":{{"name":"child","version":"1"}}}}"#
                    ),
                );
            }
            ("tools/call", Some(id)) => self.call(message, &id, held),
            ("resources/subscribe" | "resources/unsubscribe", Some(id)) if self.is("changes") => result(&id, "{}"),
            ("subscriptions/listen", Some(id)) if self.is("changes") => {
                let granted = message.param("notifications").expect("a filter").raw();
                say_tagged(&id, "notifications/subscriptions/acknowledged", &format!(r#""notifications":{granted},"#));
                held.listens.push(id);
            }
            ("notifications/cancelled", None) => {
                let id = message.param("requestId").map(|id| id.raw().to_owned()).unwrap_or_default();
                held.listens.retain(|open| *open != id);
            }
            ("", Some(_)) => answered(message, held),
            ("logging/setLevel", Some(id)) => result(&id, "{}"),
            (_, Some(id)) => error(&id, -32601),
            (_, None) => {}
        }
    }

    fn call(&self, message: &Message, id: &str, held: &mut Held) {
        let name = message.target().and_then(|name| Some(name.as_str()?.into_owned())).unwrap_or_default();
        let argument = |key: &str| message.param("arguments").and_then(|all| all.get(key)).map(|value| value.raw().to_owned());
        let token = message.meta().and_then(|meta| meta.get("progressToken")).map(|token| token.raw().to_owned());
        let token = token.as_deref().unwrap_or("0");
        match name.as_str() {
            "echo" => result(id, &format!(r#"{{"params":{}}}"#, message.params().map_or("null", |params| params.raw()))),
            "pid" => result(id, &format!(r#"{{"pid":{}}}"#, std::process::id())),
            "env" => {
                let names: Vec<_> = std::env::vars().map(|(name, value)| format!("{}:{}", quote(&name), quote(&value))).collect();
                result(id, &format!("{{{}}}", names.join(",")));
            }
            "args" => {
                let words: Vec<_> = self.words.iter().map(|word| quote(word)).collect();
                result(id, &format!("[{}]", words.join(",")));
            }
            "touch" => {
                for (method, params) in
                    [("notifications/tools/list_changed", ""), ("notifications/resources/updated", r#""uri":"test://a","#)]
                {
                    match self.is("modern") {
                        true => held.listens.iter().for_each(|open| say_tagged(open, method, params)),
                        false => say(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{{params}"x":1}}}}"#)),
                    }
                }
                result(id, "{}");
            }
            "die" => exit(3),
            "half" => {
                print!(r#"{{"jsonrpc":"2.0","id":{id},"res"#);
                flush();
                exit(0);
            }
            "slow" => {}
            "job" => result(id, r#"{"task":{"taskId":"7","status":"working","createdAt":"c","lastUpdatedAt":"u","ttl":null}}"#),
            // Does not read for so many milliseconds.
            "deaf" => {
                std::thread::sleep(Duration::from_millis(argument("for").expect("for").parse().expect("a number")));
                result(id, "{}");
            }
            "big" => {
                let size: usize = argument("size").expect("a size").parse().expect("a number");
                result(id, &quote(&"x".repeat(size)));
            }
            "progress" => {
                for n in ["1", "2", "2", "1", "3.5"] {
                    progress(token, n);
                }
                progress("12345", "9");
                progress(r#""spoofed""#, "9");
                result(id, r#"{"done":true}"#);
                progress(token, "10");
            }
            "log" => {
                for level in ["debug", "warning", "error"] {
                    say(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","data":1}}}}"#));
                }
                say(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
                result(id, "{}");
            }
            "twice" => {
                result("424242", r#"{"stray":true}"#);
                result(&format!("\"{id}\""), r#"{"text-id":true}"#);
                result(id, r#"{"n":1}"#);
                result(id, r#"{"n":2}"#);
            }
            "batch" => say(&format!(r#"[{{"jsonrpc":"2.0","method":"x/y"}},{{"jsonrpc":"2.0","id":{id},"result":{{"batched":true}}}}]"#)),
            "ask" => {
                for (id, method) in [("a", "ping"), ("b", "roots/list"), ("c", "elicitation/create")] {
                    say(&format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"{method}"}}"#));
                }
                held.asker = Some((id.to_owned(), Vec::new()));
                held.wanted = 3;
            }
            "ask-on" => {
                for n in 0..1_000 {
                    say(&format!(r#"{{"jsonrpc":"2.0","id":"q{n}","method":"elicitation/create","params":{{"message":"m"}}}}"#));
                }
                // While it asks it does not read, so most of the refusals are lost.
                held.asker = Some((id.to_owned(), Vec::new()));
                held.wanted = 10;
            }
            // Asks about this call alone, which the question does not say.
            "ask-one" => {
                let n = argument("n").expect("n");
                say(&format!(r#"{{"jsonrpc":"2.0","id":"one-{id}","method":"elicitation/create","params":{{"message":"{n}"}}}}"#));
            }
            // And once more when it has its answer.
            "ask-twice" => {
                let n = argument("n").expect("n");
                say(&format!(r#"{{"jsonrpc":"2.0","id":"two-{id}-{n}","method":"elicitation/create","params":{{"message":"{n}"}}}}"#));
            }
            // The same, when whoever called may have gone.
            "ask-late" => {
                let question =
                    format!(r#"{{"jsonrpc":"2.0","id":"one-{id}","method":"elicitation/create","params":{{"message":"late"}}}}"#);
                let after = argument("after").and_then(|after| after.parse().ok()).unwrap_or(300);
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(after));
                    say(&question);
                });
            }
            "grandchild" => {
                #[expect(clippy::zombie_processes, reason = "who ends it is what the test is about")]
                let child = Command::new("sleep").arg("3600").stdin(Stdio::null()).spawn().expect("sleep");
                result(id, &format!(r#"{{"pid":{}}}"#, child.id()));
            }
            _ => error(id, -32602),
        }
    }
}

/// The client answered a question of ours.
fn answered(message: &Message, held: &mut Held) {
    let after = |prefix: &str| message.id().and_then(|id| Some(id.token().strip_prefix(prefix)?.trim_end_matches('"').to_owned()));
    if let Some((call, n)) = after("\"two-").as_deref().and_then(|rest| rest.split_once('-')) {
        let params = format!(r#"{{"message":"{n} again"}}"#);
        return say(&format!(r#"{{"jsonrpc":"2.0","id":"one-{call}","method":"elicitation/create","params":{params}}}"#));
    }
    let whose = after("\"one-");
    if let Some(call) = whose {
        return result(&call, &format!(r#"{{"answer":{}}}"#, message.result().map_or("null", |result| result.raw())));
    }
    let Some((call, answers)) = &mut held.asker else { return };
    answers.push(String::from_utf8_lossy(message.bytes()).into_owned());
    if answers.len() == held.wanted {
        result(call, &format!(r#"{{"answers":[{}]}}"#, answers.join(",")));
    }
}

fn progress(token: &str, n: &str) {
    say(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{n}}}}}"#));
}

/// As part of a subscription. `params` ends with a comma, if it is anything.
fn say_tagged(subscription: &str, method: &str, params: &str) {
    let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{subscription}}}"#);
    say(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{{params}{meta}}}}}"#));
}

fn result(id: &str, result: &str) {
    say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#));
}

fn error(id: &str, code: i32) {
    say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"no"}}}}"#));
}

fn say(line: &str) {
    println!("{line}");
    flush();
}

fn flush() {
    let _ = std::io::stdout().flush();
}

fn trace(line: &str) {
    let Ok(path) = std::env::var("TRACE") else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("the trace file");
    file.write_all(format!("{} {line}\n", std::process::id()).as_bytes()).expect("the trace");
}
