//! The servers behind the gateway. They say whatever they were told, and more than they should: what one caller's stream is
//! not for, they write there too. What belongs to whom they have written into what they are given, so they keep next to nothing.

use anyhow::Result;
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::{broadcast, oneshot},
    task::spawn_local,
};

use crate::{
    canary::Kind,
    ledger::{Wrong, exchange},
    people::Who,
    stage::{Handle, Stage, Thing},
    wire::{self, Asked},
};

pub const MODERN: &str = "2026-07-28";
pub const LEGACY: &str = "2025-11-25";
const TASKS: &str = "io.modelcontextprotocol/tasks";
/// More than a page of the gateway's.
const PROMPTS: usize = 520;
/// Ids and tokens of others that are tried on.
const OTHERS_MAX: usize = 64;
const ANSWERED_WITHIN: Duration = Duration::from_secs(500);

/// What all of them have, besides one that comes later.
pub const TOOLS: [&str; 15] =
    ["echo", "lookup", "last", "slow", "steps", "spray", "fail", "oops", "mail", "note", "later", "ask", "touch", "metered", "daily"];
pub const SNEAKY: &str = "sneaky";

/// One server, and what it speaks.
pub struct Server {
    stage: Rc<Stage>,
    legacy: bool,
    modern: bool,
    pub url: String,
    sessions: RefCell<HashMap<String, Session>>,
    opened: Cell<u64>,
    changes: broadcast::Sender<String>,
    /// Progress tokens and ids of late, as JSON.
    others: RefCell<VecDeque<String>>,
    /// Tasks of late.
    tasks: RefCell<VecDeque<String>>,
    /// Who waits for an answer of a client.
    asked: RefCell<HashMap<String, oneshot::Sender<Value>>>,
    /// Whether there is one more tool.
    pub has_changed: Cell<bool>,
}

/// What is kept of one.
#[derive(Default)]
struct Session {
    /// What the client calls itself.
    client: String,
    /// Who was heard of in it first.
    owner: Option<Who>,
    /// What was said in it last.
    last: String,
}

struct Call {
    id: Value,
    method: String,
    params: Value,
    modern: bool,
    /// What the client calls itself.
    client: Option<String>,
    session: Option<String>,
}

