//! Modern clients before legacy servers: the client's `task` is ours to write, and what came of a task is fetched with its state.

use super::{
    TOTAL_MAX,
    held::{Held, Waiting},
    inbound, own_id, pause, request, rounds, stop_unless, unreadable,
};
use crate::upstream::Carrier;
use sluice_chain::upstream::{Inbound, Outbound, TaskSupport, UpstreamError};
use sluice_era::{
    capability::{Askable, declares_tasks},
    tasks::{self, Outcome, State, Status},
};
use sluice_wire::{code, method, revision::Revision};
use std::sync::Arc;
use tokio::time::Instant;

const MODERN: Revision = Revision::V2026_07_28;

/// A call of a tool that can be a task, or must. A client that takes tasks gets one; for another one the task is seen to its end.
pub(super) async fn call<C: Carrier>(carrier: &C, outbound: Outbound, support: TaskSupport) -> Result<Inbound, UpstreamError> {
    let takes = declares_tasks(&outbound.client.capabilities);
    if !takes && support == TaskSupport::Optional {
        return rounds::play(carrier, outbound).await;
    }
    let outbound = Outbound { as_task: true, ..outbound };
    let answer = rounds::play(carrier, outbound.clone()).await?;
    let Some(task) = tasks::created(&answer.response.message) else { return Ok(answer) };
    if takes {
        return inbound(tasks::raise_created(&answer.response.message), MODERN);
    }
    let outbound = Outbound { as_task: false, ..outbound };
    let own = task.id.clone();
    let ended = drive(carrier, &outbound, task).await;
    stop_unless(carrier, &outbound, &own, &ended).await;
    ended
}

/// Polls a task until it ends or asks; then its result is waited for, on whose stream it asks.
async fn drive<C: Carrier>(carrier: &C, outbound: &Outbound, mut task: State) -> Result<Inbound, UpstreamError> {
    let until = Instant::now() + TOTAL_MAX;
    let own = task.id;
    while task.status == Status::Working {
        pause(outbound, task.poll, until).await?;
        let answer = carrier.send(&request(outbound, method::TASKS_GET, &own)?).await?;
        if answer.response.message.error().is_some() {
            return Ok(answer);
        }
        task = tasks::state(&answer.response.message).ok_or_else(unreadable)?;
    }
    let answer = carrier.send(&request(outbound, method::TASKS_RESULT, &own)?).await?;
    inbound(tasks::unrelated(&answer.response.message), answer.response.spoken)
}

/// A request of the extension.
pub(super) async fn about<C: Carrier>(carrier: &Arc<C>, held: &Arc<Held>, outbound: Outbound) -> Result<Inbound, UpstreamError> {
    let own = own_id(&outbound)?;
    match outbound.message.method() {
        method::TASKS_UPDATE => update(carrier, held, &outbound, &own).await,
        method::TASKS_CANCEL => cancel(&**carrier, held, &outbound, &own).await,
        _ => get(carrier, held, &outbound, &own).await,
    }
}

async fn get<C: Carrier>(carrier: &Arc<C>, held: &Arc<Held>, outbound: &Outbound, own: &str) -> Result<Inbound, UpstreamError> {
    let answer = carrier.send(&request(outbound, method::TASKS_GET, own)?).await?;
    let message = &answer.response.message;
    if message.error().is_some() {
        return Ok(answer);
    }
    let outcome = match tasks::state(message).ok_or_else(unreadable)?.status {
        Status::Completed | Status::Failed => {
            let result = carrier.send(&request(outbound, method::TASKS_RESULT, own)?).await?;
            Some(tasks::outcome(&result.response.message).ok_or_else(unreadable)?)
        }
        // A client that can be asked nothing would have its server told that nobody answers.
        Status::InputRequired if !Askable::of(&outbound.client.capabilities).is_any() => None,
        Status::InputRequired => {
            let asks = held.questions(carrier, outbound, own, Waiting::ForOne).await?;
            (!asks.is_empty()).then_some(Outcome::Asks(asks))
        }
        Status::Working => {
            // A server need not say that it waits.
            let asks = held.questions(carrier, outbound, own, Waiting::NotAtAll).await?;
            (!asks.is_empty()).then_some(Outcome::Asks(asks))
        }
        Status::Cancelled => None,
    };
    inbound(tasks::raise_state(message, outcome.as_ref()), MODERN)
}

/// The client's answers go to whoever waits for them; those to nothing that waits are for nobody.
async fn update<C: Carrier>(carrier: &Arc<C>, held: &Held, outbound: &Outbound, own: &str) -> Result<Inbound, UpstreamError> {
    let given = tasks::responses(&outbound.message);
    if !held.answer(outbound, own, &given) {
        let answer = carrier.send(&request(outbound, method::TASKS_GET, own)?).await?;
        if answer.response.message.error().is_some() {
            return Ok(answer);
        }
    }
    acknowledged(outbound)
}

/// A task that has ended already is none that could not be cancelled, in this era.
async fn cancel<C: Carrier>(carrier: &C, held: &Held, outbound: &Outbound, own: &str) -> Result<Inbound, UpstreamError> {
    let answer = carrier.send(&request(outbound, method::TASKS_CANCEL, own)?).await?;
    if answer.response.message.error_code() == Some(code::INVALID_PARAMS) {
        let state = carrier.send(&request(outbound, method::TASKS_GET, own)?).await?;
        if !tasks::state(&state.response.message).is_some_and(|task| task.status.is_terminal()) {
            return Ok(answer);
        }
    } else if answer.response.message.error().is_some() {
        return Ok(answer);
    }
    held.forget(outbound, own);
    acknowledged(outbound)
}

fn acknowledged(outbound: &Outbound) -> Result<Inbound, UpstreamError> {
    inbound(outbound.message.id().and_then(tasks::acknowledged), MODERN)
}
