//! Calls that servers run as tasks, for clients of the other era, and for those that know no tasks.
//!
//! Within one era tasks pass; here is what has to be done where the eras differ (mcp-protocol §3.2, §3.4). The state of a task is
//! the server's. What is kept here is what only one side has: questions that a legacy server asks on a stream while a modern
//! client polls ([`held`]), and answers that a modern server gave at once to a legacy client that wanted a task ([`finished`]).

mod finished;
mod held;
mod legacy_server;
mod modern_server;

use super::{Carrier, rounds};
use finished::Finished;
use held::Held;
use sluice_chain::upstream::{Inbound, Outbound, UpstreamError};
use sluice_era::{
    capability::{Askable, declares_tasks},
    tasks,
};
use sluice_wire::{
    message::Message,
    method,
    revision::{Era, Revision},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How long a task may take whose client waits for it without knowing.
const TOTAL_MAX: Duration = Duration::from_secs(1_800);
/// How long a server may take to hear that a task is not wanted any more.
const STOP_MAX: Duration = Duration::from_secs(5);

/// What is kept for the tasks of one server.
#[derive(Default)]
pub(crate) struct Tasks {
    held: Arc<Held>,
    finished: Finished,
}

/// Sends a request; as a task, or about one, where that is called for.
pub(crate) async fn play<C: Carrier>(carrier: &Arc<C>, kept: &Tasks, outbound: Outbound) -> Result<Inbound, UpstreamError> {
    match (outbound.message.method(), outbound.task) {
        // In a box, so that other calls do not carry its room along.
        (method::TOOLS_CALL, Some(support)) => match outbound.spoken.era() {
            Era::Modern => Box::pin(legacy_server::call(&**carrier, outbound, support)).await,
            Era::Legacy => Box::pin(modern_server::call(&**carrier, kept, outbound)).await,
        },
        (method::TASKS_GET | method::TASKS_RESULT | method::TASKS_UPDATE | method::TASKS_CANCEL, _) => {
            Box::pin(about(carrier, kept, outbound)).await
        }
        _ => rounds::play(&**carrier, outbound).await,
    }
}

async fn about<C: Carrier>(carrier: &Arc<C>, kept: &Tasks, outbound: Outbound) -> Result<Inbound, UpstreamError> {
    let asking = outbound.spoken.era();
    let facts = carrier.facts(asking, &outbound.client, &outbound.principal).await?;
    match (asking, facts.era) {
        (Era::Modern, Era::Legacy) => legacy_server::about(carrier, &kept.held, outbound).await,
        (Era::Legacy, Era::Modern) => modern_server::about(&**carrier, &kept.finished, outbound).await,
        (Era::Modern, Era::Modern) => {
            let answer = rounds::play(&**carrier, outbound.clone()).await?;
            declared(&outbound, &answer.response.message).map(|()| answer)
        }
        (Era::Legacy, Era::Legacy) => rounds::play(&**carrier, outbound).await,
    }
}

/// What a modern client has not declared it is not asked, whatever its server's task thinks.
fn declared(outbound: &Outbound, answer: &Message) -> Result<(), UpstreamError> {
    if answer.result().is_none_or(|result| result.get("inputRequests").is_none()) {
        return Ok(());
    }
    let askable = Askable::of(&outbound.client.capabilities);
    for (_, question) in tasks::asks(answer) {
        let question = sluice_era::rounds::message(question).ok_or_else(unreadable)?;
        if let Some(required) = askable.missing(&question) {
            return Err(UpstreamError::NeedsCapability { required });
        }
    }
    Ok(())
}

/// Whether a modern server answers a call with a task where one may be: its client takes it, or we do.
pub(crate) fn is_created(answer: &Message, outbound: &Outbound) -> bool {
    let is_task = answer.result().and_then(|result| result.get("resultType")).is_some_and(|kind| kind.is_str("task"));
    let may_be = || outbound.as_task || outbound.spoken.era() == Era::Modern && declares_tasks(&outbound.client.capabilities);
    is_task && outbound.message.method() == method::TOOLS_CALL && may_be()
}

/// The server's id of the task that a request is about.
fn own_id(outbound: &Outbound) -> Result<String, UpstreamError> {
    let named = outbound.message.target().and_then(|id| Some(id.as_str()?.into_owned()));
    outbound.original_name.as_deref().map(str::to_owned).or(named).ok_or_else(unreadable)
}

/// A request about the task, for whoever this one is for.
fn request(of: &Outbound, name: &str, own: &str) -> Result<Outbound, UpstreamError> {
    Ok(Outbound { message: Arc::new(tasks::request(&of.message, name, own, None).ok_or_else(unreadable)?), ..bare(of) })
}

/// The same exchange without what belongs to its own request.
fn bare(of: &Outbound) -> Outbound {
    Outbound {
        original_name: None,
        mirrored: Arc::default(),
        unknown_params: Vec::new(),
        task: None,
        idempotent: true,
        pieces_bytes_max: 0,
        ..of.clone()
    }
}

/// Waits a little, unless nobody waits for the task any more.
async fn pause(outbound: &Outbound, poll: Duration, until: Instant) -> Result<(), UpstreamError> {
    if Instant::now() >= until {
        return Err(UpstreamError::Deadline { limit: TOTAL_MAX });
    }
    outbound.cancel.run_until_cancelled(tokio::time::sleep(poll)).await.ok_or(UpstreamError::Cancelled)
}

/// Tells the server that nobody waits for a task any more, if that is how it ended.
async fn stop_unless<C: Carrier>(carrier: &C, outbound: &Outbound, own: &str, ended: &Result<Inbound, UpstreamError>) {
    use UpstreamError::{BadReply, Cancelled, Deadline, TooLarge};
    if !matches!(ended, Err(Cancelled | Deadline { .. } | BadReply { .. } | TooLarge { .. })) {
        return;
    }
    let Ok(stop) = request(outbound, method::TASKS_CANCEL, own) else { return };
    let stop = Outbound { cancel: CancellationToken::new(), ..stop };
    let told = timeout(STOP_MAX, carrier.send(&stop)).await;
    if !matches!(told, Ok(Ok(_))) {
        tracing::warn!(upstream = %carrier.name(), "a task that nobody waits for could not be cancelled");
    }
}

fn inbound(message: Option<Message>, spoken: Revision) -> Result<Inbound, UpstreamError> {
    let message = Arc::new(message.ok_or_else(unreadable)?);
    Ok(Inbound::whole(sluice_chain::exchange::Delivery { message, spoken }))
}

fn unreadable() -> UpstreamError {
    UpstreamError::BadReply { reason: "it speaks of a task in a form the protocol does not have".to_owned() }
}
