//! What came back: a message, a stream of them, or a refusal.

use super::{
    connection::Connection,
    pool::{Exchange, Pool},
};
use crate::upstream::limits::CallLimits;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, StatusCode, header::CONTENT_TYPE};
use http_body::Body;
use hyper::body::Incoming;
use sluice_chain::{departures::Header, upstream::UpstreamError, withheld};
use sluice_wire::{
    header,
    json::{DecodeError, Document, IndexDepth, Limits},
    message::Message,
};

const CONTENT_ENCODING: HeaderName = http::header::CONTENT_ENCODING;

/// A response, as far as its head tells and a message needs.
pub(super) enum Reply {
    /// A success with one message.
    Message(Message, HeaderMap),
    /// A success with a stream of events to come.
    Stream(Exchange),
    /// A success without a body.
    Accepted,
    /// Not a success; with the message that says why, if there is one.
    Refused(u16, Option<Box<Message>>),
}

/// Secrets that went out with a request: an answer that repeats one would show it to whom it is not to be shown.
#[derive(Default)]
pub(super) struct Echo(Vec<Bytes>);

impl Echo {
    pub(super) fn of(given: &[Header]) -> Self {
        Self(given.iter().filter_map(Header::secret).collect())
    }

    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.0.iter().any(|secret| withheld::repeats(secret, text))
    }

    /// Bytes of the longest.
    fn longest(&self) -> usize {
        self.0.iter().map(Bytes::len).max().unwrap_or_default()
    }
}

/// The same for a text that comes in pieces: of each, as much is held back as may be the beginning of a secret.
pub(super) struct EchoInPieces {
    echo: Echo,
    held: Vec<u8>,
}

impl EchoInPieces {
    pub(super) fn new(echo: Echo) -> Self {
        Self { echo, held: Vec::new() }
    }

    /// What may go on now; none if a secret was sent back.
    pub(super) fn pass(&mut self, piece: Bytes) -> Option<Bytes> {
        let reach = self.echo.longest().saturating_sub(1);
        if reach == 0 {
            return Some(piece);
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(&piece);
        if self.echo.is_in(&text) {
            return None;
        }
        self.held = text.split_off(text.len().saturating_sub(reach));
        Some(text.into())
    }

    /// What was held back, at the end.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }
}

/// A body that is too long to be held.
pub(super) struct Long {
    pub(super) connection: Box<Connection>,
    pub(super) body: Incoming,
    /// What there is of it.
    pub(super) beginning: Vec<Bytes>,
    pub(super) echo: Echo,
}

/// What is said of a server that sends a secret back.
pub(super) const REPEATS: &str = "it repeats a credential that was sent to it";

/// Bodies of refusals are read this far.
const REFUSAL_MAX: usize = 256 * 1024;

/// Reads a response up to its first message or event.
pub(super) async fn read(pool: &Pool, exchange: Exchange, limits: &CallLimits) -> Result<Reply, UpstreamError> {
    let too_large = || UpstreamError::TooLarge { limit_bytes: limits.response.bytes_max };
    read_or_pass(pool, exchange, limits, 0).await?.map_err(|_| too_large())
}

/// The same, but a message that is too long to be held is left where it is, if it has no more than so many bytes.
pub(super) async fn read_or_pass(
    pool: &Pool,
    mut exchange: Exchange,
    limits: &CallLimits,
    pieces_bytes_max: u64,
) -> Result<Result<Reply, Box<Long>>, UpstreamError> {
    let status = exchange.response.status();
    let headers = exchange.response.headers();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(UpstreamError::Unauthorized { status: status.as_u16() });
    }
    if status == StatusCode::LOOP_DETECTED {
        return Err(UpstreamError::Loop);
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(bad("its answer is compressed, which nobody asked for"));
    }
    let is_json = is_type(headers, header::JSON);
    if !status.is_success() {
        return Box::pin(refusal(pool, exchange, limits, is_json)).await.map(Ok);
    }
    // Some servers call the body of a 202 JSON and send none.
    if status == StatusCode::ACCEPTED || exchange.response.body().is_end_stream() {
        let _ = Box::pin(collect(pool, exchange, REFUSAL_MAX)).await;
        return Ok(Ok(Reply::Accepted));
    }
    if is_json {
        let echo = std::mem::take(&mut exchange.echo);
        let (body, headers) = match collect_or_pass(pool, exchange, limits.response.bytes_max, pieces_bytes_max).await? {
            Ok(whole) => whole,
            Err(long) => return Ok(Err(Box::new(Long { echo, ..*long }))),
        };
        if echo.is_in(&body) {
            return Err(bad(REPEATS));
        }
        return Ok(Ok(Reply::Message(message(body, &limits.response, limits.index)?, headers)));
    }
    if is_type(headers, header::EVENT_STREAM) {
        return Ok(Ok(Reply::Stream(exchange)));
    }
    Err(bad(&format!("HTTP {} with neither JSON nor an event stream", status.as_u16())))
}

async fn refusal(pool: &Pool, mut exchange: Exchange, limits: &CallLimits, is_json: bool) -> Result<Reply, UpstreamError> {
    let status = exchange.response.status().as_u16();
    let echo = std::mem::take(&mut exchange.echo);
    let Ok((body, _)) = collect(pool, exchange, REFUSAL_MAX).await else {
        return Ok(Reply::Refused(status, None));
    };
    if echo.is_in(&body) {
        return Err(bad(REPEATS));
    }
    let said = if is_json { message(body, &limits.response, IndexDepth::Full).ok() } else { None };
    Ok(Reply::Refused(status, said.filter(|said| said.error().is_some()).map(Box::new)))
}

