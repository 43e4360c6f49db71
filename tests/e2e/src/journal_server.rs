//! An MCP server behind a pipe that writes down every call it executed, so that a test can tell what ran, and how often.
//!
//! `journal-server --journal FILE [--delay-ms N] [--era legacy|modern|both]`

use serde_json::{Value, json};
use std::{
    fs::File,
    io::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    sync::mpsc,
};

const MODERN: &str = "2026-07-28";
const VERSION_META: &str = "io.modelcontextprotocol/protocolVersion";

struct Server {
    journal: Mutex<File>,
    delay: Duration,
    era: String,
    answers: mpsc::UnboundedSender<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let journal = flag("--journal").ok_or("--journal FILE is needed")?;
    let (answers, mut outgoing) = mpsc::unbounded_channel::<String>();
    let server = Arc::new(Server {
        // One write a line into an appending file: lines of several children never mix.
        journal: Mutex::new(File::options().append(true).create(true).open(journal)?),
        delay: Duration::from_millis(flag("--delay-ms").and_then(|ms| ms.parse().ok()).unwrap_or(0)),
        era: flag("--era").unwrap_or_else(|| "legacy".into()),
        answers,
    });
    tokio::spawn(async move {
        let mut stdout = tokio::io::stdout();
        while let Some(mut line) = outgoing.recv().await {
            line.push('\n');
            if stdout.write_all(line.as_bytes()).await.is_err() || stdout.flush().await.is_err() {
                return;
            }
        }
    });
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let message: Value = serde_json::from_str(&line)?;
        // A notification asks for nothing.
        if message.get("id").is_some() && message.get("method").is_some() {
            tokio::spawn(server.clone().answer(message));
        }
    }
    Ok(())
}

fn flag(name: &str) -> Option<String> {
    let mut args = std::env::args();
    args.find(|arg| arg == name)?;
    args.next()
}

impl Server {
    async fn answer(self: Arc<Self>, message: Value) {
        let params = &message["params"];
        let is_modern = params["_meta"].get(VERSION_META).is_some();
        let speaks = |era: &str| self.era == era || self.era == "both";
        let answer = match message["method"].as_str().unwrap_or_default() {
            _ if is_modern && !speaks("modern") => Err((-32601, "method not found")),
            "initialize" if !speaks("legacy") => Err((-32601, "method not found")),
            "initialize" => Ok(json!({
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "journal", "version": "1"},
            })),
            "server/discover" => Ok(json!({
                "supportedVersions": [MODERN], "capabilities": {"tools": {}}, "ttlMs": 60_000, "cacheScope": "public",
            })),
            "ping" => Ok(json!({})),
            "tools/list" => Ok(json!({"tools": tools(), "ttlMs": 60_000, "cacheScope": "public"})),
            "tools/call" => self.call(params).await,
            _ => Err((-32601, "method not found")),
        };
        let id = &message["id"];
        let text = match answer {
            Ok(mut result) => {
                if is_modern {
                    result["resultType"] = json!("complete");
                } else if let Some(members) = result.as_object_mut() {
                    members.remove("ttlMs");
                    members.remove("cacheScope");
                }
                json!({"jsonrpc": "2.0", "id": id, "result": result})
            }
            Err((code, text)) => json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}}),
        };
        let _ = self.answers.send(text.to_string());
    }

    async fn call(&self, params: &Value) -> Result<Value, (i64, &'static str)> {
        let arguments = &params["arguments"];
        let said = match params["name"].as_str() {
            Some("record") => {
                self.write_down(arguments)?;
                tokio::time::sleep(self.delay).await;
                // As long as it is told: the same again and again.
                let unique = arguments["unique"].as_str().unwrap_or_default();
                arguments["times"].as_u64().map_or_else(|| unique.to_owned(), |times| unique.repeat(times as usize))
            }
            Some("slow") => {
                self.write_down(arguments)?;
                tokio::time::sleep(Duration::from_millis(arguments["ms"].as_u64().unwrap_or(0))).await;
                arguments["unique"].as_str().unwrap_or_default().to_owned()
            }
            // A process of its own that outlives us unless somebody sees to it.
            Some("spawn") => {
                let child = std::process::Command::new("sleep").arg("600").spawn();
                child.map_err(|_| (-32603, "cannot start sleep"))?.id().to_string()
            }
            Some("environment") => {
                let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
                names.sort();
                names.join(" ")
            }
            Some("reach") => reach(arguments),
            _ => return Err((-32602, "no such tool")),
        };
        Ok(json!({"content": [{"type": "text", "text": said}]}))
    }

    fn write_down(&self, arguments: &Value) -> Result<(), (i64, &'static str)> {
        let line = format!("{}\n", json!({"pid": std::process::id(), "unique": arguments["unique"]}));
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.write_all(line.as_bytes()).map_err(|_| (-32603, "the journal cannot be written"))
    }
}

/// What it may touch and use: `ok`, or why not.
fn reach(arguments: &Value) -> String {
    let text = |key: &str| arguments[key].as_str().unwrap_or_default();
    let tried = match text("what") {
        "read" => std::fs::read(text("at")).map(drop),
        "write" => std::fs::write(text("at"), "x"),
        "connect" => std::net::TcpStream::connect(text("at")).map(drop),
        // Whether it may is asked, and nothing sent.
        "signal" => match std::process::Command::new("kill").args(["-0", text("at")]).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
            Err(error) => Err(error),
        },
        "bounds" => return std::fs::read_to_string("/proc/self/limits").unwrap_or_default(),
        "home" => return std::env::var("HOME").unwrap_or_default(),
        _ => Err(std::io::Error::other("no such thing")),
    };
    tried.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
}

fn tools() -> Value {
    let tool = |name: &str| json!({"name": name, "description": "of the tests", "inputSchema": {"type": "object"}});
    json!([tool("record"), tool("slow"), tool("spawn"), tool("environment"), tool("reach")])
}
