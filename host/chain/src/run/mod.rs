//! The run of one exchange: catalogue, filters in, upstream, filters out. One task owns it from the first
//! line to the last; a client that leaves sets a flag and nothing is dropped in the middle.

mod canonical;
mod deliver;
mod enter;
mod envelope;
mod inputs;
mod intercept;
mod lane;
mod listen;
mod pour;
mod resolve;
mod rounds;
mod route;
mod suspend;
mod task_results;
mod tasks;

pub(crate) use deliver::unsolicited;
pub(crate) use intercept::capability;
pub(crate) use listen::tell;

use crate::{
    attributes::Attributes,
    catalogue::Asking,
    departures::{Held, Journal},
    exchange::{Answer, AnswerBody, Arrival, Client, Delivery, Direction, Head, Kind, Outgoing},
    filter::Hook,
    generation::Generation,
    host::{Counted, Host},
    parked::{Resumed, Said as SaidByPerson},
    principal::Principal,
    queue::Sender,
    record::{Ended, Outcome, Passed, Streamed},
    rescue::{Error, asked_first, tool_error_result},
    stream::Arriving,
    upstream::{TaskSupport, UpstreamError},
};
use bytes::Bytes;
use enter::Said;
use resolve::Route;
use sluice_wire::{
    id::RequestId,
    json::{Document, Limits},
    message::{self, Message},
    method,
    revision::{Era, Revision},
};
use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};
use suspend::{Suspended, TakenUp};
use tokio_util::sync::CancellationToken;

/// How many questions of one exchange may wait for their answers.
const QUESTIONS_MAX: usize = 32;
/// What a tool's caller reads when filters kept back what the tool cannot go on without.
const KEPT_BACK: &[u8] = br#"{"content":[{"type":"text","text":"the client refused what the tool asked for: the client did not answer"}],"isError":true,"resultType":"complete"}"#;

/// One running exchange.
pub(crate) struct Exchange {
    host: Arc<Host>,
    generation: Arc<Generation>,
    client: Arc<Client>,
    principal: Arc<Principal>,
    revision: Revision,
    head: Head,
    attributes: Attributes,
    param_headers: Option<Vec<(String, String)>>,
    /// The client may get a long answer in pieces.
    takes_pieces: bool,
    /// The rest of such an answer.
    arriving: Option<Arriving>,
    /// What became of it, and its bytes.
    streamed: Option<(usize, Streamed)>,
    /// The request as it is after the last edit.
    request: Arc<Message>,
    /// The request as it left each filter that edited it, by the filter's place in the chain.
    versions: Vec<(usize, Arc<Message>)>,
    sender: Sender<Outgoing>,
    cancel: CancellationToken,
    started: Instant,
    upstream_took: Duration,
    passed: Vec<Passed>,
    /// The hook calls of requests that left; only where some filter acts for any.
    journal: Option<Journal>,
    /// The exchange whose filters wait for this one.
    parent: Option<u64>,
    callers: Arc<[Arc<str>]>,
    /// When the last filter of the way that is being gone ended, so that the clock is read once a filter.
    mark: Option<Instant>,
    cause: Option<String>,
    /// With which upstream, and under which state, this exchange waits for its next round.
    parked: Option<(usize, String)>,
    /// What persons said to filters, in this round and those before.
    said: Vec<SaidByPerson>,
    /// How many filters of this chain the request has been to, in this round or one before.
    entered: usize,
    /// The filter that is entered now had the request in an earlier round.
    again: bool,
    /// What the upstream calls the tool, where that is not what the client calls it.
    original: Option<Arc<str>>,
    /// Whether this call can be a task, where its server is of the other era.
    task: Option<TaskSupport>,
    /// The task that this request is about.
    about: Option<tasks::About>,
    /// What the client answers to the questions of that task, by key: JSON text.
    responses: Vec<(String, Bytes)>,
}

/// What ends the way of a request before its answer.
enum Stop {
    /// A filter at this depth answered, refused, or asks a person.
    Turned(usize, Box<Answer>),
    /// Something broke.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Exchange {
    pub(crate) fn new(host: Arc<Host>, id: u64, arrival: Arrival, sender: Sender<Outgoing>, cancel: CancellationToken) -> Self {
        let head = Head {
            exchange: id,
            round: 0,
            direction: Direction::ToServer,
            kind: Kind::Request,
            method: arrival.message.method().into(),
            name: None,
            upstream: None,
            protocol: arrival.revision,
        };
        Self {
            host,
            journal: arrival.generation.has_departures().then(Journal::default),
            parent: None,
            callers: Arc::default(),
            generation: arrival.generation,
            attributes: Attributes::new(arrival.client.facts.clone()),
            client: arrival.client,
            principal: arrival.principal,
            revision: arrival.revision,
            head,
            param_headers: arrival.param_headers,
            takes_pieces: arrival.takes_pieces,
            arriving: None,
            streamed: None,
            request: arrival.message,
            versions: Vec::new(),
            sender,
            cancel,
            started: Instant::now(),
            upstream_took: Duration::ZERO,
            passed: Vec::new(),
            mark: None,
            cause: None,
            parked: None,
            said: Vec::new(),
            entered: 0,
            again: false,
            original: None,
            task: None,
            about: None,
            responses: Vec::new(),
        }
    }

