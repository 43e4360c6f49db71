//! Answers that are too long to be held, from a body or from an event of one. A piece is read when it is asked for, so a client that takes
//! slowly holds the server back.

use super::{
    connection::Connection,
    line::Line,
    reply::{EchoInPieces, Long, REPEATS, bad},
    session::Session,
    stream::LongEvent,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use sluice_chain::{stream::Source, upstream::UpstreamError};
use sluice_era::handshake;
use sluice_wire::sse::{Part, Through};
use std::{collections::VecDeque, sync::Arc};
use tokio::runtime::Handle;

/// Of what was read before, in one piece.
const PIECE: usize = 64 << 10;

/// The answer to one call.
pub(super) struct Passing {
    line: Arc<Line>,
    /// None once it is done with.
    connection: Option<Box<Connection>>,
    body: Option<Incoming>,
    beginning: VecDeque<Bytes>,
    /// Of an event.
    through: Option<Through>,
    echo: EchoInPieces,
    /// With a legacy server, which has to be told of a call that nobody waits for.
    of: Option<(Arc<Session>, u64)>,
}

impl Passing {
    /// A whole body.
    pub(super) fn body(line: &Arc<Line>, long: Long, of: Option<(Arc<Session>, u64)>) -> Self {
        let Long { connection, body, beginning, echo } = long;
        Self::new(line, connection, body, beginning, None, EchoInPieces::new(echo), of)
    }

    /// The data of an event.
    pub(super) fn event(line: &Arc<Line>, long: LongEvent, of: Option<(Arc<Session>, u64)>) -> Self {
        let LongEvent { connection, body, beginning, through, echo } = long;
        Self::new(line, connection, body, vec![beginning], Some(through), EchoInPieces::new(echo), of)
    }

    fn new(
        line: &Arc<Line>,
        connection: Box<Connection>,
        body: Incoming,
        beginning: Vec<Bytes>,
        through: Option<Through>,
        echo: EchoInPieces,
        of: Option<(Arc<Session>, u64)>,
    ) -> Self {
        Self { line: line.clone(), connection: Some(connection), body: Some(body), beginning: beginning.into(), through, echo, of }
    }

    /// As much of it as is there, without waiting.
    pub(super) fn beginning(&mut self) -> &VecDeque<Bytes> {
        if let Some(through) = &mut self.through {
            while let Some(Part::Data(data)) = through.next() {
                self.beginning.push_back(data);
            }
        }
        &self.beginning
    }

    /// Who began it sees to its end.
    pub(super) fn is_nobodys(&mut self) {
        self.of = None;
    }

    async fn piece(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        while let Some(first) = self.beginning.front_mut() {
            let piece = first.split_to(first.len().min(PIECE));
            if first.is_empty() {
                self.beginning.pop_front();
            }
            if !piece.is_empty() {
                return Some(Ok(piece));
            }
        }
        loop {
            match self.through.as_mut().and_then(Through::next) {
                Some(Part::Data(data)) => return Some(Ok(data)),
                Some(Part::End) => {
                    self.finish();
                    return None;
                }
                None => {}
            }
            let (connection, body) = (self.connection.as_mut()?, self.body.as_mut()?);
            match (connection.data(body).await, &mut self.through) {
                (Some(Ok(data)), Some(through)) => through.push(&data),
                (Some(Ok(data)), None) if data.is_empty() => {}
                (Some(Ok(data)), None) => return Some(Ok(data)),
                (Some(Err(error)), _) => return Some(Err(UpstreamError::ClosedEarly { reason: error.to_string() })),
                (None, Some(_)) => return Some(Err(UpstreamError::ClosedEarly { reason: "the stream ended within the answer".into() })),
                (None, None) => {
                    self.finish();
                    return None;
                }
            }
        }
    }

    /// The connection is good for another call.
    fn finish(&mut self) {
        self.of = None;
        let (Some(mut connection), Some(body)) = (self.connection.take(), self.body.take()) else { return };
        if self.through.is_some() {
            connection.leave(body);
        }
        self.line.pool.give(connection);
    }
}

impl Source for Passing {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Bytes, UpstreamError>>> {
        Box::pin(async move {
            let Some(piece) = self.piece().await else {
                let rest = self.echo.rest();
                return (!rest.is_empty()).then_some(Ok(rest));
            };
            Some(piece.and_then(|piece| self.echo.pass(piece).ok_or_else(|| bad(REPEATS))))
        })
    }
}

impl Drop for Passing {
    /// A modern server sees its stream closed.
    fn drop(&mut self) {
        if let (Some((session, id)), Ok(_)) = (self.of.take(), Handle::try_current()) {
            self.line.say(&session, handshake::cancelled(id));
        }
    }
}
