//! HTTP/1.1 by hand.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The bytes of a request with the ordinary headers unless others are given; an empty value leaves
/// the header out.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let authorization = format!("Bearer {}", super::TOKEN);
    let ordinary = [
        ("host", "localhost"),
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("content-length", length.as_str()),
    ];
    let mut out = format!("{method} {target} HTTP/1.1\r\n");
    let is_given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    for (name, value) in ordinary.iter().filter(|(name, _)| !is_given(name)).chain(headers.iter().filter(|(_, value)| !value.is_empty())) {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out
}

/// A response, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The JSON of every event, comments and events without data left out.
    pub fn events(&self) -> Vec<serde_json::Value> {
        let text = self.text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| !data.is_empty());
        data.map(|data| serde_json::from_str(data).expect("an event holds JSON")).collect()
    }

    #[track_caller]
    pub fn is_error(&self, status: u16, code: i64) -> serde_json::Value {
        assert_eq!(self.status, status, "{}", self.text());
        let json = self.json();
        assert_eq!(json["error"]["code"], code, "{json}");
        let id = json["error"]["data"]["requestId"].as_str();
        assert_eq!((id.map(str::len), id), (Some(16), self.header("x-request-id")), "{json}");
        json
    }
}

/// A connection that says what it is told.
pub struct Connection<S = TcpStream> {
    pub tcp: S,
    buffer: Vec<u8>,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl Connection {
    pub async fn open(address: SocketAddr) -> Connection {
        Connection::over(TcpStream::connect(address).await.expect("a connection"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn over(tcp: S) -> Connection<S> {
        Connection { tcp, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.tcp.write_all(bytes).await.expect("the endpoint reads");
    }

    pub async fn ask(&mut self, bytes: &[u8]) -> Reply {
        // The endpoint may answer before it has read everything.
        let _ = self.tcp.write_all(bytes).await;
        self.reply().await.expect("a response")
    }

    /// More bytes; false at the end.
    pub async fn more(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        match timeout(PATIENCE, self.tcp.read(&mut chunk)).await.expect("the endpoint answers in time") {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
        }
    }

    /// The next response; `None` when the connection ends before one has begun.
    pub async fn reply(&mut self) -> Option<Reply> {
        let (status, headers) = self.head().await?;
        let find = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let body = if let Some(length) = find("content-length") {
            let length: usize = length.parse().expect("a length");
            self.take(length).await
        } else if find("transfer-encoding").is_some() {
            self.chunks().await
        } else if matches!(status, 202 | 204 | 304) {
            Vec::new()
        } else {
            while self.more().await {}
            std::mem::take(&mut self.buffer)
        };
        Some(Reply { status, headers, body })
    }

    /// Status line and headers of the next response.
    pub async fn head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if !self.more().await {
                assert!(self.buffer.is_empty(), "half a head: {}", String::from_utf8_lossy(&self.buffer));
                return None;
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).expect("ASCII");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Some((status, headers.collect()))
    }

    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.more().await, "the body ended early");
        }
        self.buffer.drain(..length).collect()
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await {
            body.extend(chunk);
        }
        body
    }

    /// The next chunk of a chunked body.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            if !self.more().await {
                return None;
            }
        };
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let length = usize::from_str_radix(std::str::from_utf8(&line[..end]).expect("ASCII"), 16).expect("a length");
        let chunk = self.take(length + 2).await;
        (length > 0).then(|| chunk[..length].to_vec())
    }

    /// Whether the endpoint closes the connection.
    pub async fn closes(&mut self) -> bool {
        while self.more().await {}
        true
    }
}
