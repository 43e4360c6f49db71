//! The calls that wait on one shared channel, and which of them a message is for.

mod whose;

pub(crate) use whose::{Addressee, Asked, Turn};

use super::call::{Admitted, Call, is_not_carried};
use super::limits::CallLimits;
use super::outline::{self, Whose};
use bytes::Bytes;
use sluice_chain::{
    exchange::{Delivery, Interim},
    queue::{Receiver, Sender, queue},
    upstream::{Outbound, UpstreamError},
};
use sluice_wire::{id::RequestId, message::Message, method, revision::Revision};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use whose::Severed;

/// What a shared channel knows of one call.
#[derive(Debug)]
struct Waiting {
    call: Arc<Call>,
    notifications: Queue,
    /// Whom the server may ask about this call; none for calls of our own.
    client: Option<Asked>,
    /// Spent by the first answer; none when answers come another way.
    answer: Option<oneshot::Sender<Result<Message, UpstreamError>>>,
}

/// Where a call's notifications are put.
#[derive(Debug, Clone)]
enum Queue {
    /// Up to the call, which passes them on in order with its answer.
    Call(Sender<Arc<Message>>),
    /// Straight to the client.
    Client(Sender<Interim>),
}

impl Queue {
    fn put(&self, message: Arc<Message>, spoken: Revision) -> bool {
        match self {
            Self::Call(queue) => queue.try_send(message).is_ok(),
            Self::Client(queue) => queue.try_send(Interim::Notification(Delivery { message, spoken })).is_ok(),
        }
    }
}

/// The calls in flight on one channel.
#[derive(Debug)]
pub(crate) struct Inflight {
    state: Mutex<State>,
    /// Another call was taken in.
    entered: Notify,
    /// Another call has ended, or waits for its client's answer.
    left: Notify,
    questions: Arc<Semaphore>,
    /// Questions that wait for their answers, by the server's ids; cancelled when the server takes one back.
    open: Mutex<HashMap<RequestId, CancellationToken>>,
    /// Questions of which nobody knows yet for which call they are. Meanwhile no further call begins.
    unclear: watch::Sender<usize>,
    /// The server asks without saying for which call, so calls that may be asked take turns; on all its channels, since they
    /// are of one server.
    asks: Arc<AtomicBool>,
    /// Who begins a call next, where they do.
    turns: tokio::sync::Mutex<()>,
}

/// A question of a server that waits for its answer.
pub(crate) struct OpenQuestion {
    id: RequestId,
    inflight: Arc<Inflight>,
    withdrawn: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl OpenQuestion {
    /// Resolves when the server no longer wants to know.
    pub(crate) async fn withdrawn(&self) {
        self.withdrawn.cancelled().await;
    }

    /// It is known whose it is, and that call waits for its client now.
    pub(crate) fn is_put(&self) {
        self.inflight.left.notify_waiters();
    }

    /// Waits until the call may go on with its answer.
    pub(crate) async fn turn(&self, client: &Asked) -> Option<Turn<'_>> {
        self.inflight.turn_again(client).await
    }
}

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        self.inflight.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Inflight {
    /// A new channel with a server of which that much is known.
    pub(crate) fn new(asks: &Arc<AtomicBool>) -> Self {
        Self {
            state: Mutex::default(),
            entered: Notify::new(),
            left: Notify::new(),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            open: Mutex::default(),
            unclear: watch::Sender::new(0),
            asks: asks.clone(),
            turns: tokio::sync::Mutex::default(),
        }
    }
}

