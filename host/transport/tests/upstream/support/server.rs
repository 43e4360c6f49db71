//! A server on loopback that does exactly what a test says, byte for byte.

use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::UnboundedReceiver,
    task::JoinSet,
    time::Instant,
};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub verb: String,
    pub target: String,
    pub headers: HashMap<String, String>,
    pub text: String,
    pub body: Value,
    pub at: Instant,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or("")
    }

    pub fn id(&self) -> Value {
        self.body["id"].clone()
    }

    pub fn tool(&self) -> &str {
        self.body["params"]["name"].as_str().unwrap_or("")
    }

    pub fn progress_token(&self) -> Value {
        self.body["params"]["_meta"]["progressToken"].clone()
    }
}

/// What the server does.
pub enum Act {
    Write(String),
    Pause(Duration),
    /// Until the client closes.
    Hold,
    /// Chunks as they come, until no more can come or the client closes.
    Relay(UnboundedReceiver<String>),
    Close,
}

pub type Acts = Vec<Act>;

/// A whole response.
pub fn respond(status: u16, headers: &str, body: &str) -> Acts {
    let length = body.len();
    vec![Act::Write(format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}"))]
}

pub fn json_body(status: u16, body: &Value) -> Acts {
    respond(status, "content-type: application/json\r\n", &body.to_string())
}

/// A result for the request.
pub fn result(seen: &Seen, result: Value) -> Acts {
    json_body(200, &json!({"jsonrpc":"2.0","id":seen.id(),"result":result}))
}

pub fn error(seen: &Seen, status: u16, code: i64, data: Value) -> Acts {
    json_body(status, &json!({"jsonrpc":"2.0","id":seen.id(),"error":{"code":code,"message":"no","data":data}}))
}

/// The head of a chunked event stream.
pub fn stream_head() -> Act {
    Act::Write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned())
}

pub fn chunk(text: &str) -> Act {
    Act::Write(format!("{:x}\r\n{text}\r\n", text.len()))
}

pub fn event(message: &Value) -> Act {
    chunk(&format!("data: {message}\n\n"))
}

pub fn last_chunk() -> Act {
    Act::Write("0\r\n\r\n".to_owned())
}

/// An event stream of these messages, ended.
pub fn events(messages: &[Value]) -> Acts {
    let mut acts = vec![stream_head()];
    acts.extend(messages.iter().map(event));
    acts.push(last_chunk());
    acts
}

type Handler = dyn Fn(&Seen) -> Acts + Send + Sync;

/// A running server.
pub struct Fake {
    pub url: http::Uri,
    seen: Arc<Mutex<Vec<Seen>>>,
    pub connections: Arc<AtomicUsize>,
    /// Connections on which a held response was closed by the client.
    pub left: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub async fn start(handler: impl Fn(&Seen) -> Acts + Send + Sync + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.unwrap(), handler)
    }

    /// Another server where this one was; its connections break.
    pub async fn restart(self, handler: impl Fn(&Seen) -> Acts + Send + Sync + 'static) -> Self {
        let address = self.url.authority().unwrap().to_string();
        drop(self);
        loop {
            // The old listener goes with its task.
            match TcpListener::bind(&address).await {
                Ok(listener) => return Self::listen(listener, handler),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    fn listen(listener: TcpListener, handler: impl Fn(&Seen) -> Acts + Send + Sync + 'static) -> Self {
        let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (connections, left) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let handler: Arc<Handler> = Arc::new(handler);
        let task = tokio::spawn({
            let (seen, connections, left) = (seen.clone(), connections.clone(), left.clone());
            async move {
                let mut open = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, SeqCst);
                    open.spawn(serve(stream, handler.clone(), seen.clone(), left.clone()));
                }
            }
        });
        Self { url, seen, connections, left, task }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// What came, in short: verb and method.
    pub fn trace(&self) -> Vec<String> {
        self.seen().iter().map(|seen| if seen.verb == "POST" { seen.method().to_owned() } else { seen.verb.clone() }).collect()
    }

    pub fn last(&self, method: &str) -> Seen {
        self.seen().into_iter().rev().find(|seen| seen.method() == method).unwrap_or_else(|| panic!("{method} never came"))
    }
}

async fn serve(mut stream: TcpStream, handler: Arc<Handler>, seen: Arc<Mutex<Vec<Seen>>>, left: Arc<AtomicUsize>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        seen.lock().unwrap().push(request.clone());
        for act in handler(&request) {
            match act {
                Act::Write(text) => {
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
                Act::Pause(time) => tokio::time::sleep(time).await,
                Act::Hold => {
                    let mut one = [0];
                    if matches!(stream.read(&mut one).await, Ok(0) | Err(_)) {
                        left.fetch_add(1, SeqCst);
                    }
                    return;
                }
                Act::Relay(mut texts) => {
                    let mut one = [0];
                    loop {
                        tokio::select! {
                            text = texts.recv() => match text {
                                Some(text) if stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await.is_ok() => {}
                                _ => return,
                            },
                            _ = stream.read(&mut one) => {
                                left.fetch_add(1, SeqCst);
                                return;
                            }
                        }
                    }
                }
                Act::Close => return,
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let (verb, target) = (words.next()?, words.next()?);
    let headers: HashMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8(buffer[head_end..head_end + length].to_vec()).unwrap();
    buffer.drain(..head_end + length);
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Some(Seen { verb, target, headers, text, body, at: Instant::now() })
}

/// A modern server: discovers, and answers the rest as told.
pub fn modern(rest: impl Fn(&Seen) -> Acts + Send + Sync + 'static) -> impl Fn(&Seen) -> Acts + Send + Sync {
    move |seen| match (seen.verb.as_str(), seen.method()) {
        ("POST", "server/discover") => result(
            seen,
            json!({"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private",
                "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"fake","version":"1"}}}),
        ),
        ("POST", "initialize") => error(seen, 404, -32601, Value::Null),
        ("POST", _) => rest(seen),
        _ => respond(405, "", ""),
    }
}

/// A legacy server with sessions `s1`, `s2`, …: initialises, and answers the rest as told.
pub fn legacy(capabilities: Value, rest: impl Fn(&Seen) -> Acts + Send + Sync + 'static) -> impl Fn(&Seen) -> Acts + Send + Sync {
    let sessions = AtomicUsize::new(0);
    move |seen| match (seen.verb.as_str(), seen.method()) {
        ("POST", "initialize") => {
            let session = sessions.fetch_add(1, SeqCst) + 1;
            let version = seen.body["params"]["protocolVersion"].clone();
            let answer = json!({"jsonrpc":"2.0","id":seen.id(),"result":
                {"protocolVersion":version,"capabilities":capabilities,"serverInfo":{"name":"fake","version":"1"}}});
            respond(200, &format!("content-type: application/json\r\nmcp-session-id: s{session}\r\n"), &answer.to_string())
        }
        ("POST", _) if seen.header("mcp-session-id").is_empty() => {
            json_body(400, &json!({"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}))
        }
        ("POST", method) if method.starts_with("notifications/") => respond(202, "", ""),
        ("POST", _) if seen.body.get("method").is_none() => respond(202, "", ""),
        ("DELETE", _) => respond(200, "", ""),
        ("GET", _) if seen.header("accept") == "text/event-stream" => rest(seen),
        _ => rest(seen),
    }
}
