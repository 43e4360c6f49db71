//! Rounds of modern clients: what they come back with, and the call of a legacy server that waits for it.

use super::{Exchange, QUESTIONS_MAX, Stop, canonical, resolve::Route, suspend::TakenUp, task_results::outcome_document};
use crate::{
    exchange::{Answer, Delivery, Interim, Kind, Question},
    parked::{Between, Call, Open, Owner, Parked, Resumed, Waits},
    queue::Receiver,
    record::{Ended, Outcome},
    rescue::Error,
    ticket::{Bound, Trail},
    upstream::{Inbound, Latest, Outbound, UpstreamError},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use sluice_wire::{
    form::is_answer_to,
    id::RequestId,
    json::{Document, IndexDepth, Kind as JsonKind, Limits, quote},
    message::{self, Message},
    method,
    patch::Patch,
    revision::{Era, Revision},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// After the first question a server may have others; they go into the same round.
const GATHER: Duration = Duration::from_millis(20);
/// The SDKs' own clients give up after about as many.
pub(super) const ROUNDS_MAX: u32 = 10;

/// What a client answered, by key: JSON text.
type Inputs = Vec<(String, Bytes)>;

impl Exchange {
    /// Whether this request can have rounds at all.
    pub(super) fn has_rounds(&self) -> bool {
        matches!(&*self.head.method, method::TOOLS_CALL | method::PROMPTS_GET | method::RESOURCES_READ)
    }

    /// Whether a legacy server may ask this client something.
    pub(super) fn may_be_asked(&self) -> bool {
        let declared = &self.client.capabilities;
        if !self.has_rounds() || self.era() == Era::Legacy || declared.as_ref() == b"{}" {
            return false;
        }
        let document = Document::parse_value(declared.clone(), &Limits::REQUEST, IndexDepth::Levels(1));
        document.is_ok_and(|d| ["elicitation", "sampling", "roots"].iter().any(|key| d.root().get(key).is_some()))
    }

    /// Begins a call that may have several rounds.
    pub(super) async fn first_round(&mut self, index: usize, outbound: Outbound, arriving: Receiver<Interim>) -> Result<Answer, Stop> {
        let upstream = self.generation.upstreams[index].clone();
        let (stop, latest) = (CancellationToken::new(), Arc::<Latest>::default());
        let (tell, done) = oneshot::channel();
        let outbound = Outbound { cancel: stop.clone(), latest: Some(latest.clone()), ..outbound };
        tokio::spawn(async move {
            // Nobody waits any more: the call was cancelled.
            let _ = tell.send(upstream.send(outbound).await);
        });
        self.round(index, Call { arriving, done, stop, latest }, Vec::new()).await
    }

    /// What a modern client has come back with: taken out of its request, so that filters see the request as it was the first
    /// time. A state that leads nowhere is an error, whatever the server is: nothing is begun anew, since the tool may have had
    /// effects. Answers without a state are to no question of ours.
    pub(super) fn take_up(&mut self, route: &Route) -> Result<TakenUp, Error> {
        let is_round = |request: &Message| ["requestState", "inputResponses"].iter().any(|key| request.param(key).is_some());
        if self.era() == Era::Legacy || !self.has_rounds() || !is_round(&self.request) {
            return Ok(TakenUp::With(None));
        }
        let whole = self.request.as_ref().clone().deepen();
        let state = whole.param("requestState");
        let claimed = match state {
            None => None,
            Some(state) => {
                let state = state.as_str().ok_or_else(|| Error::BadParams("params.requestState must be a string".into()))?;
                let claimed = self.host.parks.claim(&state, &Owner::of(&self.principal), &self.bound(route.upstream()));
                Some(claimed.map_err(Error::LostRound)?)
            }
        };
        let responses = whole.param("inputResponses").into_iter().flat_map(|responses| responses.members());
        let inputs = responses.map(|given| (given.key.decoded().into_owned(), given.value.to_bytes())).collect();
        self.request = Arc::new(without_round(&whole)?);
        let Some(Between { trail, said, waits }) = claimed else { return Ok(TakenUp::With(None)) };
        (self.head.exchange, self.head.round, self.said) = (trail.exchange, trail.round + 1, said);
        self.entered = if trail.generation == self.generation.number { trail.entered as usize } else { 0 };
        match waits {
            Waits::Filter(pending) => self.hear(route.upstream(), pending, inputs),
            waits => Ok(TakenUp::With(Some(Box::new(Resumed { waits, inputs })))),
        }
    }

    /// How far this exchange has come.
    pub(super) fn trail(&self) -> Trail {
        Trail {
            exchange: self.head.exchange,
            round: self.head.round,
            generation: self.generation.number,
            entered: u32::try_from(self.entered).unwrap_or(u32::MAX),
        }
    }

    /// The client has left without the state, so nobody can come back with it.
    pub(super) fn unpark(&mut self) {
        if let Some((upstream, state)) = self.parked.take() {
            drop(self.host.parks.claim(&state, &Owner::of(&self.principal), &self.bound(upstream)));
        }
    }

    /// Goes on with the call of a legacy server: its questions are answered, or asked again.
    pub(super) async fn resume(&mut self, index: usize, call: Call, questions: Vec<Open>, inputs: Inputs) -> Result<Answer, Stop> {
        call.latest.set(self.request.clone(), self.client.clone());
        let mut unanswered = Vec::new();
        // What the server has taken back is not asked again.
        for open in questions.into_iter().filter(|open| !open.reply.is_closed()) {
            let given = inputs.iter().find(|(key, _)| *key == open.key).and_then(|(_, given)| response(given));
            let Some(answer) = given.filter(|answer| is_answer_to(&open.question.message, &answer.message)) else {
                unanswered.push(open);
                continue;
            };
            if let Some(answer) = self.filtered(Kind::InputResponse, open.method.clone(), answer).await? {
                // A server that no longer waits has been answered otherwise.
                let _ = open.reply.send(answer);
            }
        }
        self.round(index, call, unanswered).await
    }

    /// Up to the call's answer, or to the next questions.
    async fn round(&mut self, index: usize, mut call: Call, mut open: Vec<Open>) -> Result<Answer, Stop> {
        let started = Instant::now();
        let mut until = (!open.is_empty()).then(tokio::time::Instant::now);
        let cancel = self.cancel.clone();
        let sent = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break Err(UpstreamError::Cancelled),
                () = tokio::time::sleep_until(until.unwrap_or_else(tokio::time::Instant::now)), if until.is_some() => {
                    open.retain(|open| !open.reply.is_closed());
                    if !open.is_empty() && self.host.parks.has_room(&Owner::of(&self.principal), index) {
                        self.upstream_took += started.elapsed();
                        let requests: Vec<String> = open.iter().map(|open| embedded(&open.key, &open.question.message)).collect();
                        return Ok(self.park(index, Waits::Call(call, open), &requests, None)?);
                    }
                    // The server has taken its questions back, or hears that nobody answers, and its call goes on.
                    (open, until) = (Vec::new(), None);
                }
                interim = call.arriving.next() => match interim {
                    Interim::Notification(delivery) => self.deliver(delivery).await?,
                    // Dropped, it counts as unanswered.
                    Interim::Question(_) if open.len() >= QUESTIONS_MAX => {}
                    Interim::Question(question) => {
                        open.extend(self.open(question, open.len()).await?);
                        until.get_or_insert_with(|| tokio::time::Instant::now() + GATHER);
                    }
                },
                sent = &mut call.done => break sent.unwrap_or(Err(UpstreamError::ClosedEarly { reason: "the call was lost".into() })),
            }
        };
        self.upstream_took += started.elapsed();
        while let Some(interim) = call.arriving.try_recv() {
            if let Interim::Notification(delivery) = interim {
                self.deliver(delivery).await?;
            }
        }
        Ok(self.answered(index, sent)?)
    }

    /// A question, past the filters; none when one of them dropped it.
    async fn open(&mut self, question: Question, at: usize) -> Result<Option<Open>, Error> {
        let Question { delivery, reply } = question;
        let method: Arc<str> = delivery.message.method().into();
        let delivery = self.asked_of_client(delivery).await?;
        Ok(delivery.map(|question| Open { key: format!("{}-{}", self.head.round + 1, at + 1), method, question, reply }))
    }

    /// Leaves what waits for the client's answers here, and tells the client to come back with them.
    pub(super) fn park(&mut self, index: usize, waits: Waits, requests: &[String], ttl: Option<Duration>) -> Result<Answer, Error> {
        if self.head.round >= ROUNDS_MAX {
            return Err(self.endless(index));
        }
        let abandoned = Box::new(self.abandoned());
        let between = Between { trail: self.trail(), said: std::mem::take(&mut self.said), waits };
        let parked = Parked { owner: Owner::of(&self.principal), bound: self.bound(index), between, abandoned };
        let state = self.host.parks.park(parked, ttl).ok_or(Error::NoRoomToPark)?;
        self.parked = Some((index, state.clone()));
        let result =
            format!(r#"{{"resultType":"input_required","inputRequests":{{{}}},"requestState":{}}}"#, requests.join(","), quote(&state));
        Ok(Answer { outcome: Outcome::Asked, ..Answer::result(result.into()) })
    }

    pub(super) fn endless(&self, index: usize) -> Error {
        self.upstream_error(index, UpstreamError::BadReply { reason: "it asks for input again and again".into() })
    }

    /// What is written down if nobody comes back.
    fn abandoned(&self) -> Ended {
        Ended {
            head: self.head.clone(),
            principal: self.principal.clone(),
            attributes: self.attributes.clone(),
            generation: self.generation.number,
            parent: self.parent,
            outcome: Outcome::Cancelled,
            code: None,
            tool_error: false,
            cause: Some("its client never came back with answers to the server's questions".into()),
            request_bytes: self.request.bytes().len(),
            response_bytes: 0,
            stream: None,
            took: self.started.elapsed(),
            upstream_took: self.upstream_took,
            passed: Vec::new(),
        }
    }

    pub(super) fn bound(&self, upstream: usize) -> Bound {
        Bound { upstream, digest: self.digest() }
    }

    /// Names what is asked for, as the client put it: before any filter, without what changes from round to round.
    fn digest(&self) -> [u8; 32] {
        let request = self.versions.first().map_or(&self.request, |(_, first)| first);
        let mut hash = Sha256::new_with_prefix(request.method());
        for member in request.params().into_iter().flat_map(|params| params.members()) {
            if !["_meta", "inputResponses", "requestState"].iter().any(|key| member.key.is(key)) {
                for part in [member.key.raw().as_bytes(), member.value.raw_bytes()] {
                    hash.update((part.len() as u64).to_le_bytes());
                    hash.update(part);
                }
            }
        }
        hash.finalize().into()
    }
}

/// The request of a round as it was the first time.
pub(super) fn without_round(request: &Message) -> Result<Message, Error> {
    let broken = || Error::BadParams("params.requestState and inputResponses cannot be read".into());
    let mut patch = Patch::new(request.document());
    ["inputResponses", "requestState"].iter().filter_map(|key| request.param(key)).for_each(|value| patch.remove(value));
    let document = patch.apply_document(&Limits::REQUEST, IndexDepth::Full).map_err(|_| broken())?;
    Message::decode(document).map_err(|_| broken())
}

/// A question as an entry of `inputRequests`.
pub(super) fn embedded(key: &str, question: &Arc<Message>) -> String {
    let asked = Delivery { message: question.clone(), spoken: Revision::V2026_07_28 };
    let lean = canonical::question(&asked);
    let mut out = format!(r#"{}:{{"method":{}"#, quote(key), quote(lean.method()));
    if let Some(params) = lean.params() {
        out.push_str(r#","params":"#);
        out.push_str(params.raw());
    }
    out.push('}');
    out
}

/// An entry of `inputResponses` as a response of its own. None when it is no object.
pub(super) fn response(given: &[u8]) -> Option<Delivery> {
    let text: Bytes = message::result(&RequestId::from_u64(0), given);
    let message = Message::decode(Document::parse(text, &Limits::REQUEST, IndexDepth::Full).ok()?).ok()?;
    let is_object = message.result().is_some_and(|result| result.kind() == JsonKind::Object);
    is_object.then(|| Delivery { message: Arc::new(message), spoken: Revision::V2026_07_28 })
}

impl Exchange {
    /// The upstream's answer, whichever way it was waited for.
    pub(super) fn answered(&mut self, index: usize, sent: Result<Inbound, UpstreamError>) -> Result<Answer, Error> {
        self.note_departures();
        let Inbound { response, rest } = sent.map_err(|source| self.sent_in_vain(index, source))?;
        self.arriving = rest;
        if &*self.head.method == method::TOOLS_CALL {
            self.host.links.note(&self.principal.key, index, response.message.document());
        } else if let Some(outcome) = outcome_document(&self.head.method, &response.message) {
            self.host.links.note(&self.principal.key, index, &outcome);
        }
        Ok(Answer::relayed(self.with_our_ids(index, response)?))
    }
}
