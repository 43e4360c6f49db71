//! One try at one call.

use super::{
    endpoint::{METHOD, NAME, PROTOCOL_VERSION},
    line::{About, Line, is_answer_to},
    listen::{self, Opened},
    passing::Passing,
    reply::{self, Reply, bad, message, status_error},
    session::Session,
    stream::{EventStream, Next},
};
use crate::upstream::{
    call::{Admitted, Call},
    flood::Flood,
    inflight::Asked,
    outline::{self, Whose},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sluice_chain::{
    exchange::{Delivery, Interim},
    stream::Arriving,
    upstream::{Inbound, Outbound, UpstreamError},
};
use sluice_era::{mirror, probe};
use sluice_wire::{
    code,
    header::PARAM_PREFIX,
    id::RequestId,
    json::IndexDepth,
    message::{self as build, Kind, Message},
    method,
    revision::Revision,
};
use std::{sync::Arc, time::Duration};

/// How a try ended, short of an error.
pub(super) enum Step {
    /// With the answer.
    Done(Inbound),
    /// The server no longer knows the session; the call did not run.
    SessionLost,
    /// The server no longer speaks what it was remembered for; the call did not run.
    Contradicted(Box<Inbound>),
}

/// One try at one call.
pub(super) struct Attempt<'a> {
    pub(super) line: &'a Arc<Line>,
    pub(super) outbound: &'a Outbound,
    pub(super) call: &'a Arc<Call>,
    /// The session it goes over; none with a modern server.
    pub(super) session: Option<&'a Arc<Session>>,
}

/// The headers of a modern request, all from what its body says.
pub(super) fn modern_headers(line: &Line, outbound: &Outbound, revision: Revision) -> Result<HeaderMap, UpstreamError> {
    let mut headers = line.pool.endpoint.roomy_headers(&outbound.client);
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(revision.as_str()));
    headers.insert(METHOD, method_value(outbound.message.method())?);
    if let Some(name) = mirror::name(&outbound.message, outbound.original_name.as_deref()) {
        headers.insert(NAME, value(&name)?);
    }
    // What no annotation knows an intermediary passes on; what one knows follows from the body.
    for (name, said) in &outbound.unknown_params {
        if let Ok(name) = HeaderName::try_from(format!("{PARAM_PREFIX}{name}")) {
            headers.insert(name, value(said)?);
        }
    }
    for (name, said) in mirror::params(&outbound.message, &outbound.mirrored) {
        if let Ok(name) = HeaderName::try_from(name) {
            headers.insert(name, value(&said)?);
        }
    }
    Ok(headers)
}

fn method_value(name: &str) -> Result<HeaderValue, UpstreamError> {
    match name {
        // Nearly all traffic, and not worth a copy each time.
        method::TOOLS_CALL => Ok(HeaderValue::from_static(method::TOOLS_CALL)),
        other => value(other),
    }
}

fn value(text: &str) -> Result<HeaderValue, UpstreamError> {
    HeaderValue::from_str(text).map_err(|_| bad("a value of the request fits no header"))
}

