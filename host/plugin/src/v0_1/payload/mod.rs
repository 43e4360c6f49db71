//! `payload`: reading the message and staging edits to it.

use super::{
    bindings::sluice::filter::{
        payload::{Edit, Host},
        types::AccessError,
    },
    exchange::{Exchange, denied},
};
use crate::{guest::Guest, settings::Power};
use sluice_chain::{fault::Fault, filter::Hook};
use sluice_wire::{
    json::{IndexDepth, Limits, NodeId},
    message::Message,
    patch::Patch,
};
use std::sync::Arc;
use wasmtime::component::Resource;

mod immutable;
mod stage;

pub(crate) use immutable::is_protocol_key;

/// Most edits of one hook call: twice the hits a scan can give.
const EDITS_MAX: usize = 20_000;
/// Edits bound between two looks at the clock.
const EDITS_AT_ONCE: usize = 256;

/// A list in pieces.
struct Chunks(std::vec::IntoIter<Edit>);

impl Iterator for Chunks {
    type Item = Vec<Edit>;

    fn next(&mut self) -> Option<Self::Item> {
        let some: Vec<_> = self.0.by_ref().take(EDITS_AT_ONCE).collect();
        (!some.is_empty()).then_some(some)
    }
}

/// One edit, bound to its place in the message.
pub(crate) enum Staged {
    Replace(NodeId, String),
    Remove(NodeId),
    Insert(NodeId, String, String),
    Append(NodeId, String),
    Splice(NodeId, u32, u32, String),
    SpliceKey(NodeId, u32, u32, String),
}

impl Guest {
    /// The lent message with every value indexed, or what to answer when there is none.
    pub(crate) fn message(&mut self, power: Power) -> Result<Arc<Message>, AccessError> {
        if !self.may(power) {
            return Err(denied(power));
        }
        let lent = self.lent.message.as_mut().ok_or_else(|| denied(power))?;
        Ok(whole(lent))
    }

    /// A copy of the value at a pointer, paid for before it is made.
    fn copy_out(&mut self, message: &Message, pointer: &str) -> wasmtime::Result<Option<String>> {
        let Some(value) = message.document().pointer(pointer) else { return Ok(None) };
        self.hand_over(value.raw_bytes().len())?;
        Ok(Some(value.raw().to_owned()))
    }
}

/// The document itself, or in its place one with the whole index: messages come indexed as deep as the chain
/// needs, so this is for a chain that learned of its reader late.
fn whole(message: &mut Arc<Message>) -> Arc<Message> {
    if message.document().depth() != IndexDepth::Full {
        *message = Arc::new(Message::clone(message).deepen());
    }
    message.clone()
}

impl Host for Guest {
    fn get(&mut self, _: Resource<Exchange>, pointer: String) -> wasmtime::Result<Option<String>> {
        self.entered(pointer.len())?;
        let Ok(message) = self.message(Power::Payload) else { return Ok(None) };
        self.copy_out(&message, &pointer)
    }

    fn get_many(&mut self, _: Resource<Exchange>, pointers: Vec<String>) -> wasmtime::Result<Vec<Option<String>>> {
        // Saves the way, not the work: each pointer counts as a call.
        for pointer in &pointers {
            self.entered(pointer.len())?;
        }
        let Ok(message) = self.message(Power::Payload) else {
            return Ok(vec![None; pointers.len()]);
        };
        pointers.iter().map(|pointer| self.copy_out(&message, pointer)).collect()
    }

    fn text(&mut self, _: Resource<Exchange>) -> wasmtime::Result<Result<String, AccessError>> {
        self.entered(0)?;
        if !self.may(Power::Payload) {
            return Ok(Err(denied(Power::Payload)));
        }
        let Some(message) = self.lent.message.clone() else { return Ok(Err(denied(Power::Payload))) };
        let document = message.document();
        if document.len() > self.limits().message_bytes_max {
            return Ok(Err(AccessError::TooLarge));
        }
        self.hand_over(document.len())?;
        Ok(Ok(document.root().raw().to_owned()))
    }

    fn stage(&mut self, _: Resource<Exchange>, edits: Vec<Edit>) -> wasmtime::Result<Result<(), AccessError>> {
        self.entered(edits.iter().map(stage::size).sum())?;
        if self.phase == crate::guest::Phase::Hook(Hook::OnDone) {
            return Ok(Err(AccessError::Denied("nothing can be changed any more".into())));
        }
        let message = match self.message(Power::Payload) {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        if self.lent.staged.len() + edits.len() > EDITS_MAX {
            return Ok(Err(AccessError::TooLarge));
        }
        let (limits, before) = (self.limits().json(), self.lent.staged.len());
        for some in Chunks(edits.into_iter()) {
            match stage::bind(message.document(), some, &limits) {
                Ok(staged) => self.lent.staged.extend(staged),
                Err(error) => {
                    self.lent.staged.truncate(before);
                    return Ok(Err(error));
                }
            }
            self.budget.look()?;
        }
        Ok(Ok(()))
    }

    fn asked(&mut self, _: Resource<Exchange>, pointer: String) -> wasmtime::Result<Option<String>> {
        self.entered(pointer.len())?;
        if !self.may(Power::Payload) {
            return Ok(None);
        }
        let Some(message) = self.lent.asked.as_mut().map(whole) else { return Ok(None) };
        self.copy_out(&message, &pointer)
    }
}

/// The message with the staged edits, through the strict parser; none if nothing was staged.
pub(crate) fn edited(message: &Message, staged: Vec<Staged>, limits: &Limits) -> Result<Option<Arc<Message>>, Fault> {
    if staged.is_empty() {
        return Ok(None);
    }
    let bad = |what: &dyn std::fmt::Display| Fault::BadReply(format!("its edits cannot be applied: {what}"));
    let deepened;
    let document = match message.document() {
        // Edits were bound to a whole index.
        shallow if shallow.depth() != IndexDepth::Full => {
            deepened = shallow.clone().deepen();
            &deepened
        }
        whole => whole,
    };
    let mut patch = Patch::new(document);
    for edit in staged {
        stage::put(&mut patch, document, edit).map_err(|error| bad(&error))?;
    }
    let after = patch.apply_document(limits, IndexDepth::Full).map_err(|error| match &error {
        sluice_wire::patch::PatchError::Decode(why) => bad(why),
        other => bad(other),
    })?;
    immutable::compare(document, &after).map_err(|what| bad(&what))?;
    let after = Message::decode(after).map_err(|error| bad(&error))?;
    Ok(Some(Arc::new(after)))
}
