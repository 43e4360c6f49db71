//! An answer as it comes, as a body or as one event.

use bytes::Bytes;
use sluice_era::answer::Addressed;
use std::task::{Context, Poll, ready};

use super::content::Piece;
use crate::downstream::streaming::Streaming;

/// An answer broke off. The connection or stream is reset, so that no client takes what it has got for whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(super) struct Cut;

/// One such answer.
pub(super) struct Streamed {
    streaming: Streaming,
    /// What its framing puts before and behind it.
    before: Option<&'static [u8]>,
    after: Option<&'static [u8]>,
}

const EVENT: &[u8] = b"data: ";
const EVENT_END: &[u8] = b"\n\n";

impl Streamed {
    /// As the whole body.
    pub fn body(streaming: Streaming) -> Streamed {
        Streamed { streaming, before: None, after: None }
    }

    /// As one event; made of an answer on one line.
    pub fn event(streaming: Streaming) -> Streamed {
        Streamed { streaming, before: Some(EVENT), after: Some(EVENT_END) }
    }

    /// The next piece.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, Cut>>> {
        if let Some(before) = self.before.take() {
            return Poll::Ready(Some(Ok(plain(Bytes::from_static(before)))));
        }
        Poll::Ready(match ready!(self.streaming.poll_next(context)) {
            Some(Ok(piece)) => Some(Ok(plain(piece))),
            Some(Err(_)) => {
                self.after = None;
                Some(Err(Cut))
            }
            None => self.after.take().map(|after| Ok(plain(Bytes::from_static(after)))),
        })
    }
}

fn plain(bytes: Bytes) -> Piece {
    Piece::text(Addressed::whole(bytes))
}
