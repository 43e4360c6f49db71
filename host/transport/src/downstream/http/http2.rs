//! HTTP/2: many exchanges on one connection, each in a task of its own with a pace of its own.
//!
//! What HTTP/1.1 leaves to the socket, each stream does for itself: the time a body may take, the
//! time a peer may leave an answer untaken. The socket still cuts a peer that takes nothing at all,
//! or has nothing open for too long.

use bytes::{Buf as _, Bytes};
use http::{HeaderValue, Request, Response, header::HOST};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Broken, Connection},
    content::{Piece, Reply},
    endpoint,
    pace::{Pace, Phase},
    patience::{Patience, Waits},
    socket::Socket,
    streamed::Cut,
};

/// Streams at once on one connection.
const STREAMS_MAX: u32 = 100;
/// Streams that a client took back before we saw them, and such as it made us take back: beyond
/// either the connection ends (CVE-2023-44487, CVE-2025-8671).
const RESETS_MAX: usize = 20;
/// Streams left before their answer was out, after which the client has to connect anew.
const ABANDONED_MAX: u32 = 256;
/// Unread bytes of one stream's body, and of all together.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Unsent bytes of one stream's answer inside the library, besides one parcel.
const SEND_BYTES_MAX: usize = 64 * 1024;
const PARCEL_BYTES_MAX: usize = 64 * 1024;

tokio::task_local! {
    /// The pace of the stream whose task this is.
    static STREAM: Arc<Pace>;
}

/// Serves one connection. Returns when it has closed, or after a drain when its exchanges have ended.
pub(super) async fn run<S>(socket: Socket<S>, connection: Connection) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &connection.shared.settings.limits;
    let (age, header_bytes_max) = (limits.connection_age, u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX));
    let drain = connection.shared.drain.clone();
    let streams = Streams::new(&connection);
    let worn = streams.worn.clone();
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .max_header_list_size(header_bytes_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX);
    let service = service_fn(move |request: Request<Incoming>| {
        let unfinished = Unfinished(Some(streams.clone()));
        let mut connection = connection.clone();
        async move {
            connection.pace = STREAM.with(Arc::clone);
            Ok::<_, Infallible>(answer(connection, request, unfinished).await)
        }
    });
    let mut http = pin!(builder.serve_connection(TokioIo::new(socket), service));
    tokio::select! {
        biased;
        ended = http.as_mut() => return Ok(ended?),
        () = drain.cancelled() => {}
        () = worn.cancelled() => {}
        () = sleep(age) => {}
    }
    http.as_mut().graceful_shutdown();
    Ok(http.await?)
}

async fn answer(connection: Connection, mut request: Request<Incoming>, unfinished: Unfinished) -> Response<Parcels> {
    adopt_authority(&mut request);
    let pace = connection.pace.clone();
    let response = endpoint::answer(Arc::new(connection), request).await;
    // From now on it is the client's move: to take it.
    pace.enter(Phase::Idle);
    response.map(|reply| Parcels { reply, rest: None, pace, unfinished })
}

/// HTTP/2 says the host in `:authority`; the checks look at `Host`. A request that has both is
/// checked by both, and two that differ leave none that could pass.
fn adopt_authority(request: &mut Request<Incoming>) {
    let Some(authority) = request.uri().authority().map(|authority| authority.as_str().to_owned()) else { return };
    match request.headers().get(HOST) {
        Some(host) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => drop(request.headers_mut().remove(HOST)),
        Some(_) => {}
        None => {
            if let Ok(host) = HeaderValue::try_from(authority) {
                request.headers_mut().insert(HOST, host);
            }
        }
    }
}

/// Runs the streams of one connection.
#[derive(Clone)]
struct Streams {
    /// The pace of the connection: ours as long as a stream is open.
    pace: Arc<Pace>,
    waits: Waits,
    counts: Arc<Mutex<Counts>>,
    /// Enough streams have been abandoned.
    worn: CancellationToken,
}

#[derive(Default)]
struct Counts {
    open: u32,
    abandoned: u32,
}

impl Streams {
    fn new(connection: &Connection) -> Streams {
        let limits = &connection.shared.settings.limits;
        let waits = Waits { head: limits.header_wait, body: limits.body_wait, ours: limits.commit_after, idle: limits.write_stall };
        Streams { pace: connection.pace.clone(), waits, counts: Arc::default(), worn: CancellationToken::new() }
    }

    /// Count and phase change together, or a stream that ends could put the connection of one that begins to rest.
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = counts.open;
        change(&mut counts);
        match (before, counts.open) {
            (0, 1..) => self.pace.enter(Phase::Ours),
            (1.., 0) => self.pace.enter(Phase::Idle),
            _ => {}
        }
        if counts.abandoned > ABANDONED_MAX {
            self.worn.cancel();
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.count(|counts| counts.open += 1);
        let place = Place(self.clone());
        let pace = Arc::new(Pace::default());
        pace.enter(Phase::Ours);
        // It ends with the connection: the library tells every stream when that is gone.
        tokio::spawn(STREAM.scope(pace.clone(), async move {
            attend(stream, &pace, &place.0.waits).await;
            drop(place);
        }));
    }
}

/// A stream's place among those that are open.
struct Place(Streams);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.count(|counts| counts.open -= 1);
    }
}

/// Runs a stream to its end, or until the client has left its answer untaken for too long. Dropping it
/// resets it; an exchange that is under way in it runs on by itself.
async fn attend<F: Future<Output = ()>>(stream: F, pace: &Pace, waits: &Waits) {
    let mut stream = pin!(stream);
    let mut patience = Patience::default();
    poll_fn(|context| {
        loop {
            if stream.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            match ready!(patience.poll(context, pace, waits)) {
                Phase::Ours => pace.note_long_quiet(),
                Phase::Body => pace.note_late_body(),
                Phase::Head | Phase::Idle => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// Counts a stream as abandoned unless it is told otherwise.
struct Unfinished(Option<Streams>);

impl Unfinished {
    fn finish(&mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(streams) = &self.0 {
            streams.count(|counts| counts.abandoned += 1);
        }
    }
}

/// An answer in parcels, so that no more of it lies in the library than its windows allow.
struct Parcels {
    reply: Reply,
    rest: Option<Piece>,
    pace: Arc<Pace>,
    unfinished: Unfinished,
}

impl Parcels {
    fn has_ended(&self) -> bool {
        self.rest.is_none() && self.reply.is_end_stream()
    }
}

impl Body for Parcels {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let mut piece = match self.rest.take() {
            Some(piece) => piece,
            None => match Pin::new(&mut self.reply).poll_frame(context) {
                Poll::Pending => {
                    if self.pace.phase() != Phase::Ours {
                        self.pace.enter(Phase::Ours);
                    }
                    return Poll::Pending;
                }
                Poll::Ready(None) => {
                    self.unfinished.finish();
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(cut))) => {
                    self.unfinished.finish();
                    return Poll::Ready(Some(Err(cut)));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => piece,
                    // A reply has no trailers.
                    Err(_) => return Poll::Ready(None),
                },
            },
        };
        let parcel = piece.copy_to_bytes(piece.remaining().min(PARCEL_BYTES_MAX));
        self.rest = Some(piece).filter(|piece| piece.has_remaining());
        // Asked for more only when this has gone out.
        self.pace.enter(Phase::Idle);
        if self.has_ended() {
            self.unfinished.finish();
        }
        Poll::Ready(Some(Ok(Frame::data(parcel))))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            None => self.reply.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}
