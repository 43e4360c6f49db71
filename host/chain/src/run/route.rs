//! From the last filter to the upstream and back.

use super::{
    Exchange, QUESTIONS_MAX, Stop,
    deliver::{Answered, Asked},
    inputs::Inputs,
    resolve::{NO_UPSTREAM, Route},
};
use crate::{
    catalogue::{Currency, ListKind, page},
    departures::{Departures, Held},
    exchange::{Answer, AnswerBody, Interim},
    filter::Hook,
    generation::Link,
    parked::{Resumed, Waits},
    queue::{Receiver, Sender, queue},
    rescue::Error,
    upstream::{Outbound, UpstreamError},
};
use bytes::Bytes;
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use sluice_wire::{
    code,
    header::Annotation,
    json::{Document, IndexDepth, Limits, quote},
    message::Message,
    method,
    patch::Patch,
    revision::Era,
};
use std::{
    sync::{Arc, PoisonError, atomic::AtomicBool},
    time::Instant,
};

/// How many notifications and questions of one exchange may wait for their filters.
const INTERIM_QUEUE: usize = 32;

/// The levels of RFC 5424, as MCP names them.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

impl Exchange {
    pub(super) async fn travel(&mut self, route: &Route, resumed: Option<Resumed>) -> Result<Answer, Stop> {
        match route {
            Route::List(kind) => Ok(self.list(*kind).await?),
            Route::SetLevel => Ok(self.set_level().await?),
            Route::Tasks => Box::pin(self.list_tasks()).await,
            // In a box each, so that calls do not carry their room along.
            Route::Listen => Box::pin(self.listen()).await,
            Route::Subscribe { upstream, original } => Box::pin(self.subscribe(*upstream, original.as_ref())).await,
            Route::Unsubscribe => self.unsubscribe(),
            Route::Plugin { owner } => {
                let name = self.head.name.as_deref().unwrap_or_default().to_owned();
                Err(Error::Unanswered { plugin: owner.to_string(), name }.into())
            }
            Route::Forward { upstream, original, mirrored } => {
                if self.about.is_some() {
                    return Box::pin(self.travel_to_task(*upstream, original.clone())).await;
                }
                let mut message = match resumed {
                    None => self.request.clone(),
                    Some(Resumed { waits: Waits::Call(call, questions), inputs }) => {
                        return Box::pin(self.resume(*upstream, call, questions, inputs)).await;
                    }
                    Some(Resumed { waits: Waits::Server(asks), inputs }) => self.with_inputs(asks, inputs).await?,
                    // It has spoken by now.
                    Some(Resumed { waits: Waits::Filter(_), .. }) => self.request.clone(),
                };
                loop {
                    let answer = self.send(*upstream, message, original.clone(), mirrored.clone()).await?;
                    if !self.is_server_round(&answer) {
                        return Ok(answer);
                    }
                    // In a box, so that calls answered at once do not carry its room along.
                    match Box::pin(self.ask_inputs(*upstream, answer)).await? {
                        Inputs::Asked(answer) => return Ok(answer),
                        Inputs::KeptBack(next) => message = next,
                    }
                }
            }
        }
    }

    async fn travel_to_task(&mut self, upstream: usize, own: Option<Arc<str>>) -> Result<Answer, Stop> {
        let is_update = *self.head.method == *method::TASKS_UPDATE;
        let message = if is_update { self.with_responses().await? } else { self.request.clone() };
        let answer = self.send_once(upstream, message, own, Arc::default()).await?;
        if *self.head.method == *method::TASKS_GET { self.task_questions(upstream, answer).await } else { Ok(answer) }
    }

    /// Once more with fresh headers where a modern server refuses those it gets: then nothing ran.
    async fn send(
        &mut self,
        upstream: usize,
        message: Arc<Message>,
        original: Option<Arc<str>>,
        mirrored: Arc<[Annotation]>,
    ) -> Result<Answer, Stop> {
        let answer = self.send_once(upstream, message.clone(), original.clone(), mirrored).await?;
        if !refuses_headers(&answer) {
            return Ok(answer);
        }
        // The schema that they were made from is not the server's any more.
        let mirrored = self.relearned(upstream).await?;
        let answer = self.send_once(upstream, message, original, mirrored).await?;
        if refuses_headers(&answer) {
            let reason = "refuses headers made from its own list of tools".into();
            return Err(self.upstream_error(upstream, UpstreamError::BadReply { reason }).into());
        }
        Ok(answer)
    }

    async fn send_once(
        &mut self,
        upstream: usize,
        message: Arc<Message>,
        original: Option<Arc<str>>,
        mirrored: Arc<[Annotation]>,
    ) -> Result<Answer, Stop> {
        let (interim, arriving) = queue(INTERIM_QUEUE);
        let outbound = self.outbound(upstream, message, original, mirrored, interim)?;
        if self.may_be_asked() {
            return self.first_round(upstream, outbound, arriving).await;
        }
        self.forward(upstream, outbound, arriving).await
    }