impl Server {
    /// Serves until the end.
    pub async fn start(stage: Rc<Stage>, legacy: bool, modern: bool) -> Result<Rc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = Rc::new(Self {
            stage,
            legacy,
            modern,
            url: format!("http://{}/mcp", listener.local_addr()?),
            sessions: RefCell::default(),
            opened: Cell::default(),
            changes: broadcast::channel(1024).0,
            others: RefCell::default(),
            tasks: RefCell::default(),
            asked: RefCell::default(),
            has_changed: Cell::default(),
        });
        let serving = server.clone();
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serving.clone();
                // A gateway that hangs up ends its connection; that is no error here.
                spawn_local(async move { server.connection(stream).await });
            }
        });
        Ok(server)
    }

    async fn connection(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut raw = Vec::new();
        while let Some(asked) = wire::asked(&mut stream, &mut raw).await? {
            match asked.verb.as_str() {
                "POST" => self.post(asked, &mut stream).await?,
                "GET" if self.legacy => return self.own_stream(asked, stream).await,
                "DELETE" => {
                    asked.session.and_then(|session| self.sessions.borrow_mut().remove(&session));
                    reply(&mut stream, 200, "", "").await?;
                }
                _ => reply(&mut stream, 405, "", "").await?,
            }
        }
        Ok(())
    }

    /// What is said to a session and answers nothing: changes, how somebody's task is, and a word for its client.
    async fn own_stream(&self, asked: Asked, mut stream: TcpStream) -> Result<()> {
        let client = self.client_of(asked.session.as_deref());
        let mut changes = self.changes.subscribe();
        begin_stream(&mut stream).await?;
        while let Ok(uri) = changes.recv().await {
            event(&mut stream, &json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}})).await?;
            let other = self.tasks.borrow().back().cloned();
            if let Some(other) = other {
                let state = task(&other, "completed");
                event(&mut stream, &json!({"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": state})).await?;
            }
            let word = json!({"level": "info", "data": format!("a word for {}", client.as_deref().unwrap_or("nobody"))});
            event(&mut stream, &json!({"jsonrpc": "2.0", "method": "notifications/message", "params": word})).await?;
        }
        Ok(())
    }

    async fn post(&self, asked: Asked, stream: &mut TcpStream) -> Result<()> {
        let mut body: Value = serde_json::from_slice(&asked.body)?;
        if body.get("method").is_none() {
            let waiting = body["id"].as_str().and_then(|id| self.asked.borrow_mut().remove(id));
            waiting.and_then(|waiting| waiting.send(body["result"].take()).ok());
            return reply(stream, 202, "", "").await;
        }
        let params = body["params"].take();
        let revision = params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str().map(str::to_owned);
        let modern = revision.is_some();
        let told = if modern { &params["_meta"]["io.modelcontextprotocol/clientInfo"] } else { &params["clientInfo"] };
        let client = told["name"].as_str().map(str::to_owned).or_else(|| self.client_of(asked.session.as_deref()));
        self.whose(client.as_deref(), asked.session.as_deref(), &asked.body);
        let Some(method) = body["method"].as_str().map(str::to_owned) else { return reply(stream, 400, "", "").await };
        if body.get("id").is_none() {
            return reply(stream, 202, "", "").await;
        }
        let call = Call { id: body["id"].take(), method, params, modern, client, session: asked.session };
        if if modern { !self.modern } else { !self.legacy } {
            return call.error(stream, 400, -32600, "another era").await;
        }
        self.answer(call, stream).await
    }

    fn client_of(&self, session: Option<&str>) -> Option<String> {
        Some(self.sessions.borrow().get(session?)?.client.clone())
    }

    /// All that comes in one request is of one caller, and so is all that comes in one session.
    fn whose(&self, client: Option<&str>, session: Option<&str>, body: &[u8]) {
        let mut owner = None;
        self.stage.canaries.each(client.unwrap_or_default().as_bytes(), |canary| owner = Some(canary.owner));
        let mut sessions = self.sessions.borrow_mut();
        if let Some(session) = session.and_then(|name| sessions.get_mut(name)) {
            self.stage.canaries.each(body, |canary| {
                if owner.is_none() && canary.kind == Kind::Value {
                    owner = Some(*session.owner.get_or_insert(canary.owner));
                }
            });
        }
        drop(sessions);
        let Some(owner) = owner else { return };
        // A URI may be anybody's: whoever knows it asks for it.
        if let Some(canary) = self.stage.canaries.foreign_at_server(owner, body) {
            let why = format!("a request of {owner} brought its server {} of {}", canary.text, canary.owner);
            self.stage.found(Wrong::Leak, "what servers are told", why, exchange(&format!("caller {owner}"), b"", body));
        }
    }

    async fn answer(&self, call: Call, stream: &mut TcpStream) -> Result<()> {
        let list = |key: &str, items: Value| call.cacheable(json!({key: items}), "public");
        match call.method.as_str() {
            "initialize" => {
                let session = format!("at-the-server-{}", self.opened.replace(self.opened.get() + 1));
                let client = call.client.clone().unwrap_or_default();
                self.sessions.borrow_mut().insert(session.clone(), Session { client, ..Session::default() });
                let agreed = call.params["protocolVersion"].clone();
                let said = json!({"protocolVersion": agreed, "capabilities": self.capabilities(false), "serverInfo": {"name": "s", "version": "1"}});
                reply(stream, 200, &format!("mcp-session-id: {session}\r\n"), &call.message("result", &said)).await
            }
            "server/discover" => {
                let mut versions = vec![MODERN];
                versions.extend(self.legacy.then_some(LEGACY));
                let said = json!({"supportedVersions": versions, "capabilities": self.capabilities(true)});
                call.result(stream, call.cacheable(said, "public")).await
            }
            "tools/list" => call.result(stream, list("tools", self.tools())).await,
            "prompts/list" => {
                let all: Value = (0..PROMPTS).map(|at| json!({"name": format!("p{at:03}")})).collect();
                call.result(stream, list("prompts", if self.legacy && self.modern { all } else { json!([]) })).await
            }
            "resources/list" => {
                let all: Value =
                    (0..4).map(|at| json!({"uri": format!("shared:///{}{at}", self.word()), "name": format!("{at}")})).collect();
                call.result(stream, list("resources", all)).await
            }
            "resources/templates/list" => {
                let template = json!([{"uriTemplate": format!("note:///{}/{{name}}", self.word()), "name": "note"}]);
                call.result(stream, list("resourceTemplates", template)).await
            }
            "resources/read" => {
                let uri = &call.params["uri"];
                let text = format!("{} for {}", uri.as_str().unwrap_or_default(), call.client());
                let said = json!({"contents": [{"uri": uri, "text": text}]});
                call.result(stream, call.cacheable(said, "private")).await
            }
            "prompts/get" => {
                let text = call.params["arguments"].to_string();
                call.result(stream, json!({"messages": [{"role": "user", "content": {"type": "text", "text": text}}]})).await
            }
            "completion/complete" => {
                let value = &call.params["argument"]["value"];
                call.result(stream, json!({"completion": {"values": [value]}})).await
            }
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => call.result(stream, json!({})).await,
            "subscriptions/listen" => self.listen(&call, stream).await,
            "tasks/get" | "tasks/result" | "tasks/cancel" | "tasks/list" => self.task(&call, stream).await,
            "tools/call" => self.call(&call, stream).await,
            _ => call.error(stream, if call.modern { 404 } else { 200 }, -32601, "no such method").await,
        }
    }

    /// What its URIs begin with, so that no two servers have the same.
    pub fn word(&self) -> &str {
        self.url.trim_start_matches("http://127.0.0.1:").trim_end_matches("/mcp")
    }

    fn capabilities(&self, modern: bool) -> Value {
        let mut all = json!({
            "tools": {"listChanged": true},
            "resources": {"subscribe": true, "listChanged": true},
            "prompts": {},
            "completions": {},
            "logging": {},
        });
        if modern {
            all["extensions"] = json!({TASKS: {}});
        } else {
            all["tasks"] = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
        }
        all
    }

    fn tools(&self) -> Value {
        let more = self.has_changed.get().then_some(SNEAKY);
        let define = |name: &str| {
            let mut tool = json!({"name": name, "description": format!("Does {name}"), "inputSchema": {"type": "object"}});
            if name == "later" {
                tool["execution"] = json!({"taskSupport": "optional"});
            }
            tool
        };
        TOOLS.into_iter().chain(more).map(define).collect()
    }

    async fn listen(&self, call: &Call, stream: &mut TcpStream) -> Result<()> {
        let mut changes = self.changes.subscribe();
        begin_stream(stream).await?;
        let tag = json!({"io.modelcontextprotocol/subscriptionId": call.id});
        let granted = json!({"notifications": call.params["notifications"], "_meta": tag});
        event(stream, &json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": granted})).await?;
        // Of everything, whoever asked for it.
        while let Ok(uri) = changes.recv().await {
            let params = json!({"uri": uri, "_meta": tag});
            event(stream, &json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params})).await?;
        }
        Ok(())
    }

    /// A task's id says what it comes to.
    async fn task(&self, call: &Call, stream: &mut TcpStream) -> Result<()> {
        let id = call.params["taskId"].as_str().unwrap_or_default();
        let result = json!({"content": [{"type": "text", "text": format!("{id} has ended")}]});
        match call.method.as_str() {
            // Everybody's.
            "tasks/list" => {
                let all: Value = self.tasks.borrow().iter().map(|id| task(id, "working")).collect();
                call.result(stream, json!({"tasks": all})).await
            }
            "tasks/result" => {
                let mut result = result;
                result["_meta"] = json!({"io.modelcontextprotocol/related-task": {"taskId": id}});
                call.result(stream, result).await
            }
            "tasks/cancel" if call.modern => call.result(stream, json!({})).await,
            _ => {
                let mut state = task(id, if call.method == "tasks/cancel" { "cancelled" } else { "completed" });
                if call.modern {
                    state["result"] = result;
                }
                call.result(stream, state).await
            }
        }
    }

    async fn call(&self, call: &Call, stream: &mut TcpStream) -> Result<()> {
        let arguments = &call.params["arguments"];
        let text = arguments["text"].as_str().unwrap_or_default();
        let said = |text: &str| json!({"content": [{"type": "text", "text": text}]});
        match call.params["name"].as_str().unwrap_or_default() {
            "lookup" => call.result(stream, said(&format!("{text} for {}", call.client()))).await,
            "last" => {
                let before = call
                    .session
                    .as_ref()
                    .and_then(|session| Some(std::mem::replace(&mut self.sessions.borrow_mut().get_mut(session)?.last, text.to_owned())));
                call.result(stream, said(&format!("{text} after {}", before.unwrap_or_default()))).await
            }
            "slow" => {
                tokio::time::sleep(Duration::from_millis(arguments["ms"].as_u64().unwrap_or(1))).await;
                call.result(stream, said(text)).await
            }
            "steps" | "spray" => self.steps(call, text, stream).await,
            "fail" => call.error(stream, 200, -32050, &format!("it does not do {text}")).await,
            "oops" => call.result(stream, json!({"content": [{"type": "text", "text": format!("no {text}")}], "isError": true})).await,
            "mail" => call.result(stream, said(&format!("write to {text}@example.com, soon"))).await,
            "note" => {
                self.tokens(call, text);
                call.result(stream, said(&format!("noted: {text}"))).await
            }
            "later" => self.later(call, text, stream).await,
            "ask" => self.ask(call, text, stream).await,
            "touch" => {
                // Nobody may listen; that is no error.
                let _ = self.changes.send(text.to_owned());
                call.result(stream, said(text)).await
            }
            name if TOOLS.contains(&name) || name == SNEAKY => call.result(stream, said(text)).await,
            _ => call.error(stream, 200, -32602, "no such tool").await,
        }
    }

    /// What `redact` made of an address, with what it stands for.
    fn tokens(&self, call: &Call, text: &str) {
        let mut owner = None;
        self.stage.canaries.each(call.client().as_bytes(), |canary| owner = Some(canary.owner));
        let token = text.find("[email:").and_then(|at| Some(&text[at..at + text[at..].find(']')? + 1]));
        if let (Some(owner), Some(token)) = (owner, token) {
            let with = self.url.clone();
            self.stage.keep(Thing::Token, Handle { owner, value: token.to_owned(), with, canary: String::new() });
        }
    }

    /// Progress, and a word; of `spray` also what is addressed to others.
    async fn steps(&self, call: &Call, text: &str, stream: &mut TcpStream) -> Result<()> {
        begin_stream(stream).await?;
        let token = call.params["_meta"]["progressToken"].clone();
        if call.params["name"] == "spray" {
            let others: Vec<String> = self.others.borrow().iter().cloned().collect();
            for other in others.iter().filter_map(|other| serde_json::from_str::<Value>(other).ok()).take(6) {
                if other != token {
                    event(stream, &progress(&other, 1, text)).await?;
                }
                if other != call.id {
                    let answer = json!({"content": [{"type": "text", "text": text}], "resultType": "complete"});
                    event(stream, &json!({"jsonrpc": "2.0", "id": other, "result": answer})).await?;
                    let cancelled = json!({"requestId": other, "reason": text});
                    event(stream, &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled})).await?;
                }
            }
        }
        for step in 1..=2 {
            if !token.is_null() {
                event(stream, &progress(&token, step, text)).await?;
            }
        }
        remember(&self.others, [token.to_string(), call.id.to_string()]);
        event(stream, &json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}})).await?;
        let message = call.message("result", &call.complete(json!({"content": [{"type": "text", "text": text}]})));
        event_text(stream, &message).await?;
        end_stream(stream).await
    }

    async fn later(&self, call: &Call, text: &str, stream: &mut TcpStream) -> Result<()> {
        remember(&self.tasks, [text.to_owned()]);
        let declared = &call.params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"][TASKS];
        if call.modern && declared.is_object() {
            let mut state = task(text, "working");
            state["resultType"] = json!("task");
            return call.result(stream, state).await;
        }
        if !call.modern && call.params["task"].is_object() {
            return call.result(stream, json!({"task": task(text, "working")})).await;
        }
        call.result(stream, json!({"content": [{"type": "text", "text": text}]})).await
    }

    /// Asks, and then says what it was told.
    async fn ask(&self, call: &Call, text: &str, stream: &mut TcpStream) -> Result<()> {
        let question = json!({
            "message": format!("{text}?"),
            "requestedSchema": {"type": "object", "properties": {"word": {"type": "string"}}},
        });
        let said = |told: &Value| json!({"content": [{"type": "text", "text": format!("{text}, said {told}")}]});
        if call.modern {
            if let Some(responses) = call.params.get("inputResponses") {
                // The state is the canary of who was asked.
                let state = call.params["requestState"].as_str().unwrap_or_default();
                return call.result(stream, said(&json!([state, responses]))).await;
            }
            let asks = json!({"q": {"method": "elicitation/create", "params": question}});
            return call.result(stream, json!({"resultType": "input_required", "inputRequests": asks, "requestState": text})).await;
        }
        begin_stream(stream).await?;
        let (answer, answered) = oneshot::channel();
        let id = format!("{}-{}", call.session.as_deref().unwrap_or_default(), self.opened.replace(self.opened.get() + 1));
        self.asked.borrow_mut().insert(id.clone(), answer);
        event(stream, &json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": question})).await?;
        let told = tokio::time::timeout(ANSWERED_WITHIN, answered).await;
        let told = told.ok().and_then(Result::ok).unwrap_or(Value::Null);
        event_text(stream, &call.message("result", &call.complete(said(&told)))).await?;
        end_stream(stream).await
    }
}

