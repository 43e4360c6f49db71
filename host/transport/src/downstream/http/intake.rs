//! The request body, once and whole, within its bounds.

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use std::{future::poll_fn, pin::Pin, task::Poll};

use super::pace::{Pace, Phase};
use crate::downstream::refusal::Refusal;

/// Room made in advance for a body in several pieces, whatever length it claims.
const FIRST_BYTES_MAX: usize = 256 * 1024;

/// Reads a body of at most `bytes_max` bytes. The socket, or the stream of HTTP/2, sees to it that it comes in time.
///
/// # Errors
/// 413 before anything is kept, when the announced length is over the limit, and as soon as the
/// limit is passed otherwise; 408 when it was too slow; 400 when the client stopped half-way.
pub(super) async fn collect(mut body: Incoming, pace: &Pace, bytes_max: usize) -> Result<Bytes, Refusal> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > bytes_max as u64 {
        pace.note_unread_body();
        return Err(too_large(bytes_max));
    }
    pace.enter(Phase::Body);
    let mut gathered = Gathered::None;
    while let Some(frame) = next(&mut body, pace).await {
        let frame = frame.map_err(|Incomplete| broken(pace))?;
        let Ok(data) = frame.into_data() else {
            // Trailers: nothing in them concerns us.
            continue;
        };
        if gathered.len() + data.len() > bytes_max {
            pace.note_unread_body();
            return Err(too_large(bytes_max));
        }
        gathered = gathered.with(data, body.size_hint().lower());
        // With a known length the end is known without asking again.
        if body.is_end_stream() {
            break;
        }
    }
    pace.enter(Phase::Ours);
    Ok(gathered.finish())
}

/// The body did not come whole or not in time.
struct Incomplete;

async fn next(body: &mut Incoming, pace: &Pace) -> Option<Result<Frame<Bytes>, Incomplete>> {
    poll_fn(|context| {
        if pace.is_body_late() {
            return Poll::Ready(Some(Err(Incomplete)));
        }
        Pin::new(&mut *body).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(|_| Incomplete)))
    })
    .await
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::http(413, "too_large", format!("the message is longer than {bytes_max} bytes"))
}

fn broken(pace: &Pace) -> Refusal {
    if pace.is_body_late() {
        return Refusal::http(408, "body_timeout", "the message did not arrive in time");
    }
    Refusal::new(400, sluice_wire::code::PARSE_ERROR, "body_incomplete", "the message ended before its announced end")
}

/// Whether a request announces a body that nobody is going to read.
pub(super) fn note_unread(body: &Incoming, pace: &Pace) {
    if !body.is_end_stream() {
        pace.note_unread_body();
    }
}

/// One piece is kept as it is; only several are copied together.
enum Gathered {
    None,
    One(Bytes),
    Joined(BytesMut),
}

impl Gathered {
    fn len(&self) -> usize {
        match self {
            Gathered::None => 0,
            Gathered::One(bytes) => bytes.len(),
            Gathered::Joined(bytes) => bytes.len(),
        }
    }

    fn with(self, data: Bytes, expected: u64) -> Gathered {
        match self {
            Gathered::None => Gathered::One(data),
            Gathered::One(first) => {
                let more = usize::try_from(expected).unwrap_or(FIRST_BYTES_MAX).min(FIRST_BYTES_MAX);
                let mut joined = BytesMut::with_capacity(first.len() + data.len() + more);
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                Gathered::Joined(joined)
            }
            Gathered::Joined(mut joined) => {
                joined.extend_from_slice(&data);
                Gathered::Joined(joined)
            }
        }
    }

    fn finish(self) -> Bytes {
        match self {
            Gathered::None => Bytes::new(),
            Gathered::One(bytes) => bytes,
            Gathered::Joined(bytes) => bytes.freeze(),
        }
    }
}
