//! One child spoken to: the requests that wait on it, what it is sent, and its end.

use super::{hearing::Listens, passing::Passing, process::Process, reader, settings::StdioSettings, stderr, supervise};
use crate::upstream::{
    Counters,
    call::{Call, level_to_ask, severity, wanted_level},
    capabilities::Capabilities,
    flood::Flood,
    inflight::{Asked, Inflight, Seat},
    limits::CallLimits,
    unsendable,
};
use bytes::Bytes;
use sluice_chain::{
    exchange::Delivery,
    principal::Principal,
    stream::Arriving,
    upstream::{Inbound, Listener, Outbound, UpstreamError},
};
use sluice_era::{capability::Askable, handshake, request, tasks};
use sluice_wire::{line::frame, message::Message, method, revision::Revision};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{
        OwnedSemaphorePermit,
        mpsc::{self, error::TrySendError},
    },
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// Messages on their way to a child that does not read.
const UNREAD_MAX: usize = 16;

/// A child with a task that nobody asks about is kept for so long, unless its room is needed and no other's can be had.
const TASK_KEPT: Duration = Duration::from_secs(3600);

/// From the end of a child's pipes to its own end.
const ENDING_MAX: Duration = Duration::from_secs(1);

/// A child and the conversation with it.
pub(super) struct Channel {
    pub(super) settings: Arc<StdioSettings>,
    pub(super) counters: Arc<Counters>,
    pub(super) principal: Arc<Principal>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) inflight: Arc<Inflight>,
    /// Who hears of changes.
    pub(super) listens: Listens,
    /// Until when a task may be at work although no call is in flight, in milliseconds after `started`.
    tasks_until: AtomicU64,
    /// Counts what it says outside calls and in them.
    pub(super) flood: Flood,
    /// How many need it although no call is in flight.
    held: AtomicUsize,
    /// What was agreed on in the opening.
    agreed: OnceLock<Agreed>,
    /// The log level the server was told, as a rank.
    level: tokio::sync::Mutex<Option<u8>>,
    outgoing: mpsc::Sender<Bytes>,
    next_id: AtomicU64,
    started: Instant,
    /// Milliseconds after `started`.
    last_used: AtomicU64,
    has_answered: AtomicBool,
    died: AtomicBool,
    /// It has nothing to lose and is not waited for.
    is_disposable: AtomicBool,
    stop: CancellationToken,
    /// Its stdout has ended.
    silent: CancellationToken,
    gone: CancellationToken,
}

struct Agreed {
    revision: Revision,
    capabilities: Capabilities,
    /// What the server may ask.
    askable: Askable,
}

/// While it lives, the child is not stopped for want of calls.
pub(super) struct Held(Arc<Channel>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.touch();
        self.0.held.fetch_sub(1, Relaxed);
    }
}

/// A call did not end in an answer.
pub(super) enum CallError {
    /// Nothing was sent: another child may take it.
    NotSent,
    /// It ended like this.
    Ended(UpstreamError),
}

impl Channel {
    /// Starts a child; the permits are given back once it is reaped.
    pub(super) fn start(
        settings: &Arc<StdioSettings>,
        counters: &Arc<Counters>,
        principal: &Arc<Principal>,
        listener: &Arc<dyn Listener>,
        asks: &Arc<AtomicBool>,
        permits: [OwnedSemaphorePermit; 2],
    ) -> Result<Arc<Self>, UpstreamError> {
        let (process, pipes) = Process::start(settings).map_err(|error| cannot_start(settings, &error))?;
        let (outgoing, unread) = mpsc::channel(UNREAD_MAX);
        let channel = Arc::new(Self {
            settings: settings.clone(),
            counters: counters.clone(),
            principal: principal.clone(),
            listener: listener.clone(),
            inflight: Arc::new(Inflight::new(asks)),
            listens: Listens::default(),
            flood: Flood::default(),
            held: AtomicUsize::new(0),
            agreed: OnceLock::new(),
            level: tokio::sync::Mutex::default(),
            outgoing,
            next_id: AtomicU64::new(1),
            started: Instant::now(),
            last_used: AtomicU64::new(0),
            tasks_until: AtomicU64::new(0),
            has_answered: AtomicBool::new(false),
            died: AtomicBool::new(false),
            is_disposable: AtomicBool::new(false),
            stop: CancellationToken::new(),
            silent: CancellationToken::new(),
            gone: CancellationToken::new(),
        });
        counters.count(|c| &c.connects);
        counters.count(|c| &c.children);
        tokio::spawn(stderr::log(pipes.stderr, settings.name.clone(), counters.clone()));
        tokio::spawn(supervise::write(pipes.stdin, unread, channel.stop.clone()));
        let reading = tokio::spawn(reader::read(pipes.stdout, channel.clone()));
        tokio::spawn(supervise::supervise(channel.clone(), process, reading, permits));
        Ok(channel)
    }

