//! HTTP/1.1 to the letter: what is sent is what the test wrote, what came is what was on the wire.

use std::io::{self, ErrorKind};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A client's connection.
pub struct Connection {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

/// A whole answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without its transfer coding.
    pub body: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// One request and its whole answer, event streams to their end.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Reply> {
        self.stream.write_all(request).await?;
        self.reply().await
    }

    pub async fn reply(&mut self) -> io::Result<Reply> {
        let mut reply = self.head().await?;
        if reply.header("transfer-encoding").is_some() {
            while let Some(piece) = self.chunk().await? {
                reply.body.extend_from_slice(&piece);
            }
        } else {
            let length = reply.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            while self.unread.len() < length {
                self.fill().await?;
            }
            reply.body = self.unread.drain(..length).collect();
        }
        Ok(reply)
    }

    /// Status and headers only; the body comes with [`Connection::chunk`].
    pub async fn head(&mut self) -> io::Result<Reply> {
        loop {
            if let Some((reply, length)) = head(&self.unread)? {
                self.unread.drain(..length);
                return Ok(reply);
            }
            self.fill().await?;
        }
    }

    /// The next chunk of a chunked body; `None` after the last.
    pub async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let size = httparse::parse_chunk_size(&self.unread).map_err(|_| broken("a bad chunk size"))?;
            if let httparse::Status::Complete((line, size)) = size {
                let end = line + usize::try_from(size).map_err(|_| broken("a huge chunk"))?;
                if self.unread.len() >= end + 2 {
                    let data = self.unread[line..end].to_vec();
                    self.unread.drain(..end + 2);
                    return Ok(Some(data).filter(|data| !data.is_empty()));
                }
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

fn head(raw: &[u8]) -> io::Result<Option<(Reply, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(raw).map_err(|_| broken("not an HTTP answer"))? else {
        return Ok(None);
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = parsed.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect();
    Ok(Some((Reply { status: parsed.code.unwrap_or(0), headers, body: Vec::new() }, length)))
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The messages it holds, as they stood on the wire: one body, or the data of each event.
    pub fn messages(&self) -> Vec<String> {
        let body = String::from_utf8_lossy(&self.body);
        if !self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return vec![body.into_owned()];
        }
        events(&body)
    }

    /// The last message: the answer.
    pub fn answer(&self) -> String {
        self.messages().pop().unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        let answer = self.answer();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: HTTP {} {answer:?}", self.status))
    }
}

/// Data of the events of a stream, joined as the format says.
pub fn events(stream: &str) -> Vec<String> {
    let data = |event: &str| {
        let lines: Vec<&str> = event.lines().filter_map(|l| l.strip_prefix("data:")).map(|l| l.strip_prefix(' ').unwrap_or(l)).collect();
        lines.join("\n")
    };
    stream.split("\n\n").map(data).filter(|data| !data.is_empty()).collect()
}
