//! A web server inside the test: keeps every request as it came and answers what it is told to.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub verb: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What goes back.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub enum Body {
    Json(Vec<u8>),
    /// Each message an event, after a pause.
    Events(Vec<(Duration, Vec<u8>)>),
    None,
}

impl Response {
    pub fn json(text: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: Body::Json(text.into()) }
    }

    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::None }
    }

    /// This answer behind these notifications, on an event stream; each with the pause before it.
    pub fn behind(self, notifications: Vec<(Duration, String)>) -> Self {
        let Body::Json(answer) = self.body else { panic!("only a JSON answer goes onto a stream") };
        let mut messages: Vec<_> = notifications.into_iter().map(|(pause, text)| (pause, text.into_bytes())).collect();
        messages.push((Duration::ZERO, answer));
        Self { body: Body::Events(messages), ..self }
    }
}

pub type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;
type Answer = Arc<dyn Fn(Seen) -> Answering + Send + Sync>;

/// Serves until it is dropped.
pub struct Server {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepting: AbortHandle,
}

impl Server {
    /// `keeps`: whether requests are kept for the test to read; a load test's are not.
    pub async fn start(keeps: bool, answer: impl Fn(Seen) -> Answering + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (kept, answer): (_, Answer) = (keeps.then(|| seen.clone()), Arc::new(answer));
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, answer) = (kept.clone(), answer.clone());
                connections.spawn(async move {
                    // A client that hangs up ends its connection; that is no error here.
                    let _ = serve(stream, kept, answer).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, seen, accepting: accepting.abort_handle() }
    }

    pub fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, kept: Option<Arc<Mutex<Vec<Seen>>>>, answer: Answer) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::new();
    loop {
        let (seen, length) = loop {
            if let Some(found) = request(&unread) {
                break found;
            }
            if stream.read_buf(&mut unread).await? == 0 {
                return Ok(());
            }
        };
        unread.drain(..length);
        if let Some(kept) = &kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
        }
        let Response { status, headers, body } = answer(seen).await;
        let mut head = format!("HTTP/1.1 {status} X\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        match body {
            Body::None => stream.write_all(format!("{head}content-length: 0\r\n\r\n").as_bytes()).await?,
            Body::Json(text) => {
                head += &format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", text.len());
                stream.write_all(&[head.as_bytes(), &text].concat()).await?;
            }
            Body::Events(messages) => {
                head += "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                for (pause, message) in messages {
                    tokio::time::sleep(pause).await;
                    let event = [b"data: ", message.as_slice(), b"\n\n"].concat();
                    let chunk = [format!("{:x}\r\n", event.len()).as_bytes(), &event, b"\r\n"].concat();
                    stream.write_all(&chunk).await?;
                }
                stream.write_all(b"0\r\n\r\n").await?;
            }
        }
    }
}

/// A whole request at the beginning of `raw`, and its length.
fn request(raw: &[u8]) -> Option<(Seen, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(start) = parsed.parse(raw).expect("the gateway writes HTTP") else { return None };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers: Vec<(String, String)> = parsed.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, v)| v.parse().expect("a length"));
    let body = raw.get(start..start + length)?.to_vec();
    let (verb, target) = (parsed.method.unwrap_or_default().into(), parsed.path.unwrap_or_default().into());
    Some((Seen { verb, target, headers, body }, start + length))
}
