//! The calls that wait on one shared channel, and which of them a message is for.

use super::call::{Admitted, Call, is_not_carried};
use super::limits::CallLimits;
use sluice_chain::{
    exchange::{Client, Delivery, Interim},
    principal::PrincipalKey,
    queue::{Receiver, Sender, queue},
    upstream::{Outbound, UpstreamError},
};
use sluice_era::{capability::Askable, tasks};
use sluice_wire::{id::RequestId, message::Message, method, revision::Revision};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

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

/// The client of a call, for questions.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    client: Arc<Client>,
    principal: PrincipalKey,
    /// The server's id of the task whose result is waited for.
    task: Option<Box<str>>,
    pub(crate) interim: Sender<Interim>,
}

impl Asked {
    /// None for requests during which a server has nothing to ask (2026-07-28 basic/patterns/mrtr, Supported Requests; 2025-11-25
    /// tasks, Input Required Status).
    pub(crate) fn of(outbound: &Outbound) -> Option<Self> {
        let may_ask =
            matches!(outbound.message.method(), method::TOOLS_CALL | method::PROMPTS_GET | method::RESOURCES_READ | method::TASKS_RESULT);
        let (client, principal) = (outbound.client.clone(), outbound.principal.key.clone());
        let of_task = || match (&outbound.original_name, outbound.message.target()) {
            (Some(own), _) => Some(own.as_ref().into()),
            (None, named) => Some(named?.as_str()?.as_ref().into()),
        };
        let task = (outbound.message.method() == method::TASKS_RESULT).then(of_task).flatten();
        may_ask.then(|| Self { client, principal, task, interim: outbound.interim.clone() })
    }

    /// The same legacy client, whose session hears a question wherever it is put.
    fn is_same(&self, other: &Self) -> bool {
        self.client.session.is_some() && self.client.session == other.client.session && self.principal == other.principal
    }
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
    /// The server asks without saying for which call, so calls that may be asked take turns.
    asks: AtomicBool,
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
}

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        self.inflight.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// While it lives, no other call that may be asked begins.
pub(crate) type Turn<'a> = tokio::sync::MutexGuard<'a, ()>;

/// Counts one question of which it is not clear for which call it is.
struct Unclear<'a>(&'a watch::Sender<usize>);

impl<'a> Unclear<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Unclear<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Default for Inflight {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            entered: Notify::new(),
            left: Notify::new(),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            open: Mutex::default(),
            unclear: watch::Sender::new(0),
            asks: AtomicBool::new(false),
            turns: tokio::sync::Mutex::default(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<u64, Waiting>,
    /// Why no more calls are taken.
    closed: Option<Arc<str>>,
}

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

/// Whose question it is.
enum Whose {
    /// These calls may be the ones it is about, and all are of the client with this ear.
    Of(Vec<Arc<Call>>, Sender<Interim>),
    /// No call is in flight.
    Nobody,
    /// It may be several clients', or several calls' of a client that is asked by the call.
    Several,
}