    /// What the tool's headers mirror by the list as the server gives it now.
    async fn relearned(&self, upstream: usize) -> Result<Arc<[Annotation]>, Error> {
        let host = self.host.clone();
        tracing::info!(upstream = %self.generation.upstreams[upstream].name(), "the server refused the headers of a call; its tools are listed anew");
        host.lists.invalidate(upstream, ListKind::Tools);
        let view = host.view(ListKind::Tools, self.asking(), Currency::Fresh).await?;
        let known = self.head.name.as_deref().and_then(|name| view.find(name));
        Ok(known.map_or_else(Arc::default, |exposed| exposed.mirrored.clone()))
    }

    async fn list(&mut self, kind: ListKind) -> Result<Answer, Error> {
        let cursor = match self.request.param("cursor") {
            None => None,
            Some(value) => Some(value.as_str().ok_or(Error::BadCursor)?.into_owned()),
        };
        // A walk goes on in the view it began in, as long as that is still what would be computed.
        let currency = if cursor.is_some() { Currency::Known } else { Currency::Fresh };
        let host = self.host.clone();
        let view = host.view(kind, self.asking(), currency).await?;
        // Nothing else is there, so the person hears what is to be done first.
        if let Some((upstream, held)) = view.held.clone().filter(|_| view.exposed.is_empty()) {
            return Err(self.upstream_error(upstream, UpstreamError::Held(held)));
        }
        let ttl = host.lists.fresh_for(self.generation.upstreams.places().map(|i| host.place(i, kind, self.asking())));
        let result = page(&view, kind, cursor.as_deref(), &self.principal, &host.cursors, ttl)?;
        Ok(Answer::result(result))
    }

    /// Kept for the session, and told to every upstream of the client's era that logs.
    async fn set_level(&mut self) -> Result<Answer, Error> {
        let level = self.request.param("level").and_then(|l| l.as_str()).map(|l| l.into_owned());
        let level = level
            .filter(|l| LEVELS.contains(&l.as_str()))
            .ok_or_else(|| Error::BadParams(format!("params.level must be one of {}", LEVELS.join(", "))))?;
        *self.client.log_level.lock().unwrap_or_else(PoisonError::into_inner) = Some(level.as_str().into());
        let told = join_all(self.generation.upstreams.places().map(|i| self.tell_level(i))).await;
        if told.contains(&true) {
            Ok(Answer::result(Bytes::from_static(b"{}")))
        } else {
            Err(Error::NoSuchMethod(method::LOGGING_SET_LEVEL.into()))
        }
    }

    /// Does this upstream log? One that cannot be told now learns the level with its next session.
    async fn tell_level(&self, i: usize) -> bool {
        let upstream = &self.generation.upstreams[i];
        let Ok(facts) = upstream.facts(self.era(), &self.client, &self.principal).await else { return false };
        let logs = Document::parse_value(facts.capabilities.clone(), &Limits::RESPONSE, IndexDepth::Levels(1))
            .is_ok_and(|d| d.root().get("logging").is_some());
        if !logs || facts.era == Era::Modern {
            // A modern server hears the level with each request from now on.
            return logs;
        }
        let (nowhere, _) = queue(1);
        if let Ok(outbound) = self.outbound(i, self.request.clone(), None, Arc::default(), nowhere)
            && let Err(error) = upstream.send(outbound).await
        {
            tracing::warn!(upstream = %upstream.name(), %error, "could not set the log level");
        }
        true
    }

    pub(super) fn outbound(
        &self,
        upstream: usize,
        message: Arc<Message>,
        original: Option<Arc<str>>,
        mirrored: Arc<[Annotation]>,
        interim: Sender<Interim>,
    ) -> Result<Outbound, Error> {
        let at = upstream;
        let completion = &*self.head.method == method::COMPLETION_COMPLETE;
        let (message, original_name) = match original {
            // The target of a completion lies one level deeper than any other.
            Some(name) if completion => (Arc::new(renamed_reference(&message, &name)?), None),
            original => (message, original),
        };
        let upstream = self.generation.upstreams[upstream].name();
        let tool = original_name.as_deref().or(self.head.name.as_deref()).unwrap_or_default();
        let idempotent = self.generation.upstreams.is_idempotent(upstream, tool);
        let known = |name: &str| mirrored.iter().any(|a| a.header.eq_ignore_ascii_case(name));
        let unknown_params = self.param_headers.iter().flatten().filter(|(name, _)| !known(name)).cloned().collect();
        Ok(Outbound {
            exchange: self.head.exchange,
            message,
            spoken: self.revision,
            original_name,
            mirrored,
            unknown_params,
            client: self.client.clone(),
            principal: self.principal.clone(),
            idempotent,
            interim,
            latest: None,
            task: self.task,
            as_task: false,
            pieces_bytes_max: self.pieces_bytes_max(),
            departures: self.departures(at),
            cancel: self.cancel.clone(),
        })
    }

