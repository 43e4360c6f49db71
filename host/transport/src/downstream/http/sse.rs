//! HTTP+SSE (2024-11-05): a GET opens a stream that is the session, POSTs to another path are what the client says on it, and
//! whatever is said to the client comes on the stream.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Uri, header::ALLOW};
use hyper::body::Incoming;
use sluice_era::answer::Addressed;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    Shared, answer,
    content::{Content, Piece},
    endpoint::{Call, busy, empty},
    events::Quiet,
    intake, media,
};
use crate::downstream::{
    channels::{Channel, NotOpened},
    front::{Front, Line, LongLine},
    refusal::{Refusal, own_code},
};

/// Where the stream is opened.
pub(super) const STREAM_PATH: &str = "/sse";
/// Where the client's messages go; the query names the stream.
pub(super) const MESSAGES_PATH: &str = "/messages";
const NAME: &str = "sessionId=";

const ENDPOINT: &[u8] = b"event: endpoint\ndata: ";
const MESSAGE: &[u8] = b"event: message\ndata: ";

/// Messages that wait for the client to read; exchanges wait when there are more.
const LINES_QUEUE: usize = 64;

/// Opens a session, which ends with its stream.
pub(super) fn open(call: Call<'_>, path: &str) -> Result<Response<Content>, Refusal> {
    media::check_accepts_stream(call.headers)?;
    let shared = &call.connection.shared;
    let (lines, queue) = mpsc::channel(LINES_QUEUE);
    let owner = call.caller.principal.clone();
    let front = Arc::new(Front::new(shared.host.clone(), call.caller, shared.sse_settings.clone(), lines));
    let channel = shared.channels.open(owner, front).map_err(|reason| match reason {
        NotOpened::Randomness => busy("randomness", "no session can be opened right now"),
        NotOpened::Full => busy("sessions", "too many sessions are open; end some, or raise the limit"),
    })?;
    Ok(answer::stream(Content::Channel(Box::new(ChannelEvents::new(channel, queue, shared.clone(), path)))))
}

/// Takes one message, or a batch. Its answer comes on the stream.
pub(super) async fn post(call: Call<'_>, uri: &Uri, body: Incoming) -> Result<Response<Content>, Refusal> {
    let shared = &call.connection.shared;
    let found = uri.query().and_then(|query| query.strip_prefix(NAME));
    let found = found.and_then(|name| shared.channels.find(name.as_bytes(), &call.caller.principal));
    // The same words for an unknown, an ended and somebody else's session.
    let no_such = || Refusal::new(404, own_code(404), "session", "no such session; open a stream at /sse");
    let checked = found.ok_or_else(no_such).and_then(|channel| media::check_body(call.headers).map(|()| channel));
    let channel = match checked {
        Ok(channel) => channel,
        Err(refusal) => {
            intake::note_unread(&body, &call.connection.pace);
            return Err(refusal);
        }
    };
    let bytes = intake::collect(body, &call.connection.pace, shared.settings.limits.json.bytes_max).await?;
    let document = channel.front.parse(bytes)?;
    channel.vouch_again(call.caller);
    channel.front.take(document, &channel.exchanges).await;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Another HTTP method at one of the two paths.
pub(super) fn method_not_allowed(allowed: &'static str) -> Refusal {
    Refusal::http(405, "http_method", "this HTTP method is not served here").with_header(ALLOW, HeaderValue::from_static(allowed))
}

/// The stream of one session.
pub(super) struct ChannelEvents {
    channel: Arc<Channel>,
    queue: mpsc::Receiver<Line>,
    /// An answer on its way, and whether its event has begun.
    long: Option<(Box<LongLine>, bool)>,
    shared: Arc<Shared>,
    endpoint: Option<Piece>,
    quiet: Quiet,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl ChannelEvents {
    fn new(channel: Arc<Channel>, queue: mpsc::Receiver<Line>, shared: Arc<Shared>, path: &str) -> ChannelEvents {
        let before = path.trim_end_matches('/').strip_suffix(STREAM_PATH).unwrap_or_default();
        let endpoint = Some(Piece::line(ENDPOINT, format!("{before}{MESSAGES_PATH}?{NAME}{:032x}\n", channel.key).into()));
        let drain: CancellationToken = shared.drain.clone();
        let quiet = Quiet::new(shared.settings.limits.comment_after);
        ChannelEvents { channel, queue, long: None, shared, endpoint, quiet, drain: Box::pin(drain.cancelled_owned()) }
    }

    /// The next event, or a comment when it has been quiet; ends with a drain.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if let Some(endpoint) = self.endpoint.take() {
            return Poll::Ready(Some(endpoint));
        }
        if self.long.is_some()
            && let Some(piece) = std::task::ready!(self.poll_long(context))
        {
            return Poll::Ready(Some(piece));
        }
        // Answers are let out first; asked before the queue, so that none is between the two.
        let is_over = self.drain.as_mut().poll(context).is_ready() && self.channel.exchanges.poll_ended(context).is_ready();
        if let Poll::Ready(line) = self.queue.poll_recv(context) {
            self.quiet.note_sent();
            match line {
                None => return Poll::Ready(None),
                Some(Line::Whole(line)) => return Poll::Ready(Some(Piece::line(MESSAGE, line))),
                Some(Line::Long(long)) => {
                    self.long = Some((long, false));
                    return Poll::Ready(Some(plain(Bytes::from_static(MESSAGE))));
                }
            }
        }
        if is_over {
            return Poll::Ready(None);
        }
        self.quiet.poll(context).map(|()| Some(Piece::comment()))
    }

    /// The next piece of an answer; none when all is said. Each line in it, the error behind one that broke off too, is an event.
    fn poll_long(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let Some((long, is_line_over)) = &mut self.long else { return Poll::Ready(None) };
        let piece = std::task::ready!(long.poll_next(context));
        self.quiet.note_sent();
        match piece {
            None => {
                self.long = None;
                Poll::Ready(None)
            }
            Some(error) if *is_line_over => Poll::Ready(Some(Piece::line(MESSAGE, error))),
            Some(piece) if piece == "\n" => {
                *is_line_over = true;
                Poll::Ready(Some(plain(Bytes::from_static(b"\n\n"))))
            }
            Some(piece) => Poll::Ready(Some(plain(piece))),
        }
    }
}

fn plain(bytes: Bytes) -> Piece {
    Piece::text(Addressed::whole(bytes))
}

impl Drop for ChannelEvents {
    fn drop(&mut self) {
        self.shared.channels.remove(&self.channel);
    }
}
