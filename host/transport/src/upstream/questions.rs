//! What a server asks the client while a call runs, and the answer on its way back.

use super::call::Call;
use bytes::Bytes;
use sluice_chain::{
    exchange::{Delivery, Interim, Question},
    queue::Sender,
};
use sluice_wire::{
    code,
    id::RequestId,
    message::{self as build, Message},
    method,
    revision::Revision,
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Asks the client of `calls`, and waits for as long as somebody may still answer. The body to send back, under the server's
/// id. Any of the calls may be the one that waits for it, so none counts as silent meanwhile.
pub(crate) async fn ask(calls: &[Arc<Call>], interim: Sender<Interim>, question: Message, spoken: Revision) -> Option<Bytes> {
    let id = question.id()?.clone();
    let method = question.known_method();
    let _open: Vec<_> = calls.iter().map(Call::open_question).collect();
    let (reply, answer) = oneshot::channel();
    let delivery = Delivery { message: Arc::new(question), spoken };
    if interim.send(Interim::Question(Question { delivery, reply })).await.is_err() {
        return Some(unanswered(&id, method));
    }
    Some(match answer.await {
        Ok(answer) => build::with_id(&answer.message, &id),
        Err(_) => unanswered(&id, method),
    })
}

/// What a server hears when nobody answers: no consent, in the way of the question (mcp-protocol §3.3).
pub(crate) fn unanswered(id: &RequestId, asked: Option<&str>) -> Bytes {
    let nobody = "the client did not answer";
    match asked {
        Some(method::ELICITATION_CREATE) => build::result(id, br#"{"action":"cancel"}"#),
        Some(method::SAMPLING_CREATE_MESSAGE) => build::error(Some(id), code::SAMPLING_REFUSED, nobody, None),
        _ => build::error(Some(id), code::INTERNAL_ERROR, nobody, None),
    }
}
