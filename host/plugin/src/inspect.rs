//! What a file is and may do, before any operator says anything about it.

use crate::{
    engine::Engine,
    grant,
    import::Imported,
    load::{Examined, LoadError},
    manifest::{Manifest, Need},
    settings::{Power, Settings},
    v0_1,
};
use bytes::Bytes;
use sluice_chain::filter::Hook;

/// A plugin that was looked into. Its hooks and imports are facts of the binary, its manifest is its own word.
#[derive(Debug)]
pub struct Inspected {
    /// What it says about itself.
    pub manifest: Manifest,
    /// What it exports, in the order they run.
    pub hooks: Vec<Hook>,
    /// What it imports: with these it is linked, and with nothing else.
    pub imports: Vec<Imported>,
    /// What it exports, as the component names it.
    pub exports: Vec<Box<str>>,
    /// sha256 of the file, hex.
    pub digest: String,
    /// Version of the contract it is linked against.
    pub contract: &'static str,
    /// Length of the file.
    pub bytes: usize,
    /// Length of the machine code that was made of it, with its tables.
    pub code_bytes: usize,
}

impl Engine {
    /// Look into a component: compile it, link it, and let it describe itself, in a store without any power. Nothing else of it runs.
    ///
    /// # Errors
    /// It is no plugin for this host; one line that says why.
    pub async fn inspect(&self, bytes: Bytes, settings: &Settings) -> Result<Inspected, LoadError> {
        let error = |what: String| LoadError { file: settings.file.clone(), what };
        let Examined { digest, bytes, imports, template, hooks, manifest, .. } = self.examine(bytes, settings).await.map_err(error)?;
        let component = template.pre.component();
        let range = component.image_range();
        let exports = component.component_type().exports(self.wasmtime()).map(|(name, _)| name.into()).collect();
        let code_bytes = range.end as usize - range.start as usize;
        Ok(Inspected { manifest, hooks, imports, exports, digest, contract: v0_1::VERSION, bytes, code_bytes })
    }
}

impl Inspected {
    /// What an operator has to write for a need. None: every plugin has that power, unless it is taken away.
    pub fn needs_grant(&self, need: &Need) -> Option<String> {
        if Power::from_name(&need.capability).is_some() {
            return None;
        }
        Some(grant::line_for(&need.capability).unwrap_or_else(|| need.capability.clone()))
    }
}
