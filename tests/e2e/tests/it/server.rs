//! A web server inside the test: keeps every request as it came and answers what it is told to.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
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
    /// In pieces, as fast as they are taken.
    Long(Long),
    None,
}

/// A long text on its way.
#[derive(Clone, Debug)]
pub struct Long {
    pub text: Arc<Vec<u8>>,
    /// As the data of an event.
    pub is_event: bool,
    /// Its length is said before it.
    pub is_announced: bool,
    /// The connection is closed after so many bytes.
    pub dies_after: Option<usize>,
    /// Nothing more comes after so many bytes.
    pub stalls_after: Option<usize>,
    /// Bytes that were taken so far.
    pub taken: Arc<AtomicUsize>,
    /// Its reader hung up while nothing came.
    pub is_left: Arc<AtomicBool>,
}

impl Long {
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        Self {
            text: Arc::new(text.into()),
            is_event: false,
            is_announced: true,
            dies_after: None,
            stalls_after: None,
            taken: Arc::default(),
            is_left: Arc::default(),
        }
    }
}

impl Response {
    pub fn json(text: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: Body::Json(text.into()) }
    }

    pub fn long(long: Long) -> Self {
        Self { status: 200, headers: Vec::new(), body: Body::Long(long) }
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
            Body::Long(long) => {
                if !write_long(&mut stream, &head, long).await? {
                    return Ok(());
                }
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

/// Whether the connection goes on.
async fn write_long(stream: &mut TcpStream, head: &str, long: Long) -> std::io::Result<bool> {
    let kind = if long.is_event { "text/event-stream" } else { "application/json" };
    let is_announced = long.is_announced && !long.is_event;
    let length = long.text.len();
    let framing = if is_announced { format!("content-length: {length}") } else { "transfer-encoding: chunked".into() };
    stream.write_all(format!("{head}content-type: {kind}\r\n{framing}\r\n\r\n").as_bytes()).await?;
    let (before, after): (&[u8], &[u8]) = if long.is_event { (b"data: ", b"\n\n") } else { (b"", b"") };
    let mut pieces: Vec<&[u8]> = std::iter::once(before).chain(long.text.chunks(64 << 10)).chain([after]).collect();
    pieces.retain(|piece| !piece.is_empty());
    for piece in pieces {
        if long.dies_after.is_some_and(|after| long.taken.load(Relaxed) >= after) {
            return Ok(false);
        }
        if long.stalls_after.is_some_and(|after| long.taken.load(Relaxed) >= after) {
            // Who reads has nothing more to say, so this is its end.
            let _ = stream.read(&mut [0]).await;
            long.is_left.store(true, Relaxed);
            return Ok(false);
        }
        if is_announced {
            stream.write_all(piece).await?;
        } else {
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            stream.write_all(&chunk).await?;
        }
        long.taken.fetch_add(piece.len(), Relaxed);
    }
    if !is_announced {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(true)
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
