//! An answer that is too long to be held: read strictly while it passes, through the filters batch by batch, and no faster than the client
//! takes it. Nothing of a piece leaves before all of it was checked, and the last one waits until the message proved whole.

use super::{
    Exchange,
    enter::SaidOfBatch,
    envelope::{Both, Envelope},
    lane::{Item, Items, Lane, write},
};
use crate::{
    chunk::Batch,
    exchange::{Answer, AnswerBody, Direction, Kind, Outgoing},
    filter::{Hook, Identity},
    generation::Link,
    record::{Outcome, Passed, Streamed},
    rescue::Error,
    stream::{Arriving, Deaf, Pourer, Source, Streaming, flow},
    upstream::UpstreamError,
    verdict::Rejection,
};
use bytes::Bytes;
use sluice_wire::{
    json::{DecodeError, Incremental, PassingLimits},
    method,
    revision::{Era, Revision},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// For a client to hear why its answer broke off.
const BREAK_OFF_MAX: Duration = Duration::from_secs(1);

/// Of a piece, in bytes, what is read before filters get it: what a string costs beside its text is bounded by this.
const READ: usize = 8 << 10;

/// An answer on its way through.
struct Pouring {
    source: Box<dyn Source>,
    pass: Incremental,
    envelope: Envelope,
    items: Items,
    lanes: Vec<Lane>,
    /// What becomes of each lane's calls in the record.
    tallies: Vec<Tally>,
    /// Checked, and waits for what comes behind it.
    last: Option<Bytes>,
    /// None as long as nothing has left.
    pourer: Option<Pourer>,
    spoken: Revision,
    /// Let go so far.
    bytes: usize,
    until: Instant,
}

/// The hook calls of one filter, told as one.
struct Tally {
    filter: Arc<Identity>,
    verdict: &'static str,
    took: Duration,
}

/// Why it does not go on.
enum Stopped {
    Failed(Error),
    Refused(Rejection),
    /// Nobody takes it; the reason, if it was not the client who left.
    Deaf(Option<String>),
    /// The client has taken its request back.
    Cancelled,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Exchange {
    /// How long an answer may become; 0 where it must be held.
    pub(super) fn pieces_bytes_max(&self) -> u64 {
        let Streaming { held_bytes_max, bytes_max, .. } = self.host.settings.streaming;
        let goes = bytes_max > held_bytes_max as u64 && self.may_be_long() && self.in_the_way().is_none();
        if goes { bytes_max } else { 0 }
    }

    fn may_be_long(&self) -> bool {
        let has_method = matches!(&*self.head.method, method::TOOLS_CALL | method::RESOURCES_READ | method::PROMPTS_GET);
        has_method && self.takes_pieces && self.callers.is_empty() && self.about.is_none()
    }

    /// The filter that would get the response, and does not take it in pieces.
    fn in_the_way(&self) -> Option<&Arc<Identity>> {
        let is_in_the_way = |link: &&Link| self.enters(link, Hook::OnResponse) && !self.enters(link, Hook::OnChunk);
        self.generation.links.iter().find(is_in_the_way).map(|link| link.filter.identity())
    }

    /// The error of a request; of an answer that was too long with the filter because of which it had to be held.
    pub(super) fn sent_in_vain(&self, index: usize, source: UpstreamError) -> Error {
        match (source, self.in_the_way()) {
            (UpstreamError::TooLarge { limit_bytes }, Some(by)) if self.may_be_long() => {
                let upstream = self.generation.upstreams[index].name().to_string();
                Error::Unstreamed { upstream, limit_bytes, plugin: by.name.to_string() }
            }
            (source, _) => self.upstream_error(index, source),
        }
    }

    /// How it ended, for the record; and whether the client has it, or what there is of it.
    pub(super) async fn pour(&mut self, arriving: Arriving, placeholder: Answer) -> (Answer, bool) {
        let AnswerBody::Relayed(delivery) = &placeholder.body else { return (placeholder, false) };
        (self.head.direction, self.head.kind, self.mark) = (Direction::ToClient, Kind::Response, None);
        // Labels may have changed since it was sent.
        if let Some(by) = self.in_the_way() {
            let error = self.unstreamed(by);
            return (self.fail(error), false);
        }
        let envelope = Envelope::new(&delivery.message, delivery.spoken.era() == Era::Modern);
        let mut pouring = self.pouring(arriving, envelope, delivery.spoken);
        let ended = self.run_dry(&mut pouring).await;
        self.passed.extend(pouring.tallies.drain(..).map(|tally| Passed {
            filter: tally.filter,
            hook: Hook::OnChunk,
            verdict: tally.verdict,
            took: tally.took,
        }));
        let Err(stopped) = ended else {
            self.streamed = Some((pouring.bytes, Streamed { truncated: false, tool_error: pouring.envelope.is_tool_error }));
            return (placeholder, true);
        };
        self.broken_off(pouring, stopped).await
    }

    fn pouring(&self, arriving: Arriving, envelope: Envelope, spoken: Revision) -> Pouring {
        let limits = &self.host.settings.streaming;
        let generation = &self.generation;
        let entered = generation.links.iter().enumerate().rev().filter(|(_, link)| self.enters(link, Hook::OnChunk));
        let lanes: Vec<Lane> = entered.map(|(depth, link)| Lane::new(depth, link.filter.interest().overlap)).collect();
        let tally =
            |lane: &Lane| Tally { filter: generation.links[lane.depth].filter.identity().clone(), verdict: "next", took: Duration::ZERO };
        Pouring {
            source: arriving.into_source(),
            pass: Incremental::new(PassingLimits {
                bytes_max: limits.bytes_max,
                depth_max: limits.depth_max,
                nodes_max: limits.nodes_max,
                keys_max: Streaming::KEYS_MAX,
                path_bytes_max: Streaming::PATH_BYTES_MAX,
            }),
            envelope,
            items: Items::default(),
            tallies: lanes.iter().map(tally).collect(),
            lanes,
            last: None,
            pourer: None,
            spoken,
            bytes: 0,
            until: Instant::now() + limits.total_max,
        }
    }

    async fn run_dry(&mut self, pouring: &mut Pouring) -> Result<(), Stopped> {
        loop {
            let piece = self.next_piece(pouring).await?;
            let ends = piece.is_none();
            let out = match piece {
                Some(piece) => self.taken(pouring, piece).await?,
                None => {
                    pouring.finish().map_err(|source| self.of_upstream(source))?;
                    self.through_lanes(pouring, true).await?.into()
                }
            };
            if let Some(before) = (!out.is_empty()).then(|| pouring.last.replace(out)).flatten() {
                self.let_go(pouring, before).await?;
            }
            if ends {
                let last = pouring.last.take().unwrap_or_default();
                self.let_go(pouring, last).await?;
                let Some(pourer) = &pouring.pourer else { return Ok(()) };
                return self.in_time(pouring.until, pourer.end()).await;
            }
        }
    }

    /// What may wait to leave once a piece was read. The white space behind the message is left out: where that ends nobody knows, and the
    /// closing brace must wait for it.
    async fn taken(&mut self, pouring: &mut Pouring, piece: Bytes) -> Result<Bytes, Stopped> {
        let mut out = Vec::new();
        let whole = if pouring.lanes.is_empty() { piece.len().max(1) } else { READ };
        for part in piece.chunks(whole) {
            let was_closed = pouring.envelope.is_closed;
            pouring.read(part).map_err(|source| self.of_upstream(source))?;
            if was_closed {
                drop(pouring.items.take());
            } else if pouring.lanes.is_empty() {
                return Ok(piece);
            } else {
                out.extend(self.through_lanes(pouring, false).await?);
            }
        }
        Ok(out.into())
    }

    fn of_upstream(&self, source: UpstreamError) -> Error {
        Error::Upstream { upstream: self.head.upstream.as_deref().unwrap_or_default().to_owned(), source }
    }

    async fn next_piece(&self, pouring: &mut Pouring) -> Result<Option<Bytes>, Stopped> {
        let limits = &self.host.settings.streaming;
        let silent = Instant::now() + limits.silent_max;
        let until = pouring.until;
        let is_total = until <= silent;
        let limit = if is_total { limits.total_max } else { limits.silent_max };
        let Pouring { source, pourer, .. } = pouring;
        let left = async {
            match pourer {
                Some(pourer) => pourer.deaf().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stopped::Cancelled),
            Deaf { stuck } = left => Err(Stopped::Deaf(stuck)),
            piece = source.next() => piece.transpose().map_err(|source| self.of_upstream(source).into()),
            () = sleep_until(silent.min(until)) => Err(self.of_upstream(UpstreamError::Deadline { limit }).into()),
        }
    }

    /// What has come through all filters.
    async fn through_lanes(&mut self, pouring: &mut Pouring, ends: bool) -> Result<Vec<u8>, Stopped> {
        if self.cancel.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        if Instant::now() >= pouring.until {
            return Err(self.of_upstream(UpstreamError::Deadline { limit: self.host.settings.streaming.total_max }).into());
        }
        let generation = self.generation.clone();
        let bytes = usize::try_from(pouring.pass.bytes()).unwrap_or(usize::MAX);
        let mut items = pouring.items.take();
        for (lane, tally) in pouring.lanes.iter_mut().zip(&mut pouring.tallies) {
            let link = &generation.links[lane.depth];
            let mut out = Vec::new();
            for item in items {
                if lane.push(item) {
                    out.extend(self.judge(lane, tally, link, bytes, false).await?);
                }
            }
            if ends {
                out.extend(self.judge(lane, tally, link, bytes, true).await?);
            }
            items = out;
        }
        self.still_all(&pouring.lanes)?;
        Ok(write(items))
    }

    /// What a filter noted about a batch may bring one in that has not seen the answer from its beginning.
    fn still_all(&self, lanes: &[Lane]) -> Result<(), Stopped> {
        let is_late = |(depth, link): &(usize, &Link)| {
            let takes = self.enters(link, Hook::OnChunk);
            if takes { lanes.iter().all(|lane| lane.depth != *depth) } else { self.enters(link, Hook::OnResponse) }
        };
        let late = self.generation.links.iter().enumerate().find(is_late);
        late.map_or(Ok(()), |(_, link)| Err(self.unstreamed(link.filter.identity()).into()))
    }

    fn unstreamed(&self, by: &Identity) -> Error {
        let upstream = self.head.upstream.as_deref().unwrap_or_default().to_owned();
        Error::Unstreamed { upstream, limit_bytes: self.host.settings.streaming.held_bytes_max, plugin: by.name.to_string() }
    }

    async fn judge(&mut self, lane: &mut Lane, tally: &mut Tally, link: &Link, bytes: usize, ends: bool) -> Result<Vec<Item>, Stopped> {
        let (batch, places) = lane.batch(ends);
        if batch.chunks.is_empty() && !ends {
            return Ok(lane.released(batch, places, Vec::new()));
        }
        let batch = Arc::new(batch);
        let (said, label, took) = self.enter_batch(lane.depth, link, &batch, bytes).await;
        tally.took += took;
        if label != "next" {
            tally.verdict = label;
        }
        match said {
            SaidOfBatch::Next(splices) => {
                let batch = Arc::try_unwrap(batch).unwrap_or_else(|shared| Batch::clone(&shared));
                Ok(lane.released(batch, places, splices))
            }
            SaidOfBatch::Reject(rejection) => {
                self.cause = Some(format!("{} refused the response: {}", link.filter.identity().name, rejection.message));
                Err(Stopped::Refused(rejection))
            }
            SaidOfBatch::Broke(error) => Err(error.into()),
        }
    }

    /// Hands a piece to the client, and waits until it takes it. With the first one it gets its answer.
    async fn let_go(&self, pouring: &mut Pouring, data: Bytes) -> Result<(), Stopped> {
        if pouring.pourer.is_none() {
            let (pourer, flow) = flow(pouring.spoken);
            let body = AnswerBody::Streamed(flow);
            let answer = Answer { outcome: Outcome::Answered, body, http_status: None, http_headers: Vec::new() };
            let sent = async { self.sender.send(Outgoing::Final(answer)).await.map_err(|_| Deaf { stuck: None }) };
            self.in_time(pouring.until, sent).await?;
            pouring.pourer = Some(pourer);
        }
        let Some(pourer) = &pouring.pourer else { return Ok(()) };
        let length = data.len();
        self.in_time(pouring.until, pourer.pour(data)).await?;
        pouring.bytes += length;
        Ok(())
    }

    /// Waits for the client as long as it may take.
    async fn in_time(&self, until: Instant, taken: impl Future<Output = Result<(), Deaf>>) -> Result<(), Stopped> {
        let until = (Instant::now() + self.host.settings.streaming.stalled_max).min(until);
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stopped::Cancelled),
            taken = timeout_at(until, taken) => match taken {
                Ok(taken) => taken.map_err(|Deaf { stuck }| Stopped::Deaf(stuck)),
                Err(_) => Err(Stopped::Deaf(Some("the client did not take the answer in time".into()))),
            },
        }
    }

    /// Where nothing has left, it is an answer like any other.
    async fn broken_off(&mut self, pouring: Pouring, stopped: Stopped) -> (Answer, bool) {
        // The upstream is told first.
        drop(pouring.source);
        let is_cancelled = matches!(stopped, Stopped::Cancelled);
        let answer = match stopped {
            Stopped::Failed(error) => self.fail(error),
            Stopped::Refused(rejection) => Answer::refused(rejection, &self.head),
            Stopped::Cancelled => self.gone(Outcome::Cancelled, "the client took its request back".into()),
            Stopped::Deaf(None) => self.gone(Outcome::Cancelled, "the client left before it had the whole answer".into()),
            Stopped::Deaf(Some(reason)) => self.gone(Outcome::Failed, reason),
        };
        let Some(pourer) = pouring.pourer else { return (answer, false) };
        self.streamed = Some((pouring.bytes, Streamed { truncated: true, tool_error: false }));
        let said = if is_cancelled { None } else { copied(&answer.body) };
        // A client that does not take it sees the end all the same.
        let _ = timeout(BREAK_OFF_MAX, pourer.break_off(said)).await;
        (answer, true)
    }

    fn gone(&mut self, outcome: Outcome, cause: String) -> Answer {
        let body = AnswerBody::error(sluice_wire::code::INTERNAL_ERROR, cause.clone());
        self.cause = Some(cause);
        Answer { outcome, body, http_status: None, http_headers: Vec::new() }
    }
}