impl Attempt<'_> {
    /// Sends the body and waits for the answer.
    pub(super) async fn run(&self, headers: HeaderMap, body: Bytes) -> Result<Step, UpstreamError> {
        let may_repeat = self.outbound.idempotent || self.outbound.message.method() != method::TOOLS_CALL;
        let exchange = self.line.send(self.outbound.departures.as_ref(), Method::POST, headers, body, may_repeat).await?;
        let pieces_bytes_max = if self.may_pass() { self.outbound.pieces_bytes_max } else { 0 };
        let reply = match reply::read_or_pass(&self.line.pool, exchange, &self.line.settings.call, pieces_bytes_max).await? {
            Ok(reply) => reply,
            Err(long) => return self.long(Passing::body(self.line, *long, self.of())),
        };
        match reply {
            Reply::Message(answer, _) => self.answer(answer),
            Reply::Stream(exchange) => {
                let stream = EventStream::new(exchange, self.line.settings.call.response.bytes_max);
                let stream = if pieces_bytes_max > 0 { stream.keeping_long() } else { stream };
                // In a box, so that calls answered at once do not carry its room along.
                Box::pin(self.follow(stream)).await
            }
            Reply::Accepted => Err(bad("it accepted the request without an answer")),
            Reply::Refused(status, said) => self.refused(status, said.map(|said| *said)),
        }
    }

    /// Whom to tell when nobody waits any more.
    fn of(&self) -> Option<(Arc<Session>, u64)> {
        self.session.map(|session| (session.clone(), self.call.id))
    }

    /// An answer that is too long to be held, if it is ours.
    fn long(&self, mut passing: Passing) -> Result<Step, UpstreamError> {
        let whose = outline::read(passing.beginning().iter().map(|piece| &piece[..]), self.call.spoken);
        // It came where nothing but our answer and what is said before it comes; its id is looked at as it passes.
        let is_ours = whose == Whose::Of(self.call.id) || whose == Whose::Result;
        match outline::shared_placeholder(self.call.id).filter(|_| is_ours) {
            Some(message) => {
                let response = Delivery { message, spoken: self.call.spoken };
                Ok(Step::Done(Inbound { response, rest: Some(Arriving::new(passing)) }))
            }
            None => {
                passing.is_nobodys();
                Err(UpstreamError::TooLarge { limit_bytes: self.line.settings.call.response.bytes_max })
            }
        }
    }

    /// A message that can only be the answer.
    fn answer(&self, message: Message) -> Result<Step, UpstreamError> {
        if is_answer_to(&message, self.call.id) {
            return Ok(self.done(message));
        }
        match message.kind() {
            // An error for a request whose id it could not read: ours is the only one it can mean.
            Kind::Error if message.id().is_none() => Ok(self.done(self.readdressed(&message)?)),
            _ => {
                self.line.drop_it("an answer nobody waits for");
                Err(bad("it answered a request that was not asked"))
            }
        }
    }

    fn may_pass(&self) -> bool {
        outline::may_pass(self.outbound, self.call.spoken)
    }

    fn done(&self, answer: Message) -> Step {
        let is_contradiction = match self.session {
            None => answer.error_code() == Some(code::UNSUPPORTED_VERSION),
            Some(_) => probe::is_modern_error(&answer),
        };
        let inbound = Inbound::whole(self.delivery(answer));
        if is_contradiction { Step::Contradicted(Box::new(inbound)) } else { Step::Done(inbound) }
    }

    fn delivery(&self, message: Message) -> Delivery {
        Delivery { message: Arc::new(message), spoken: self.call.spoken }
    }

    /// An error under our id.
    fn readdressed(&self, error: &Message) -> Result<Message, UpstreamError> {
        let code = error.error_code().unwrap_or(code::INTERNAL_ERROR);
        let text = error.error_message().unwrap_or_default();
        let data = error.error().and_then(|error| error.get("data")).map(|data| data.raw());
        let body = build::error(Some(&RequestId::from_u64(self.call.id)), code, &text, data);
        message(body, &self.line.settings.call.response, IndexDepth::Full)
    }

    /// A status that says no, and maybe a message that says why.
    fn refused(&self, status: u16, said: Option<Message>) -> Result<Step, UpstreamError> {
        let is_ours = said.as_ref().is_some_and(|said| is_answer_to(said, self.call.id));
        if self.session.is_some_and(|session| session.has_id) && forgets_session(status, said.as_ref(), is_ours) {
            return Ok(Step::SessionLost);
        }
        match said {
            Some(said) if is_ours => Ok(self.done(said)),
            Some(said) if said.id().is_none() && said.error().is_some() => {
                let is_from_other_era = self.session.is_none() && probe::is_refusal(status) && !probe::is_modern_error(&said);
                let answer = self.readdressed(&said)?;
                if is_from_other_era {
                    return Ok(Step::Contradicted(Box::new(Inbound::whole(self.delivery(answer)))));
                }
                Ok(self.done(answer))
            }
            None if self.session.is_none() && probe::is_refusal(status) => {
                let text = format!("the server refused the request with HTTP {status}");
                let body = build::error(Some(&RequestId::from_u64(self.call.id)), code::INTERNAL_ERROR, &text, None);
                let answer = message(body, &self.line.settings.call.response, IndexDepth::Full)?;
                Ok(Step::Contradicted(Box::new(Inbound::whole(self.delivery(answer)))))
            }
            _ => Err(status_error(status)),
        }
    }

    /// Reads the stream of the call up to its answer, over as many connections as that takes.
    async fn follow(&self, mut stream: EventStream) -> Result<Step, UpstreamError> {
        let flood = Flood::default();
        loop {
            match stream.next().await {
                Next::Event(event) if event.data.is_empty() => {}
                Next::Event(event) => {
                    let Some(message) = self.line.read_event(event.data) else { continue };
                    if message.kind() == Kind::Notification {
                        flood.note(&self.line.settings.name, message.method());
                    }
                    if let Some(answer) = self.hear(message).await? {
                        stream.finish(&self.line.pool);
                        return Ok(self.done(answer));
                    }
                }
                Next::TooLong if self.may_pass() => return self.long(Passing::event(self.line, stream.into_long(), self.of())),
                Next::TooLong => return Err(UpstreamError::TooLarge { limit_bytes: self.line.settings.call.response.bytes_max }),
                Next::End => stream = self.resumed(stream, "the stream ended without an answer").await?,
                Next::Broken(reason) => stream = self.resumed(stream, &reason).await?,
            }
        }
    }

    /// One message of the stream; the answer, if that is what it is.
    async fn hear(&self, message: Message) -> Result<Option<Message>, UpstreamError> {
        match message.kind() {
            Kind::Response | Kind::Error if is_answer_to(&message, self.call.id) => return Ok(Some(message)),
            Kind::Error if message.id().is_none() => return self.readdressed(&message).map(Some),
            Kind::Response | Kind::Error => self.line.drop_it("an answer nobody waits for"),
            Kind::Request => match self.session {
                Some(session) => self.line.asked(session, message, About::Call(self.call.clone(), Asked::of(self.outbound))),
                None => self.line.drop_it("a request from a modern server"),
            },
            Kind::Notification if self.session.is_some_and(|session| session.inflight.takes_back(&message)) => {}
            Kind::Notification => match (self.call.admit(message, &self.line.settings.call), self.session) {
                (Admitted::Deliver(message), _) => {
                    let delivery = Delivery { message, spoken: self.call.spoken };
                    // A client that is gone does not stop the call; cancelling does.
                    let _ = self.outbound.interim.send(Interim::Notification(delivery)).await;
                }
                (Admitted::Session(message), Some(session)) => self.line.pass_on(session, message),
                (Admitted::Session(_), None) => self.line.drop_it("a change notification outside a subscription"),
                (Admitted::Drop(reason), _) => self.line.drop_it(reason),
            },
        }
        Ok(None)
    }

    /// Goes on where a legacy stream broke off, if the server gave a place to go on from.
    async fn resumed(&self, broken: EventStream, reason: &str) -> Result<EventStream, UpstreamError> {
        let closed = |reason: &str| UpstreamError::ClosedEarly { reason: reason.to_owned() };
        let (Some(session), Some(last_id)) = (self.session, broken.last_id.as_deref()) else {
            return Err(closed(reason));
        };
        let mut wait = broken.retry.map_or(RESUME_AFTER, Duration::from_millis);
        for _ in 0..RESUMES_MAX {
            tokio::time::sleep(wait).await;
            match listen::open(self.line, session, Some(last_id)).await {
                Ok(Opened::Stream(mut stream)) => {
                    if self.may_pass() {
                        stream = Box::new(stream.keeping_long());
                    }
                    stream.last_id = Some(last_id.to_owned());
                    stream.retry = broken.retry;
                    return Ok(*stream);
                }
                Ok(Opened::Refused(_)) => return Err(closed("the server would not resume its stream")),
                Err(_) => wait = wait.max(RESUME_AFTER) * 2,
            }
        }
        Err(closed("the server could not be reached to resume its stream"))
    }
}

/// Before a stream is resumed, when the server does not say.
const RESUME_AFTER: Duration = Duration::from_millis(500);
/// Failed tries at one place.
const RESUMES_MAX: usize = 5;

/// Whether a refusal means that the session is gone. 404 says so; servers from before that was
/// agreed on say 400 and speak of the session.
fn forgets_session(status: u16, said: Option<&Message>, is_ours: bool) -> bool {
    match status {
        404 => !is_ours,
        400 if !is_ours => said.and_then(|said| said.error_message()).is_some_and(|text| text.to_ascii_lowercase().contains("session")),
        _ => false,
    }
}