/// The newest of them.
fn remember(all: &RefCell<VecDeque<String>>, new: impl IntoIterator<Item = String>) {
    let mut all = all.borrow_mut();
    all.extend(new);
    while all.len() > OTHERS_MAX {
        all.pop_front();
    }
}

fn task(id: &str, status: &str) -> Value {
    json!({"taskId": id, "status": status, "statusMessage": format!("of {id}"), "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z",
        "ttl": 600_000, "ttlMs": 600_000, "pollInterval": 20, "pollIntervalMs": 20})
}

fn progress(token: &Value, at: u32, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": at, "message": text}})
}

impl Call {
    fn client(&self) -> &str {
        self.client.as_deref().unwrap_or("nobody")
    }

    fn complete(&self, mut result: Value) -> Value {
        if self.modern && result.get("resultType").is_none() {
            result["resultType"] = json!("complete");
        }
        result
    }

    fn cacheable(&self, mut result: Value, scope: &str) -> Value {
        if self.modern {
            result["ttlMs"] = json!(60_000);
            result["cacheScope"] = json!(scope);
        }
        result
    }

    fn message(&self, member: &str, value: &Value) -> String {
        json!({"jsonrpc": "2.0", "id": self.id, member: value}).to_string()
    }

    async fn result(&self, stream: &mut TcpStream, result: Value) -> Result<()> {
        let text = self.message("result", &self.complete(result));
        reply(stream, 200, "", &text).await
    }

    async fn error(&self, stream: &mut TcpStream, status: u16, code: i64, said: &str) -> Result<()> {
        reply(stream, status, "", &self.message("error", &json!({"code": code, "message": said, "data": {"said": said}}))).await
    }
}

async fn reply(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> Result<()> {
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    let text = format!("HTTP/1.1 {status} X\r\n{kind}{headers}content-length: {}\r\n\r\n{body}", body.len());
    Ok(stream.write_all(text.as_bytes()).await?)
}

async fn begin_stream(stream: &mut TcpStream) -> Result<()> {
    Ok(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await?)
}

async fn event(stream: &mut TcpStream, message: &Value) -> Result<()> {
    event_text(stream, &message.to_string()).await
}

async fn event_text(stream: &mut TcpStream, message: &str) -> Result<()> {
    let event = format!("data: {message}\n\n");
    Ok(stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?)
}

async fn end_stream(stream: &mut TcpStream) -> Result<()> {
    Ok(stream.write_all(b"0\r\n\r\n").await?)
}
