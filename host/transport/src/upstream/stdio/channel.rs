//! One child spoken to: the requests that wait on it, what it is sent, and its end.

use super::{process::Process, reader, settings::StdioSettings, stderr};
use crate::upstream::{
    Counters,
    call::Call,
    inflight::{Inflight, Seat},
    limits::CallLimits,
    unsendable,
};
use bytes::Bytes;
use sluice_chain::{
    exchange::Delivery,
    principal::Principal,
    upstream::{Inbound, Listener, Outbound, UpstreamError},
};
use sluice_era::{handshake, request};
use sluice_wire::{line::frame, message::Message, revision::Revision};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    process::ChildStdin,
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// Messages on their way to a child that does not read.
const UNREAD_MAX: usize = 16;

/// A child and the conversation with it.
pub(super) struct Channel {
    pub(super) settings: Arc<StdioSettings>,
    pub(super) counters: Arc<Counters>,
    pub(super) principal: Arc<Principal>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) inflight: Arc<Inflight>,
    /// The revision spoken, once agreed on.
    pub(super) spoken: OnceLock<Revision>,
    outgoing: mpsc::Sender<Bytes>,
    next_id: AtomicU64,
    started: Instant,
    /// Milliseconds after `started`.
    last_used: AtomicU64,
    has_answered: AtomicBool,
    died: AtomicBool,
    stop: CancellationToken,
    gone: CancellationToken,
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
        permits: [OwnedSemaphorePermit; 2],
    ) -> Result<Arc<Self>, UpstreamError> {
        let (process, pipes) = Process::start(settings).map_err(|error| cannot_start(settings, &error))?;
        let (outgoing, unread) = mpsc::channel(UNREAD_MAX);
        let channel = Arc::new(Self {
            settings: settings.clone(),
            counters: counters.clone(),
            principal: principal.clone(),
            listener: listener.clone(),
            inflight: Arc::default(),
            spoken: OnceLock::new(),
            outgoing,
            next_id: AtomicU64::new(1),
            started: Instant::now(),
            last_used: AtomicU64::new(0),
            has_answered: AtomicBool::new(false),
            died: AtomicBool::new(false),
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
        });
        counters.count(|c| &c.connects);
        counters.count(|c| &c.children);
        tokio::spawn(stderr::log(pipes.stderr, settings.name.clone(), counters.clone()));
        tokio::spawn(write(pipes.stdin, unread, channel.stop.clone()));
        let reading = tokio::spawn(reader::read(pipes.stdout, channel.clone()));
        tokio::spawn(supervise(channel.clone(), process, reading, permits));
        Ok(channel)
    }

    /// Sends one request of the client's and waits for its answer.
    pub(super) async fn call(&self, outbound: &Outbound) -> Result<Inbound, CallError> {
        let spoken = *self.spoken.get().ok_or(CallError::NotSent)?;
        let id = self.take_id();
        let body = body(outbound, spoken, id).map_err(CallError::Ended)?;
        let limits = &self.settings.call;
        let seat = self.inflight.seat(Call::new(id, outbound, spoken, true)).map_err(|_| CallError::NotSent)?;
        let call = seat.call.clone();
        self.touch();
        let is_sent = AtomicBool::new(false);
        let outcome = tokio::select! {
            biased;
            () = outbound.cancel.cancelled() => Err(CallError::Ended(UpstreamError::Cancelled)),
            outcome = self.converse(seat, body, outbound, &is_sent) => outcome,
            limit = call.overdue(limits) => Err(CallError::Ended(UpstreamError::Deadline { limit })),
        };
        self.touch();
        if is_sent.load(Relaxed) && matches!(outcome, Err(CallError::Ended(UpstreamError::Cancelled | UpstreamError::Deadline { .. }))) {
            self.say(frame(&handshake::cancelled(id)));
        }
        outcome
    }

    /// From the request to its answer, with the notifications in between, in order.
    async fn converse(&self, mut seat: Seat, body: Bytes, outbound: &Outbound, is_sent: &AtomicBool) -> Result<Inbound, CallError> {
        if self.outgoing.send(frame(&body)).await.is_err() {
            return Err(CallError::NotSent);
        }
        is_sent.store(true, Relaxed);
        let spoken = seat.call.spoken;
        let answer = loop {
            tokio::select! {
                biased;
                Some(message) = seat.notifications.recv() => {
                    // A client that is gone does not stop the call; cancelling does.
                    let _ = outbound.notifications.send(Delivery { message, spoken }).await;
                }
                answer = &mut seat.answer => break answer,
            }
        };
        while let Ok(message) = seat.notifications.try_recv() {
            let _ = outbound.notifications.send(Delivery { message, spoken }).await;
        }
        let message = answer.map_err(|_| CallError::Ended(self.ended()))?.map_err(CallError::Ended)?;
        self.has_answered.store(true, Relaxed);
        Ok(Inbound { response: Delivery { message: Arc::new(message), spoken } })
    }

    /// Sends a request of our own, as long as nothing else is under way.
    pub(super) async fn ask(&self, body: impl FnOnce(u64) -> Bytes, limit: Duration) -> Result<Message, UpstreamError> {
        let id = self.take_id();
        let seat = self.inflight.seat(Call::own(id)).map_err(|_| self.ended())?;
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

    pub(super) fn limits(&self) -> &CallLimits {
        &self.settings.call
    }

    /// Whether calls are still taken.
    pub(super) fn is_open(&self) -> bool {
        !self.stop.is_cancelled() && self.inflight.reason().is_none()
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
        let stops = self.inflight.close_if_idle(reason);
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

    /// Waits until it is reaped.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    fn ended(&self) -> UpstreamError {
        let reason = self.inflight.reason().unwrap_or_else(|| "the child closed its streams".into());
        UpstreamError::ClosedEarly { reason: reason.to_string() }
    }

    fn take_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed)
    }

    fn touch(&self) {
        let after = self.started.elapsed().as_millis();
        self.last_used.store(u64::try_from(after).unwrap_or(u64::MAX), Relaxed);
    }
}

