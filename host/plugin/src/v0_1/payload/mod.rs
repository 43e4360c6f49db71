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

    fn look_up(&mut self, pointers: &[String]) -> wasmtime::Result<Vec<Option<String>>> {
        let Ok(message) = self.message(Power::Payload) else {
            return Ok(vec![None; pointers.len()]);
        };
        let document = message.document();
        let found = pointers.iter().map(|pointer| document.pointer(pointer).map(|value| value.raw().to_owned())).collect();
        self.hand_over(bytes(&found))?;
        Ok(found)
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

fn bytes(found: &Vec<Option<String>>) -> usize {
    found.iter().flatten().map(String::len).sum()
}

impl Host for Guest {
    fn get(&mut self, _: Resource<Exchange>, pointer: String) -> wasmtime::Result<Option<String>> {
        self.entered(pointer.len())?;
        let Ok(message) = self.message(Power::Payload) else { return Ok(None) };
        let found = message.document().pointer(&pointer).map(|value| value.raw().to_owned());
        self.hand_over(found.as_ref().map_or(0, String::len))?;
        Ok(found)
    }

    fn get_many(&mut self, _: Resource<Exchange>, pointers: Vec<String>) -> wasmtime::Result<Vec<Option<String>>> {
        self.entered(pointers.iter().map(String::len).sum())?;
        self.look_up(&pointers)
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
        let limits = self.limits().json();
        match stage::bind(message.document(), edits, &limits) {
            Ok(staged) => self.lent.staged.extend(staged),
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }

    fn asked(&mut self, _: Resource<Exchange>, pointer: String) -> wasmtime::Result<Option<String>> {
        self.entered(pointer.len())?;
        if !self.may(Power::Payload) {
            return Ok(None);
        }
        let Some(message) = self.lent.asked.as_mut().map(whole) else { return Ok(None) };
        let found = message.document().pointer(&pointer).map(|value| value.raw().to_owned());
        self.hand_over(found.as_ref().map_or(0, String::len))?;
        Ok(found)
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
