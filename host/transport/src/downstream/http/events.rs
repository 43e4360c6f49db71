//! Event streams: of one exchange, and of a legacy session.

use sluice_chain::exchange::Outgoing;
use sluice_era::answer::Addressed;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::content::Piece;
use crate::downstream::{outgoing::Waiting, sessions::Session};

/// Ready whenever nothing was sent for a while.
struct Quiet {
    after: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Quiet {
    fn new(after: Duration) -> Quiet {
        Quiet { after, last: Instant::now(), timer: Box::pin(sleep(after)) }
    }

    fn note_sent(&mut self) {
        self.last = Instant::now();
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(context));
            let now = Instant::now();
            let due = self.last + self.after;
            if due <= now {
                self.last = now;
                self.timer.as_mut().reset(now + self.after);
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }
}

/// The events of one exchange: its notifications, then its answer.
pub(super) struct ExchangeEvents {
    waiting: Option<Waiting>,
    first: Option<Piece>,
    quiet: Quiet,
}

impl ExchangeEvents {
    /// `first` is what made it a stream.
    pub fn new(waiting: Waiting, first: Piece, comment_after: Duration) -> ExchangeEvents {
        ExchangeEvents { waiting: Some(waiting), first: Some(first), quiet: Quiet::new(comment_after) }
    }

    /// The next event, or a comment when it has been quiet.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        while let Some(waiting) = &mut self.waiting {
            let piece = match waiting.poll_next(context) {
                Poll::Pending => return self.quiet.poll(context).map(|()| Some(Piece::comment())),
                Poll::Ready(Some(Outgoing::Notification(delivery))) => match waiting.shape(&delivery) {
                    Some(text) => Some(Piece::event(Addressed::whole(text))),
                    None => continue,
                },
                Poll::Ready(Some(Outgoing::Question(question))) => match waiting.ask(question) {
                    Some(text) => Some(Piece::event(Addressed::whole(text))),
                    None => continue,
                },
                Poll::Ready(Some(Outgoing::Final(answer))) => Some(Piece::event(waiting.address(&answer))),
                Poll::Ready(None) if waiting.is_cancelled() => None,
                Poll::Ready(None) => Some(Piece::event(waiting.address(&waiting.lost()))),
            };
            if waiting.has_ended() {
                self.waiting = None;
            }
            self.quiet.note_sent();
            return Poll::Ready(piece);
        }
        Poll::Ready(None)
    }
}

/// The events of a legacy session that belong to no request of it.
pub(super) struct SessionEvents {
    session: Arc<Session>,
    reader: u64,
    quiet: Quiet,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl SessionEvents {
    /// Takes the place of the session's stream before; `None` when the session has ended.
    pub fn open(session: Arc<Session>, comment_after: Duration, drain: CancellationToken) -> Option<SessionEvents> {
        let reader = session.outbox.open()?;
        Some(SessionEvents { session, reader, quiet: Quiet::new(comment_after), drain: Box::pin(drain.cancelled_owned()) })
    }

    /// The next event, or a comment when it has been quiet; ends with the session or a drain.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        if self.drain.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        match self.session.outbox.poll_next(self.reader, context) {
            Poll::Pending => self.quiet.poll(context).map(|()| Some(Piece::comment())),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(text)) => {
                self.quiet.note_sent();
                Poll::Ready(Some(Piece::event(Addressed::whole(text))))
            }
        }
    }
}

impl Drop for SessionEvents {
    fn drop(&mut self) {
        self.session.outbox.leave(self.reader);
    }
}