    /// Sends one request of the client's and waits for its answer.
    pub(super) async fn call(&self, outbound: &Outbound) -> Result<Inbound, CallError> {
        let spoken = self.spoken().ok_or(CallError::NotSent)?;
        let id = self.take_id();
        let body = body(outbound, spoken, id).map_err(CallError::Ended)?;
        let limits = &self.settings.call;
        let turn = self.inflight.turn(outbound, self.askable()).await.map_err(CallError::Ended)?;
        let seat = self.inflight.seat(Call::new(id, outbound, spoken, true), Asked::of(outbound)).map_err(|_| CallError::NotSent)?;
        drop(turn);
        let call = seat.call.clone();
        self.touch();
        let is_sent = AtomicBool::new(false);
        let outcome = tokio::select! {
            biased;
            () = outbound.cancel.cancelled() => Err(CallError::Ended(UpstreamError::Cancelled)),
            outcome = async {
                self.tell_level(outbound).await.map_err(CallError::Ended)?;
                self.converse(seat, body, outbound, &is_sent).await
            } => outcome,
            limit = call.overdue(limits) => Err(CallError::Ended(UpstreamError::Deadline { limit })),
        };
        self.touch();
        if is_sent.load(Relaxed) && matches!(outcome, Err(CallError::Ended(UpstreamError::Cancelled | UpstreamError::Deadline { .. }))) {
            self.take_back(id);
        }
        if let Ok(inbound) = &outcome {
            self.note_task(outbound, &inbound.response.message);
        }
        outcome
    }

    /// What answers a call with a task works on after it (ADR 17).
    fn note_task(&self, outbound: &Outbound, answer: &Message) {
        let may_be = outbound.message.method() == method::TOOLS_CALL && memchr::memmem::find(answer.bytes(), b"task").is_some();
        if may_be && tasks::created(answer).is_some() {
            let until = self.started.elapsed() + TASK_KEPT;
            self.tasks_until.fetch_max(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Relaxed);
        }
    }

    /// Whether a task it was called for may be at work.
    pub(super) fn may_have_task(&self) -> bool {
        self.started.elapsed().as_millis() < u128::from(self.tasks_until.load(Relaxed))
    }

    /// From the request to its answer, with the notifications in between, in order.
    async fn converse(&self, mut seat: Seat, body: Bytes, outbound: &Outbound, is_sent: &AtomicBool) -> Result<Inbound, CallError> {
        if self.outgoing.send(frame(&body)).await.is_err() {
            return Err(CallError::NotSent);
        }
        is_sent.store(true, Relaxed);
        let spoken = seat.call.spoken;
        let answer = seat.answered(&outbound.interim).await;
        let message = answer.ok_or_else(|| CallError::Ended(self.ended()))?.map_err(CallError::Ended)?;
        self.note_level(outbound, &message).await;
        self.has_answered.store(true, Relaxed);
        let rest = self.inflight.take_long(seat.call.id);
        let rest = rest.map(|parts| Arriving::new(Passing::new(parts, &self.outgoing, seat.call.id)));
        Ok(Inbound { response: Delivery { message: Arc::new(message), spoken }, rest })
    }

