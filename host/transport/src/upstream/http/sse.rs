//! HTTP+SSE (2024-11-05): a GET opens a stream that is the session. Messages are POSTed to the address that its first event
//! names, and all answers come on the stream.

use super::{
    Http,
    attempt::Step,
    body,
    departing::Leaves,
    endpoint::for_get,
    line::{About, Line},
    listen::heard,
    reply::{self, Reply, bad, status_error},
    session::{NotOpen, Session},
    stream::{EventStream, Next},
};
use crate::upstream::{
    call::Call,
    inflight::{Asked, Routed},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use sluice_chain::{
    departures::Departures,
    exchange::Delivery,
    upstream::{Inbound, Outbound, UpstreamError},
};
use sluice_wire::{
    message::{Kind, Message},
    method,
};
use std::sync::Arc;

/// Events that may come before the one that names the address.
const EVENTS_BEFORE_MAX: usize = 8;

/// Opens a stream; where the messages go. `headers` are those of a POST.
pub(super) async fn open(line: &Line, departures: Option<&Arc<Departures>>, headers: &HeaderMap) -> Result<(EventStream, Uri), NotOpen> {
    let headers = for_get(headers);
    let exchange = line.send(departures, Method::GET, headers, Bytes::new(), true).await?;
    let mut stream = match reply::read(&line.pool, exchange, &line.settings.call).await {
        Ok(Reply::Stream(exchange)) => EventStream::new(exchange, line.settings.call.response.bytes_max),
        Ok(Reply::Refused(status @ 400..=499, _)) => return Err(NotOpen::Refused(status_error(status))),
        Ok(Reply::Refused(status, _)) => return Err(NotOpen::Failed(status_error(status))),
        Ok(_) | Err(UpstreamError::BadReply { .. }) => return Err(NotOpen::Refused(bad("a GET opens no event stream"))),
        Err(error) => return Err(NotOpen::Failed(error)),
    };
    for _ in 0..EVENTS_BEFORE_MAX {
        match stream.next().await {
            Next::Event(event) if event.event.as_deref() == Some("endpoint") => {
                return Ok((stream, resolve(&line.settings.url, &event.data)?));
            }
            Next::Event(_) => {}
            Next::TooLong | Next::End | Next::Broken(_) => break,
        }
    }
    Err(NotOpen::Refused(bad("its event stream names no endpoint")))
}

/// The address that an `endpoint` event names, as path and query. Another origin would get the operator's credentials.
fn resolve(base: &Uri, named: &[u8]) -> Result<Uri, UpstreamError> {
    let named = std::str::from_utf8(named).map_err(|_| bad("its endpoint is no text"))?.trim();
    let named = named.split('#').next().unwrap_or_default();
    let whole = if named.starts_with("//") { format!("{}:{named}", base.scheme_str().unwrap_or("http")) } else { named.to_owned() };
    if !whole.contains("://") {
        return target(&below(base.path(), named));
    }
    let named: Uri = whole.parse().map_err(|_| bad("its endpoint is no URL"))?;
    if origin(&named) != origin(base) || named.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(bad("its endpoint is at another origin"));
    }
    target(named.path_and_query().map_or("/", |target| target.as_str()))
}

/// Scheme, host and port.
fn origin(uri: &Uri) -> (Option<&str>, Option<String>, u16) {
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    (uri.scheme_str(), uri.host().map(str::to_ascii_lowercase), uri.port_u16().unwrap_or(default))
}

/// A reference read against a path.
fn below(base: &str, named: &str) -> String {
    match named.as_bytes().first() {
        Some(b'/') => named.to_owned(),
        Some(b'?') | None => format!("{base}{named}"),
        Some(_) => format!("{}/{named}", base.rsplit_once('/').map_or("", |(folder, _)| folder)),
    }
}

/// Path and query without `.` and `..`.
fn target(path_and_query: &str) -> Result<Uri, UpstreamError> {
    let (path, query) = path_and_query.split_once('?').map_or((path_and_query, None), |(path, query)| (path, Some(query)));
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    format!("/{}{query}", kept.join("/")).parse().map_err(|_| bad("its endpoint is no URL"))
}

/// What became of a POST.
pub(super) enum Posted {
    /// It was taken; an answer, if there is one, comes on the stream.
    Accepted,
    /// It was not, under this status.
    Refused(u16),
}

/// POSTs a message. Servers differ in how they say yes.
pub(super) async fn post(
    line: &Line,
    departures: Option<&Arc<Departures>>,
    target: &Uri,
    headers: HeaderMap,
    body: Bytes,
    may_repeat: bool,
) -> Result<Posted, UpstreamError> {
    let exchange = line.send_to(departures, Leaves { method: Method::POST, target, headers, body, may_repeat }).await?;
    match reply::read(&line.pool, exchange, &line.settings.call).await {
        Ok(Reply::Refused(status, _)) => Ok(Posted::Refused(status)),
        Ok(_) | Err(UpstreamError::BadReply { .. }) => Ok(Posted::Accepted),
        Err(error) => Err(error),
    }
}

