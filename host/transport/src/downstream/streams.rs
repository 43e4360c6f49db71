//! The event streams of one legacy session: what is on its way to the client, and what may have got lost on it.
//!
//! A stream is read by one connection at a time, the newest; another that names its last event takes it over and gets what
//! that stream said after it, whatever opened it. Messages that belong to no request wait for a stream without a call and
//! are each put on exactly one. Nothing is allocated before there is something to keep.

mod event_id;

pub(super) use event_id::{EventId, Kind};

use bytes::Bytes;
use sluice_era::answer::Addressed;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::Instant;

use super::settings::Limits;

/// Most bytes that wait for a stream of one session.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// All streams of one session. Never blocks a writer.
pub(super) struct Streams {
    limits: Kept,
    /// Bytes kept by all sessions of the endpoint.
    total_bytes: Arc<AtomicUsize>,
    state: Mutex<State>,
    lost: AtomicU64,
}

/// What may be kept.
#[derive(Clone, Copy)]
struct Kept {
    waiting_max: usize,
    events_max: usize,
    bytes_max: usize,
    total_bytes_max: usize,
}

#[derive(Default)]
struct State {
    /// For no stream yet.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    streams: Vec<Stream>,
    /// Number of the stream that gets what belongs to no request.
    own: u64,
    /// Number of the last stream opened.
    opened: u64,
    /// Number of the last event; no two events of the session share one.
    last_event: u64,
    /// Number of the last reader.
    readers: u64,
    events: usize,
    bytes: usize,
    is_closed: bool,
}

struct Stream {
    kind: Kind,
    number: u64,
    events: VecDeque<Event>,
    /// Who may read it; 0 while nobody does.
    reader: u64,
    waker: Option<Waker>,
    /// Nothing more will be put on it.
    has_ended: bool,
}

struct Event {
    number: u64,
    text: Addressed,
    at: Instant,
    /// There is no room to keep it once it was read.
    is_passing: bool,
}

/// One connection's place on one stream.
pub(super) struct Reader {
    kind: Kind,
    stream: u64,
    reader: u64,
    /// The last event it has read.
    last: u64,
}

impl Reader {
    /// Where it is.
    pub fn place(&self) -> EventId {
        EventId { kind: self.kind, stream: self.stream, event: self.last }
    }
}

/// Why a stream cannot be gone on with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotHere {
    /// The session has ended.
    Closed,
    /// The event is of no stream of this session, or of one that is no longer kept.
    Unknown,
}

