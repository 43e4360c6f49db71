//! Answers that are too long to be held: from an upstream as they come, to a client as it takes them.

use crate::{exchange::AnswerBody, upstream::UpstreamError};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_wire::revision::Revision;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::sync::mpsc;

/// Pieces that wait for a client. Together with what an upstream has read they are all that is held of an answer.
const PIECES: usize = 2;

/// Bounds on answers that go out in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streaming {
    /// What is held of an answer, in bytes; longer ones go out in pieces.
    pub held_bytes_max: usize,
    /// Longest answer, in bytes. 0: none goes out in pieces.
    pub bytes_max: u64,
    /// Values and keys in it.
    pub nodes_max: u64,
    /// How deep it may nest.
    pub depth_max: u16,
    /// How long the upstream may take for the next piece.
    pub silent_max: Duration,
    /// How long the client may take for the next piece.
    pub stalled_max: Duration,
    /// How long it may take in all.
    pub total_max: Duration,
}

impl Streaming {
    /// Most names of objects open at once, since they are remembered while nothing else is.
    pub(crate) const KEYS_MAX: usize = 200_000;
    /// The names of all members that are open at once, in bytes.
    pub(crate) const PATH_BYTES_MAX: usize = 4 << 10;
}

impl Default for Streaming {
    /// From 16 MiB to 256 MiB, 60 s for the upstream, 5 min for the client, 10 min in all.
    fn default() -> Self {
        Self {
            held_bytes_max: 16 << 20,
            bytes_max: 256 << 20,
            nodes_max: 16 * 200_000,
            depth_max: 64,
            silent_max: Duration::from_secs(60),
            stalled_max: Duration::from_secs(300),
            total_max: Duration::from_secs(600),
        }
    }
}

/// Gives an answer piece by piece, and no sooner than it is asked. Dropping it tells the upstream, in the way of its era, that nobody
/// wants the rest.
pub trait Source: Send {
    /// The next piece of the JSON-RPC message, from its first byte on; none at its end. Cancel safe.
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Bytes, UpstreamError>>>;
}

/// An answer that has begun to come. Behind a lock only so that who holds it can be shared between threads.
pub struct Arriving(Mutex<Box<dyn Source>>);

impl Arriving {
    /// From here.
    pub fn new(source: impl Source + 'static) -> Self {
        Self(Mutex::new(Box::new(source)))
    }

    /// Where it comes from.
    pub fn into_source(self) -> Box<dyn Source> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arriving")
    }
}

/// Why an answer broke off.
#[derive(Debug)]
pub struct Broken(
    /// What the client is told, where it can still be told; none if it has taken its request back.
    pub Option<AnswerBody>,
);

enum Piece {
    Data(Bytes),
    End,
    Broken(Option<AnswerBody>),
}

/// An answer on its way to the client, in the form its server spoke; the downstream translates.
#[derive(Debug)]
pub struct Flow {
    /// The revision its bytes are in.
    pub spoken: Revision,
    pieces: mpsc::Receiver<Piece>,
    /// Why the downstream could not go on.
    stuck: Arc<Mutex<Option<String>>>,
    has_ended: bool,
}

/// The end that speaks.
pub(crate) struct Pourer {
    pieces: mpsc::Sender<Piece>,
    stuck: Arc<Mutex<Option<String>>>,
}

pub(crate) fn flow(spoken: Revision) -> (Pourer, Flow) {
    let (sender, pieces) = mpsc::channel(PIECES);
    let stuck: Arc<Mutex<Option<String>>> = Arc::default();
    (Pourer { pieces: sender, stuck: stuck.clone() }, Flow { spoken, pieces, stuck, has_ended: false })
}

impl Flow {
    /// The next piece; none at the end. An error is the last thing that comes, and means that the client must not take what it has got
    /// for whole.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(context));
        self.has_ended = !matches!(piece, Some(Piece::Data(_)));
        Poll::Ready(match piece {
            Some(Piece::Data(data)) => Some(Ok(data)),
            Some(Piece::End) => None,
            Some(Piece::Broken(body)) => Some(Err(Broken(body))),
            // A bug of ours.
            None => Some(Err(Broken(Some(AnswerBody::error(sluice_wire::code::INTERNAL_ERROR, "the answer broke off"))))),
        })
    }

    /// As [`poll_next`](Self::poll_next). Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The downstream cannot put the rest into the client's words; for the record.
    pub fn stuck(&mut self, reason: &str) {
        *self.stuck.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        self.has_ended = true;
        self.pieces.close();
    }
}

/// Nobody takes what is poured.
pub(crate) struct Deaf {
    /// Why, if it was not the client who left.
    pub(crate) stuck: Option<String>,
}

impl Pourer {
    pub(crate) async fn pour(&self, data: Bytes) -> Result<(), Deaf> {
        self.send(Piece::Data(data)).await
    }

    pub(crate) async fn end(&self) -> Result<(), Deaf> {
        self.send(Piece::End).await
    }

    pub(crate) async fn break_off(&self, body: Option<AnswerBody>) -> Result<(), Deaf> {
        self.send(Piece::Broken(body)).await
    }

    /// Waits until nobody takes it any more.
    pub(crate) async fn deaf(&self) -> Deaf {
        self.pieces.closed().await;
        self.why()
    }

    async fn send(&self, piece: Piece) -> Result<(), Deaf> {
        self.pieces.send(piece).await.map_err(|_| self.why())
    }

    fn why(&self) -> Deaf {
        Deaf { stuck: self.stuck.lock().unwrap_or_else(PoisonError::into_inner).take() }
    }
}
