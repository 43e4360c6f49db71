//! An answer that goes out as it comes, in the client's words.

use bytes::Bytes;
use sluice_chain::{
    exchange::{Answer, AnswerBody},
    record::Outcome,
    stream::{Broken, Flow},
};
use sluice_era::{
    answer::Addressed,
    stream::{Shaper, StreamError},
};
use sluice_wire::code;
use std::task::{Context, Poll, ready};

use super::outgoing::Waiting;

/// One such answer, with its place among what is waited for.
pub(super) struct Streaming {
    waiting: Waiting,
    flow: Flow,
    shaper: Shaper,
    /// On one line: line ends between tokens become spaces.
    is_line: bool,
    has_ended: bool,
}

/// It broke off; what the client can be told where that is possible.
pub(super) struct CutOff(pub Option<Addressed>);

impl Streaming {
    /// The answer to what is waited for.
    pub fn new(waiting: Waiting, flow: Flow, is_line: bool) -> Streaming {
        let shaper = Shaper::new(&waiting.asked, flow.spoken);
        Streaming { waiting, flow, shaper, is_line, has_ended: false }
    }

    /// The next piece, never empty; none at the end.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutOff>>> {
        loop {
            if self.has_ended {
                return Poll::Ready(None);
            }
            let shaped = match ready!(self.flow.poll_next(context)) {
                Some(Ok(piece)) => self.shaper.push(&piece).map(Some),
                None => self.shaper.finish().map(|()| None),
                Some(Err(Broken(body))) => {
                    self.has_ended = true;
                    let told = body.map(|body| self.waiting.address(&failed(body)));
                    return Poll::Ready(Some(Err(CutOff(told))));
                }
            };
            match shaped {
                Ok(Some(piece)) if piece.is_empty() => {}
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(self.on_a_line(piece)))),
                Ok(None) => self.has_ended = true,
                Err(error) => return Poll::Ready(Some(Err(self.stuck(&error)))),
            }
        }
    }

    fn stuck(&mut self, error: &StreamError) -> CutOff {
        self.has_ended = true;
        let reason = error.to_string();
        self.flow.stuck(&reason);
        CutOff(Some(self.waiting.address(&failed(AnswerBody::error(code::INTERNAL_ERROR, reason)))))
    }

    fn on_a_line(&self, mut piece: Vec<u8>) -> Bytes {
        let mut from = 0;
        while let Some(at) = memchr::memchr2(b'\n', b'\r', &piece[from..]).filter(|_| self.is_line) {
            from += at;
            piece[from] = b' ';
        }
        piece.into()
    }
}

fn failed(body: AnswerBody) -> Answer {
    Answer { outcome: Outcome::Failed, body, http_status: None, http_headers: Vec::new() }
}
