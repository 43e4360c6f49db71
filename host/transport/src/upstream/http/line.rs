//! The line to one server: its connections, counters and settings, shared by everything that
//! speaks over it.

use super::{
    pool::Pool,
    reply::{self, Reply, bad, message, status_error},
    session::Session,
    settings::HttpSettings,
    sse::{self, Posted},
    stream::{EventStream, Next},
};
use crate::upstream::{
    Counters,
    call::Call,
    inflight::{Addressee, Asked},
    questions,
    shown::shown,
};
use bytes::Bytes;
use http::Method;
use sluice_chain::{
    exchange::Delivery,
    upstream::{Listener, Unsolicited, UpstreamError},
};
use sluice_wire::{
    code,
    message::{self as build, Kind, Message},
    method,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(super) struct Line {
    pub(super) settings: HttpSettings,
    pub(super) pool: Pool,
    pub(super) counters: Arc<Counters>,
    pub(super) listener: Arc<dyn Listener>,
    /// Everything that runs on its own ends with this.
    pub(super) closed: CancellationToken,
    next_id: AtomicU64,
    /// The server refused a POST and opened a stream to a GET: HTTP+SSE, until it is contradicted.
    speaks_sse: AtomicBool,
    /// The server has asked without saying for which call.
    pub(super) asks: Arc<AtomicBool>,
}

/// What a question of a server is about.
pub(super) enum About {
    /// The call on whose stream it came, and its client, if such a call may ask.
    Call(Arc<Call>, Option<Asked>),
    /// It came on the session's own stream, which does not say.
    Any,
}

/// How long a message without an answer may take.
const TELL_MAX: Duration = Duration::from_secs(5);

impl Line {
    pub(super) fn new(settings: HttpSettings, pool: Pool, counters: Arc<Counters>, listener: Arc<dyn Listener>) -> Self {
        let speaks_sse = AtomicBool::new(settings.sse);
        let (closed, next_id, asks) = (CancellationToken::new(), AtomicU64::new(1), Arc::default());
        Self { settings, pool, counters, listener, closed, next_id, speaks_sse, asks }
    }

    pub(super) fn take_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed)
    }

    /// Whether sessions are opened by HTTP+SSE.
    pub(super) fn speaks_sse(&self) -> bool {
        self.speaks_sse.load(Relaxed)
    }

    /// What was found out about that. The operator's word stays.
    pub(super) fn note_sse(&self, speaks_sse: bool) {
        self.speaks_sse.store(speaks_sse || self.settings.sse, Relaxed);
    }

    /// Sends a message whose answer nobody waits for.
    pub(super) async fn tell(&self, session: &Session, body: Bytes) -> Result<(), UpstreamError> {
        let (headers, departures) = (session.headers.clone(), session.departures(self));
        if let Some(target) = &session.target {
            return match sse::post(self, departures.as_ref(), target, headers, body, true).await? {
                Posted::Accepted => Ok(()),
                Posted::Refused(status) => Err(status_error(status)),
            };
        }
        let exchange = self.send(departures.as_ref(), Method::POST, headers, body, true).await?;
        match reply::read(&self.pool, exchange, &self.settings.call).await? {
            Reply::Refused(status, _) => Err(status_error(status)),
            _ => Ok(()),
        }
    }

    /// The same on its own, by a task that does not outlive the upstream; what becomes of it
    /// nobody waits for.
    pub(super) fn say(self: &Arc<Self>, session: &Arc<Session>, body: Bytes) {
        let (line, session) = (self.clone(), session.clone());
        tokio::spawn(async move {
            let told = timeout(TELL_MAX, line.tell(&session, body));
            let _ = line.closed.run_until_cancelled(told).await;
        });
    }

    /// Reads a stream up to the answer with this id, for requests of our own.
    pub(super) async fn first_answer(&self, stream: &mut EventStream, id: u64) -> Result<Message, UpstreamError> {
        loop {
            match stream.next().await {
                Next::Event(event) if event.data.is_empty() => {}
                Next::Event(event) => {
                    let said = self.read_event(event.data);
                    if let Some(answer) = said.filter(|said| is_answer_to(said, id)) {
                        return Ok(answer);
                    }
                }
                Next::TooLong => return Err(UpstreamError::TooLarge { limit_bytes: self.settings.call.response.bytes_max }),
                Next::End => return Err(bad("the stream ended without an answer")),
                Next::Broken(reason) => return Err(UpstreamError::ClosedEarly { reason }),
            }
        }
    }

    /// A message out of an event; anything else is counted and skipped.
    pub(super) fn read_event(&self, data: Bytes) -> Option<Message> {
        match message(data, &self.settings.call.response, self.settings.call.index) {
            Ok(message) => Some(message),
            Err(error) => {
                self.counters.count(|c| &c.junk);
                tracing::warn!(upstream = %self.settings.name, %error, "an event holds no message");
                None
            }
        }
    }

    /// Sees to what a legacy server asks. A task of its own waits for the client.
    pub(super) fn asked(self: &Arc<Self>, session: &Arc<Session>, message: Message, about: About) {
        let Some(id) = message.id() else { return };
        if message.method() == method::PING {
            return self.say(session, build::result(id, b"{}"));
        }
        if let Err((code, text)) = session.askable.permits(&message) {
            return self.refuse(session, &message, code, text);
        }
        let Some(open) = session.inflight.question(id) else {
            return self.refuse(session, &message, code::INTERNAL_ERROR, "too many questions wait for their answers");
        };
        let (line, session) = (self.clone(), session.clone());
        tokio::spawn(async move {
            let answering = async {
                let to = match about {
                    About::Call(call, asked) => asked.map(|client| Addressee { calls: vec![call], client, is_sure: true }),
                    About::Any => session.inflight.questioned(&message).await,
                };
                match to {
                    Some(to) => {
                        if let Some((answer, _turn)) = questions::ask(to, message, session.revision, &open).await {
                            // One that cannot be told of it waits in vain, which its call's limit ends.
                            let _ = timeout(TELL_MAX, line.tell(&session, answer)).await;
                        }
                    }
                    None => {
                        line.counters.count(|c| &c.refused_requests);
                        questions::nobodys(&message).into_iter().for_each(|answer| line.say(&session, answer));
                    }
                }
            };
            tokio::select! {
                biased;
                // Whoever it was for, nobody answers it any more.
                () = open.withdrawn() => {}
                _ = session.closed.run_until_cancelled(answering) => {}
            }
        });
    }

    fn refuse(self: &Arc<Self>, session: &Arc<Session>, message: &Message, code: i64, text: &str) {
        let Some(id) = message.id() else { return };
        self.counters.count(|c| &c.refused_requests);
        tracing::debug!(upstream = %self.settings.name, method = %shown(message.method().as_bytes()), "refused a request from the server");
        self.say(session, build::error(Some(id), code, text, None));
    }

    /// Hands the chain what belongs to a session and to no call.
    pub(super) fn pass_on(&self, session: &Session, message: Message) {
        if message.method() == method::NOTIFY_RESOURCES_UPDATED {
            let is_wanted = session.watch().is_some_and(|watch| watch.hear(Arc::new(message), session.revision));
            if !is_wanted {
                self.drop_it("word of a resource nobody asked for");
            }
            return;
        }
        let super::session::Owner::Session(_, downstream) = &session.owner else {
            return self.unsolicited(session, None, message);
        };
        self.unsolicited(session, Some(downstream.clone()), message);
    }

    fn unsolicited(&self, session: &Session, downstream: Option<Arc<str>>, message: Message) {
        self.listener.unsolicited(Unsolicited {
            upstream: self.settings.name.clone(),
            principal: session.principal.clone(),
            session: downstream,
            delivery: Delivery { message: Arc::new(message), spoken: session.revision },
        });
    }

    pub(super) fn drop_it(&self, reason: &'static str) {
        self.counters.count(|c| &c.dropped);
        tracing::debug!(upstream = %self.settings.name, reason, "dropped a message from the server");
    }
}

/// Whether a message answers our request.
pub(super) fn is_answer_to(message: &Message, id: u64) -> bool {
    matches!(message.kind(), Kind::Response | Kind::Error) && message.id().is_some_and(|found| found.as_u64() == Some(id))
}
