//! Calls that servers answer with tasks.

use sluice_chain::upstream::Outbound;
use sluice_era::capability::declares_tasks;
use sluice_wire::{message::Message, method};

/// Whether a modern server answers a call with a task, for a client that takes one.
pub(crate) fn is_created(answer: &Message, outbound: &Outbound) -> bool {
    let is_task = answer.result().and_then(|result| result.get("resultType")).is_some_and(|kind| kind.is_str("task"));
    is_task && outbound.message.method() == method::TOOLS_CALL && declares_tasks(&outbound.client.capabilities)
}