impl Streams {
    /// None yet. `total_bytes` is shared by all sessions.
    pub fn new(limits: &Limits, total_bytes: Arc<AtomicUsize>) -> Streams {
        let limits = Kept {
            waiting_max: limits.outbox_messages_max,
            events_max: limits.replay_events_max,
            bytes_max: limits.replay_bytes_max,
            total_bytes_max: limits.replay_total_bytes_max,
        };
        Streams { limits, total_bytes, state: Mutex::default(), lost: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message that belongs to no request; when there is no more room, it is lost and counted.
    pub fn push(&self, message: Bytes) {
        let mut state = self.state();
        let fits = state.waiting.len() < self.limits.waiting_max && state.waiting_bytes + message.len() <= WAITING_BYTES_MAX;
        if state.is_closed || !fits {
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        state.waiting_bytes += message.len();
        state.waiting.push_back(message);
        let own = state.own;
        if let Some(stream) = state.stream(own) {
            stream.wake();
        }
    }

    /// Opens a stream. A second one of the session's own ends the first. None once closed.
    pub fn open(&self, kind: Kind) -> Option<Reader> {
        let mut state = self.state();
        if state.is_closed {
            return None;
        }
        state.opened += 1;
        let number = state.opened;
        state.streams.push(Stream::new(kind, number));
        let last = state.last_event;
        let reader = state.take_over(kind, number, last);
        drop(state);
        self.tidy();
        Some(reader)
    }

    /// Goes on with a stream after an event. Whoever read it before is cut off.
    ///
    /// # Errors
    /// [`NotHere`]. A session's own stream is never too old: it goes on with what is still there.
    pub fn resume(&self, place: EventId) -> Result<Reader, NotHere> {
        let mut state = self.state();
        if state.is_closed {
            return Err(NotHere::Closed);
        }
        let is_ours = place.stream >= 1 && place.stream <= state.opened && place.event <= state.last_event;
        match state.stream(place.stream).map(|stream| stream.kind) {
            _ if !is_ours => return Err(NotHere::Unknown),
            Some(kind) if kind == place.kind => {}
            None if place.kind == Kind::Own => state.streams.push(Stream::new(Kind::Own, place.stream)),
            _ => return Err(NotHere::Unknown),
        }
        Ok(state.take_over(place.kind, place.stream, place.event))
    }

    /// Puts an event on a call's stream.
    pub fn put(&self, place: EventId, text: Addressed) {
        let mut state = self.state();
        if !state.is_closed && !state.put(place.stream, text, &self.limits, &self.total_bytes) {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// Nothing more will be put on a call's stream.
    pub fn end(&self, place: EventId) {
        if let Some(stream) = self.state().stream(place.stream) {
            stream.has_ended = true;
            stream.wake();
        }
    }

    /// The next event for this reader; `None` when another has taken its place or all is over.
    pub fn poll_next(&self, reader: &mut Reader, context: &Context<'_>) -> Poll<Option<(EventId, Addressed)>> {
        let mut state = self.state();
        let is_own = state.own == reader.stream;
        if state.is_closed || state.stream(reader.stream).is_none_or(|stream| stream.reader != reader.reader) {
            return Poll::Ready(None);
        }
        if is_own
            && !state.has_after(reader)
            && let Some(message) = state.waiting.pop_front()
        {
            state.waiting_bytes -= message.len();
            state.put(reader.stream, Addressed::whole(message), &self.limits, &self.total_bytes);
        }
        let found = state.read(reader, &self.total_bytes);
        let Some(stream) = state.stream(reader.stream) else { return Poll::Ready(None) };
        match found {
            Some(text) => Poll::Ready(Some((reader.place(), text))),
            None if stream.has_ended => Poll::Ready(None),
            None => {
                stream.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The reader has left; what comes now is kept for when it comes back.
    pub fn leave(&self, reader: &Reader) {
        let mut state = self.state();
        if let Some(stream) = state.stream(reader.stream).filter(|stream| stream.reader == reader.reader) {
            stream.reader = 0;
            stream.waker = None;
        }
        drop(state);
        self.tidy();
    }

    /// Whether somebody reads.
    pub fn is_read(&self) -> bool {
        self.state().streams.iter().any(|stream| stream.reader != 0)
    }

    /// Forgets what has been kept for longer than `age`.
    pub fn forget_old(&self, age: Duration) {
        let mut state = self.state();
        let now = Instant::now();
        while state.drop_oldest(&self.total_bytes, |event| now.duration_since(event.at) >= age) {}
        drop(state);
        self.tidy();
    }

    /// Drops streams of which nothing is left.
    fn tidy(&self) {
        let mut state = self.state();
        state.streams.retain(|stream| {
            let may_go_on = stream.kind == Kind::Call && !stream.has_ended;
            may_go_on || stream.reader != 0 || !stream.events.is_empty()
        });
    }

    /// Ends all streams, for good. How many messages never reached one.
    pub fn close(&self) -> u64 {
        let mut state = self.state();
        state.is_closed = true;
        let unread = std::mem::take(&mut state.waiting).len() as u64;
        for stream in std::mem::take(&mut state.streams) {
            stream.waker.into_iter().for_each(Waker::wake);
        }
        self.total_bytes.fetch_sub(std::mem::take(&mut state.bytes), Relaxed);
        unread + self.lost.swap(0, Relaxed)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.close();
    }
}

impl Stream {
    fn new(kind: Kind, number: u64) -> Stream {
        Stream { kind, number, events: VecDeque::new(), reader: 0, waker: None, has_ended: false }
    }

    fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn stream(&mut self, number: u64) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.number == number)
    }

    /// Makes a new reader of a stream and cuts off the one before; a session's own stream also ends the one it replaces.
    fn take_over(&mut self, kind: Kind, number: u64, last: u64) -> Reader {
        self.readers += 1;
        let reader = self.readers;
        if kind == Kind::Own {
            let before = std::mem::replace(&mut self.own, number);
            if let Some(before) = self.stream(before) {
                before.reader = 0;
                before.wake();
            }
        }
        if let Some(stream) = self.stream(number) {
            stream.reader = reader;
            stream.wake();
        }
        Reader { kind, stream: number, reader, last }
    }

    fn has_after(&mut self, reader: &Reader) -> bool {
        self.stream(reader.stream).is_some_and(|stream| stream.events.back().is_some_and(|event| event.number > reader.last))
    }

    /// False when it is lost: there is no room, and nobody to hand it to.
    fn put(&mut self, number: u64, text: Addressed, limits: &Kept, total_bytes: &AtomicUsize) -> bool {
        let length = text.len();
        // The newest is kept whatever its size: it is the one most likely to be missed.
        while self.events >= limits.events_max || (self.events > 0 && self.bytes + length > limits.bytes_max) {
            if !self.drop_oldest(total_bytes, |_| true) {
                break;
            }
        }
        let is_passing = total_bytes.load(Relaxed) + length > limits.total_bytes_max;
        let event = self.last_event + 1;
        let Some(stream) = self.stream(number).filter(|stream| stream.reader != 0 || !is_passing) else { return false };
        stream.events.push_back(Event { number: event, text, at: Instant::now(), is_passing });
        stream.wake();
        self.last_event = event;
        self.events += 1;
        self.bytes += length;
        total_bytes.fetch_add(length, Relaxed);
        true
    }

    fn read(&mut self, reader: &mut Reader, total_bytes: &AtomicUsize) -> Option<Addressed> {
        let last = reader.last;
        let stream = self.stream(reader.stream)?;
        let at = stream.events.partition_point(|event| event.number <= last);
        let event = stream.events.get(at)?;
        reader.last = event.number;
        let text = event.text.clone();
        if event.is_passing {
            stream.events.remove(at);
            self.account(text.len(), total_bytes);
        }
        Some(text)
    }

    /// Drops the oldest event of the session, if it is such a one.
    fn drop_oldest(&mut self, total_bytes: &AtomicUsize, is_due: impl Fn(&Event) -> bool) -> bool {
        let fronts = self.streams.iter_mut().filter(|stream| !stream.events.is_empty());
        let oldest = fronts.min_by_key(|stream| stream.events.front().map(|event| event.number));
        let Some(stream) = oldest.filter(|stream| stream.events.front().is_some_and(is_due)) else { return false };
        let Some(event) = stream.events.pop_front() else { return false };
        self.account(event.text.len(), total_bytes);
        true
    }

    fn account(&mut self, length: usize, total_bytes: &AtomicUsize) {
        self.events -= 1;
        self.bytes -= length;
        total_bytes.fetch_sub(length, Relaxed);
    }
}

#[cfg(test)]
mod tests;
