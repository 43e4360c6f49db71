//! Legacy clients before modern servers: the extension is declared for them. Who asks for a task gets one, and for everybody else
//! the server's task is seen to its end.

use super::{
    TOTAL_MAX, Tasks,
    finished::{Finished, over},
    inbound, own_id, pause, request, rounds, stop_unless, unreadable,
};
use crate::upstream::Carrier;
use bytes::Bytes;
use sluice_chain::upstream::{Inbound, Outbound, UpstreamError};
use sluice_era::tasks::{self, State, Status};
use sluice_wire::{
    code,
    json::Kind,
    message::{self as build, Message},
    method,
    revision::Revision,
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;

const LEGACY: Revision = Revision::V2025_11_25;
/// A task counts as cancelled once its server says so, which may take it a while.
const CANCELS_MAX: u32 = 10;
/// Most questions of one task.
const ASKED_MAX: usize = 64;
const CANCEL_POLL: Duration = Duration::from_millis(100);

/// A call of a server that may answer it with a task.
pub(super) async fn call<C: Carrier>(carrier: &C, kept: &Tasks, outbound: Outbound) -> Result<Inbound, UpstreamError> {
    let wants = outbound.spoken >= LEGACY && outbound.message.param("task").is_some_and(|task| task.kind() == Kind::Object);
    let outbound = Outbound { as_task: true, ..outbound };
    let answer = rounds::play(carrier, outbound.clone()).await?;
    match (tasks::created(&answer.response.message), wants) {
        (None, false) => Ok(answer),
        (None, true) if answer.response.message.result().is_some() => {
            inbound(kept.finished.keep(&outbound.principal, &outbound.message, lowered(&answer))?, LEGACY)
        }
        (None, true) => Ok(answer),
        (Some(_), true) => inbound(tasks::lower_created(&answer.response.message), LEGACY),
        (Some(task), false) => {
            let own = task.id.clone();
            let ended = drive(carrier, &outbound, task, false).await;
            stop_unless(carrier, &outbound, &own, &ended).await;
            ended
        }
    }
}

/// An answer that is kept is kept as its client reads it.
fn lowered(answer: &Inbound) -> Arc<Message> {
    let whole = answer.response.message.as_ref().clone().deepen();
    let mut patch = sluice_wire::patch::Patch::new(whole.document());
    if let Some(result) = whole.result() {
        ["resultType", "ttlMs", "cacheScope"].iter().filter_map(|key| result.get(key)).for_each(|value| patch.remove(value));
    }
    let text = patch.apply().ok().and_then(sluice_era::rounds::message);
    text.map_or_else(|| answer.response.message.clone(), Arc::new)
}

/// Polls a task until it ends, and puts its questions to the client. `is_known`: the client knows of the task.
async fn drive<C: Carrier>(carrier: &C, outbound: &Outbound, mut task: State, is_known: bool) -> Result<Inbound, UpstreamError> {
    let until = Instant::now() + TOTAL_MAX;
    let own = task.id.clone();
    let mut asked = HashSet::new();
    let mut is_first = true;
    loop {
        if !is_first || !is_known {
            pause(outbound, task.poll, until).await?;
        }
        is_first = false;
        let answer = carrier.send(&request(outbound, method::TASKS_GET, &own)?).await?;
        let message = &answer.response.message;
        if message.error().is_some() {
            return Ok(answer);
        }
        task = tasks::state(message).ok_or_else(unreadable)?;
        match task.status {
            Status::Working => {}
            Status::InputRequired => {
                let new: Vec<_> = tasks::asks(message).into_iter().filter(|(key, _)| asked.insert(key.clone())).collect();
                if asked.len() > ASKED_MAX {
                    return Err(UpstreamError::BadReply { reason: "its task asks for input again and again".to_owned() });
                }
                if let Some(refused) = put(carrier, outbound, &own, new, is_known).await? {
                    return Ok(refused);
                }
            }
            Status::Completed | Status::Failed => return inbound(tasks::lower_outcome(message), answer.response.spoken),
            Status::Cancelled => {
                let id = message.id().ok_or_else(unreadable)?;
                let text = build::error(Some(id), code::INTERNAL_ERROR, "the task was cancelled", None);
                return inbound(sluice_era::rounds::message(text), answer.response.spoken);
            }
        }
    }
}

/// Puts questions to the client, and its answers to the server. The answer to the call, if the client's no has ended it.
async fn put<C: Carrier>(
    carrier: &C,
    outbound: &Outbound,
    own: &str,
    questions: Vec<(String, Bytes)>,
    is_known: bool,
) -> Result<Option<Inbound>, UpstreamError> {
    if questions.is_empty() {
        return Ok(None);
    }
    let related = |text: Bytes| match sluice_era::rounds::message(text.clone()).filter(|_| is_known) {
        Some(question) => tasks::related(&question, own).map_or(text, |question| question.bytes().clone()),
        None => text,
    };
    let questions = questions.into_iter().map(|(key, text)| (key, related(text))).collect();
    match rounds::ask(outbound, questions).await? {
        Ok(answers) => {
            let message = tasks::request(&outbound.message, method::TASKS_UPDATE, own, Some(&answers)).ok_or_else(unreadable)?;
            carrier.send(&Outbound { message: Arc::new(message), ..super::bare(outbound) }).await?;
            Ok(None)
        }
        Err((code, text)) => {
            let id = outbound.message.id().ok_or_else(unreadable)?;
            let ended = sluice_era::rounds::ended(id, method::TOOLS_CALL, code, &text);
            stop_unless(carrier, outbound, own, &Err(UpstreamError::Cancelled)).await;
            inbound(sluice_era::rounds::message(ended), Revision::V2026_07_28).map(Some)
        }
    }
}

/// A request of the feature of 2025-11-25.
pub(super) async fn about<C: Carrier>(carrier: &C, finished: &Finished, outbound: Outbound) -> Result<Inbound, UpstreamError> {
    let own = own_id(&outbound)?;
    if let Some(answer) = finished.answer(&outbound.principal, &outbound.message, &own) {
        return inbound(Some(answer), LEGACY);
    }
    let outbound = Outbound { as_task: true, ..outbound };
    match outbound.message.method() {
        method::TASKS_RESULT => {
            let task = State { id: own.clone(), status: Status::Working, poll: Duration::ZERO };
            let answer = drive(carrier, &outbound, task, true).await?;
            inbound(tasks::related(&answer.response.message, &own).or_else(|| Some(Message::clone(&answer.response.message))), MODERN)
        }
        method::TASKS_CANCEL => cancel(carrier, &outbound, &own).await,
        _ => {
            let answer = carrier.send(&request(&outbound, method::TASKS_GET, &own)?).await?;
            lower(&answer)
        }
    }
}

const MODERN: Revision = Revision::V2026_07_28;

fn lower(answer: &Inbound) -> Result<Inbound, UpstreamError> {
    match answer.response.message.error() {
        Some(_) => inbound(Some(Message::clone(&answer.response.message)), answer.response.spoken),
        None => inbound(tasks::lower_state(&answer.response.message, None), LEGACY),
    }
}

/// The state of a task after it was told to stop; as an error if it had ended before (2025-11-25 tasks, Task Cancellation).
async fn cancel<C: Carrier>(carrier: &C, outbound: &Outbound, own: &str) -> Result<Inbound, UpstreamError> {
    let get = request(outbound, method::TASKS_GET, own)?;
    let mut state = carrier.send(&get).await?;
    if state.response.message.error().is_some() {
        return Ok(state);
    }
    if tasks::state(&state.response.message).is_some_and(|task| task.status.is_terminal()) {
        let id = state.response.message.id().ok_or_else(unreadable)?;
        return inbound(sluice_era::rounds::message(over(id)), LEGACY);
    }
    let answer = carrier.send(&request(outbound, method::TASKS_CANCEL, own)?).await?;
    if answer.response.message.error().is_some() {
        return Ok(answer);
    }
    for _ in 0..CANCELS_MAX {
        state = carrier.send(&get).await?;
        if tasks::state(&state.response.message).is_none_or(|task| task.status.is_terminal()) {
            break;
        }
        pause(outbound, CANCEL_POLL, Instant::now() + TOTAL_MAX).await?;
    }
    lower(&state)
}
