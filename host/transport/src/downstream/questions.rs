//! What servers ask a client, under ids of ours, until it answers or they no longer want to know.

use bytes::Bytes;
use sluice_chain::exchange::{Delivery, Question};
use sluice_era::{question, rounds};
use sluice_wire::{
    id::RequestId,
    message::{Message, notification, with_id},
    method,
    revision::Revision,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::sync::oneshot;

/// The open questions of one client.
#[derive(Default)]
pub(super) struct Questions(Mutex<Open>);

#[derive(Default)]
struct Open {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Delivery>>,
}

/// More open questions than any person answers; beyond it the next is not put.
const OPEN_MAX: usize = 256;

impl Questions {
    /// The question as a request of ours, and its id. None when the client's revision has no such thing or too many are open:
    /// dropped, the question counts as unanswered.
    pub fn put(&self, question: Question, revision: Revision) -> Option<(u64, Bytes)> {
        let Question { delivery, reply } = question;
        if !method::presence(revision, delivery.message.method()).from_server() {
            return None;
        }
        let shaped = rounds::message(question::shaped(&delivery.message, revision)?)?;
        let mut open = self.lock();
        if open.waiting.len() >= OPEN_MAX {
            // Those whose exchange has ended unheard wait for nothing.
            open.waiting.retain(|_, reply| !reply.is_closed());
        }
        if open.waiting.len() >= OPEN_MAX {
            return None;
        }
        open.last += 1;
        let id = open.last;
        open.waiting.insert(id, reply);
        Some((id, with_id(&shaped, &RequestId::from_u64(id))))
    }

    /// Ready when a question is open no longer: with what the client is told if it was not its answer that ended it.
    pub fn poll_withdrawn(&self, id: u64, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut open = self.lock();
        let Some(reply) = open.waiting.get_mut(&id) else { return Poll::Ready(None) };
        ready!(reply.poll_closed(context));
        open.waiting.remove(&id);
        let params = format!(r#"{{"requestId":{id},"reason":"the server no longer waits for this"}}"#);
        Poll::Ready(rounds::message(notification(method::NOTIFY_CANCELLED, Some(params.as_bytes()))))
    }

    /// Hands on an answer. False when nothing waits for it, or not any more.
    pub fn answer(&self, answer: Message, spoken: Revision) -> bool {
        let id = answer.id().and_then(RequestId::as_u64);
        let reply = id.and_then(|id| self.lock().waiting.remove(&id));
        reply.is_some_and(|reply| reply.send(Delivery { message: Arc::new(answer), spoken }).is_ok())
    }

    /// Nobody will answer any more.
    pub fn close(&self) {
        self.lock().waiting.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::json::{Document, IndexDepth, Limits};

    const LEGACY: Revision = Revision::V2025_11_25;

    fn message(text: &str) -> Message {
        Message::decode(Document::parse(text.to_owned().into(), &Limits::REQUEST, IndexDepth::Full).unwrap()).unwrap()
    }

    fn question(method: &str) -> (Question, oneshot::Receiver<Delivery>) {
        let (reply, answer) = oneshot::channel();
        let text = format!(r#"{{ "id":"their \u0069d", "jsonrpc":"2.0","method":"{method}","params":{{"n":1.0}}}}"#);
        (Question { delivery: Delivery { message: Arc::new(message(&text)), spoken: LEGACY }, reply }, answer)
    }

    #[test]
    fn an_answer_finds_its_question_once() {
        let questions = Questions::default();
        let (first, mut answer) = question("elicitation/create");
        let (second, _unread) = question("roots/list");
        let (_, text) = questions.put(first, LEGACY).unwrap();
        assert_eq!(text, r#"{ "id":1, "jsonrpc":"2.0","method":"elicitation/create","params":{"n":1.0}}"#);
        assert!(questions.put(second, LEGACY).is_some());
        let said = || message(r#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}"#);
        assert!(questions.answer(said(), LEGACY));
        assert!(!questions.answer(said(), LEGACY), "no answer counts twice");
        assert_eq!(answer.try_recv().unwrap().message.bytes(), said().bytes());
        assert!(!questions.answer(message(r#"{"jsonrpc":"2.0","id":"1","result":{}}"#), LEGACY), "an id has a type");
    }

    #[test]
    fn what_a_revision_does_not_know_is_not_asked() {
        let questions = Questions::default();
        let (asked, mut answer) = question("elicitation/create");
        assert_eq!(questions.put(asked, Revision::V2025_03_26), None);
        assert!(answer.try_recv().is_err());
        assert!(questions.put(question("sampling/createMessage").0, Revision::V2025_03_26).is_some());
        assert_eq!(questions.put(question("tools/list").0, LEGACY), None);
    }

    #[test]
    fn a_client_is_told_what_is_no_longer_asked() {
        let questions = Questions::default();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let (asked, answer) = question("roots/list");
        let (id, _) = questions.put(asked, LEGACY).unwrap();
        assert!(questions.poll_withdrawn(id, &mut context).is_pending());
        drop(answer);
        let Poll::Ready(Some(told)) = questions.poll_withdrawn(id, &mut context) else { panic!("it is told") };
        let expected = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"the server no longer waits for this"}}"#;
        assert_eq!(told.bytes(), expected);
        assert!(matches!(questions.poll_withdrawn(id, &mut context), Poll::Ready(None)), "once");
    }

    #[test]
    fn the_forgotten_make_room() {
        let questions = Questions::default();
        for _ in 0..2 * OPEN_MAX {
            drop(questions.put(question("roots/list").0, LEGACY));
        }
        let kept: Vec<_> = (0..OPEN_MAX).map(|_| question("roots/list")).map(|(q, a)| (questions.put(q, LEGACY), a)).collect();
        assert!(kept.iter().all(|(text, _)| text.is_some()));
        assert_eq!(questions.put(question("roots/list").0, LEGACY), None);
    }
}