    /// It is a call of these filters, the last of which made it.
    pub(crate) fn belongs_to(&mut self, parent: u64, callers: Arc<[Arc<str>]>) {
        (self.parent, self.callers) = (Some(parent), callers);
    }

    /// From arrival to `on-done`. Exactly one final answer, unless the client told us to stop.
    pub(crate) async fn run(mut self, counted: Counted) -> Option<Answer> {
        let request_bytes = self.request.bytes().len();
        let answer = self.answer().await;
        let (answer, is_delivered) = match self.arriving.take() {
            None => (answer, false),
            // In a box, so that calls whose answer is there do not carry its room along.
            Some(arriving) => Box::pin(self.pour(arriving, answer)).await,
        };
        if self.cancel.is_cancelled() {
            self.unpark();
        }
        let mut ended = self.ended(&answer, request_bytes);
        let answer = if self.cancel.is_cancelled() {
            ended.outcome = Outcome::Cancelled;
            None
        } else {
            (!is_delivered).then_some(answer)
        };
        self.host.observer.ended(&ended);
        // A round is not the end.
        if ended.outcome != Outcome::Asked && self.generation.links.iter().any(|link| self.enters(link, Hook::OnDone)) {
            // The answer does not wait for those who want to know how it ended.
            tokio::spawn(async move {
                self.tell_done(&ended).await;
                drop(counted);
            });
        }
        answer
    }

    async fn answer(&mut self) -> Answer {
        if self.host.serves_interceptors() && method::draft(self.request.method()).is_some() {
            return Box::pin(self.intercepted()).await;
        }
        let route = match self.resolve().await {
            Ok(route) => route,
            Err(error) => return self.fail(error),
        };
        let (depth, answer) = match self.go(&route).await {
            Ok(answer) => (self.generation.links.len(), answer),
            Err(Stop::Turned(depth, answer)) => (depth, *answer),
            Err(Stop::Failed(error)) => (self.generation.links.len(), self.fail(error)),
        };
        // Lists are shaped by `on-catalog`, and a round is not the answer; everything else passes the filters on its way out.
        if matches!(route, Route::List(_)) || answer.outcome == Outcome::Asked || self.arriving.is_some() {
            answer
        } else if self.about.is_some() {
            Box::pin(self.task_way_out(depth, answer)).await
        } else {
            self.way_out(depth, answer).await
        }
    }

    async fn go(&mut self, route: &Route) -> Result<Answer, Stop> {
        let mut resumed = match self.take_up(route)? {
            TakenUp::AsksAgain(answer) => return Ok(*answer),
            TakenUp::With(resumed) => resumed.map(|resumed| *resumed),
        };
        loop {
            self.admit(route.upstream(), &mut resumed).await?;
            // What a request goes on with is needed again if a filter asks a person before it leaves.
            let again = self.journal.as_ref().and_then(|_| resumed.as_ref()).and_then(Resumed::copy);
            match self.travel(route, resumed.take()).await {
                Err(Stop::Failed(Error::Upstream { upstream, source: UpstreamError::Held(held) })) => {
                    Box::pin(self.ask_before_leaving(route.upstream(), upstream, held, again)).await.map(|next| resumed = next)?;
                }
                ended => return ended,
            }
        }
    }

    /// A filter wants to ask a person before a request leaves. What the request goes on with once there is an answer.
    async fn ask_before_leaving(
        &mut self,
        index: usize,
        upstream: String,
        held: Arc<Held>,
        mut then: Option<Resumed>,
    ) -> Result<Option<Resumed>, Stop> {
        let Held::Suspended { by, asks } = &*held else {
            return Err(Stop::Failed(Error::Upstream { upstream, source: UpstreamError::Held(held) }));
        };
        let depth = self.generation.links.len();
        let suspended = Suspended { depth, by: by.clone(), asks: asks.clone() };
        match self.suspend(index, suspended, &mut then).await {
            Ok(None) => Ok(then),
            Ok(Some(answer)) => Err(Stop::Turned(depth, Box::new(answer))),
            // The client gets the words and the link themselves.
            Err(Error::NobodyToAsk { .. }) => Err(Stop::Failed(Error::Upstream { upstream, source: UpstreamError::Held(held) })),
            Err(error) => Err(Stop::Failed(error)),
        }
    }

