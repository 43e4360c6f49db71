//! Batches, which 2025-03-26 alone has: several messages in, one array of answers out.

use bytes::Bytes;
use http::{Response, StatusCode};
use sluice_chain::exchange::Outgoing;
use sluice_wire::{
    code,
    json::{Document, Value},
    message::{Kind, Message},
    method,
    revision::Revision,
};
use std::sync::Arc;

use super::{
    content::Content,
    endpoint::{self, Call, decode, empty},
    headers,
    legacy::{self, Begun},
};
use crate::downstream::{
    outgoing::{Waiting, join},
    refusal::Refusal,
    sessions::Session,
};

/// Answers an array of messages.
pub(super) async fn post(call: Call<'_>, document: Document) -> Result<Response<Content>, Refusal> {
    let has_session = call.headers.contains_key(&headers::SESSION_ID) && call.connection.shared.settings.eras.legacy;
    if !has_session {
        return Err(no_batches());
    }
    let session = legacy::session(&call).await?;
    if session.revision != Revision::V2025_03_26 {
        return Err(no_batches());
    }
    let messages = split(&call, &document)?;
    let begun: Vec<Begun> = messages.into_iter().filter_map(|message| begin(&call, &session, message)).collect();
    if begun.is_empty() {
        return Ok(empty(StatusCode::ACCEPTED));
    }
    let mut answers = Vec::with_capacity(begun.len());
    for one in begun {
        answers.extend(settle(&call, &session, one).await);
    }
    if answers.is_empty() {
        // Every request of it was cancelled.
        return Ok(empty(StatusCode::ACCEPTED));
    }
    Ok(endpoint::json(200, join(&answers)))
}

fn no_batches() -> Refusal {
    Refusal::new(400, code::INVALID_REQUEST, "batch", "batches are accepted in 2025-03-26 sessions only")
}

/// The messages, all checked before the first one is started.
fn split(call: &Call<'_>, document: &Document) -> Result<Vec<Message>, Refusal> {
    let limits = &call.connection.shared.settings.limits;
    let items: Vec<Value<'_>> = document.root().items().take(limits.batch_messages_max + 1).collect();
    if items.is_empty() || items.len() > limits.batch_messages_max {
        let message = format!("a batch holds one to {} messages", limits.batch_messages_max);
        return Err(Refusal::new(400, code::INVALID_REQUEST, "batch", message));
    }
    items.into_iter().map(|item| message(call, item)).collect()
}

fn message(call: &Call<'_>, item: Value<'_>) -> Result<Message, Refusal> {
    let limits = call.connection.shared.settings.limits.json;
    let document = Document::parse(item.to_bytes(), &limits, call.generation.index_depth())
        .map_err(|error| Refusal::new(400, error.code(), "json", error.to_string()))?;
    let message = decode(document)?;
    if message.method() == method::INITIALIZE {
        return Err(Refusal::new(400, code::INVALID_REQUEST, "batch", "initialize must not be part of a batch").to(message.id()));
    }
    Ok(message)
}

/// Starts a request; of anything else there is nothing to wait for.
fn begin(call: &Call<'_>, session: &Arc<Session>, message: Message) -> Option<Begun> {
    match message.kind() {
        Kind::Request => Some(legacy::begin(call, session, message, false).run_on()),
        Kind::Notification => {
            legacy::note(session, &message);
            None
        }
        Kind::Response | Kind::Error => {
            session.questions.answer(message, session.revision);
            None
        }
    }
}

/// The answer of one request; all of them run meanwhile. `None` when it was cancelled.
async fn settle(call: &Call<'_>, session: &Session, begun: Begun) -> Option<Bytes> {
    match begun {
        Begun::Answered(text) => Some(text),
        Begun::Refused(refusal) => {
            let host = &call.connection.shared.host;
            host.turned_away(refusal.reason);
            Some(refusal.body(host.next_exchange_id()))
        }
        Begun::Running(waiting) => finish(waiting, session).await,
    }
}

/// Notifications and questions do not fit into an array: they go to the session's stream.
async fn finish(mut waiting: Waiting, session: &Session) -> Option<Bytes> {
    loop {
        match waiting.next().await {
            Some(Outgoing::Notification(delivery)) => {
                if let Some(text) = waiting.shape(&delivery) {
                    session.streams.push(text);
                }
            }
            Some(Outgoing::Question(question)) => {
                if let Some(text) = waiting.ask(question) {
                    session.streams.push(text);
                }
            }
            Some(Outgoing::Final(answer)) => return Some(waiting.address(&answer).into_bytes()),
            None if waiting.is_cancelled() => return None,
            None => return Some(waiting.address(&waiting.lost()).into_bytes()),
        }
    }
}