    /// Sees to it that the server logs as much as the call's client wants.
    async fn tell_level(&self, outbound: &Outbound) -> Result<(), UpstreamError> {
        let is_legacy = self.agreed.get().is_some_and(|agreed| agreed.capabilities.has_logging);
        let is_needed = is_legacy && outbound.message.method() != method::LOGGING_SET_LEVEL;
        let Some(wanted) = is_needed.then(|| wanted_level(outbound)).flatten() else {
            return Ok(());
        };
        let mut told = self.level.lock().await;
        if let Some(level) = level_to_ask(*told, wanted) {
            self.ask(|id| handshake::set_level(id, level), self.settings.call.silent_max).await?;
            *told = Some(wanted);
        }
        Ok(())
    }

    /// Remembers the level a legacy client has set itself.
    async fn note_level(&self, outbound: &Outbound, answer: &Message) {
        let is_set = outbound.message.method() == method::LOGGING_SET_LEVEL && answer.error().is_none();
        if is_set && let Some(level) = outbound.message.param("level").and_then(|level| severity(&level.as_str()?)) {
            *self.level.lock().await = Some(level);
        }
    }

    /// What the opening agreed on. The first word counts.
    pub(super) fn agree(&self, revision: Revision, capabilities: Capabilities, askable: Askable) {
        let _ = self.agreed.set(Agreed { revision, capabilities, askable });
    }

    /// What the server may ask the client; nothing before it was told.
    pub(super) fn askable(&self) -> Askable {
        self.agreed.get().map(|agreed| agreed.askable).unwrap_or_default()
    }

    /// What a legacy server said that it can do.
    pub(super) fn capabilities(&self) -> Capabilities {
        self.agreed.get().map(|agreed| agreed.capabilities).unwrap_or_default()
    }

