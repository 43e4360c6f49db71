//! Notifications on their way to a legacy session's event stream.

use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

/// Most bytes that wait for one session.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// A short queue with at most one reader: the newest stream. Never blocks the writer.
pub(super) struct Outbox {
    messages_max: usize,
    state: Mutex<State>,
    lost: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// The stream that may read; 0 while there is none.
    reader: u64,
    /// Number of the last stream opened.
    opened: u64,
    is_closed: bool,
    waker: Option<Waker>,
}

impl Outbox {
    /// An empty one.
    pub fn new(messages_max: usize) -> Outbox {
        Outbox { messages_max, state: Mutex::default(), lost: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message; when there is no more room, it is lost and counted.
    pub fn push(&self, message: Bytes) {
        let mut state = self.state();
        let fits = state.waiting.len() < self.messages_max && state.waiting_bytes + message.len() <= WAITING_BYTES_MAX;
        if state.is_closed || !fits {
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        state.waiting_bytes += message.len();
        state.waiting.push_back(message);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Makes a new reader and ends the one before it; `None` once closed.
    pub fn open(&self) -> Option<u64> {
        let mut state = self.state();
        if state.is_closed {
            return None;
        }
        state.opened += 1;
        state.reader = state.opened;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Some(state.reader)
    }

    /// The next message for this reader; `None` when another has taken its place or all is over.
    pub fn poll_next(&self, reader: u64, context: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.state();
        if state.is_closed || state.reader != reader {
            return Poll::Ready(None);
        }
        if let Some(message) = state.waiting.pop_front() {
            state.waiting_bytes -= message.len();
            return Poll::Ready(Some(message));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// The reader has left; what waits, waits for the next one.
    pub fn leave(&self, reader: u64) {
        let mut state = self.state();
        if state.reader == reader {
            state.reader = 0;
            state.waker = None;
        }
    }

    /// Whether somebody reads.
    pub fn is_read(&self) -> bool {
        self.state().reader != 0
    }

    /// Ends the reader, for good. How many messages never reached one.
    pub fn close(&self) -> u64 {
        let mut state = self.state();
        state.is_closed = true;
        let unread = std::mem::take(&mut state.waiting).len() as u64;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        unread + self.lost.swap(0, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll::{Pending, Ready};

    fn poll(outbox: &Outbox, reader: u64) -> Poll<Option<Bytes>> {
        outbox.poll_next(reader, &Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_came_before_the_stream_waits_for_it_in_order_and_bounded() {
        let outbox = Outbox::new(2);
        for text in ["a", "b", "c"] {
            outbox.push(Bytes::from(text));
        }
        let reader = outbox.open().expect("open");
        assert_eq!(poll(&outbox, reader), Ready(Some(Bytes::from("a"))));
        assert_eq!(poll(&outbox, reader), Ready(Some(Bytes::from("b"))));
        assert_eq!(poll(&outbox, reader), Pending);
        assert_eq!(outbox.close(), 1, "the third found no room");
    }

    #[test]
    fn c93_a_second_stream_takes_over_and_no_message_is_sent_twice() {
        let outbox = Outbox::new(9);
        let first = outbox.open().expect("open");
        outbox.push(Bytes::from("a"));
        assert_eq!(poll(&outbox, first), Ready(Some(Bytes::from("a"))));
        let second = outbox.open().expect("open");
        outbox.push(Bytes::from("b"));
        assert_eq!(poll(&outbox, first), Ready(None));
        outbox.leave(first);
        assert_eq!(poll(&outbox, second), Ready(Some(Bytes::from("b"))));
        outbox.close();
        assert_eq!(poll(&outbox, second), Ready(None));
        assert_eq!(outbox.open(), None);
    }

    #[test]
    fn a_flood_is_bounded_in_bytes_too() {
        let outbox = Outbox::new(1000);
        for _ in 0..20 {
            outbox.push(Bytes::from(vec![0; 100 * 1024]));
        }
        assert_eq!(outbox.close(), 20, "ten waited, ten found no room");
    }
}
