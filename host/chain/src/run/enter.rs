//! One hook call of one filter, under the operator's policy: breaker, `on_fault`, audit mode, record.

use super::Exchange;
use crate::{
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
use std::{sync::Arc, time::Instant};

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

    async fn enter(&mut self, link: &Link, hook: Hook, message: Arc<Message>, asked: Option<Arc<Message>>, call: Call) -> Said {
        let began = self.begins();
        let result = match link.breaker.admit() {
            Ok(()) => call(&*link.filter, &mut self.pass(&message, asked, began)).await,
            Err(retry_after) => Err(Fault::Open { retry_after }),
        };
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
        self.note(link, hook, label, began);
        said
    }

    pub(super) async fn enter_notification(&mut self, depth: usize, link: &Link, message: Arc<Message>) -> SaidOfNotification {
        let asked = link.filter.interest().reads_payload.then(|| self.asked(depth));
        let began = self.begins();
        let result = match link.breaker.admit() {
            Ok(()) => link.filter.on_notification(&mut self.pass(&message, asked, began)).await,
            Err(retry_after) => Err(Fault::Open { retry_after }),
        };
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
        self.note(link, Hook::OnNotification, label, began);
        said
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

    fn note(&mut self, link: &Link, hook: Hook, verdict: &'static str, began: Instant) {
        let now = Instant::now();
        let took = now.duration_since(began);
        self.mark = Some(now);
        link.filter.identity().calls.count(hook, took);
        self.passed.push(Passed { filter: link.filter.identity().clone(), hook, verdict, took });
    }
}
