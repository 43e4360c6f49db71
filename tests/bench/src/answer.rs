//! The load generator's half of HTTP/1.1: one keep-alive connection, one request at a time, replies read whole.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room for a head and a 64 KiB body, so that a reply seldom needs a second allocation.
const BUFFER_BYTES: usize = 96 * 1024;
/// A reply larger than this is not one that any of our tools gives.
const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// A connection, with room for the reply it is reading.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    raw: Vec<u8>,
    unchunked: Vec<u8>,
}

/// A whole reply.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// Whether the body says it is JSON, as opposed to an event stream.
    pub is_json: bool,
    /// `Mcp-Session-Id`.
    pub session: Option<String>,
    /// The body, without its transfer coding.
    pub body: &'a [u8],
}

impl Connection {
    /// Connects to HOST:PORT.
    pub async fn open(authority: &str) -> Result<Self> {
        let stream = TcpStream::connect(authority).await.with_context(|| format!("connect to {authority}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, raw: Vec::with_capacity(BUFFER_BYTES), unchunked: Vec::new() })
    }

    /// Sends one request and reads its reply to the end.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await.context("send")?;
        self.raw.clear();
        let head = loop {
            self.fill().await?;
            if let Some(head) = Head::read(&self.raw)? {
                break head;
            }
        };
        let body = match head.length {
            Length::Bytes(length) => {
                while self.raw.len() < head.bytes + length {
                    self.fill().await?;
                }
                ensure!(self.raw.len() == head.bytes + length, "bytes after the end of the reply");
                &self.raw[head.bytes..]
            }
            Length::Chunked => {
                while !unchunk(&self.raw[head.bytes..], &mut self.unchunked)? {
                    self.fill().await?;
                }
                &self.unchunked
            }
        };
        Ok(Answer { status: head.status, is_json: head.is_json, session: head.session, body })
    }

    /// Sends a request whose reply is an event stream, waits for its head and, if any, for `first` in it, and lets go of
    /// everything but the socket: thousands of these are held open.
    pub async fn listen(mut self, request: &[u8], first: &str) -> Result<TcpStream> {
        self.stream.write_all(request).await.context("send")?;
        self.raw.clear();
        loop {
            self.fill().await?;
            let Some(head) = Head::read(&self.raw)? else { continue };
            let said = String::from_utf8_lossy(&self.raw[head.bytes..]);
            ensure!(head.status == 200 && !head.is_json, "no stream: status {}: {said}", head.status);
            if said.contains(first) {
                return Ok(self.stream);
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        ensure!(self.raw.len() < REPLY_BYTES_MAX, "a reply above {REPLY_BYTES_MAX} bytes");
        self.raw.reserve(8 * 1024);
        let read = self.stream.read_buf(&mut self.raw).await.context("receive")?;
        ensure!(read > 0, "the connection was closed before the end of the reply");
        Ok(())
    }
}

struct Head {
    bytes: usize,
    status: u16,
    length: Length,
    is_json: bool,
    session: Option<String>,
}

enum Length {
    Bytes(usize),
    Chunked,
}

impl Head {
    /// `None` while the head is not all there.
    fn read(raw: &[u8]) -> Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut reply = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(bytes) = reply.parse(raw).context("not an HTTP reply")? else {
            return Ok(None);
        };
        let (mut length, mut is_json, mut session) = (None, false, None);
        for header in reply.headers.iter() {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                length = Some(Length::Bytes(std::str::from_utf8(header.value)?.parse()?));
            } else if is("transfer-encoding") {
                ensure!(header.value.eq_ignore_ascii_case(b"chunked"), "a transfer coding other than chunked");
                length = Some(Length::Chunked);
            } else if is("content-type") {
                is_json = header.value.starts_with(b"application/json");
            } else if is("mcp-session-id") {
                session = Some(String::from_utf8(header.value.to_vec())?);
            }
        }
        let status = reply.code.unwrap_or_default();
        let length = match length {
            Some(length) => length,
            None if status == 204 => Length::Bytes(0),
            None => bail!("a reply (status {status}) without a length"),
        };
        Ok(Some(Self { bytes, status, length, is_json, session }))
    }
}

/// Copies the chunks' data; `false` while the last one is not there. Starts anew each time: our replies come in
/// few reads.
fn unchunk(mut raw: &[u8], body: &mut Vec<u8>) -> Result<bool> {
    body.clear();
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(raw) else {
            ensure!(httparse::parse_chunk_size(raw).is_ok(), "a bad chunk size");
            return Ok(false);
        };
        let end = line + usize::try_from(size)?;
        if raw.len() < end + 2 {
            return Ok(false);
        }
        ensure!(&raw[end..end + 2] == b"\r\n", "a chunk without its line end");
        body.extend_from_slice(&raw[line..end]);
        raw = &raw[end + 2..];
        if size == 0 {
            ensure!(raw.is_empty(), "bytes after the end of the reply");
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_once_the_last_is_there() {
        let raw = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let mut body = Vec::new();
        for cut in 0..raw.len() {
            assert!(!unchunk(&raw[..cut], &mut body).unwrap(), "cut at {cut}");
        }
        assert!(unchunk(raw, &mut body).unwrap());
        assert_eq!(body, b"abcde");
        assert!(unchunk(b"zz\r\n", &mut body).is_err());
    }

    #[test]
    fn a_head_is_read_when_whole() {
        let raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: a1\r\nContent-Length: 2\r\n\r\n{}";
        assert!(Head::read(&raw[..20]).unwrap().is_none());
        let head = Head::read(raw).unwrap().unwrap();
        assert!(matches!(head.length, Length::Bytes(2)));
        assert_eq!((head.status, head.is_json, head.session.as_deref()), (200, true, Some("a1")));
        assert!(Head::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