impl Pouring {
    fn read(&mut self, piece: &[u8]) -> Result<(), UpstreamError> {
        let read = if self.lanes.is_empty() {
            self.pass.push(piece, &mut self.envelope)
        } else {
            self.pass.push(piece, &mut Both(&mut self.envelope, &mut self.items))
        };
        read.map_err(|error| match error {
            DecodeError::TooLarge { limit } => UpstreamError::TooLarge { limit_bytes: limit },
            other => UpstreamError::BadReply { reason: other.to_string() },
        })?;
        self.wrong(self.envelope.wrong())
    }

    fn finish(&mut self) -> Result<(), UpstreamError> {
        self.pass.finish().map_err(|error| UpstreamError::BadReply { reason: error.to_string() })?;
        self.wrong(self.envelope.wrong_at_end())
    }

    fn wrong(&self, what: Option<&'static str>) -> Result<(), UpstreamError> {
        what.map_or(Ok(()), |what| Err(UpstreamError::BadReply { reason: what.to_owned() }))
    }
}

fn copied(body: &AnswerBody) -> Option<AnswerBody> {
    match body {
        AnswerBody::Result(result) => Some(AnswerBody::Result(result.clone())),
        AnswerBody::Error { code, message, data } => Some(AnswerBody::Error { code: *code, message: message.clone(), data: data.clone() }),
        AnswerBody::Relayed(_) | AnswerBody::Streamed(_) => None,
    }
}

#[cfg(test)]
mod tests;
