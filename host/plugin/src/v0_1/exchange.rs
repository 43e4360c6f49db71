//! `types`: the lent exchange and its attributes.

use super::{
    bindings::sluice::filter::types::{AccessError, Host, HostExchange},
    listed,
};
use crate::{
    guest::{Guest, Phase},
    settings::Power,
};
use sluice_chain::{
    attributes::{LABEL_BYTES_MAX, LABELS_MAX},
    filter::Hook,
};
use wasmtime::component::Resource;

/// The exchange lent for a call. A guest holds at most one, so its handle says nothing: what it means
/// lies in the store.
pub struct Exchange;

/// The handle for the call that is about to begin.
pub(crate) fn lent() -> Resource<Exchange> {
    Resource::new_borrow(0)
}

pub(crate) fn denied(power: Power) -> AccessError {
    AccessError::Denied(format!("{} is not granted here", power.as_str()))
}

impl Host for Guest {}

impl HostExchange for Guest {
    fn upstream(&mut self, _: Resource<Exchange>) -> wasmtime::Result<Option<String>> {
        self.entered(0)?;
        let upstream = self.lent.upstream.as_deref().map(str::to_owned);
        self.hand_over(upstream.as_ref().map_or(0, String::len))?;
        Ok(upstream)
    }

    fn protocol(&mut self, _: Resource<Exchange>) -> wasmtime::Result<String> {
        self.entered(0)?;
        Ok(self.lent.protocol.to_owned())
    }

    fn attr(&mut self, _: Resource<Exchange>, key: String) -> wasmtime::Result<Option<String>> {
        self.entered(key.len())?;
        let listed = self.lent.listed.as_ref().and_then(|view| listed::find(view, &self.plugin.grants, &key));
        let found = listed.or_else(|| self.lent.attributes.find(&key).map(str::to_owned));
        self.hand_over(found.as_ref().map_or(0, String::len))?;
        Ok(found)
    }

    fn attrs(&mut self, _: Resource<Exchange>, prefix: String) -> wasmtime::Result<Vec<(String, String)>> {
        self.entered(prefix.len())?;
        if let Some(view) = self.lent.listed.as_ref().filter(|_| prefix.starts_with(listed::TOOL)) {
            let found = listed::with_prefix(view, &self.plugin.grants, &prefix);
            let bytes = found.iter().map(|(k, v)| k.len() + v.len()).sum();
            self.hand_over(bytes)?;
            // As for a message of this size: whoever asks for all of them reads them.
            let (cpu, wall) = self.plugin.allowance(bytes);
            self.budget.widen(cpu, wall);
            return Ok(found);
        }
        let found: Vec<_> = self.lent.attributes.with_prefix(&prefix).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        self.hand_over(found.iter().map(|(k, v)| k.len() + v.len()).sum())?;
        Ok(found)
    }

    fn set_attr(&mut self, _: Resource<Exchange>, key: String, value: String) -> wasmtime::Result<Result<(), AccessError>> {
        self.entered(key.len() + value.len())?;
        if matches!(self.phase, Phase::Hook(Hook::OnDone | Hook::Authenticate | Hook::OnHttp | Hook::OnOutbound)) {
            return Ok(Err(AccessError::Denied("labels belong to a running exchange".into())));
        }
        if value.len() > LABEL_BYTES_MAX {
            return Ok(Err(AccessError::TooLarge));
        }
        let lent = &mut self.lent;
        lent.before.get_or_insert_with(|| lent.attributes.clone());
        if lent.attributes.set_label(&self.plugin.name, &key, &value) {
            return Ok(Ok(()));
        }
        Ok(Err(AccessError::Denied(format!("at most {LABELS_MAX} labels, each with a name of 1 to 256 bytes"))))
    }

    fn drop(&mut self, _: Resource<Exchange>) -> wasmtime::Result<()> {
        Ok(())
    }
}