    /// Somebody needs it from now on.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        self.held.fetch_add(1, Relaxed);
        Held(self.clone())
    }

    /// Whether it is of use at the moment.
    pub(super) fn is_needed(&self) -> bool {
        self.held.load(Relaxed) > 0 || self.inflight.len() > 0
    }

    /// Resolves when it says no more, or is to stop. Cancel safe.
    pub(super) async fn ended_or_told_to(&self) {
        tokio::select! {
            () = self.silent.cancelled() => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// The revision spoken, once agreed on.
    pub(super) fn spoken(&self) -> Option<Revision> {
        self.agreed.get().map(|agreed| agreed.revision)
    }

    /// Sends a request of our own, as long as nothing else is under way.
    pub(super) async fn ask(&self, body: impl FnOnce(u64) -> Bytes, limit: Duration) -> Result<Message, UpstreamError> {
        let id = self.take_id();
        let seat = self.inflight.seat(Call::own(id), None).map_err(|_| self.ended())?;
        let asked = async {
            self.outgoing.send(frame(&body(id))).await.map_err(|_| self.ended())?;
            let mut seat = seat;
            (&mut seat.answer).await.map_err(|_| self.ended())?
        };
        timeout(limit, asked).await.unwrap_or(Err(UpstreamError::Deadline { limit }))
    }

    /// Sends a notification, waiting for room.
    pub(super) async fn tell(&self, body: Bytes) -> Result<(), UpstreamError> {
        self.outgoing.send(frame(&body)).await.map_err(|_| self.ended())
    }

    /// Sends what may get lost when the child does not read.
    pub(super) fn say(&self, framed: Bytes) {
        if self.outgoing.try_send(framed).is_err() {
            self.counters.count(|c| &c.dropped);
        }
    }

    /// Tells the child that a request it has got is not wanted any more; when it does not read, then once it does. There are never
    /// more of these than such requests.
    pub(super) fn take_back(&self, id: u64) {
        take_back(&self.outgoing, id);
    }

    pub(super) fn limits(&self) -> &CallLimits {
        &self.settings.call
    }

    /// Whether calls are still taken. A child whose pipes have ended takes none, even before its end is noticed.
    pub(super) fn is_open(&self) -> bool {
        let has_pipes = !self.outgoing.is_closed() && !self.silent.is_cancelled();
        has_pipes && !self.stop.is_cancelled() && self.inflight.reason().is_none()
    }

    /// Waits for the end of a child that takes no more calls: how it ended decides how soon the next one may start.
    /// One that has only closed its stdin is told to leave.
    pub(super) async fn ending(&self) {
        if !self.stop.is_cancelled() && timeout(ENDING_MAX, self.gone()).await.is_err() {
            self.stop("the child takes no more input");
        }
    }

    /// Whether it died by itself, and then whether it had been of use.
    pub(super) fn death(&self) -> Option<bool> {
        let was_useful = self.has_answered.load(Relaxed) || self.started.elapsed() > Duration::from_secs(10);
        self.died.load(Relaxed).then_some(was_useful)
    }

    /// When it was last of use, in milliseconds; comparable within this process.
    pub(super) fn last_used(&self) -> Instant {
        self.started + Duration::from_millis(self.last_used.load(Relaxed))
    }

    /// Stops it unless a call is in flight.
    pub(super) fn stop_if_idle(&self, reason: &str) -> bool {
        let stops = self.held.load(Relaxed) == 0 && self.inflight.close_if_idle(reason);
        if stops {
            self.stop.cancel();
        }
        stops
    }

    /// Stops it whatever it does.
    pub(super) fn stop(&self, reason: &str) {
        self.inflight.close(reason);
        self.stop.cancel();
    }

    /// Stops it without giving it time to leave.
    pub(super) fn kill(&self, reason: &str) {
        self.is_disposable.store(true, Relaxed);
        self.stop(reason);
    }

    /// How long it may take to leave.
    pub(super) fn grace(&self) -> Duration {
        if self.is_disposable.load(Relaxed) { Duration::ZERO } else { self.settings.stop }
    }

    /// Closes its stdin and takes no more calls.
    pub(super) fn hang_up(&self) {
        self.stop.cancel();
    }

    /// Waits until it is to stop. Cancel safe.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Waits until its stdout has ended. Cancel safe.
    pub(super) async fn silent(&self) {
        self.silent.cancelled().await;
    }

    pub(super) fn note_silence(&self) {
        self.silent.cancel();
    }

    pub(super) fn note_death(&self) {
        self.died.store(true, Relaxed);
        self.counters.count(|c| &c.child_deaths);
    }

    /// It is reaped.
    pub(super) fn note_gone(&self) {
        self.counters.children.fetch_sub(1, Relaxed);
        self.gone.cancel();
    }

    /// Waits until it is reaped.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    fn ended(&self) -> UpstreamError {
        let reason = self.inflight.reason().unwrap_or_else(|| "the child closed its streams".into());
        UpstreamError::ClosedEarly { reason: reason.to_string() }
    }

    pub(super) fn take_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed)
    }

    pub(super) fn touch(&self) {
        let after = self.started.elapsed().as_millis();
        self.last_used.store(u64::try_from(after).unwrap_or(u64::MAX), Relaxed);
    }
}

/// See [`Channel::take_back`].
pub(super) fn take_back(outgoing: &mpsc::Sender<Bytes>, id: u64) {
    if let Err(TrySendError::Full(framed)) = outgoing.try_send(frame(&handshake::cancelled(id))) {
        let outgoing = outgoing.clone();
        // It fails only when the child ends, and the request with it.
        tokio::spawn(async move { _ = outgoing.send(framed).await });
    }
}

fn body(outbound: &Outbound, spoken: Revision, id: u64) -> Result<Bytes, UpstreamError> {
    let crosses = outbound.spoken.era() != spoken.era();
    let info = crosses.then(|| crate::upstream::speaker::client_info(&outbound.client)).flatten();
    let level = outbound.client.log_level.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let hop = request::Hop {
        id,
        owns_progress: true,
        span: outbound.exchange.max(1),
        original_name: outbound.original_name.as_deref(),
        client_info: info.as_deref(),
        capabilities: &outbound.client.capabilities,
        log_level: level.as_deref(),
        as_task: outbound.as_task,
    };
    request::rewrite(&outbound.message, outbound.spoken, spoken, &hop).map_err(|error| unsendable(error, &outbound.message, spoken))
}

fn cannot_start(settings: &StdioSettings, error: &std::io::Error) -> UpstreamError {
    let reason = format!("cannot start {:?}: {error}", settings.command);
    UpstreamError::Unreachable { reason }
}
