//! A client's byte stream with its deadlines: slow senders and slow readers are cut.
//!
//! One timer a direction is armed when the stream has to wait and is left running when it need not:
//! a timer that fires early is set anew, so a busy connection hardly ever touches the clock wheel.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::pace::{Pace, Phase};
use crate::downstream::settings::Limits;

/// After an answer that did not wait for the end of the body: how long and how much is read and
/// thrown away, so that the client gets to see the answer instead of a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a client is told that never finished its header block.
const HEAD_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A TCP stream that gives up on a peer which keeps us waiting.
pub(super) struct Socket {
    tcp: TcpStream,
    pace: Arc<Pace>,
    header_wait: Duration,
    body_wait: Duration,
    idle_wait: Duration,
    commit_after: Duration,
    write_stall: Duration,
    read: Deadline,
    /// The turn that `read` was set for.
    read_turn: Option<u32>,
    write: Deadline,
    is_write_stalled: bool,
    has_shut_down: bool,
    lingered_bytes: usize,
}

impl Socket {
    /// Wraps an accepted connection; the first header block is awaited from now on.
    pub fn new(tcp: TcpStream, pace: Arc<Pace>, limits: &Limits) -> Socket {
        Socket {
            tcp,
            pace,
            header_wait: limits.header_wait,
            body_wait: limits.body_wait,
            idle_wait: limits.idle_wait,
            commit_after: limits.commit_after,
            write_stall: limits.write_stall,
            read: Deadline::default(),
            read_turn: None,
            write: Deadline::default(),
            is_write_stalled: false,
            has_shut_down: false,
            lingered_bytes: 0,
        }
    }

    /// Called when there is nothing to read: has the peer had its time?
    ///
    /// While the move is ours, the same timer tells when we have been quiet for too long. The
    /// connection's task, which it wakes, asks the answer next.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let wait = match self.pace.phase() {
            Phase::Ours => self.commit_after,
            Phase::Head => self.header_wait,
            Phase::Body => self.body_wait,
            Phase::Idle => self.idle_wait,
        };
        let turn = self.pace.turn();
        if self.read_turn != Some(turn) {
            self.read_turn = Some(turn);
            self.read.set(wait);
        }
        ready!(self.read.poll(context));
        match self.pace.phase() {
            Phase::Ours => {
                self.pace.note_long_quiet();
                return Poll::Pending;
            }
            Phase::Body => self.pace.note_late_body(),
            // Best effort: nothing else is on its way out, and the buffer of a fresh socket has room.
            Phase::Head if !self.is_write_stalled => drop(self.tcp.try_write(HEAD_TIMEOUT)),
            Phase::Head | Phase::Idle => {}
        }
        Poll::Ready(ErrorKind::TimedOut.into())
    }

    /// Passes on what a write gave, and gives up on a peer that takes nothing for too long.
    fn watch_write<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_write_stalled = false;
            return written;
        }
        if !self.is_write_stalled {
            self.is_write_stalled = true;
            self.write.set(self.write_stall);
        }
        ready!(self.write.poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }

    /// Reads and forgets until the peer has closed, too.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut bin = [0; 16 * 1024];
        while self.lingered_bytes < LINGER_BYTES_MAX {
            let mut read = ReadBuf::new(&mut bin);
            match Pin::new(&mut self.tcp).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => self.lingered_bytes += read.filled().len(),
                Poll::Ready(_) => break,
                Poll::Pending => return self.read.poll(context),
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.tcp).poll_read(context, buffer) {
            Poll::Pending => self.poll_patience(context).map(Err),
            done => {
                let has_bytes = buffer.filled().len() > before;
                if has_bytes && self.pace.phase() == Phase::Idle {
                    self.pace.enter(Phase::Head);
                }
                done
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(context, bytes);
        self.watch_write(context, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(context, bytes);
        self.watch_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.has_shut_down {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(context))?;
            self.has_shut_down = true;
            self.read.set(LINGER);
        }
        if self.pace.has_unread_body() {
            ready!(self.poll_linger(context));
        }
        Poll::Ready(Ok(()))
    }
}

/// A point in time that may move without the timer being told.
#[derive(Default)]
struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn set(&mut self, wait: Duration) {
        self.at = Some(Instant::now() + wait);
    }

    /// Ready once the time set last has come.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
    }
}