    /// The whole request chain, and again for each filter that asks a person first.
    async fn admit(&mut self, upstream: usize, then: &mut Option<Resumed>) -> Result<(), Stop> {
        loop {
            let Some(suspended) = self.way_in().await? else { return Ok(()) };
            let depth = suspended.depth;
            // In a box, so that calls nobody is asked about do not carry its room along.
            match Box::pin(self.suspend(upstream, suspended, then)).await {
                Ok(None) => {}
                Ok(Some(answer)) => return Err(Stop::Turned(depth, Box::new(answer))),
                Err(error) => return Err(Stop::Turned(depth, Box::new(self.fail(error)))),
            }
        }
    }

    /// Filters in config order. What is left to do if one wants to ask a person.
    async fn way_in(&mut self) -> Result<Option<Suspended>, Stop> {
        self.begin_round();
        let generation = self.generation.clone();
        self.passed.reserve(generation.links.len());
        for (depth, link) in generation.links.iter().enumerate() {
            if !self.enters(link, Hook::OnRequest) {
                continue;
            }
            let said = self.enter_request(depth, link).await;
            self.entered = self.entered.max(depth + 1);
            let answer = match said {
                Said::Next(None) => continue,
                Said::Next(Some(edited)) => match self.accept_edit(depth, link, edited) {
                    Ok(()) => continue,
                    Err(error) => self.fail(error),
                },
                Said::Reply(result) => Answer::result(result),
                Said::Reject(rejection) => {
                    self.cause = Some(format!("{} refused: {}", link.filter.identity().name, rejection.message));
                    Answer::refused(rejection, &self.head)
                }
                Said::Suspend(asks) => return Ok(Some(Suspended { depth, by: link.filter.identity().clone(), asks })),
                Said::Broke(error) => self.fail(error),
            };
            return Err(Stop::Turned(depth, Box::new(answer)));
        }
        Ok(None)
    }

    /// Each round begins as the first did: with the request as the client sent it, and no labels but what persons have said.
    fn begin_round(&mut self) {
        if self.head.round == 0 {
            return;
        }
        self.mark = None;
        self.attributes = Attributes::new(self.client.facts.clone());
        if let Some((_, first)) = std::mem::take(&mut self.versions).into_iter().next() {
            self.request = first;
        }
        for said in &self.said {
            // A filter of the same name that is not the same file did not ask.
            if self
                .generation
                .links
                .iter()
                .any(|link| link.filter.identity().name == said.plugin && link.filter.identity().digest == said.digest)
            {
                self.attributes.set_label(&said.plugin, "answer.action", said.action);
                if let Some(content) = &said.content {
                    self.attributes.set_label(&said.plugin, "answer.content", content);
                }
            }
        }
    }

    fn accept_edit(&mut self, depth: usize, link: &crate::generation::Link, edited: Arc<Message>) -> Result<(), Error> {
        if !resolve::same_targets(&self.request, &edited) {
            let fault = crate::fault::Fault::BadReply("an edit may not change what a request is about; rename in on-catalog".into());
            return Err(Error::Plugin { plugin: link.filter.identity().name.to_string(), fault });
        }
        if self.versions.is_empty() {
            self.versions.push((0, self.request.clone()));
        }
        self.versions.push((depth, edited.clone()));
        self.request = edited;
        Ok(())
    }

    /// The request as the filter at this place left it.
    fn asked(&self, depth: usize) -> Arc<Message> {
        let version = self.versions.iter().rev().find(|(at, _)| *at <= depth);
        version.map_or_else(|| self.request.clone(), |(_, message)| message.clone())
    }

    /// Filters in reverse order, for every one that let the request pass.
    async fn way_out(&mut self, depth: usize, mut answer: Answer) -> Answer {
        self.head.direction = Direction::ToClient;
        self.head.kind = Kind::Response;
        self.mark = None;
        let generation = self.generation.clone();
        for (at, link) in generation.links.iter().enumerate().take(depth).rev() {
            if !self.enters(link, Hook::OnResponse) {
                continue;
            }
            let delivery = match self.as_message(&answer.body) {
                Ok(delivery) => delivery,
                Err(error) => return self.fail(error),
            };
            let shown = self.shown(&delivery);
            answer.body = AnswerBody::Relayed(delivery.clone());
            match self.enter_response(at, link, shown.message).await {
                Said::Next(None) => {}
                Said::Next(Some(edited)) => {
                    let edited = Delivery { message: edited, spoken: shown.spoken };
                    answer.body = AnswerBody::Relayed(canonical::lowered(edited, &delivery, &self.head.method, self.revision));
                }
                Said::Reply(result) => answer.body = AnswerBody::Result(result),
                Said::Reject(rejection) => {
                    self.cause = Some(format!("{} refused the response: {}", link.filter.identity().name, rejection.message));
                    answer = Answer::refused(rejection, &self.head);
                }
                // The plugin host has made a fault of it.
                Said::Suspend(_) => {}
                Said::Broke(error) => answer = self.fail(error),
            }
        }
        answer
    }

