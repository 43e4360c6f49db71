//! What filters see where two eras have two forms of one thing: always the modern one. Who did not edit it never notices.

use crate::exchange::Delivery;
use sluice_wire::{
    code,
    json::{IndexDepth, Kind, Limits, Value, quote},
    message::Message,
    method,
    patch::Patch,
    revision::{Era, Revision},
};
use std::sync::Arc;

/// Members of a legacy question's `params` that the modern form does not have (mcp-protocol §3.2).
const LEGACY_ONLY: [&str; 3] = ["task", "elicitationId", "_meta"];
/// Members of an error's `data` that only the modern form has.
const ADDED: [&str; 2] = ["uri", "upstreamCode"];

/// A question without what only a legacy server says.
pub(super) fn question(asked: &Delivery) -> Arc<Message> {
    let params = asked.message.params();
    if !LEGACY_ONLY.iter().any(|key| params.is_some_and(|params| params.get(key).is_some())) {
        return asked.message.clone();
    }
    rewritten(&asked.message, |patch, whole| {
        LEGACY_ONLY.iter().filter_map(|key| whole.param(key)).for_each(|value| patch.remove(value));
    })
}

/// An edited question with what only a legacy client wants to hear.
pub(super) fn restored(edited: Arc<Message>, asked: &Message) -> Arc<Message> {
    let asked = asked.clone().deepen();
    rewritten(&edited, |patch, whole| {
        let Some(params) = whole.params() else { return };
        for key in LEGACY_ONLY {
            if let (Some(value), None) = (asked.param(key), params.get(key)) {
                patch.insert(params, key, value.to_bytes());
            }
        }
    })
}

/// An error of a legacy server under the code that the modern era has for it. None when there is nothing to change.
pub(super) fn error(answer: &Delivery, method: &str, uri: Option<&str>) -> Option<Arc<Message>> {
    let sent = answer.message.error_code().filter(|_| answer.spoken.era() == Era::Legacy)?;
    let raised = code::raised(sent, method);
    if raised == sent {
        return None;
    }
    Some(rewritten(&answer.message, |patch, whole| {
        let Some(error) = whole.error() else { return };
        error.get("code").into_iter().for_each(|value| patch.replace(value, raised.to_string()));
        match uri.filter(|_| method == method::RESOURCES_READ && sent == code::RESOURCE_NOT_FOUND_LEGACY) {
            Some(uri) => patch.add_data(error, "uri", quote(uri)),
            None if sent != code::RESOURCE_NOT_FOUND_LEGACY => patch.add_data(error, "upstreamCode", sent.to_string()),
            None => {}
        }
    }))
}

/// An error that filters edited, in the words its server sent: for a client of the server's era.
pub(super) fn lowered(edited: Delivery, sent: &Delivery, method: &str, client: Revision) -> Delivery {
    let (Some(code), Era::Legacy) = (sent.message.error_code(), client.era()) else { return edited };
    if edited.message.error_code() != Some(code::raised(code, method)) {
        return edited;
    }
    let sent_whole = sent.message.as_ref().clone().deepen();
    let sent_data = sent_whole.error().and_then(|error| error.get("data"));
    let message = rewritten(&edited.message, |patch, whole| {
        let Some(error) = whole.error() else { return };
        error.get("code").into_iter().for_each(|value| patch.replace(value, code.to_string()));
        if let Some(data) = error.get("data") {
            take_added(patch, data, sent_data);
        }
    });
    Delivery { message, spoken: sent.spoken }
}

/// Takes out of `data` what [`error`] put there.
fn take_added(patch: &mut Patch<'_>, data: Value<'_>, sent: Option<Value<'_>>) {
    let is_sent = |key: &str| sent.is_some_and(|sent| sent.get(key).is_some());
    let added: Vec<Value<'_>> = ADDED.iter().filter(|key| !is_sent(key)).filter_map(|key| data.get(key)).collect();
    match sent {
        _ if added.is_empty() => {}
        Some(sent) if sent.kind() == Kind::Null && data.members().count() == added.len() => patch.replace(data, "null"),
        None if data.members().count() == added.len() => patch.remove(data),
        _ => added.into_iter().for_each(|value| patch.remove(value)),
    }
}

/// The message after splices that fit by construction; as it was where they would not.
fn rewritten(message: &Arc<Message>, splice: impl FnOnce(&mut Patch<'_>, &Message)) -> Arc<Message> {
    let whole = message.as_ref().clone().deepen();
    let mut patch = Patch::new(whole.document());
    splice(&mut patch, &whole);
    let after = patch.apply_document(&Limits::RESPONSE, IndexDepth::Full).ok().and_then(|document| Message::decode(document).ok());
    after.map_or_else(|| message.clone(), Arc::new)
}
