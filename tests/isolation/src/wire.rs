//! HTTP/1.1 in bytes, from both ends.

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const HEADERS_MAX: usize = 64;
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Requests go out several at a time, and answers come in their order.
pub struct Connection {
    stream: TcpStream,
    raw: Vec<u8>,
}

/// A whole answer.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    /// As they came: a name and a value a line.
    pub head: Vec<u8>,
    pub session: Option<String>,
    pub is_stream: bool,
    /// There is no other on this connection.
    pub closes: bool,
    pub body: Vec<u8>,
}

impl Answer {
    /// The messages in it.
    pub fn messages(&self) -> Vec<serde_json::Value> {
        if !self.is_stream {
            return serde_json::from_slice(&self.body).into_iter().collect();
        }
        let text = String::from_utf8_lossy(&self.body);
        text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok()).collect()
    }

    /// The ids of its events.
    pub fn events(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.body);
        text.lines().filter_map(|line| Some(line.strip_prefix("id:")?.trim().to_owned())).collect()
    }

    /// All of it that a client reads.
    pub fn bytes(&self) -> Vec<u8> {
        [format!("{}\n", self.status).as_bytes(), &self.head, b"\n", &self.body].concat()
    }
}

impl Connection {
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, raw: Vec::with_capacity(16 * 1024) })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("send")
    }

    /// The next answer, to its end.
    pub async fn answer(&mut self) -> Result<Answer> {
        let (mut answer, length) = self.head().await?;
        match length {
            Some(length) => self.body(&mut answer, length).await?,
            None => while self.chunk(&mut answer.body).await? {},
        }
        Ok(answer)
    }

    /// A body of so many bytes.
    pub async fn body(&mut self, answer: &mut Answer, length: usize) -> Result<()> {
        while self.raw.len() < length {
            self.fill().await?;
        }
        answer.body = self.raw.drain(..length).collect();
        Ok(())
    }

    /// The beginning of an answer, and how long its body is if it says so.
    pub async fn head(&mut self) -> Result<(Answer, Option<usize>)> {
        loop {
            if let Some((answer, length, bytes)) = read_head(&self.raw)? {
                self.raw.drain(..bytes);
                return Ok((answer, length));
            }
            self.fill().await?;
        }
    }

    /// The next piece of a body in pieces, behind what is there; `false` after the last one.
    pub async fn chunk(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        loop {
            match httparse::parse_chunk_size(&self.raw) {
                Ok(httparse::Status::Complete((line, size))) => {
                    let end = line + usize::try_from(size)?;
                    if self.raw.len() >= end + 2 {
                        body.extend_from_slice(&self.raw[line..end]);
                        self.raw.drain(..end + 2);
                        return Ok(size > 0);
                    }
                }
                Ok(httparse::Status::Partial) => {}
                Err(_) => bail!("a bad chunk"),
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        ensure!(self.raw.len() < BYTES_MAX, "more than {BYTES_MAX} bytes");
        self.raw.reserve(8 * 1024);
        ensure!(self.stream.read_buf(&mut self.raw).await.context("receive")? > 0, "the connection was closed");
        Ok(())
    }
}

fn read_head(raw: &[u8]) -> Result<Option<(Answer, Option<usize>, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut reply = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(bytes) = reply.parse(raw).context("not an HTTP answer")? else { return Ok(None) };
    let mut answer = Answer { status: reply.code.unwrap_or_default(), ..Answer::default() };
    let mut length = (answer.status == 204).then_some(0);
    for header in reply.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            length = Some(std::str::from_utf8(header.value)?.parse()?);
        }
        answer.is_stream |= is("content-type") && header.value.starts_with(b"text/event-stream");
        answer.closes |= is("connection") && header.value.eq_ignore_ascii_case(b"close");
        if is("mcp-session-id") {
            answer.session = Some(String::from_utf8(header.value.to_vec())?);
        }
        for part in [header.name.as_bytes(), b": ", header.value, b"\n"] {
            answer.head.extend_from_slice(part);
        }
    }
    Ok(Some((answer, length, bytes)))
}

/// A request, as a server reads it.
pub struct Asked {
    pub verb: String,
    pub session: Option<String>,
    pub body: Vec<u8>,
}

/// The next request of a connection; none when there is no more.
pub async fn asked(stream: &mut TcpStream, raw: &mut Vec<u8>) -> Result<Option<Asked>> {
    loop {
        if let Some((mut asked, bytes, length)) = read_request(raw)? {
            while raw.len() < bytes + length {
                raw.reserve(8 * 1024);
                ensure!(stream.read_buf(raw).await? > 0, "closed within a request");
            }
            asked.body = raw[bytes..bytes + length].to_vec();
            raw.drain(..bytes + length);
            return Ok(Some(asked));
        }
        raw.reserve(8 * 1024);
        if stream.read_buf(raw).await? == 0 {
            return Ok(None);
        }
    }
}

fn read_request(raw: &[u8]) -> Result<Option<(Asked, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(bytes) = request.parse(raw).context("not an HTTP request")? else { return Ok(None) };
    let find = |name: &str| request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value);
    let length = find("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0);
    let session = find("mcp-session-id").map(|value| String::from_utf8_lossy(value).into_owned());
    Ok(Some((Asked { verb: request.method.unwrap_or_default().to_owned(), session, body: Vec::new() }, bytes, length)))
}