    /// What the requests of this exchange to this upstream leave through.
    fn departures(&self, upstream: usize) -> Option<Arc<Departures>> {
        let journal = self.journal.clone()?;
        self.host.has_departures(&self.generation, upstream).then(|| {
            Arc::new(Departures {
                observer: self.host.observer.clone(),
                generation: self.generation.clone(),
                upstream: self.generation.upstreams[upstream].name().clone(),
                principal: self.principal.clone(),
                exchange: self.head.exchange,
                protocol: Some(self.revision),
                attributes: self.attributes.clone(),
                journal: Some(journal),
                answered: AtomicBool::new(false),
            })
        })
    }

    /// Wait for the answer while notifications and questions pass through their filters, in order and before it.
    pub(super) async fn forward(&mut self, index: usize, outbound: Outbound, mut arriving: Receiver<Interim>) -> Result<Answer, Stop> {
        let upstream = self.generation.upstreams[index].clone();
        let may_be_asked = self.client.capabilities.as_ref() != b"{}";
        let may_stop = |link: &Link| link.exports(Hook::OnNotification) || may_be_asked && link.exports(Hook::OnRequest);
        let may_hold_back = self.generation.links.iter().any(may_stop);
        let stop = if may_hold_back { self.cancel.child_token() } else { self.cancel.clone() };
        let started = Instant::now();
        let mut sending = upstream.send(Outbound { cancel: stop.clone(), ..outbound });
        let mut held_back = Ok(());
        // Made for the first question: most calls have none, and an empty one is not free.
        let mut asked: Option<FuturesUnordered<_>> = None;
        let sent = loop {
            let passed = tokio::select! {
                biased;
                interim = arriving.next(), if held_back.is_ok() => match interim {
                    Interim::Notification(delivery) => self.deliver(delivery).await.map_err(Stop::from),
                    // Dropped, it counts as unanswered.
                    Interim::Question(_) if asked.as_ref().is_some_and(|asked| asked.len() >= QUESTIONS_MAX) => Ok(()),
                    Interim::Question(question) => {
                        self.ask(question).await.map_err(Stop::from).map(|asking| asked.get_or_insert_default().extend(asking.map(Asked::answered)))
                    }
                },
                Some(answered) = async { asked.as_mut()?.next().await }, if asked.is_some() && held_back.is_ok() => Box::pin(self.go_on(index, answered)).await,
                sent = &mut sending => break sent,
            };
            if passed.is_err() {
                // The exchange ends here, so the upstream is told in the way of its era.
                stop.cancel();
                held_back = passed;
            }
        };
        self.upstream_took = started.elapsed();
        drop(sending);
        held_back?;
        while let Some(interim) = arriving.try_recv() {
            if let Interim::Notification(delivery) = interim {
                self.deliver(delivery).await?;
            }
        }
        Ok(self.answered(index, sent)?)
    }

    /// A legacy client has answered a question. The first answer begins a new round, which is the whole request chain's to let
    /// pass; then it goes on its way.
    async fn go_on(&mut self, index: usize, answered: Answered) -> Result<(), Stop> {
        if answered.answer.is_some() && answered.round == self.head.round {
            self.head.round += 1;
            self.admit(index, &mut None).await?;
        }
        Ok(self.hand_back(answered).await?)
    }

    pub(super) fn upstream_error(&self, index: usize, source: UpstreamError) -> Error {
        // A tool that a filter made is no server's.
        let upstream = if index == NO_UPSTREAM {
            self.head.name.as_deref().unwrap_or_default().to_owned()
        } else {
            self.generation.upstreams[index].name().to_string()
        };
        let UpstreamError::Held(held) = source else { return Error::Upstream { upstream, source } };
        match &*held {
            Held::Rejected { plugin, rejection } => Error::Rejected { plugin: plugin.to_string(), rejection: rejection.clone() },
            Held::Broke { plugin, fault } => Error::Plugin { plugin: plugin.to_string(), fault: fault.clone() },
            Held::Suspended { .. } => Error::Upstream { upstream, source: UpstreamError::Held(held) },
        }
    }
}

/// Whether a modern server found that the headers do not mirror the body: before it ran anything.
fn refuses_headers(answer: &Answer) -> bool {
    let AnswerBody::Relayed(delivery) = &answer.body else { return false };
    delivery.spoken.era() == Era::Modern && delivery.message.error_code() == Some(code::HEADER_MISMATCH)
}

fn renamed_reference(request: &Message, name: &str) -> Result<Message, Error> {
    let broken = || Error::BadParams("params.ref.name must be a string".into());
    let whole = request.document().clone().deepen();
    let mut patch = Patch::new(&whole);
    patch.replace(whole.pointer("/params/ref/name").ok_or_else(broken)?, quote(name));
    let bytes = patch.apply().map_err(|_| broken())?;
    let document = Document::parse(bytes, &Limits::REQUEST, IndexDepth::Full).map_err(|_| broken())?;
    Message::decode(document).map_err(|_| broken())
}
