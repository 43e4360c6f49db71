//! The answer of an exchange: JSON when it comes first, an event stream from the first notification.

use http::{
    HeaderName, HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
};
use sluice_chain::{
    exchange::{Answer, AnswerBody, Outgoing},
    record::Outcome,
};
use sluice_era::answer::Addressed;
use sluice_wire::header::{ACCEL_BUFFERING, EVENT_STREAM, JSON};
use std::{future::poll_fn, task::Poll};

use super::{
    connection::Connection,
    content::{Content, Piece},
    events::{ExchangeEvents, SessionEvents},
    pace::Pace,
    streamed::Streamed,
};
use crate::downstream::{outgoing::Waiting, settings::Limits, status, streaming::Streaming, streams::Kind as StreamKind};

/// Waits for the first thing an exchange says and answers with it. The status line stays open until
/// then, so that an error can still have its own.
pub(super) async fn deliver(mut waiting: Waiting, connection: &Connection) -> Response<Content> {
    let limits = &connection.shared.settings.limits;
    loop {
        let text = match first(&mut waiting, &connection.pace).await {
            First::Said(Outgoing::Final(Answer { body: AnswerBody::Streamed(flow), .. })) => {
                return json(Content::Streamed(Box::new(Streamed::body(Streaming::new(waiting, flow, false)))));
            }
            First::Said(Outgoing::Final(answer)) => return whole(answer, &waiting),
            First::Said(Outgoing::Notification(delivery)) => waiting.shape(&delivery),
            First::Said(Outgoing::Question(question)) => waiting.ask(question),
            First::Quiet => return stream(events(waiting, None, limits)),
            First::Ended if waiting.is_cancelled() => return stream(Content::Empty),
            First::Ended => return whole(waiting.lost(), &waiting),
        };
        if text.is_some() {
            return stream(events(waiting, text.map(Addressed::whole), limits));
        }
    }
}

/// The answer as a stream, which in a session can be gone on with after it broke.
fn events(waiting: Waiting, first: Option<Addressed>, limits: &Limits) -> Content {
    let opened = waiting.session().and_then(|session| Some((session.streams.open(StreamKind::Call)?, session)));
    if let Some((reader, session)) = opened {
        return Content::Session(Box::new(SessionEvents::of_call(session, reader, waiting, first, limits)));
    }
    let first = first.map_or_else(Piece::comment, Piece::event);
    Content::Exchange(Box::new(ExchangeEvents::new(waiting, first, limits.comment_after)))
}

/// What decides the form of an answer.
enum First {
    /// It spoke.
    Said(Outgoing),
    /// Nothing for so long that somebody on the way might hang up: show that we live.
    Quiet,
    /// Nothing will come.
    Ended,
}

/// The socket's timer wakes us when it has been quiet for too long: a timer of our own would be set
/// and unset for every call, and hardly ever fire.
async fn first(waiting: &mut Waiting, pace: &Pace) -> First {
    poll_fn(|context| match waiting.poll_next(context) {
        Poll::Ready(Some(said)) => Poll::Ready(First::Said(said)),
        Poll::Ready(None) => Poll::Ready(First::Ended),
        Poll::Pending if pace.is_long_quiet() => Poll::Ready(First::Quiet),
        Poll::Pending => Poll::Pending,
    })
    .await
}

fn whole(answer: Answer, waiting: &Waiting) -> Response<Content> {
    let text = waiting.address(&answer);
    let error_code = text.error_code();
    let status = status::of_answer(waiting.asked.revision.era(), error_code, answer.http_status);
    let mut response = json(Content::Whole(Piece::text(text)));
    if status != 200 {
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    }
    if error_code.is_some() || !matches!(answer.outcome, Outcome::Answered | Outcome::Asked) {
        name_request(&mut response, &waiting.request_id());
    }
    for (name, value) in &answer.http_headers {
        let name = name.parse::<HeaderName>().ok().filter(is_for_filters);
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn json(content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// Puts the id under which log and audit know a request where people and proxies look for it.
pub(super) fn name_request(response: &mut Response<Content>, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Framing, sessions and the connection are the transport's own.
fn is_for_filters(name: &HeaderName) -> bool {
    let name = name.as_str();
    let is_ours = name.starts_with("mcp-") || name.starts_with("content-") || name.starts_with("access-control-");
    let is_connection = matches!(
        name,
        "connection"
            | "keep-alive"
            | "transfer-encoding"
            | "te"
            | "trailer"
            | "upgrade"
            | "date"
            | "server"
            | "x-request-id"
            | ACCEL_BUFFERING
    );
    !is_ours && !is_connection
}

/// An event stream.
pub(super) fn stream(content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static(ACCEL_BUFFERING), HeaderValue::from_static("no"));
    headers.remove(CONTENT_LENGTH);
    response
}
