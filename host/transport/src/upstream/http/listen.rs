//! The stream on which a legacy server says what belongs to no call.

use super::{
    endpoint::{LAST_EVENT_ID, for_get},
    line::{About, Line},
    reply::{self, Reply},
    session::{Ear, Session},
    stream::{EventStream, Next},
};
use crate::upstream::{inflight::Routed, jitter::jitter};
use bytes::Bytes;
use http::{HeaderValue, Method};
use sluice_chain::upstream::UpstreamError;
use sluice_wire::message::{Kind, Message};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::timeout};

const BACKOFF: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_secs(60);

/// How long the first call waits for the stream. A server that has nothing to say may not even send its head.
const OPEN_MAX: Duration = Duration::from_millis(500);

/// Listens until the session closes, on a task of its own. Where the server may ask, this returns once it could be heard:
/// there are servers that drop a question put before (mcp-protocol §3.2).
pub(super) async fn start(line: &Arc<Line>, session: &Arc<Session>) {
    let (opened, is_open) = oneshot::channel();
    let may_ask = session.askable.is_any();
    let (line, session) = (line.clone(), session.clone());
    tokio::spawn(async move {
        session.closed.clone().run_until_cancelled(listen(&line, &session, opened)).await;
    });
    if may_ask {
        // Whatever came of it, the call goes on.
        let _ = timeout(OPEN_MAX, is_open).await;
    }
}

async fn listen(line: &Arc<Line>, session: &Arc<Session>, opened: oneshot::Sender<()>) {
    let mut opened = Some(opened);
    let (mut was_open, mut has_missed) = (false, false);
    let mut last_id: Option<String> = None;
    let mut backoff = BACKOFF.start;
    loop {
        let mut wait = backoff.mul_f64(jitter());
        let stream = open(line, session, last_id.as_deref()).await;
        drop(opened.take());
        match stream {
            Ok(Opened::Stream(mut stream)) => {
                session.ear.send_replace(Ear::Open);
                was_open = true;
                // Without a place to go on from, what was said while it was not there is lost.
                if std::mem::replace(&mut has_missed, true) && last_id.is_none() {
                    session.gap.notify_one();
                }
                stream.last_id = last_id.take();
                if hear_all(line, session, &mut stream).await {
                    backoff = BACKOFF.start;
                }
                wait = stream.retry.map_or(wait, Duration::from_millis);
                last_id = stream.last_id.take();
            }
            // It had one, and no longer knows whose.
            Ok(Opened::Refused(404)) if was_open && session.has_id => {
                line.counters.count(|c| &c.sessions_lost);
                return session.closed.cancel();
            }
            // It has one: it may take the last for open still (409), or not know that event any more (400).
            Ok(Opened::Refused(400..=499)) if was_open => last_id = None,
            // It has no such stream, or no longer this session; the next call will find out.
            Ok(Opened::Refused(_)) => {
                session.ear.send_replace(Ear::Deaf);
                return;
            }
            Err(_) => has_missed = true,
        }
        tokio::time::sleep(wait.min(BACKOFF.end)).await;
        backoff = (backoff * 2).min(BACKOFF.end);
    }
}

/// What came of a GET.
pub(super) enum Opened {
    Stream(Box<EventStream>),
    /// Under this status; 200 when it was none of a refusal, and no stream.
    Refused(u16),
}

/// Opens the stream, or resumes one.
pub(super) async fn open(line: &Line, session: &Session, last_id: Option<&str>) -> Result<Opened, UpstreamError> {
    let mut headers = for_get(&session.headers);
    if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert(LAST_EVENT_ID, id);
    }
    let departures = session.departures(line);
    let exchange = line.send(departures.as_ref(), Method::GET, headers, Bytes::new(), true).await?;
    match reply::read(&line.pool, exchange, &line.settings.call).await? {
        Reply::Stream(exchange) => Ok(Opened::Stream(Box::new(EventStream::new(exchange, line.settings.call.response.bytes_max)))),
        Reply::Refused(500.., _) => Err(reply::status_error(500)),
        Reply::Refused(status, _) => Ok(Opened::Refused(status)),
        Reply::Accepted | Reply::Message(..) => Ok(Opened::Refused(200)),
    }
}

/// Reads to the end; whether anything came.
async fn hear_all(line: &Arc<Line>, session: &Arc<Session>, stream: &mut EventStream) -> bool {
    let mut has_heard = false;
    loop {
        // A stream that is silent for so long may have died without a word.
        match timeout(line.settings.stream_idle, stream.next()).await {
            Ok(Next::Event(event)) => {
                has_heard = true;
                if let Some(message) = (!event.data.is_empty()).then(|| line.read_event(event.data)).flatten() {
                    hear(line, session, message);
                }
            }
            Ok(Next::TooLong) => line.drop_it("an event over the response cap"),
            // Comments are no events, and show that it lives.
            Err(_) if stream.last_heard.elapsed() < line.settings.stream_idle => {}
            Ok(Next::End | Next::Broken(_)) | Err(_) => return has_heard,
        }
    }
}

fn hear(line: &Arc<Line>, session: &Arc<Session>, message: Message) {
    match message.kind() {
        Kind::Request => line.asked(session, message, About::Any),
        Kind::Response | Kind::Error => line.drop_it("an answer on the session's own stream"),
        Kind::Notification => match heard(line, session, &message).inflight.route(message, &line.settings.call) {
            Routed::Queued => {}
            Routed::Session(message) => line.pass_on(session, message),
            Routed::Dropped(reason) => line.drop_it(reason),
        },
    }
}

/// Counts a notification on a session's own stream.
pub(super) fn heard<'a>(line: &Line, session: &'a Session, message: &Message) -> &'a Session {
    session.flood.note(&line.settings.name, message.method());
    session
}
