//! One hook call of one filter, under the operator's policy: breaker, `on_fault`, audit mode, record.

use super::Exchange;
use crate::{
    attributes::Attributes,
    canary,
    chunk::{Batch, ChunkPass, ChunkVerdict, Splice},
    fault::Fault,
    filter::{Filter, Hook, NotificationVerdict, Pass, Verdict},
    generation::{Link, Mode, Place},
    record::{Ended, Passed},
    rescue::Error,
    subcall::Origin,
    verdict::{Rejection, Suspension},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_wire::message::Message;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What a filter's answer comes to, once the policy has been applied.
pub(super) enum Said {
    /// Go on, with the edited message if there is one.
    Next(Option<Arc<Message>>),
    /// Answer with this result.
    Reply(Bytes),
    /// Policy said no.
    Reject(Rejection),
    /// A person is to be asked first.
    Suspend(Suspension),
    /// The filter broke and the operator's word is `refuse`.
    Broke(Error),
}

/// The same for a notification.
pub(super) enum SaidOfNotification {
    Next(Option<Arc<Message>>),
    Drop,
    Reject(Rejection),
    Broke(Error),
}

/// The same for a batch of texts.
pub(super) enum SaidOfBatch {
    /// Go on, with these edits.
    Next(Vec<Splice>),
    Reject(Rejection),
    Broke(Error),
}

type Call = for<'a> fn(&'a dyn Filter, &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>>;

impl Exchange {
    pub(super) fn enters(&self, link: &Link, hook: Hook) -> bool {
        link.exports(hook)
            && !self.is_caller(link)
            && link.policy.when.hold_for_labels(&self.attributes)
            && link.enters(
                hook,
                &Place {
                    method: &self.head.method,
                    name: self.head.name.as_deref(),
                    upstream: self.head.upstream.as_deref(),
                    tenant: self.principal.tenant.as_deref(),
                },
            )
            && link
                .trial
                .as_ref()
                .is_none_or(|(canary, side)| canary.enters(*side, self.head.exchange, self.principal.tenant.as_deref(), &self.attributes))
    }

    pub(super) async fn enter_request(&mut self, depth: usize, link: &Link) -> Said {
        let message = self.request.clone();
        self.again = depth < self.entered;
        self.enter(link, Hook::OnRequest, message, None, |f, p| f.on_request(p)).await
    }

    pub(super) async fn enter_response(&mut self, depth: usize, link: &Link, message: Arc<Message>) -> Said {
        let asked = link.filter.interest().reads_payload.then(|| self.asked(depth));
        self.again = false;
        self.enter(link, Hook::OnResponse, message, asked, |f, p| f.on_response(p)).await
    }

    pub(super) async fn enter(&mut self, link: &Link, hook: Hook, message: Arc<Message>, asked: Option<Arc<Message>>, call: Call) -> Said {
        let began = self.begins();
        let twin = link.trial.as_ref().and_then(|(canary, side)| canary.twin(*side));
        let as_lent = twin.map(|twin| (twin, self.attributes.clone(), asked.clone()));
        let result = match link.breaker.admit() {
            Ok(()) => call(&*link.filter, &mut self.pass(&message, asked, began)).await,
            Err(retry_after) => Err(Fault::Open { retry_after }),
        };
        let ended = Instant::now();
        self.weigh(link, result.is_err(), Some(ended.duration_since(began)));
        if let (Some((twin, attributes, asked)), Ok(verdict)) = (as_lent, &result) {
            self.compare(link, twin, attributes, &message, asked, call, verdict).await;
        }
        let audit = link.policy.mode == Mode::Audit;
        if result.is_ok() {
            link.breaker.succeeded();
        }
        let (label, said) = match result {
            Ok(Verdict::Next(None)) => ("next", Said::Next(None)),
            Ok(Verdict::Next(Some(_))) if audit => ("audit:edited", Said::Next(None)),
            Ok(Verdict::Next(edited)) => ("edited", Said::Next(edited)),
            Ok(Verdict::Reply(_)) if audit => ("audit:reply", Said::Next(None)),
            Ok(Verdict::Reply(result)) => ("reply", Said::Reply(result)),
            Ok(Verdict::Reject(_)) if audit => ("audit:reject", Said::Next(None)),
            Ok(Verdict::Reject(rejection)) => ("reject", Said::Reject(rejection)),
            Ok(Verdict::Suspend(_)) if audit => ("audit:suspend", Said::Next(None)),
            Ok(Verdict::Suspend(asks)) => ("suspend", Said::Suspend(asks)),
            Err(fault) => match self.broke(link, hook, fault) {
                (label, Some(error)) => (label, Said::Broke(error)),
                (label, None) => (label, Said::Next(None)),
            },
        };
        self.note(link, hook, label, began, ended);
        said
    }

    pub(super) async fn enter_notification(&mut self, depth: usize, link: &Link, message: Arc<Message>) -> SaidOfNotification {
        let asked = link.filter.interest().reads_payload.then(|| self.asked(depth));
        let began = self.begins();
        let result = match link.breaker.admit() {
            Ok(()) => link.filter.on_notification(&mut self.pass(&message, asked, began)).await,
            Err(retry_after) => Err(Fault::Open { retry_after }),
        };
        let ended = Instant::now();
        self.weigh(link, result.is_err(), Some(ended.duration_since(began)));
        let audit = link.policy.mode == Mode::Audit;
        if result.is_ok() {
            link.breaker.succeeded();
        }
        use SaidOfNotification as S;
        let (label, said) = match result {
            Ok(NotificationVerdict::Next(None)) => ("next", S::Next(None)),
            Ok(NotificationVerdict::Next(Some(_))) if audit => ("audit:edited", S::Next(None)),
            Ok(NotificationVerdict::Next(edited)) => ("edited", S::Next(edited)),
            Ok(NotificationVerdict::Drop) if audit => ("audit:drop", S::Next(None)),
            Ok(NotificationVerdict::Drop) => ("drop", S::Drop),
            Ok(NotificationVerdict::Reject(_)) if audit => ("audit:reject", S::Next(None)),
            Ok(NotificationVerdict::Reject(rejection)) => ("reject", S::Reject(rejection)),
            Err(fault) => match self.broke(link, Hook::OnNotification, fault) {
                (label, Some(error)) => (label, S::Broke(error)),
                (label, None) => (label, S::Next(None)),
            },
        };
        self.note(link, Hook::OnNotification, label, began, ended);
        said
    }

    /// One batch of a long answer, of which so many bytes have come. What to do, the verdict in records, and how long it took.
    pub(super) async fn enter_batch(
        &mut self,
        depth: usize,
        link: &Link,
        batch: &Arc<Batch>,
        bytes: usize,
    ) -> (SaidOfBatch, &'static str, Duration) {
        let asked = link.filter.interest().reads_payload.then(|| self.asked(depth));
        let began = Instant::now();
        let result = match link.breaker.admit() {
            Ok(()) => {
                let origin =
                    Origin { generation: &self.generation, principal: &self.principal, client: &self.client, callers: &self.callers };
                let (head, principal, attributes) = (&self.head, &self.principal, &mut self.attributes);
                let mut pass = ChunkPass { head, principal, attributes, batch, bytes, asked, began, origin: Some(origin) };
                link.filter.on_chunk(&mut pass).await
            }
            Err(retry_after) => Err(Fault::Open { retry_after }),
        };
        let took = began.elapsed();
        self.weigh(link, result.is_err(), Some(took));
        link.filter.identity().calls.count(Hook::OnChunk, took);
        let audit = link.policy.mode == Mode::Audit;
        if result.is_ok() {
            link.breaker.succeeded();
        }
        let (label, said) = match result {
            Ok(ChunkVerdict::Next) => ("next", SaidOfBatch::Next(Vec::new())),
            Ok(ChunkVerdict::Edit(_)) if audit => ("audit:edited", SaidOfBatch::Next(Vec::new())),
            Ok(ChunkVerdict::Edit(splices)) => ("edited", SaidOfBatch::Next(splices)),
            Ok(ChunkVerdict::Reject(_)) if audit => ("audit:reject", SaidOfBatch::Next(Vec::new())),
            Ok(ChunkVerdict::Reject(rejection)) => ("reject", SaidOfBatch::Reject(rejection)),
            Err(fault) => match self.broke(link, Hook::OnChunk, fault) {
                (label, Some(error)) => (label, SaidOfBatch::Broke(error)),
                (label, None) => (label, SaidOfBatch::Next(Vec::new())),
            },
        };
        (said, label, took)
    }

    /// `on-done` of every filter that asked for it. Off the path: the answer has left.
    pub(super) async fn tell_done(&mut self, ended: &Ended) {
        let generation = self.generation.clone();
        for link in &generation.links {
            if !self.enters(link, Hook::OnDone) || link.breaker.admit().is_err() {
                continue;
            }
            let started = Instant::now();
            let result = link.filter.on_done(ended).await;
            link.filter.identity().calls.count(Hook::OnDone, started.elapsed());
            // No client waits for it.
            self.weigh(link, result.is_err(), None);
            match result {
                Ok(()) => link.breaker.succeeded(),
                Err(fault) => {
                    link.breaker.failed();
                    self.host.observer.faulted(link.filter.identity(), Hook::OnDone, fault.kind(), &fault.to_string());
                }
            }
        }
    }

    /// It waits for this exchange, which is a call of its own.
    fn is_caller(&self, link: &Link) -> bool {
        self.callers.iter().any(|caller| *caller == link.filter.identity().name)
    }

    /// When the next filter begins: when the one before it ended.
    fn begins(&mut self) -> Instant {
        self.mark.take().unwrap_or_else(Instant::now)
    }

    fn pass<'e>(&'e mut self, message: &'e Arc<Message>, asked: Option<Arc<Message>>, began: Instant) -> Pass<'e> {
        Pass {
            head: &self.head,
            principal: &self.principal,
            attributes: &mut self.attributes,
            message,
            asked,
            again: self.again,
            began,
            origin: Some(Origin { generation: &self.generation, principal: &self.principal, client: &self.client, callers: &self.callers }),
        }
    }

    /// What the policy makes of a fault: the label, and the error if the exchange is to end.
    fn broke(&mut self, link: &Link, hook: Hook, fault: Fault) -> (&'static str, Option<Error>) {
        let name = &link.filter.identity().name;
        if link.broke(hook, &fault, &*self.host.observer) {
            self.attributes.set_label("bypassed", name, fault.kind());
            return (fault.bypassed_label(), None);
        }
        (fault.label(), Some(Error::Plugin { plugin: name.to_string(), fault }))
    }

    /// Where two versions of a plugin are on trial: a call of one has ended.
    fn weigh(&self, link: &Link, is_fault: bool, took: Option<Duration>) {
        let Some((canary, side)) = &link.trial else { return };
        if let Some(worse) = canary.note(*side, is_fault, took, || self.host.next_exchange_id()) {
            self.host.observer.taken_back(link.filter.identity(), &worse);
        }
    }

    /// Ask the version in force what the one on trial was asked. Its answer changes nothing.
    #[expect(clippy::too_many_arguments, reason = "all that a call was made with")]
    async fn compare(
        &self,
        link: &Link,
        twin: &Arc<dyn Filter>,
        mut attributes: Attributes,
        message: &Arc<Message>,
        asked: Option<Arc<Message>>,
        call: Call,
        verdict: &Verdict,
    ) {
        let (head, principal, attributes) = (&self.head, &self.principal, &mut attributes);
        let mut pass = Pass { head, principal, attributes, message, asked, again: self.again, began: Instant::now(), origin: None };
        let Ok(other) = call(&**twin, &mut pass).await else { return };
        let Some((canary, _)) = &link.trial else { return };
        if let Some(worse) = canary.compared(canary::alike(verdict, &other), || self.host.next_exchange_id()) {
            self.host.observer.taken_back(link.filter.identity(), &worse);
        }
    }

    fn note(&mut self, link: &Link, hook: Hook, verdict: &'static str, began: Instant, ended: Instant) {
        let took = ended.duration_since(began);
        // Where another version was asked meanwhile, that time is nobody's.
        self.mark = link.trial.is_none().then_some(ended);
        link.filter.identity().calls.count(hook, took);
        self.passed.push(Passed { filter: link.filter.identity().clone(), hook, verdict, took });
    }
}