impl State {
    /// Takes out a call that was answered.
    fn end(&mut self, id: u64) -> Option<Waiting> {
        self.severed.remove(&id);
        self.waiting.remove(&id)
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<u64, Waiting>,
    /// Calls that have ended here without an answer, and maybe not at the server.
    severed: HashMap<u64, Severed>,
    /// A call that may be asked was taken in before: no question comes before the first one any more.
    has_served: bool,
    /// A call has ended here without its answer, which may still come.
    has_left: bool,
    /// Answers that are too long to be held, of calls that have their placeholders.
    long: HashMap<u64, mpsc::Receiver<LongPart>>,
    /// Why no more calls are taken.
    closed: Option<Arc<str>>,
}

/// A part of an answer that is too long to be held.
pub(crate) enum LongPart {
    Data(Bytes),
    End,
}

/// Parts that wait for the call.
const LONG_PARTS: usize = 2;

/// The receiving end of one call. Dropping it takes the call out.
pub(crate) struct Seat {
    pub(crate) call: Arc<Call>,
    notifications: Receiver<Arc<Message>>,
    pub(crate) answer: oneshot::Receiver<Result<Message, UpstreamError>>,
    inflight: Arc<Inflight>,
}

impl Seat {
    /// Passes on the call's notifications as they come, in order, then gives its answer; none when the channel ended before.
    pub(crate) async fn answered(&mut self, interim: &Sender<Interim>) -> Option<Result<Message, UpstreamError>> {
        let spoken = self.call.spoken;
        let answer = loop {
            tokio::select! {
                biased;
                message = self.notifications.next() => {
                    // A client that is gone does not stop the call; cancelling does.
                    let _ = interim.send(Interim::Notification(Delivery { message, spoken })).await;
                }
                answer = &mut self.answer => break answer,
            }
        };
        while let Some(message) = self.notifications.try_recv() {
            let _ = interim.send(Interim::Notification(Delivery { message, spoken })).await;
        }
        answer.ok()
    }
}

/// A call that gets its answer another way. Dropping it takes the call out.
pub(crate) struct Guest {
    id: u64,
    inflight: Arc<Inflight>,
}

impl Guest {
    /// The server has answered it.
    pub(crate) fn note_answer(&self) {
        self.inflight.lock().end(self.id);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.inflight.leave(self.id);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.inflight.leave(self.call.id);
    }
}

/// Where a notification goes.
#[derive(Debug)]
pub(crate) enum Routed {
    /// It was put on a call's queue.
    Queued,
    /// It belongs to no call.
    Session(Message),
    /// It was thrown away.
    Dropped(&'static str),
}

/// Questions of one server on one channel that wait for their answers.
const QUESTIONS_MAX: usize = 32;

/// More than any sane burst; a call whose client reads slower than that loses notifications.
const QUEUE_MAX: usize = 1024;

impl Inflight {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a call in; the reason when the channel has ended.
    pub(crate) fn seat(self: &Arc<Self>, call: Call, client: Option<Asked>) -> Result<Seat, Arc<str>> {
        let call = Arc::new(call);
        let (notify, notifications) = queue(QUEUE_MAX);
        let (reply, answer) = oneshot::channel();
        let mut state = self.lock();
        if let Some(reason) = &state.closed {
            return Err(reason.clone());
        }
        state.has_served |= client.is_some();
        state.waiting.insert(call.id, Waiting { call: call.clone(), notifications: Queue::Call(notify), client, answer: Some(reply) });
        drop(state);
        self.entered.notify_waiters();
        Ok(Seat { call, notifications, answer, inflight: self.clone() })
    }

    /// Takes in a call whose notifications may come here while its answer comes elsewhere.
    pub(crate) fn guest(self: &Arc<Self>, call: &Arc<Call>, outbound: &Outbound) -> Guest {
        let notifications = Queue::Client(outbound.interim.clone());
        let waiting = Waiting { call: call.clone(), notifications, client: Asked::of(outbound), answer: None };
        let mut state = self.lock();
        state.has_served |= waiting.client.is_some();
        state.waiting.insert(call.id, waiting);
        drop(state);
        self.entered.notify_waiters();
        Guest { id: call.id, inflight: self.clone() }
    }

    /// Ends all calls. They find their answer gone and ask [`reason`](Self::reason).
    pub(crate) fn close(&self, reason: impl Into<Arc<str>>) {
        let mut state = self.lock();
        state.closed.get_or_insert_with(|| reason.into());
        state.waiting.clear();
    }

    /// Takes no more calls, if none is waiting.
    pub(crate) fn close_if_idle(&self, reason: &str) -> bool {
        let mut state = self.lock();
        let is_idle = state.waiting.is_empty();
        if is_idle {
            state.closed.get_or_insert_with(|| reason.into());
        }
        is_idle
    }

