//! Notifications, and questions with their answers: through the filters of their exchange, out as they arrive.

use super::{Exchange, canonical, enter::SaidOfNotification};
use crate::{
    attributes::Attributes,
    changes::Who,
    exchange::{Client, Delivery, Direction, Head, Kind, Outgoing, Question},
    filter::Hook,
    generation::Generation,
    host::Host,
    queue::queue,
    rescue::Error,
    upstream::Unsolicited,
};
use bytes::Bytes;
use sluice_wire::{method, revision::Era};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A question that the client has, and what waits for its answer.
pub(super) struct Asked {
    /// In which round it was put.
    round: u32,
    method: Arc<str>,
    reply: oneshot::Sender<Delivery>,
    answer: oneshot::Receiver<Delivery>,
}

/// What came of it: no answer when there is nobody left who could give one.
pub(super) struct Answered {
    pub(super) round: u32,
    method: Arc<str>,
    reply: oneshot::Sender<Delivery>,
    pub(super) answer: Option<Delivery>,
}

impl Asked {
    pub(super) async fn answered(self) -> Answered {
        let Self { round, method, mut reply, answer } = self;
        let answer = tokio::select! {
            answer = answer => answer.ok(),
            // The server has taken it back.
            () = reply.closed() => None,
        };
        Answered { round, method, reply, answer }
    }
}

impl Exchange {
    /// One notification of this exchange. An error ends the exchange: a filter rejected, or broke.
    pub(super) async fn deliver(&mut self, delivery: Delivery) -> Result<(), Error> {
        let delivery = self.related(delivery);
        let method = delivery.message.method().into();
        if let Some(delivery) = self.filtered(Kind::Notification, method, delivery).await? {
            // A client that has left hears nothing; the exchange goes on.
            let _ = self.sender.send(Outgoing::Notification(delivery)).await;
        }
        Ok(())
    }

    /// One question to the client, on its way there. None when a filter dropped it or nobody listens: the server hears
    /// that nobody will answer.
    pub(super) async fn ask(&mut self, question: Question) -> Result<Option<Asked>, Error> {
        let method: Arc<str> = question.delivery.message.method().into();
        let Some(delivery) = self.asked_of_client(question.delivery).await? else { return Ok(None) };
        let (reply, answer) = oneshot::channel();
        let is_heard = self.sender.send(Outgoing::Question(Question { delivery, reply })).await.is_ok();
        Ok(is_heard.then_some(Asked { round: self.head.round, method, reply: question.reply, answer }))
    }

    /// A question through its filters, which see it in modern form whatever the server speaks.
    pub(super) async fn asked_of_client(&mut self, question: Delivery) -> Result<Option<Delivery>, Error> {
        let question = self.related(question);
        if !self.generation.links.iter().any(|link| link.exports(Hook::OnNotification)) {
            return Ok(Some(question));
        }
        let shown = Delivery { message: canonical::question(&question), spoken: question.spoken };
        let method: Arc<str> = question.message.method().into();
        let Some(passed) = self.filtered(Kind::InputRequest, method, shown.clone()).await? else { return Ok(None) };
        if Arc::ptr_eq(&passed.message, &shown.message) {
            return Ok(Some(question));
        }
        Ok(Some(match self.era() {
            Era::Legacy => Delivery { message: canonical::restored(passed.message, &question.message), spoken: passed.spoken },
            Era::Modern => passed,
        }))
    }

    /// The client's answer to a question, on its way to the server.
    pub(super) async fn hand_back(&mut self, answered: Answered) -> Result<(), Error> {
        let Answered { method, reply, answer, .. } = answered;
        if let Some(answer) = answer
            && let Some(answer) = self.filtered(Kind::InputResponse, method, answer).await?
        {
            // A server that no longer waits has been answered otherwise.
            let _ = reply.send(self.unrelated(answer));
        }
        Ok(())
    }

    /// Through `on-notification` of the filters: from the last to the first toward the client, the other way toward the server.
    pub(super) async fn filtered(&mut self, kind: Kind, method: Arc<str>, mut delivery: Delivery) -> Result<Option<Delivery>, Error> {
        let generation = self.generation.clone();
        if !generation.links.iter().any(|l| l.exports(Hook::OnNotification)) {
            return Ok(Some(delivery));
        }
        let request_head = self.head.clone();
        self.head = Head {
            direction: if kind == Kind::InputResponse { Direction::ToServer } else { Direction::ToClient },
            kind,
            method,
            name: None,
            ..request_head.clone()
        };
        self.mark = None;
        let mut result = Ok(());
        let count = generation.links.len();
        for at in 0..count {
            let depth = if kind == Kind::InputResponse { at } else { count - 1 - at };
            let link = &generation.links[depth];
            if !self.enters(link, Hook::OnNotification) {
                continue;
            }
            match self.enter_notification(depth, link, delivery.message.clone()).await {
                SaidOfNotification::Next(None) => {}
                SaidOfNotification::Next(Some(edited)) => delivery.message = edited,
                SaidOfNotification::Drop => {
                    self.head = request_head;
                    return Ok(None);
                }
                SaidOfNotification::Reject(rejection) => {
                    result = Err(Error::Rejected { plugin: link.filter.identity().name.to_string(), rejection })
                }
                SaidOfNotification::Broke(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        self.head = request_head;
        result.map(|()| Some(delivery))
    }
}

/// A notification that no exchange owns, through the filters. `None`: it is not to be delivered.
pub(crate) async fn unsolicited(host: &Arc<Host>, generation: &Arc<Generation>, head: Head, n: &Unsolicited) -> Option<Delivery> {
    let (sender, _) = queue(1);
    // What a session's client may see is its own matter.
    let attended = n.session.as_deref().and_then(|session| host.attended(session)).map(|subscription| subscription.who());
    let Who { client, principal } = attended.unwrap_or_else(|| Who { client: Arc::new(nobody(n)), principal: n.principal.clone() });
    let mut exchange = Exchange {
        host: host.clone(),
        generation: generation.clone(),
        attributes: Attributes::new(client.facts.clone()),
        client,
        principal,
        revision: n.delivery.spoken,
        head,
        param_headers: None,
        takes_pieces: false,
        arriving: None,
        streamed: None,
        request: n.delivery.message.clone(),
        versions: Vec::new(),
        sender,
        cancel: CancellationToken::new(),
        started: Instant::now(),
        upstream_took: Duration::ZERO,
        passed: Vec::new(),
        journal: None,
        parent: None,
        callers: Arc::default(),
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
    };
    let method: Arc<str> = n.delivery.message.method().into();
    let delivery = if *method == *method::NOTIFY_TASKS_STATUS {
        exchange.status(generation.upstreams.position(&n.upstream)?, &n.delivery).await?
    } else {
        exchange.related(n.delivery.clone())
    };
    match exchange.filtered(Kind::Notification, method, delivery).await {
        Ok(delivery) => delivery,
        Err(error) => {
            tracing::warn!(upstream = %n.upstream, %error, "a notification was held back");
            None
        }
    }
}

/// For what is said to no session of its own.
fn nobody(n: &Unsolicited) -> Client {
    Client {
        info: None,
        capabilities: Bytes::from_static(b"{}"),
        session: n.session.clone(),
        facts: Arc::default(),
        log_level: Mutex::default(),
    }
}