fn body(outbound: &Outbound, spoken: Revision, id: u64) -> Result<Bytes, UpstreamError> {
    let crosses = outbound.spoken.era() != spoken.era();
    let info = crosses.then(|| crate::upstream::speaker::client_info(&outbound.client)).flatten();
    let level = outbound.client.log_level.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let hop = request::Hop {
        id,
        owns_progress: true,
        original_name: outbound.original_name.as_deref(),
        client_info: info.as_deref(),
        capabilities: &outbound.client.capabilities,
        log_level: level.as_deref(),
    };
    request::rewrite(&outbound.message, outbound.spoken, spoken, &hop).map_err(|error| unsendable(error, &outbound.message, spoken))
}

fn cannot_start(settings: &StdioSettings, error: &std::io::Error) -> UpstreamError {
    let reason = format!("cannot start {:?}: {error}", settings.command);
    UpstreamError::Unreachable { reason }
}

/// Writes whole frames, so that a caller who gives up never leaves half a message behind.
async fn write(mut stdin: ChildStdin, mut unread: mpsc::Receiver<Bytes>, stop: CancellationToken) {
    loop {
        let written = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            frame = unread.recv() => match frame {
                Some(frame) => tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    written = stdin.write_all(&frame) => written,
                },
                None => break,
            },
        };
        if written.is_err() {
            break;
        }
    }
}

/// Sees the child through to its end.
async fn supervise(
    channel: Arc<Channel>,
    mut process: Process,
    mut reading: tokio::task::JoinHandle<()>,
    permits: [OwnedSemaphorePermit; 2],
) {
    let end = watch(&channel, &mut process, &mut reading).await;
    process.kill_rest();
    // What it said before it died counts. Whoever else held its stdout is dead by now.
    let _ = timeout(Duration::from_secs(1), &mut reading).await;
    reading.abort();
    if let End::ByItself(status) = &end {
        channel.died.store(true, Relaxed);
        channel.counters.count(|c| &c.child_deaths);
        tracing::warn!(upstream = %channel.settings.name, %status, "child ended by itself");
    }
    channel.inflight.close(end.reason());
    channel.stop.cancel();
    channel.counters.children.fetch_sub(1, Relaxed);
    drop(permits);
    channel.gone.cancel();
}

enum End {
    ByItself(String),
    Stopped,
}

impl End {
    fn reason(&self) -> String {
        match self {
            Self::ByItself(status) => format!("the child ended ({status})"),
            Self::Stopped => "the child was stopped".to_owned(),
        }
    }
}

async fn watch(channel: &Channel, process: &mut Process, reading: &mut tokio::task::JoinHandle<()>) -> End {
    let grace = channel.settings.stop;
    let idle = channel.settings.child_idle;
    loop {
        tokio::select! {
            status = process.ended() => return End::ByItself(status),
            () = channel.stop.cancelled() => {
                process.stop(grace).await;
                return End::Stopped;
            }
            _ = &mut *reading => {
                // Without a stdout it is of no use, whether or not it is about to end.
                let status = timeout(Duration::from_millis(500), process.ended()).await;
                channel.stop.cancel();
                return End::ByItself(match status {
                    Ok(status) => status,
                    Err(_) => format!("it had closed its stdout; {}", process.stop(grace).await),
                });
            }
            () = tokio::time::sleep_until(channel.last_used() + idle) => {
                if channel.last_used().elapsed() >= idle {
                    channel.stop_if_idle("the child was idle");
                }
                // A call longer than that keeps the child, and the clock from spinning.
                if channel.inflight.len() > 0 {
                    channel.touch();
                }
            }
        }
    }
}
