//! What comes out of an exchange, and what becomes of the exchange when nobody waits for it.

use bytes::{Bytes, BytesMut};
use sluice_chain::{
    exchange::{Answer, AnswerBody, Delivery, Outgoing, Question},
    record::Outcome,
    rescue::request_id,
    running::Running,
};
use sluice_era::{
    answer::{self, Addressed, Asked},
    listen,
};
use sluice_wire::{
    code,
    json::{Document, IndexDepth, Limits, quote},
    method,
    patch::Patch,
};
use std::{
    borrow::Cow,
    sync::Arc,
    task::{Context, Poll},
};

use super::{questions::Questions, sessions::Session};

/// What it means that the client has left.
pub(super) enum Left {
    /// Stop: modern, and stdio.
    Stop,
    /// Nothing (legacy over HTTP): the exchange goes on, and its id stays taken until it has ended.
    GoOn(Arc<Session>),
}

/// An exchange as seen by the connection that waits for it.
pub(super) struct Waiting {
    running: Running,
    /// The request it answers.
    pub asked: Asked,
    left: Left,
    has_ended: bool,
    /// Where the client's answers come in; none where it is not asked while it waits.
    questions: Option<Arc<Questions>>,
    /// What it was asked and has not answered yet.
    open: Vec<u64>,
    /// What came last, as long as there is something to say before it.
    held: Option<Outgoing>,
}

impl Waiting {
    /// Starts to wait.
    pub fn new(running: Running, asked: Asked, left: Left) -> Waiting {
        let questions = match &left {
            Left::GoOn(session) => Some(session.questions.clone()),
            Left::Stop => None,
        };
        Waiting { running, asked, left, has_ended: false, questions, open: Vec::new(), held: None }
    }

    /// The client can be asked, and answers there.
    pub fn asking(mut self, questions: Arc<Questions>) -> Waiting {
        self.questions = Some(questions);
        self
    }

    /// Lets the exchange run beside others that are waited for in turn.
    pub fn run_on(&mut self) {
        self.running.run_on();
    }

    /// The session that outlives the connection.
    pub fn session(&self) -> Option<Arc<Session>> {
        match &self.left {
            Left::GoOn(session) => Some(session.clone()),
            Left::Stop => None,
        }
    }

    /// Whether the client took its request back.
    pub fn is_cancelled(&self) -> bool {
        self.running.cancel.is_cancelled()
    }

