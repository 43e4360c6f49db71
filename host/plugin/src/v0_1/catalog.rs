//! `catalog`: the lent viewer of `on-catalog`.

use super::bindings::sluice::filter::catalog::{Host, HostViewer};
use crate::guest::Guest;
use sluice_chain::catalogue::{Entry, Viewer as Seen};
use std::sync::Arc;
use wasmtime::component::Resource;

/// The viewer lent for a call; as with [`super::exchange::Exchange`], what it means lies in the store.
pub struct Viewer;

/// The handle for the call that is about to begin.
pub(crate) fn lent() -> Resource<Viewer> {
    Resource::new_borrow(0)
}

/// What `on-catalog` was lent.
pub(crate) struct Viewed {
    pub(crate) viewer: Seen,
    pub(crate) upstreams: u32,
    pub(crate) entries: Arc<Vec<Entry>>,
}

impl Host for Guest {}

impl HostViewer for Guest {
    fn attr(&mut self, _: Resource<Viewer>, key: String) -> wasmtime::Result<Option<String>> {
        self.entered(key.len())?;
        let found = self.lent.viewed.as_ref().and_then(|viewed| viewed.viewer.attr(&key));
        self.hand_over(found.as_ref().map_or(0, String::len))?;
        Ok(found)
    }

    fn attrs(&mut self, _: Resource<Viewer>, prefix: String) -> wasmtime::Result<Vec<(String, String)>> {
        self.entered(prefix.len())?;
        let found = self.lent.viewed.as_ref().map_or_else(Vec::new, |viewed| viewed.viewer.attrs(&prefix));
        self.hand_over(found.iter().map(|(k, v)| k.len() + v.len()).sum())?;
        Ok(found)
    }

    fn upstreams(&mut self, _: Resource<Viewer>) -> wasmtime::Result<u32> {
        self.entered(0)?;
        Ok(self.lent.viewed.as_ref().map_or(0, |viewed| viewed.upstreams))
    }

    fn definition(&mut self, _: Resource<Viewer>, index: u32) -> wasmtime::Result<Option<String>> {
        self.entered(0)?;
        let viewed = self.lent.viewed.as_ref();
        let entry = viewed.and_then(|viewed| viewed.entries.get(index as usize));
        let found = entry.map(|entry| String::from_utf8_lossy(&entry.definition).into_owned());
        self.hand_over(found.as_ref().map_or(0, String::len))?;
        Ok(found)
    }

    fn drop(&mut self, _: Resource<Viewer>) -> wasmtime::Result<()> {
        Ok(())
    }
}
