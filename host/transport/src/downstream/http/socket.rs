//! A client's byte stream with its deadlines: slow senders and slow readers are cut.
//!
//! One timer a direction is armed when the stream has to wait and is left running when it need not.

use bytes::{Buf as _, Bytes};
use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::{
    pace::{Pace, Phase},
    patience::{Deadline, Patience, Waits},
};
use crate::downstream::settings::Limits;

/// After an answer that did not wait for the end of the body: how long and how much is read and
/// thrown away, so that the client gets to see the answer instead of a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a client is told that never finished its header block.
const HEAD_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What an HTTP/2 client says first.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream of the client's bytes, without TLS, that gives up on a peer which keeps us waiting.
pub(super) struct Socket<S> {
    io: S,
    pace: Arc<Pace>,
    waits: Waits,
    write_stall: Duration,
    read: Patience,
    write: Deadline,
    /// What was read to tell the version and is still to be read.
    first: Bytes,
    /// Many exchanges at once: the streams keep the pace, and bytes alone begin nothing.
    is_http2: bool,
    is_write_stalled: bool,
    has_shut_down: bool,
    lingered_bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Wraps an accepted connection; the first header block is awaited from now on.
    pub fn new(io: S, pace: Arc<Pace>, limits: &Limits) -> Socket<S> {
        Socket {
            io,
            pace,
            waits: Waits { head: limits.header_wait, body: limits.body_wait, ours: limits.commit_after, idle: limits.idle_wait },
            write_stall: limits.write_stall,
            read: Patience::default(),
            write: Deadline::default(),
            first: Bytes::new(),
            is_http2: false,
            is_write_stalled: false,
            has_shut_down: false,
            lingered_bytes: 0,
        }
    }

    /// Whether the client's first bytes are those of HTTP/2. They are read again by who serves it.
    ///
    /// # Errors
    /// The connection broke, or the client kept us waiting.
    pub async fn begins_as_http2(&mut self) -> io::Result<bool> {
        let mut start = [0; HTTP2_PREFACE.len()];
        let mut filled = 0;
        let is_http2 = loop {
            let read = self.read(&mut start[filled..]).await?;
            filled += read;
            if read == 0 || start[..filled] != HTTP2_PREFACE[..filled] {
                break false;
            }
            if filled == start.len() {
                break true;
            }
        };
        self.first = Bytes::copy_from_slice(&start[..filled]);
        Ok(is_http2)
    }

    /// From now on it is HTTP/2, and idle until a stream begins.
    pub fn speak_http2(&mut self) {
        self.is_http2 = true;
        self.pace.enter(Phase::Idle);
    }

    /// Called when there is nothing to read: has the peer had its time?
    ///
    /// While the move is ours, the same timer tells when we have been quiet for too long. The
    /// connection's task, which it wakes, asks the answer next.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        match ready!(self.read.poll(context, &self.pace, &self.waits)) {
            Phase::Ours => {
                self.pace.note_long_quiet();
                return Poll::Pending;
            }
            Phase::Body => self.pace.note_late_body(),
            // Best effort: nothing else is on its way out, and the buffer of a fresh socket has room.
            Phase::Head if !self.is_write_stalled => {
                let _ = Pin::new(&mut self.io).poll_write(context, HEAD_TIMEOUT);
                let _ = Pin::new(&mut self.io).poll_flush(context);
            }
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
            match Pin::new(&mut self.io).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => self.lingered_bytes += read.filled().len(),
                Poll::Ready(_) => break,
                Poll::Pending => return self.read.deadline.poll(context),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..count]);
            self.first.advance(count);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.io).poll_read(context, buffer) {
            Poll::Pending => self.poll_patience(context).map(Err),
            done => {
                let has_bytes = buffer.filled().len() > before;
                if has_bytes && !self.is_http2 && self.pace.phase() == Phase::Idle {
                    self.pace.enter(Phase::Head);
                }
                done
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.watch_write(context, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
        self.watch_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // With TLS, what was taken may still have to be sent.
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.watch_write(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.has_shut_down {
            let shut = Pin::new(&mut self.io).poll_shutdown(context);
            ready!(self.watch_write(context, shut))?;
            self.has_shut_down = true;
            self.read.deadline.set(LINGER);
        }
        if self.pace.has_unread_body() {
            ready!(self.poll_linger(context));
        }
        Poll::Ready(Ok(()))
    }
}