    /// Whether the last thing has come.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The next thing that comes; `None` at the end, or when the exchange was cancelled.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        let next = match self.held.take() {
            Some(held) => Poll::Ready(Some(held)),
            None => self.running.poll_next(context),
        };
        if let Some(withdrawn) = self.withdrawn(context) {
            self.held = match next {
                Poll::Ready(next) => next,
                Poll::Pending => None,
            };
            return Poll::Ready(Some(withdrawn));
        }
        self.has_ended |= matches!(next, Poll::Ready(None | Some(Outgoing::Final(_))));
        next
    }

    /// What the client is told about a question that is open no longer, without its answer.
    fn withdrawn(&mut self, context: &mut Context<'_>) -> Option<Outgoing> {
        let questions = self.questions.as_ref().filter(|_| !self.open.is_empty())?;
        let mut told = None;
        self.open.retain(|&id| {
            if told.is_some() {
                return true;
            }
            let Poll::Ready(ended) = questions.poll_withdrawn(id, context) else { return true };
            told = ended;
            false
        });
        let message = Arc::new(told?);
        Some(Outgoing::Notification(Delivery { message, spoken: self.asked.revision }))
    }

    /// As [`poll_next`](Waiting::poll_next). Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Outgoing> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The final answer in the client's words.
    pub fn address(&self, answer: &Answer) -> Addressed {
        match &answer.body {
            AnswerBody::Relayed(delivery) => answer::relayed(&delivery.message, delivery.spoken, &self.asked),
            AnswerBody::Result(result) => answer::made(result, &self.asked),
            // Those go out as they come, and only where they were said to be welcome.
            AnswerBody::Streamed(_) => self.address(&self.too_long()),
            AnswerBody::Error { code, message, data } => {
                let data = traceable(data.as_deref(), self.running.id);
                answer::made_error(*code, message, Some(&data), &self.asked)
            }
        }
    }

    /// What is said in the place of an answer that cannot be kept.
    pub fn too_long(&self) -> Answer {
        let message = "the answer is too long to be kept for a client that left; it may have run, and is not run again by itself".into();
        Answer {
            outcome: Outcome::Failed,
            body: AnswerBody::Error { code: code::INTERNAL_ERROR, message, data: Some(r#"{"reason":"too_long_to_keep"}"#.into()) },
            http_status: None,
            http_headers: Vec::new(),
        }
    }

    /// What is said for an exchange that ended without a word: a bug of ours, and the client shall
    /// not wait for ever.
    pub fn lost(&self) -> Answer {
        let exchange = self.running.id;
        tracing::error!(exchange, "an exchange ended without an answer");
        let message = "the request ended without an answer".into();
        Answer {
            outcome: Outcome::Failed,
            body: AnswerBody::Error { code: code::INTERNAL_ERROR, message, data: Some(r#"{"reason":"lost"}"#.into()) },
            http_status: None,
            http_headers: Vec::new(),
        }
    }

    /// The id under which log and audit know it, as people see it.
    pub fn request_id(&self) -> String {
        request_id(self.running.id)
    }

    /// A question for the client, if somebody has a place for its answer.
    pub fn ask(&mut self, question: Question) -> Option<Bytes> {
        let (id, text) = self.questions.as_ref()?.put(question, self.asked.revision)?;
        self.open.push(id);
        Some(text)
    }

    /// A notification for this client; `None` when its revision has no such thing.
    pub fn shape(&self, delivery: &Delivery) -> Option<Bytes> {
        if self.asked.method == method::SUBSCRIPTIONS_LISTEN {
            return listen::tagged(&delivery.message, &self.asked.id);
        }
        answer::notification(&delivery.message, delivery.spoken, self.asked.revision)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        match &self.left {
            Left::Stop if !self.has_ended => self.running.cancel.cancel(),
            Left::Stop => {}
            Left::GoOn(session) if self.has_ended => session.finish(&self.asked.id),
            Left::GoOn(session) => see_off(session.clone(), &self.asked, &mut self.running),
        }
    }
}

/// `error.data` with the id under which log and audit know the request. A filter's own data that is
/// no object stays as it is.
fn traceable(data: Option<&str>, exchange: u64) -> Cow<'_, str> {
    let id = request_id(exchange);
    let Some(data) = data else {
        return format!(r#"{{"requestId":"{id}"}}"#).into();
    };
    with_member(data, "requestId", &id).map_or(Cow::Borrowed(data), Cow::Owned)
}

fn with_member(object: &str, key: &str, text: &str) -> Option<String> {
    let bytes = Bytes::copy_from_slice(object.as_bytes());
    let document = Document::parse_value(bytes, &Limits::RESPONSE, IndexDepth::Levels(1)).ok()?;
    let mut patch = Patch::new(&document);
    if document.root().get(key).is_none() {
        patch.insert(document.root(), key, quote(text));
    }
    String::from_utf8(patch.apply().ok()?.into()).ok()
}

/// Frees the id of an exchange that goes on unheard once it has ended.
fn see_off(session: Arc<Session>, asked: &Asked, running: &mut Running) {
    let id = asked.id.clone();
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        // The runtime is going down, and the exchange with it.
        return session.finish(&id);
    };
    let ended = running.see_off();
    runtime.spawn(async move {
        ended.await;
        session.finish(&id);
    });
}

/// Answers as one array, for the one revision that has batches.
pub(super) fn join(answers: &[Bytes]) -> Bytes {
    let mut out = BytesMut::with_capacity(answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 1);
    for (at, answer) in answers.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"[" } else { b"," });
        out.extend_from_slice(answer);
    }
    out.extend_from_slice(b"]");
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_made_here_can_be_found_in_the_log() {
        for (data, expected) in [
            (None, r#"{"requestId":"00000000000000ff"}"#),
            (Some("{}"), r#"{"requestId":"00000000000000ff"}"#),
            (Some(r#"{"a":1.0}"#), r#"{"a":1.0,"requestId":"00000000000000ff"}"#),
            (Some(r#"{"requestId":"mine"}"#), r#"{"requestId":"mine"}"#),
            (Some("[1]"), "[1]"),
            (Some("null"), "null"),
        ] {
            assert_eq!(traceable(data, 255), expected);
        }
    }
}