    /// An answer as filters see it.
    fn shown(&self, delivery: &Delivery) -> Delivery {
        match canonical::error(delivery, &self.head.method, self.head.name.as_deref()) {
            Some(message) => Delivery { message, spoken: Revision::V2026_07_28 },
            None => delivery.clone(),
        }
    }

    /// What filters see of an answer: always a message. One made here is built in canonical form.
    fn as_message(&self, body: &AnswerBody) -> Result<Delivery, Error> {
        let bytes = match body {
            AnswerBody::Relayed(delivery) => return Ok(delivery.clone()),
            AnswerBody::Streamed(_) => return Err(Error::BadParams("an answer in pieces is no message".into())),
            AnswerBody::Result(result) => message::result(&self.id(), result),
            AnswerBody::Error { code, message, data } => message::error(Some(&self.id()), *code, message, data.as_deref()),
        };
        let message = Document::parse(bytes, &Limits::RESPONSE, self.generation.index_depth())
            .ok()
            .and_then(|d| Message::decode(d).ok())
            .ok_or_else(|| Error::BadParams("an answer made here is not a valid message".into()))?;
        Ok(Delivery { message: Arc::new(message), spoken: Revision::V2026_07_28 })
    }

    fn id(&self) -> RequestId {
        self.request.id().cloned().unwrap_or_else(|| RequestId::from_u64(0))
    }

    fn era(&self) -> Era {
        self.revision.era()
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            generation: &self.generation,
            era: self.era(),
            client: &self.client,
            principal: &self.principal,
            viewer: &self.attributes,
            callers: &self.callers,
        }
    }

    fn fail(&mut self, error: Error) -> Answer {
        self.cause = Some(error.to_string());
        if let Error::Rejected { rejection, .. } = error {
            return Answer::refused(rejection, &self.head);
        }
        let outcome = error.outcome();
        let body = match error {
            // As legacy clients have it, for whom the upstream plays the rounds.
            Error::KeptBack if *self.head.method == *method::TOOLS_CALL => AnswerBody::Result(Bytes::from_static(KEPT_BACK)),
            // A model can read it to its person.
            Error::Upstream { source: UpstreamError::Held(held), .. } if *self.head.method == *method::TOOLS_CALL => {
                AnswerBody::Result(tool_error_result(&asked_first(&held), self.head.exchange))
            }
            error => error.body(self.head.exchange),
        };
        Answer { outcome, body, http_status: None, http_headers: Vec::new() }
    }

    /// The hook calls of requests that have left by now.
    fn note_departures(&mut self) {
        if let Some(journal) = &self.journal {
            self.passed.append(&mut journal.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn ended(&mut self, answer: &Answer, request_bytes: usize) -> Ended {
        self.note_departures();
        let (code, tool_error, response_bytes) = match &answer.body {
            AnswerBody::Error { code, message, .. } => (Some(*code), false, message.len()),
            AnswerBody::Result(result) => (None, answer.outcome == Outcome::Refused, result.len()),
            AnswerBody::Relayed(d) => (d.message.error_code(), is_tool_error(&d.message), d.message.bytes().len()),
            AnswerBody::Streamed(_) => (None, false, 0),
        };
        let (response_bytes, stream) = match self.streamed {
            Some((bytes, streamed)) => (bytes, Some(streamed)),
            None => (response_bytes, None),
        };
        Ended {
            head: self.head.clone(),
            principal: self.principal.clone(),
            attributes: self.attributes.clone(),
            generation: self.generation.number,
            parent: self.parent,
            outcome: answer.outcome,
            code,
            tool_error: tool_error || stream.is_some_and(|stream| stream.tool_error),
            cause: self.cause.take(),
            request_bytes,
            response_bytes,
            stream,
            took: self.started.elapsed(),
            upstream_took: self.upstream_took,
            passed: std::mem::take(&mut self.passed),
        }
    }
}

impl Answer {
    fn relayed(response: Delivery) -> Self {
        Self { outcome: Outcome::Answered, body: AnswerBody::Relayed(response), http_status: None, http_headers: Vec::new() }
    }

    fn result(result: Bytes) -> Self {
        Self { outcome: Outcome::Answered, body: AnswerBody::Result(result), http_status: None, http_headers: Vec::new() }
    }
}

fn is_tool_error(message: &Message) -> bool {
    message.result().and_then(|r| r.get("isError")).and_then(|v| v.as_bool()).unwrap_or(false)
}
