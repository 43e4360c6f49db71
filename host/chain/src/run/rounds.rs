//! A modern client before a legacy server that asks: each round is an exchange of its own, and the call waits between them.

use super::{Exchange, QUESTIONS_MAX};
use crate::{
    exchange::{Answer, AnswerBody, Delivery, Interim, Kind, Question},
    parked::{Call, Claimed, Open, Owner, Parked},
    queue::Receiver,
    record::{Ended, Outcome},
    rescue::Error,
    ticket::Bound,
    upstream::{Inbound, Latest, Outbound, UpstreamError},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use sluice_wire::{
    form,
    id::RequestId,
    json::{Document, IndexDepth, Kind as JsonKind, Limits, Value, quote},
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
const ROUNDS_MAX: u32 = 10;

/// How a request goes on.
pub(super) enum Next {
    /// With the call that waited for it, up to its answer or next questions.
    Answered(Answer),
    /// To the upstream, like this.
    Send(Arc<Message>),
}

impl Exchange {
    /// Whether a legacy server may ask this client something.
    pub(super) fn may_be_asked(&self) -> bool {
        let declared = &self.client.capabilities;
        let may_ask = matches!(&*self.head.method, method::TOOLS_CALL | method::PROMPTS_GET | method::RESOURCES_READ);
        if !may_ask || self.era() == Era::Legacy || declared.as_ref() == b"{}" {
            return false;
        }
        let document = Document::parse_value(declared.clone(), &Limits::REQUEST, IndexDepth::Levels(1));
        document.is_ok_and(|d| ["elicitation", "sampling", "roots"].iter().any(|key| d.root().get(key).is_some()))
    }

    /// Begins a call that may have several rounds.
    pub(super) async fn first_round(&mut self, index: usize, outbound: Outbound, arriving: Receiver<Interim>) -> Result<Answer, Error> {
        let upstream = self.host.upstreams[index].clone();
        let (stop, latest) = (CancellationToken::new(), Arc::<Latest>::default());
        let (tell, done) = oneshot::channel();
        let outbound = Outbound { cancel: stop.clone(), latest: Some(latest.clone()), ..outbound };
        tokio::spawn(async move {
            // Nobody waits any more: the call was cancelled.
            let _ = tell.send(upstream.send(outbound).await);
        });
        self.round(index, Call { arriving, done, stop, latest }, Vec::new(), 0).await
    }

    /// What this request goes on with, if it says that it does. A state that leads nowhere is an error, whatever the server
    /// is: nothing is begun anew, since the tool may have had effects.
    pub(super) async fn next_round(&mut self, index: usize) -> Result<Next, Error> {
        let state = self.request.param("requestState").filter(|_| self.era() == Era::Modern);
        let Some(state) = state else { return Ok(Next::Send(self.request.clone())) };
        let state = state.as_str().ok_or_else(|| Error::BadParams("params.requestState must be a string".into()))?.into_owned();
        let bound = self.bound(index);
        match self.host.parks.claim(&state, &Owner::of(&self.principal), &bound).map_err(Error::LostRound)? {
            Claimed::Parked(parked) => self.resume(*parked).await.map(Next::Answered),
            Claimed::Server(own) => self.with_state(own).map(Next::Send),
        }
    }

    /// The request as its server wants it back: with the state the server gave, to the byte, or with none.
    fn with_state(&self, own: Option<Bytes>) -> Result<Arc<Message>, Error> {
        let broken = || Error::BadParams("params.requestState cannot be put in place".into());
        let whole = self.request.as_ref().clone().deepen();
        let mut patch = Patch::new(whole.document());
        let state = whole.param("requestState").ok_or_else(broken)?;
        match own {
            Some(own) => patch.replace(state, own),
            None => patch.remove(state),
        }
        let document = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).map_err(|_| broken())?;
        Ok(Arc::new(Message::decode(document).map_err(|_| broken())?))
    }

    /// A server's questions with a state of ours around its own, so that it comes back with this request and nobody else's.
    fn bind(&self, index: usize, response: Delivery) -> Result<Delivery, Error> {
        let is_round = |response: &Delivery| {
            let kind = response.message.result().and_then(|result| result.get("resultType"));
            kind.is_some_and(|kind| kind.is_str("input_required"))
        };
        if self.era() == Era::Legacy || response.spoken.era() == Era::Legacy || !is_round(&response) {
            return Ok(response);
        }
        let broken = || self.upstream_error(index, UpstreamError::BadReply { reason: "its questions cannot be read".into() });
        let whole = response.message.as_ref().clone().deepen();
        let result = whole.result().ok_or_else(broken)?;
        let own = result.get("requestState").map(|own| own.to_bytes());
        let state = self.host.parks.pass(&Owner::of(&self.principal), self.bound(index), own).ok_or(Error::NoRoomToPark)?;
        let mut patch = Patch::new(whole.document());
        patch.set(result, "requestState", quote(&state));
        let document = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).map_err(|_| broken())?;
        let message = Arc::new(Message::decode(document).map_err(|_| broken())?);
        Ok(Delivery { message, spoken: response.spoken })
    }

    /// The answer that left does not hold the state any more, so nobody can come back with it.
    pub(super) fn unpark_unless_told(&mut self, answer: &Answer, is_cancelled: bool) {
        let Some((upstream, state)) = self.parked.take() else { return };
        let told = match &answer.body {
            AnswerBody::Result(result) => Some(result),
            AnswerBody::Relayed(delivery) => Some(delivery.message.bytes()),
            AnswerBody::Error { .. } => None,
        };
        let is_told = told.is_some_and(|told| told.windows(state.len()).any(|part| part == state.as_bytes()));
        if is_cancelled || !is_told {
            drop(self.host.parks.claim(&state, &Owner::of(&self.principal), &self.bound(upstream)));
        }
    }

    async fn resume(&mut self, parked: Parked) -> Result<Answer, Error> {
        let Parked { bound, call, questions, round, .. } = parked;
        call.latest.set(self.request.clone(), self.client.clone());
        let whole = self.request.as_ref().clone().deepen();
        let responses = whole.param("inputResponses");
        let mut unanswered = Vec::new();
        // What the server has taken back is not asked again.
        for open in questions.into_iter().filter(|open| !open.reply.is_closed()) {
            let given = responses.and_then(|responses| responses.get(&open.key)).filter(|given| is_answer_to(&open, *given));
            let Some(given) = given else {
                unanswered.push(open);
                continue;
            };
            let answer = response(given).ok_or_else(|| Error::BadParams("params.inputResponses cannot be read".into()))?;
            if let Some(answer) = self.filtered(Kind::InputResponse, open.method.clone(), answer).await? {
                // A server that no longer waits has been answered otherwise.
                let _ = open.reply.send(answer);
            }
        }
        self.round(bound.upstream, call, unanswered, round + 1).await
    }

    /// Up to the call's answer, or to the next questions.
    async fn round(&mut self, index: usize, mut call: Call, mut open: Vec<Open>, round: u32) -> Result<Answer, Error> {
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
                        return self.park(index, call, open, round);
                    }
                    // The server has taken its questions back, or hears that nobody answers, and its call goes on.
                    (open, until) = (Vec::new(), None);
                }
                interim = call.arriving.next() => match interim {
                    Interim::Notification(delivery) => self.deliver(delivery).await?,
                    // Dropped, it counts as unanswered.
                    Interim::Question(_) if open.len() >= QUESTIONS_MAX => {}
                    Interim::Question(question) => {
                        open.extend(self.open(question, round, open.len()).await?);
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
        self.answered(index, sent)
    }

    /// A question, past the filters; none when one of them dropped it.
    async fn open(&mut self, question: Question, round: u32, at: usize) -> Result<Option<Open>, Error> {
        let Question { delivery, reply } = question;
        let method: Arc<str> = delivery.message.method().into();
        let delivery = self.filtered(Kind::InputRequest, method.clone(), delivery).await?;
        Ok(delivery.map(|question| Open { key: format!("{}-{}", round + 1, at + 1), method, question, reply }))
    }

    fn park(&mut self, index: usize, call: Call, questions: Vec<Open>, round: u32) -> Result<Answer, Error> {
        if round >= ROUNDS_MAX {
            let source = UpstreamError::BadReply { reason: "it asks for input again and again".into() };
            return Err(Error::Upstream { upstream: self.host.upstreams[index].name().to_string(), source });
        }
        let requests: Vec<String> = questions.iter().map(embedded).collect();
        let abandoned = Box::new(self.abandoned());
        let parked = Parked { owner: Owner::of(&self.principal), bound: self.bound(index), round, call, questions, abandoned };
        let state = self.host.parks.park(parked).ok_or(Error::NoRoomToPark)?;
        self.parked = Some((index, state.clone()));
        let result =
            format!(r#"{{"resultType":"input_required","inputRequests":{{{}}},"requestState":{}}}"#, requests.join(","), quote(&state));
        Ok(Answer::result(result.into()))
    }

    /// What is written down if nobody comes back.
    fn abandoned(&self) -> Ended {
        Ended {
            head: self.head.clone(),
            principal: self.principal.clone(),
            attributes: self.attributes.clone(),
            generation: self.generation.number,
            outcome: Outcome::Cancelled,
            code: None,
            tool_error: false,
            cause: Some("its client never came back with answers to the server's questions".into()),
            request_bytes: self.request.bytes().len(),
            response_bytes: 0,
            took: self.started.elapsed(),
            upstream_took: self.upstream_took,
            passed: Vec::new(),
        }
    }

    fn bound(&self, upstream: usize) -> Bound {
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

/// A legacy request as an entry of `inputRequests`, without what only the legacy form has (mcp-protocol §3.2).
fn embedded(open: &Open) -> String {
    let mut out = format!(r#"{}:{{"method":{}"#, quote(&open.key), quote(&open.method));
    let whole = open.question.message.as_ref().clone().deepen();
    if let Some(params) = whole.params() {
        let lean = Document::parse_value(params.to_bytes(), &Limits::RESPONSE, IndexDepth::Full).ok().and_then(|document| {
            let mut patch = Patch::new(&document);
            for gone in ["task", "elicitationId", "_meta"] {
                document.root().get(gone).into_iter().for_each(|value| patch.remove(value));
            }
            patch.apply().ok()
        });
        let lean = lean.unwrap_or_else(|| params.to_bytes());
        out.push_str(r#","params":"#);
        out.push_str(&String::from_utf8_lossy(&lean));
    }
    out.push('}');
    out
}

/// An entry of `inputResponses` as the response a legacy server waits for.
fn response(given: Value<'_>) -> Option<Delivery> {
    let text: Bytes = message::result(&RequestId::from_u64(0), given.raw_bytes());
    let document = Document::parse(text, &Limits::REQUEST, IndexDepth::Full).ok()?;
    Some(Delivery { message: Arc::new(Message::decode(document).ok()?), spoken: Revision::V2026_07_28 })
}

/// Whether it has the form of an answer to this question, and of a form filled in what the server's schema wants.
fn is_answer_to(open: &Open, given: Value<'_>) -> bool {
    let has = |key: &str, kind| given.get(key).is_some_and(|value| value.kind() == kind);
    match &*open.method {
        method::ELICITATION_CREATE => {
            let says = |action| given.get("action").is_some_and(|said| said.is_str(action));
            says("decline") || says("cancel") || (says("accept") && fits_form(open, given))
        }
        method::SAMPLING_CREATE_MESSAGE => {
            has("role", JsonKind::String) && (has("content", JsonKind::Object) || has("content", JsonKind::Array))
        }
        method::ROOTS_LIST => has("roots", JsonKind::Array),
        _ => false,
    }
}

fn fits_form(open: &Open, given: Value<'_>) -> bool {
    let whole = open.question.message.as_ref().clone().deepen();
    whole.param("requestedSchema").is_none_or(|schema| form::fits(schema, given.get("content")))
}

impl Exchange {
    /// The upstream's answer, whichever way it was waited for.
    pub(super) fn answered(&mut self, index: usize, sent: Result<Inbound, UpstreamError>) -> Result<Answer, Error> {
        let Inbound { response } = sent.map_err(|source| self.upstream_error(index, source))?;
        if &*self.head.method == method::TOOLS_CALL {
            self.host.links.note(&self.principal.key, index, response.message.document());
        }
        Ok(Answer::relayed(self.bind(index, response)?))
    }
}
