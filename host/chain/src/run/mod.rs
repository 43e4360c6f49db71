//! The run of one exchange: catalogue, filters in, upstream, filters out. One task owns it from the first
//! line to the last; a client that leaves sets a flag and nothing is dropped in the middle.

mod deliver;
mod enter;
mod resolve;
mod rounds;
mod route;

pub(crate) use deliver::unsolicited;

use crate::{
    attributes::Attributes,
    catalogue::Asking,
    exchange::{Answer, AnswerBody, Arrival, Client, Delivery, Direction, Head, Interim, Kind},
    filter::Hook,
    generation::Generation,
    host::{Counted, Host},
    principal::Principal,
    queue::Sender,
    record::{Ended, Outcome, Passed},
    rescue::Error,
};
use enter::Said;
use resolve::Route;
use sluice_wire::{
    id::RequestId,
    json::{Document, Limits},
    message::{self, Message},
    revision::{Era, Revision},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How many questions of one exchange may wait for their answers.
const QUESTIONS_MAX: usize = 32;

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
    /// The request as it is after the last edit.
    request: Arc<Message>,
    /// The request as it left each filter that edited it, by the filter's place in the chain.
    versions: Vec<(usize, Arc<Message>)>,
    sender: Sender<Interim>,
    cancel: CancellationToken,
    started: Instant,
    upstream_took: Duration,
    passed: Vec<Passed>,
    /// When the last filter of the way that is being gone ended, so that the clock is read once a filter.
    mark: Option<Instant>,
    cause: Option<String>,
    /// With which upstream, and under which state, this exchange has left its call waiting.
    parked: Option<(usize, String)>,
}

impl Exchange {
    pub(crate) fn new(host: Arc<Host>, id: u64, arrival: Arrival, sender: Sender<Interim>, cancel: CancellationToken) -> Self {
        let head = Head {
            exchange: id,
            direction: Direction::ToServer,
            kind: Kind::Request,
            method: arrival.message.method().into(),
            name: None,
            upstream: None,
            protocol: arrival.revision,
        };
        Self {
            host,
            generation: arrival.generation,
            attributes: Attributes::new(arrival.client.facts.clone()),
            client: arrival.client,
            principal: arrival.principal,
            revision: arrival.revision,
            head,
            param_headers: arrival.param_headers,
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
        }
    }

    /// From arrival to `on-done`. Exactly one final answer, unless the client told us to stop.
    pub(crate) async fn run(mut self, counted: Counted) -> Option<Answer> {
        let request_bytes = self.request.bytes().len();
        let answer = self.answer().await;
        self.unpark_unless_told(&answer, self.cancel.is_cancelled());
        let mut ended = self.ended(&answer, request_bytes);
        let answer = if self.cancel.is_cancelled() {
            ended.outcome = Outcome::Cancelled;
            None
        } else {
            Some(answer)
        };
        self.host.observer.ended(&ended);
        if self.generation.links.iter().any(|link| self.enters(link, Hook::OnDone)) {
            // The answer does not wait for those who want to know how it ended.
            tokio::spawn(async move {
                self.tell_done(&ended).await;
                drop(counted);
            });
        }
        answer
    }

    async fn answer(&mut self) -> Answer {
        let route = match self.resolve().await {
            Ok(route) => route,
            Err(error) => return self.fail(error),
        };
        let (depth, turned) = self.way_in().await;
        let answer = match turned {
            Some(answer) => answer,
            None => match self.travel(&route).await {
                Ok(answer) => answer,
                Err(error) => self.fail(error),
            },
        };
        // Lists are shaped by `on-catalog`; everything else passes the filters on its way out.
        if matches!(route, Route::List(_)) { answer } else { self.way_out(depth, answer).await }
    }

    /// Filters in config order. How many let it pass, and the answer if one turned it.
    async fn way_in(&mut self) -> (usize, Option<Answer>) {
        let generation = self.generation.clone();
        self.passed.reserve(generation.links.len());
        for (depth, link) in generation.links.iter().enumerate() {
            if !self.enters(link, Hook::OnRequest) {
                continue;
            }
            match self.enter_request(link).await {
                Said::Next(None) => {}
                Said::Next(Some(edited)) => {
                    if let Err(error) = self.accept_edit(depth, link, edited) {
                        return (depth, Some(self.fail(error)));
                    }
                }
                Said::Reply(result) => return (depth, Some(Answer::result(result))),
                Said::Reject(rejection) => {
                    self.cause = Some(format!("{} refused: {}", link.filter.identity().name, rejection.message));
                    return (depth, Some(Answer::refused(rejection, &self.head)));
                }
                Said::Broke(error) => return (depth, Some(self.fail(error))),
            }
        }
        (generation.links.len(), None)
    }

    fn accept_edit(&mut self, depth: usize, link: &crate::generation::Link, edited: Arc<Message>) -> Result<(), Error> {
        let same = |a: Option<_>, b: Option<_>| match (a, b) {
            (Some(a), Some(b)) => resolve::same_target(a, b),
            (None, None) => true,
            _ => false,
        };
        if !same(self.request.target(), edited.target()) {
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
            answer.body = AnswerBody::Relayed(delivery.clone());
            match self.enter_response(at, link, delivery.message).await {
                Said::Next(None) => {}
                Said::Next(Some(edited)) => answer.body = AnswerBody::Relayed(Delivery { message: edited, spoken: delivery.spoken }),
                Said::Reply(result) => answer.body = AnswerBody::Result(result),
                Said::Reject(rejection) => {
                    self.cause = Some(format!("{} refused the response: {}", link.filter.identity().name, rejection.message));
                    answer = Answer::refused(rejection, &self.head);
                }
                Said::Broke(error) => answer = self.fail(error),
            }
        }
        answer
    }

    /// What filters see of an answer: always a message. One made here is built in canonical form.
    fn as_message(&self, body: &AnswerBody) -> Result<Delivery, Error> {
        let bytes = match body {
            AnswerBody::Relayed(delivery) => return Ok(delivery.clone()),
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
        Asking { generation: &self.generation, era: self.era(), client: &self.client, principal: &self.principal, viewer: &self.attributes }
    }

    fn fail(&mut self, error: Error) -> Answer {
        self.cause = Some(error.to_string());
        let outcome = error.outcome();
        Answer { outcome, body: error.body(self.era(), self.head.exchange), http_status: None, http_headers: Vec::new() }
    }

    fn ended(&mut self, answer: &Answer, request_bytes: usize) -> Ended {
        let (code, tool_error, response_bytes) = match &answer.body {
            AnswerBody::Error { code, message, .. } => (Some(*code), false, message.len()),
            AnswerBody::Result(result) => (None, answer.outcome == Outcome::Refused, result.len()),
            AnswerBody::Relayed(d) => (d.message.error_code(), is_tool_error(&d.message), d.message.bytes().len()),
        };
        Ended {
            head: self.head.clone(),
            principal: self.principal.clone(),
            attributes: self.attributes.clone(),
            generation: self.generation.number,
            outcome: answer.outcome,
            code,
            tool_error,
            cause: self.cause.take(),
            request_bytes,
            response_bytes,
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

    fn result(result: bytes::Bytes) -> Self {
        Self { outcome: Outcome::Answered, body: AnswerBody::Result(result), http_status: None, http_headers: Vec::new() }
    }
}

fn is_tool_error(message: &Message) -> bool {
    message.result().and_then(|r| r.get("isError")).and_then(|v| v.as_bool()).unwrap_or(false)
}
