//! What came back: a message, a stream of them, or a refusal.

use super::pool::{Exchange, Pool};
use crate::upstream::limits::CallLimits;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, StatusCode, header::CONTENT_TYPE};
use http_body::Body;
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
}

/// What is said of a server that sends a secret back.
pub(super) const REPEATS: &str = "it repeats a credential that was sent to it";

/// Bodies of refusals are read this far.
const REFUSAL_MAX: usize = 256 * 1024;

/// Reads a response up to its first message or event.
pub(super) async fn read(pool: &Pool, mut exchange: Exchange, limits: &CallLimits) -> Result<Reply, UpstreamError> {
    let status = exchange.response.status();
    let headers = exchange.response.headers();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(UpstreamError::Unauthorized { status: status.as_u16() });
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(bad("its answer is compressed, which nobody asked for"));
    }
    let is_json = is_type(headers, header::JSON);
    if !status.is_success() {
        return Box::pin(refusal(pool, exchange, limits, is_json)).await;
    }
    // Some servers call the body of a 202 JSON and send none.
    if status == StatusCode::ACCEPTED || exchange.response.body().is_end_stream() {
        let _ = Box::pin(collect(pool, exchange, REFUSAL_MAX)).await;
        return Ok(Reply::Accepted);
    }
    if is_json {
        let echo = std::mem::take(&mut exchange.echo);
        let (body, headers) = collect(pool, exchange, limits.response.bytes_max).await?;
        if echo.is_in(&body) {
            return Err(bad(REPEATS));
        }
        return Ok(Reply::Message(message(body, &limits.response, limits.index)?, headers));
    }
    if is_type(headers, header::EVENT_STREAM) {
        return Ok(Reply::Stream(exchange));
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
    let Exchange { mut connection, response, .. } = exchange;
    let (head, mut body) = response.into_parts();
    let too_large = || UpstreamError::TooLarge { limit_bytes: bytes_max };
    let announced = body.size_hint().lower();
    if announced > bytes_max as u64 {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while !body.is_end_stream() {
        let Some(data) = connection.data(&mut body).await else { break };
        let data = data.map_err(|error| UpstreamError::ClosedEarly { reason: error.to_string() })?;
        if first.len().max(rest.len()) + data.len() > bytes_max {
            return Err(too_large());
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve((first.len() + data.len() * 2).max(announced as usize));
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    pool.give(connection);
    Ok((if rest.is_empty() { first } else { rest.freeze() }, head.headers))
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
