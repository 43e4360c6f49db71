//! An event stream as it arrives.

use super::{
    connection::Connection,
    pool::{Exchange, Pool},
    reply::{Echo, REPEATS},
};
use bytes::Bytes;
use hyper::body::Incoming;
use sluice_wire::sse::{Event, EventTooLong, SseDecoder, Through};
use tokio::time::Instant;

/// Events of one response, with what is needed to resume it.
pub(super) struct EventStream {
    connection: Box<Connection>,
    body: Incoming,
    /// What no event may hold.
    echo: Echo,
    decoder: SseDecoder,
    /// The id of the last event that had one.
    pub(super) last_id: Option<String>,
    /// When anything came last, be it a comment.
    pub(super) last_heard: Instant,
    /// The server's wish, in milliseconds.
    pub(super) retry: Option<u64>,
}

/// What a stream gives.
pub(super) enum Next {
    /// An event.
    Event(Event),
    /// An event over the cap; the stream goes on, unless it was told to keep such.
    TooLong,
    /// It ended, as it may.
    End,
    /// It broke off.
    Broken(String),
}

/// An event that is too long to be held.
pub(super) struct LongEvent {
    pub(super) connection: Box<Connection>,
    pub(super) body: Incoming,
    /// What there is of its data, beside what lies in `through`.
    pub(super) beginning: Bytes,
    pub(super) through: Through,
    pub(super) echo: Echo,
}

impl EventStream {
    pub(super) fn new(exchange: Exchange, bytes_max: usize) -> Self {
        let Exchange { connection, response, echo } = exchange;
        Self {
            connection,
            body: response.into_body(),
            echo,
            decoder: SseDecoder::new(bytes_max),
            last_id: None,
            last_heard: Instant::now(),
            retry: None,
        }
    }

    /// The same, and leaves an event over the cap where it is.
    pub(super) fn keeping_long(mut self) -> Self {
        self.decoder.keep_overlong();
        self
    }

    /// The rest of an event over the cap.
    pub(super) fn into_long(self) -> LongEvent {
        let (beginning, through) = self.decoder.through();
        LongEvent { connection: self.connection, body: self.body, beginning, through, echo: self.echo }
    }

    /// The next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            match self.decoder.next() {
                Some(Ok(event)) => {
                    if self.echo.is_in(&event.data) {
                        // There is nothing to go on with.
                        self.last_id = None;
                        return Next::Broken(REPEATS.to_owned());
                    }
                    self.retry = event.retry.or(self.retry);
                    if let Some(id) = &event.id {
                        // An empty id takes the place back, as the standard has it.
                        self.last_id = Some(id.clone()).filter(|id| !id.is_empty());
                    }
                    return Next::Event(event);
                }
                Some(Err(EventTooLong { .. })) => return Next::TooLong,
                None => {}
            }
            match self.connection.data(&mut self.body).await {
                Some(Ok(data)) => {
                    self.last_heard = Instant::now();
                    self.decoder.push(&data);
                }
                Some(Err(error)) => return Next::Broken(error.to_string()),
                None => return Next::End,
            }
        }
    }

    /// The last message has come: the connection is good for another call once the stream ends.
    pub(super) fn finish(self, pool: &Pool) {
        let mut connection = self.connection;
        connection.leave(self.body);
        pool.give(connection);
    }
}