/// The calls if one client's ear hears for all of them.
fn one_clients(calls: &[(&Arc<Call>, &Asked)]) -> Option<Whose> {
    let (_, newest) = calls.iter().max_by_key(|(call, _)| call.id)?;
    let is_one = calls.len() == 1 || calls.iter().all(|(_, client)| client.is_same(newest));
    is_one.then(|| Whose::Of(calls.iter().map(|(call, _)| (*call).clone()).collect(), newest.interim.clone()))
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

/// A question that comes before any call waits this long for one.
const FIRST_CALL_MAX: Duration = Duration::from_secs(1);

/// A question that could be about several calls waits this long for all but one of them to end.
const CLEAR_MAX: Duration = Duration::from_secs(30);

/// A question of a task waits this long for somebody who asks for the task's result; a person may be on the way.
const TASK_MAX: Duration = Duration::from_secs(600);

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
        state.waiting.insert(call.id, Waiting { call: call.clone(), notifications: Queue::Call(notify), client, answer: Some(reply) });
        drop(state);
        self.entered.notify_waiters();
        Ok(Seat { call, notifications, answer, inflight: self.clone() })
    }

    /// Takes in a call whose notifications may come here while its answer comes elsewhere.
    pub(crate) fn guest(self: &Arc<Self>, call: &Arc<Call>, outbound: &Outbound) -> Guest {
        let notifications = Queue::Client(outbound.interim.clone());
        let waiting = Waiting { call: call.clone(), notifications, client: Asked::of(outbound), answer: None };
        self.lock().waiting.insert(call.id, waiting);
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
        let found = id.and_then(|id| self.lock().waiting.remove(&id));
        self.left.notify_waiters();
        found.and_then(|waiting| waiting.answer).is_some_and(|answer| answer.send(Ok(message)).is_ok())
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
        self.lock().waiting.remove(&id);
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

    /// Waits until another call adds no doubt: it is clear of all questions for whom they are, and where the server does not
    /// say so no other client's call is at work. The call has to be taken in before the turn is dropped.
    ///
    /// After half a minute it may begin all the same; whoever asks then waits until it is clear.
    ///
    /// # Errors
    /// When the call is cancelled meanwhile.
    pub(crate) async fn turn(&self, outbound: &Outbound, askable: Askable) -> Result<Option<Turn<'_>>, UpstreamError> {
        // Questions of a task say so, and who waits for one waits long.
        let Some(client) = Asked::of(outbound).filter(|client| askable.is_any() && client.task.is_none()) else { return Ok(None) };
        outbound.cancel.run_until_cancelled(self.clear(&client)).await.ok_or(UpstreamError::Cancelled)
    }

    async fn clear(&self, client: &Asked) -> Option<Turn<'_>> {
        // It ends with its sender, which is ours.
        let _ = self.unclear.subscribe().wait_for(|unclear| *unclear == 0).await;
        if !self.asks.load(Relaxed) {
            return None;
        }
        let alone = async {
            let turn = self.turns.lock().await;
            loop {
                let left = self.left.notified();
                if self.others_rest(client) {
                    return turn;
                }
                left.await;
            }
        };
        timeout(CLEAR_MAX, alone).await.ok()
    }

    /// Whether every call of another client waits for that client's answer.
    fn others_rest(&self, client: &Asked) -> bool {
        let state = self.lock();
        let mut asked = state.waiting.values().filter_map(|waiting| Some((&waiting.call, waiting.client.as_ref()?)));
        asked.all(|(call, other)| other.task.is_some() || call.waits_for_client() || other.is_same(client))
    }

    /// Whom a question is for that names no call: the calls in flight it may be about, and the client's ear. Waits a little
    /// for a first one, since many servers ask as soon as a session is open, and a session is opened for a call. Of several
    /// it waits for all to end but one, which cannot be done as long as it is not answered.
    pub(crate) async fn questioned(&self, question: &Message) -> Option<(Vec<Arc<Call>>, Sender<Interim>)> {
        if let Some(task) = tasks::related_to(question) {
            return timeout(TASK_MAX, self.asked_of_task(&task)).await.ok();
        }
        self.asks.store(true, Relaxed);
        let first = async {
            loop {
                let entered = self.entered.notified();
                match self.asked_now() {
                    Whose::Nobody => entered.await,
                    whose => return whose,
                }
            }
        };
        match timeout(FIRST_CALL_MAX, first).await.ok()? {
            Whose::Of(calls, ear) => return Some((calls, ear)),
            Whose::Nobody | Whose::Several => {}
        }
        let _unclear = Unclear::new(&self.unclear);
        let clear = async {
            loop {
                let left = self.left.notified();
                match self.asked_now() {
                    Whose::Several => left.await,
                    Whose::Nobody => return None,
                    Whose::Of(calls, ear) => return Some((calls, ear)),
                }
            }
        };
        timeout(CLEAR_MAX, clear).await.ok().flatten()
    }

    /// Who waits for the result of a task.
    async fn asked_of_task(&self, task: &str) -> (Vec<Arc<Call>>, Sender<Interim>) {
        loop {
            let entered = self.entered.notified();
            let found = self.lock().waiting.values().find_map(|waiting| {
                let client = waiting.client.as_ref().filter(|client| client.task.as_deref() == Some(task))?;
                Some((vec![waiting.call.clone()], client.interim.clone()))
            });
            match found {
                Some(found) => return found,
                None => entered.await,
            }
        }
    }

    /// What belongs to a task says so, so others are not for those who wait for one.
    fn asked_now(&self) -> Whose {
        let state = self.lock();
        let of_calls = |client: &&Asked| client.task.is_none();
        let asked = state.waiting.values().filter_map(|waiting| Some((&waiting.call, waiting.client.as_ref().filter(of_calls)?)));
        let all: Vec<_> = asked.collect();
        let Some((_, first)) = all.first() else { return Whose::Nobody };
        // A call that waits for an answer is not taken to ask before it has it, as long as a mistake would stay with one principal.
        let is_one_principal = all.iter().all(|(_, client)| client.principal == first.principal);
        let at_work = || all.iter().filter(|(call, _)| is_one_principal && !call.waits_for_client()).copied().collect::<Vec<_>>();
        one_clients(&all).or_else(|| one_clients(&at_work())).unwrap_or(Whose::Several)
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