/// Reads a body whole and gives the connection back. A body in one piece is not copied.
async fn collect(pool: &Pool, exchange: Exchange, bytes_max: usize) -> Result<(Bytes, HeaderMap), UpstreamError> {
    let collected = collect_or_pass(pool, exchange, bytes_max, 0).await?;
    collected.map_err(|_| UpstreamError::TooLarge { limit_bytes: bytes_max })
}

/// The same; what is longer is left where it is as soon as that shows, if it may become so long.
async fn collect_or_pass(
    pool: &Pool,
    exchange: Exchange,
    bytes_max: usize,
    pieces_bytes_max: u64,
) -> Result<Result<(Bytes, HeaderMap), Box<Long>>, UpstreamError> {
    let Exchange { mut connection, response, .. } = exchange;
    let (head, mut body) = response.into_parts();
    let too_large = || UpstreamError::TooLarge { limit_bytes: bytes_max };
    let announced = body.size_hint().lower();
    if announced > (bytes_max as u64).max(pieces_bytes_max) {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while !body.is_end_stream() {
        let Some(data) = connection.data(&mut body).await else { break };
        let data = data.map_err(|error| UpstreamError::ClosedEarly { reason: error.to_string() })?;
        if first.len().max(rest.len()) + data.len() > bytes_max {
            if pieces_bytes_max == 0 {
                return Err(too_large());
            }
            let beginning = vec![if rest.is_empty() { first } else { rest.freeze() }, data];
            return Ok(Err(Box::new(Long { connection, body, beginning, echo: Echo::default() })));
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve((first.len() + data.len() * 2).max((announced as usize).min(bytes_max)));
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    pool.give(connection);
    Ok(Ok((if rest.is_empty() { first } else { rest.freeze() }, head.headers)))
}

/// One message out of a body.
pub(super) fn message(body: Bytes, limits: &Limits, index: IndexDepth) -> Result<Message, UpstreamError> {
    let document = Document::parse(body, limits, index).map_err(|error| match error {
        DecodeError::TooLarge { limit } => UpstreamError::TooLarge { limit_bytes: limit },
        other => bad(&other.to_string()),
    })?;
    Message::decode(document).map_err(|error| bad(&error.to_string()))
}

/// What a status says that comes without a message.
pub(super) fn status_error(status: u16) -> UpstreamError {
    let reason = format!("HTTP {status}");
    match status {
        503 => UpstreamError::Unreachable { reason },
        // Something before the server gave up on it; the call may have run.
        502 | 504 => UpstreamError::ClosedEarly { reason },
        300..=399 => bad(&format!("HTTP {status}; redirects are not followed")),
        _ => UpstreamError::BadReply { reason },
    }
}

pub(super) fn bad(reason: &str) -> UpstreamError {
    UpstreamError::BadReply { reason: reason.to_owned() }
}

/// Whether the media type is this one, whatever its parameters.
fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let value = value.as_bytes();
    let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
    value[..end].trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &[u8] = b"key-0123";
    const LONG: &[u8] = b"Bearer abcdefghijklmnopqrstuvwxyz";

    fn echo() -> EchoInPieces {
        EchoInPieces::new(Echo(vec![Bytes::from_static(SHORT), Bytes::from_static(LONG)]))
    }

    #[test]
    fn as_much_is_held_back_as_may_begin_a_credential_and_no_more() {
        let text = [&LONG[..LONG.len() - 1], b" and ", &SHORT[..SHORT.len() - 1], b" and what is no credential at all"].concat();
        for size in 1..=text.len() {
            let (mut echo, mut passed, mut fed) = (echo(), Vec::new(), 0);
            for piece in text.chunks(size) {
                fed += piece.len();
                passed.extend_from_slice(&echo.pass(Bytes::copy_from_slice(piece)).expect("no credential"));
                assert_eq!(passed.len(), fed.saturating_sub(LONG.len() - 1), "in pieces of {size}");
            }
            passed.extend_from_slice(&echo.rest());
            assert_eq!(passed, text, "in pieces of {size}");
        }
        let mut nothing_sent = EchoInPieces::new(Echo::default());
        assert_eq!(nothing_sent.pass(Bytes::from_static(LONG)), Some(Bytes::from_static(LONG)));
        assert!(nothing_sent.rest().is_empty());
    }

    #[test]
    fn a_credential_is_found_however_it_is_cut_before_any_of_it_has_left() {
        for secret in [SHORT, LONG] {
            for before in [0, 1, 50] {
                let text = [vec![b'x'; before].as_slice(), secret, b" and what is behind it"].concat();
                for size in 1..=text.len() {
                    let (mut echo, mut passed) = (echo(), 0);
                    let is_found = text.chunks(size).any(|piece| match echo.pass(Bytes::copy_from_slice(piece)) {
                        Some(out) => {
                            passed += out.len();
                            false
                        }
                        None => true,
                    });
                    assert!(is_found, "behind {before} bytes, in pieces of {size}");
                    assert!(passed <= before, "{passed} bytes left, {before} stand before it, in pieces of {size}");
                }
            }
        }
    }
}
