//! What a server asks the client while a call runs, and the answer on its way back.

use super::inflight::{Addressee, OpenQuestion, Turn};
use bytes::Bytes;
use sluice_chain::exchange::{Delivery, Interim, Question};
use sluice_era::rounds;
use sluice_wire::{
    code,
    id::RequestId,
    message::{self as build, Message},
    method,
    revision::Revision,
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Asks whom a question is for, and waits for as long as somebody may still answer. The body to send back, under the server's
/// id. Any of the calls may be the one that waits for it, so none counts as silent meanwhile.
///
/// A call that has its answer is at work again, and calls of several clients that are at work cannot be told apart: so it has its
/// answer in turn. The turn is to be kept until the body is sent.
///
/// None when the server has taken it back: then it hears nothing, and the client's answer is for nobody.
pub(crate) async fn ask<'a>(
    to: Addressee,
    question: Message,
    spoken: Revision,
    open: &'a OpenQuestion,
) -> Option<(Bytes, Option<Turn<'a>>)> {
    let Addressee { calls, client, is_sure } = to;
    let id = question.id()?.clone();
    let method = question.known_method();
    if let Some((code, text)) = calls.iter().find_map(|call| call.permits(&question).err()) {
        return Some((build::error(Some(&id), code, text, None), None));
    }
    let waiting: Vec<_> = calls.iter().map(|call| call.wait_for_client(is_sure)).collect();
    open.is_put();
    let (reply, answer) = oneshot::channel();
    let delivery = Delivery { message: Arc::new(question), spoken };
    let is_heard = client.interim.send(Interim::Question(Question { delivery, reply })).await.is_ok();
    let answer = tokio::select! {
        biased;
        () = open.withdrawn() => return None,
        answer = async { if is_heard { answer.await.ok() } else { None } } => answer,
    };
    let body = match answer {
        Some(answer) => answered(&id, &answer.message, spoken),
        None => unanswered(&id, method),
    };
    let turn = open.turn(&client).await;
    drop(waiting);
    Some((body, turn))
}

/// A client's answer in the form of the server's revision.
fn answered(id: &RequestId, answer: &Message, spoken: Revision) -> Bytes {
    match rounds::answered(answer, spoken) {
        Ok(None) => build::with_id(answer, id),
        Ok(Some(shaped)) => build::result(id, &shaped),
        Err(text) => build::error(Some(id), code::INVALID_PARAMS, text, None),
    }
}

/// What a server hears that asks while no call is in flight, or while it is not clear whom (mcp-protocol §3.2).
pub(crate) fn nobodys(question: &Message) -> Option<Bytes> {
    let id = question.id()?;
    let nobody = "no call is in flight that this could be about";
    Some(match question.method() {
        method::ELICITATION_CREATE => build::result(id, br#"{"action":"cancel"}"#),
        _ => build::error(Some(id), code::METHOD_NOT_FOUND, nobody, None),
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