    /// Why the channel has ended.
    pub(crate) fn reason(&self) -> Option<Arc<str>> {
        self.lock().closed.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Hands an answer to the call that waits for it. The first wins; false when nobody waits.
    pub(crate) fn answer(&self, message: Message) -> bool {
        let id = message.id().and_then(|id| id.as_u64());
        let found = id.and_then(|id| self.lock().end(id));
        self.left.notify_waiters();
        found.and_then(|waiting| waiting.answer).is_some_and(|answer| answer.send(Ok(message)).is_ok())
    }

    /// Hands over the beginning of an answer that is too long to be held: the call gets a placeholder, and its rest in
    /// [`take_long`](Self::take_long). None when it is no call's that takes such.
    pub(crate) fn answer_in_pieces(&self, whose: Whose) -> Option<mpsc::Sender<LongPart>> {
        let mut state = self.lock();
        let id = match whose {
            Whose::Of(id) => id,
            // One that names no call can only be the one's that waits, if no other call can still be answered.
            Whose::Result if state.waiting.len() == 1 && !state.has_left => *state.waiting.keys().next()?,
            Whose::Result | Whose::Other => return None,
        };
        state.waiting.get(&id).filter(|waiting| waiting.call.takes_pieces && waiting.answer.is_some())?;
        let (placeholder, answer) = (outline::placeholder(id)?, state.end(id)?.answer?);
        let (sender, parts) = mpsc::channel(LONG_PARTS);
        state.long.insert(id, parts);
        let is_taken = answer.send(Ok(placeholder)).is_ok();
        if !is_taken {
            state.long.remove(&id);
        }
        drop(state);
        self.left.notify_waiters();
        is_taken.then_some(sender)
    }

    /// The rest of an answer.
    pub(crate) fn take_long(&self, id: u64) -> Option<mpsc::Receiver<LongPart>> {
        self.lock().long.remove(&id)
    }

    /// Fails the only call in flight, since what broke can only have been its answer.
    pub(crate) fn fail_sole(&self, error: UpstreamError) {
        let mut state = self.lock();
        if state.waiting.len() == 1 {
            for (_, waiting) in state.waiting.drain() {
                if let Some(answer) = waiting.answer {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// The only call in flight.
    fn sole(&self) -> Option<(Arc<Call>, Queue)> {
        let state = self.lock();
        let mut all = state.waiting.values();
        let first = all.next()?;
        all.next().is_none().then(|| (first.call.clone(), first.notifications.clone()))
    }

    fn leave(&self, id: u64) {
        let mut state = self.lock();
        state.long.remove(&id);
        if let Some(waiting) = state.waiting.remove(&id) {
            state.has_left |= waiting.answer.is_some();
            if let Some(asked) = waiting.client {
                state.sever(id, asked);
            }
        }
        drop(state);
        self.left.notify_waiters();
    }

    /// Notes a question, if there are not too many open.
    pub(crate) fn question(self: &Arc<Self>, id: &RequestId) -> Option<OpenQuestion> {
        let place = self.questions.clone().try_acquire_owned().ok()?;
        let withdrawn = CancellationToken::new();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), withdrawn.clone());
        Some(OpenQuestion { id: id.clone(), inflight: self.clone(), withdrawn, _place: place })
    }

    /// Whether a notification takes a question back; then it is done.
    pub(crate) fn takes_back(&self, message: &Message) -> bool {
        if message.method() != method::NOTIFY_CANCELLED {
            return false;
        }
        let id = message.param("requestId").and_then(|id| RequestId::from_value(id).ok());
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        id.and_then(|id| open.get(&id)).inspect(|withdrawn| withdrawn.cancel()).is_some()
    }

    fn find(&self, id: u64) -> Option<(Arc<Call>, Queue)> {
        let state = self.lock();
        let waiting = state.waiting.get(&id)?;
        Some((waiting.call.clone(), waiting.notifications.clone()))
    }

    /// Finds out whose a notification is. Progress names its call; others belong to a call only
    /// when there is exactly one it could be.
    pub(crate) fn route(&self, message: Message, limits: &CallLimits) -> Routed {
        let owner = match message.method() {
            method::NOTIFY_PROGRESS => match message.param("progressToken").and_then(|token| self.find(token.as_u64()?)) {
                Some(owner) => owner,
                None => return Routed::Dropped("progress of no call in flight"),
            },
            _ if self.takes_back(&message) => return Routed::Queued,
            name if is_not_carried(name) => return Routed::Dropped("a notification of a feature that was not declared"),
            name => match self.sole() {
                Some((call, _)) if name == method::NOTIFY_MESSAGE && !call.wants_log(&message) => {
                    return Routed::Session(message);
                }
                Some(owner) => owner,
                None => return Routed::Session(message),
            },
        };
        let (call, notifications) = owner;
        match call.admit(message, limits) {
            Admitted::Deliver(message) if notifications.put(message.clone(), call.spoken) => Routed::Queued,
            Admitted::Deliver(_) => Routed::Dropped("a notification its client was too slow for"),
            Admitted::Session(message) => Routed::Session(message),
            Admitted::Drop(reason) => Routed::Dropped(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(inflight: &Arc<Inflight>, id: u64) -> Seat {
        let mut call = Call::own(id);
        call.takes_pieces = true;
        inflight.seat(call, None).expect("the channel is open")
    }

    #[test]
    fn an_answer_whose_id_stands_behind_it_passes_while_no_call_has_left_without_its_own() {
        let inflight = Arc::new(Inflight::new(&Arc::default()));
        let whole = seat(&inflight, 1);
        assert!(inflight.answer(outline::placeholder(1).expect("a message")));
        drop(whole);
        let first = seat(&inflight, 2);
        assert!(inflight.answer_in_pieces(Whose::Result).is_some(), "those that were answered leave nothing open");
        assert!(inflight.take_long(2).is_some());
        drop(first);

        let (stays, leaves) = (seat(&inflight, 3), seat(&inflight, 4));
        assert!(inflight.answer_in_pieces(Whose::Result).is_none(), "it may be either's");
        drop(leaves);
        assert_eq!(inflight.len(), 1);
        assert!(inflight.answer_in_pieces(Whose::Result).is_none(), "it may be that of the call that left");
        assert!(inflight.take_long(3).is_none());
        assert!(inflight.answer_in_pieces(Whose::Of(3)).is_some(), "one that names its call still passes");
        drop(stays);
        let _next = seat(&inflight, 5);
        assert!(inflight.answer_in_pieces(Whose::Result).is_none(), "what left may be answered for as long as the channel lasts");
    }
}
