//! Event streams: of one modern exchange, and of a legacy session.

use sluice_chain::exchange::{Answer, AnswerBody, Outgoing};
use sluice_era::answer::{self, Addressed};
use sluice_wire::revision::Revision;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    content::Piece,
    streamed::{Cut, Streamed},
};
use crate::downstream::{
    outgoing::Waiting,
    sessions::Session,
    settings::Limits,
    streaming::Streaming,
    streams::{EventId, Kind as StreamKind, NotHere, Reader},
};

/// Ready whenever nothing was sent for a while.
pub(super) struct Quiet {
    after: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Quiet {
    pub fn new(after: Duration) -> Quiet {
        Quiet { after, last: Instant::now(), timer: Box::pin(sleep(after)) }
    }

    pub fn note_sent(&mut self) {
        self.last = Instant::now();
    }

    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
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

/// The events of one modern exchange: its notifications, then its answer.
pub(super) struct ExchangeEvents {
    waiting: Option<Waiting>,
    first: Option<Piece>,
    /// The answer, if it goes out as it comes.
    answer: Option<Streamed>,
    quiet: Quiet,
}

impl ExchangeEvents {
    /// `first` is what made it a stream.
    pub fn new(waiting: Waiting, first: Piece, comment_after: Duration) -> ExchangeEvents {
        ExchangeEvents { waiting: Some(waiting), first: Some(first), answer: None, quiet: Quiet::new(comment_after) }
    }

    /// The next event, or a comment when it has been quiet.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, Cut>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(answer) = &mut self.answer {
            return answer.poll_next(context);
        }
        while let Some(mut waiting) = self.waiting.take() {
            let said = waiting.poll_next(context);
            if let Poll::Ready(Some(Outgoing::Final(Answer { body: AnswerBody::Streamed(flow), .. }))) = said {
                return self.answer.insert(Streamed::event(Streaming::new(waiting, flow, true))).poll_next(context);
            }
            let waiting = self.waiting.insert(waiting);
            let piece = match said {
                Poll::Pending => return self.quiet.poll(context).map(|()| Some(Ok(Piece::comment()))),
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
            return Poll::Ready(piece.map(Ok));
        }
        Poll::Ready(None)
    }
}

/// One stream of a legacy session. What it says is kept for a client that loses it and comes back.
pub(super) struct SessionEvents {
    session: Arc<Session>,
    reader: Reader,
    /// The call whose answer ends it; none when it belongs to no request, or goes on elsewhere.
    waiting: Option<Waiting>,
    /// Its answer, if it goes out as it comes. That is not kept.
    answer: Option<Streamed>,
    primer: Option<Piece>,
    quiet: Quiet,
    /// Streams that nothing else ends are ended by a drain.
    drain: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl SessionEvents {
    /// The session's own stream, in the place of the one before; `None` when the session has ended.
    pub fn open(session: Arc<Session>, limits: &Limits, drain: CancellationToken) -> Option<SessionEvents> {
        let reader = session.streams.open(StreamKind::Own)?;
        let primer = primer(&session, &reader, limits);
        Some(SessionEvents::over(session, reader, limits, Some(drain)).starting_with(primer))
    }

    /// A stream that broke off, from where the client says.
    ///
    /// # Errors
    /// [`NotHere`].
    pub fn resume(session: Arc<Session>, place: EventId, limits: &Limits, drain: CancellationToken) -> Result<SessionEvents, NotHere> {
        let reader = session.streams.resume(place)?;
        // The answer of a call is let out first.
        let drain = (place.kind == StreamKind::Own).then_some(drain);
        Ok(SessionEvents::over(session, reader, limits, drain))
    }

    /// The stream of a call. `first` is what made it a stream; else it was quiet.
    pub fn of_call(session: Arc<Session>, reader: Reader, waiting: Waiting, first: Option<Addressed>, limits: &Limits) -> SessionEvents {
        let primer = primer(&session, &reader, limits).or_else(|| first.is_none().then(Piece::comment));
        first.into_iter().for_each(|first| session.streams.put(reader.place(), first));
        let mut events = SessionEvents::over(session, reader, limits, None).starting_with(primer);
        events.waiting = Some(waiting);
        events
    }

    fn over(session: Arc<Session>, reader: Reader, limits: &Limits, drain: Option<CancellationToken>) -> SessionEvents {
        let quiet = Quiet::new(limits.comment_after);
        let drain = drain.map(|drain| Box::pin(drain.cancelled_owned()));
        if reader.place().kind == StreamKind::Own
            && let Some(changes) = session.changes.get()
        {
            changes.begin();
        }
        SessionEvents { session, reader, waiting: None, answer: None, primer: None, quiet, drain }
    }

    fn starting_with(mut self, primer: Option<Piece>) -> SessionEvents {
        self.primer = primer;
        self
    }

    /// The next event, or a comment when it has been quiet.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, Cut>>> {
        if let Some(answer) = &mut self.answer {
            return answer.poll_next(context);
        }
        if self.drain.as_mut().is_some_and(|drain| drain.as_mut().poll(context).is_ready()) {
            return Poll::Ready(None);
        }
        if let Some(primer) = self.primer.take() {
            return Poll::Ready(Some(Ok(primer)));
        }
        loop {
            match self.session.streams.poll_next(&mut self.reader, context) {
                Poll::Ready(Some((id, text))) => {
                    self.quiet.note_sent();
                    return Poll::Ready(Some(Ok(Piece::numbered(id, text))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {}
            }
            let said = self.waiting.as_mut().map(|waiting| waiting.poll_next(context));
            match (said, &mut self.waiting) {
                (Some(Poll::Ready(Some(Outgoing::Final(Answer { body: AnswerBody::Streamed(flow), .. })))), waiting) => {
                    // All that came before it has been read; who loses it and comes back finds the end of the stream.
                    self.session.streams.end(self.reader.place());
                    let Some(waiting) = waiting.take() else { return Poll::Ready(None) };
                    return self.answer.insert(Streamed::event(Streaming::new(waiting, flow, true))).poll_next(context);
                }
                (Some(Poll::Ready(said)), Some(waiting)) => {
                    if record(&self.session, self.reader.place(), waiting, said) {
                        self.waiting = None;
                    }
                }
                (_, waiting) if waiting.is_none() && poll_change(&self.session, &self.reader, context).is_ready() => {}
                _ => return self.quiet.poll(context).map(|()| Some(Ok(Piece::comment()))),
            }
        }
    }
}

impl Drop for SessionEvents {
    fn drop(&mut self) {
        self.session.streams.leave(&self.reader);
        let Some(mut waiting) = self.waiting.take() else { return };
        // Leaving is not cancelling: the call goes on, and what it says is kept for a client that comes back.
        if let Ok(runtime) = Handle::try_current() {
            let (session, place) = (self.session.clone(), self.reader.place());
            waiting.run_on();
            runtime.spawn(async move {
                loop {
                    let said = waiting.next().await;
                    if record(&session, place, &mut waiting, said) {
                        return;
                    }
                }
            });
        }
    }
}

/// Puts the next change on a session's own stream: only now that nothing else waits for it, since until then a change that
/// comes again is the same change.
fn poll_change(session: &Arc<Session>, reader: &Reader, context: &Context<'_>) -> Poll<()> {
    let changes = session.changes.get().filter(|_| reader.place().kind == StreamKind::Own);
    match changes.map(|changes| changes.poll_next(context)) {
        Some(Poll::Ready(Some(delivery))) => {
            let text = answer::notification(&delivery.message, delivery.spoken, session.revision);
            text.into_iter().for_each(|text| session.streams.push(text));
            Poll::Ready(())
        }
        _ => Poll::Pending,
    }
}

/// Puts what a call said on its stream. Whether that was the last of it.
fn record(session: &Session, place: EventId, waiting: &mut Waiting, said: Option<Outgoing>) -> bool {
    let text = match said {
        Some(Outgoing::Notification(delivery)) => waiting.shape(&delivery).map(Addressed::whole),
        Some(Outgoing::Question(question)) => waiting.ask(question).map(Addressed::whole),
        Some(Outgoing::Final(answer)) => Some(waiting.address(&answer)),
        None if waiting.is_cancelled() => None,
        None => Some(waiting.address(&waiting.lost())),
    };
    text.into_iter().for_each(|text| session.streams.put(place, text));
    if waiting.has_ended() {
        session.streams.end(place);
    }
    waiting.has_ended()
}

/// An event without data, so that even a stream that breaks before it said anything can be gone on with; older clients would
/// take it for a message (2025-11-25 basic/transports, Sending Messages to the Server).
fn primer(session: &Session, reader: &Reader, limits: &Limits) -> Option<Piece> {
    (session.revision >= Revision::V2025_11_25).then(|| Piece::primer(reader.place(), limits.retry_after))
}