impl Http {
    /// One call over a stream: its answer comes where everything else does.
    pub(super) async fn attempt_sse(
        &self,
        session: &Session,
        target: &Uri,
        outbound: &Outbound,
    ) -> Result<(Step, u64), (UpstreamError, u64)> {
        let id = self.line.take_id();
        let call = Call::new(id, outbound, session.revision, true);
        let body = body(outbound, &call, true).map_err(|error| (error, id))?;
        let turn = session.inflight.turn(outbound, session.askable).await.map_err(|error| (error, id))?;
        // Its stream has ended: nothing was sent, and another session will take it.
        let Ok(mut seat) = session.inflight.seat(call, Asked::of(outbound)) else { return Ok((Step::SessionLost, id)) };
        drop(turn);
        let call = seat.call.clone();
        let may_repeat = outbound.idempotent || outbound.message.method() != method::TOOLS_CALL;
        let conversing = async {
            let mut posting =
                std::pin::pin!(post(&self.line, outbound.departures.as_ref(), target, session.headers.clone(), body, may_repeat));
            let mut answering = std::pin::pin!(seat.answered(&outbound.interim));
            // An answer may come before its request is said to be taken.
            let early = tokio::select! {
                biased;
                answer = &mut answering => Some(answer),
                posted = &mut posting => match taken(posted)? {
                    true => None,
                    false => return Ok(Step::SessionLost),
                },
            };
            let answer = match early {
                None => answering.await,
                // The stream ended first; a server that forgot the session did not run the call.
                Some(None) if !taken(posting.await)? => return Ok(Step::SessionLost),
                Some(answer) => answer,
            };
            let message = answer.ok_or_else(|| UpstreamError::ClosedEarly { reason: reason(session) })??;
            Ok(Step::Done(Inbound::whole(Delivery { message: Arc::new(message), spoken: session.revision })))
        };
        tokio::select! {
            biased;
            () = outbound.cancel.cancelled() => Err(UpstreamError::Cancelled),
            step = conversing => step,
            limit = call.overdue(&self.line.settings.call) => Err(UpstreamError::Deadline { limit }),
        }
        .map(|step| (step, id))
        .map_err(|error| (error, id))
    }
}

/// Whether a call was taken; if not, it did not run, and another session may take it.
fn taken(posted: Result<Posted, UpstreamError>) -> Result<bool, UpstreamError> {
    match posted? {
        Posted::Accepted => Ok(true),
        Posted::Refused(400 | 404 | 410) => Ok(false),
        Posted::Refused(status) => Err(status_error(status)),
    }
}

fn reason(session: &Session) -> String {
    session.inflight.reason().map_or_else(|| "its event stream ended".to_owned(), |reason| reason.to_string())
}

/// Hears the stream of a session until one of the two ends, on a task of its own.
pub(super) fn start(line: &Arc<Line>, session: &Arc<Session>, stream: EventStream) {
    let (line, session) = (line.clone(), session.clone());
    tokio::spawn(async move {
        let hearing = session.closed.clone();
        let ended = hearing.run_until_cancelled(hear_all(&line, &session, stream)).await;
        session.inflight.close(ended.unwrap_or_else(|| "the session was ended".to_owned()));
        session.closed.cancel();
    });
}

/// Reads to the end; why it ended.
async fn hear_all(line: &Arc<Line>, session: &Arc<Session>, mut stream: EventStream) -> String {
    loop {
        match stream.next().await {
            Next::Event(event) if event.data.is_empty() => {}
            Next::Event(event) => {
                if let Some(message) = line.read_event(event.data) {
                    hear(line, session, message);
                }
            }
            Next::TooLong => {
                // Nobody can tell whose answer it was; with one call in flight it can only be that one's.
                let limit_bytes = line.settings.call.response.bytes_max;
                line.drop_it("an event over the response cap");
                session.inflight.fail_sole(UpstreamError::TooLarge { limit_bytes });
            }
            Next::End => return "its event stream ended".to_owned(),
            Next::Broken(reason) => return format!("its event stream broke: {reason}"),
        }
    }
}

fn hear(line: &Arc<Line>, session: &Arc<Session>, message: Message) {
    match message.kind() {
        Kind::Request => line.asked(session, message, About::Any),
        Kind::Response | Kind::Error => {
            if !session.inflight.answer(message) {
                line.drop_it("an answer nobody waits for");
            }
        }
        Kind::Notification => match heard(line, session, &message).inflight.route(message, &line.settings.call) {
            Routed::Queued => {}
            Routed::Session(message) => line.pass_on(session, message),
            Routed::Dropped(reason) => line.drop_it(reason),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_against_the_url_and_stays_at_its_origin() {
        let base: Uri = "http://host:81/a/sse?key=1".parse().unwrap();
        let resolved = |named: &str| resolve(&base, named.as_bytes()).ok().map(|uri| uri.to_string());
        for (named, expected) in [
            ("/messages?sessionId=1", Some("/messages?sessionId=1")),
            ("messages", Some("/a/messages")),
            ("?s=1", Some("/a/sse?s=1")),
            ("../up#part", Some("/up")),
            ("http://host:81/m", Some("/m")),
            ("/messages/?sessionId=a/../b", Some("/messages/?sessionId=a/../b")),
            ("//HOST:81/m", Some("/m")),
            ("http://host/m", None),
            ("https://host:81/m", None),
            ("//evil.example.com/m", None),
            ("http://host:81@evil.example.com/m", None),
            ("http://[", None),
        ] {
            assert_eq!(resolved(named).as_deref(), expected, "{named}");
        }
        assert!(resolve(&base, b"\xff").is_err());
    }
}
