//! Where what plugins keep stands, as configured.

use crate::config::{Config, StateKind};
use anyhow::{Context as _, Result};
use sluice_state::{Store, degrading::Degrading, file::FileStore, memory::MemoryStore, redis::RedisStore};
use std::{fs, sync::Arc};

/// Makes what the settings ask for. Redis need not be there yet.
///
/// # Errors
/// The file cannot be used, or the address is none.
pub fn store(config: &Config) -> Result<Arc<dyn Store>> {
    let state = &config.settings.state;
    Ok(match state.kind {
        StateKind::Memory => Arc::new(MemoryStore::new()),
        StateKind::File => {
            let path = &config.places.state_file;
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(|| format!("the folder of {} cannot be made", path.display()))?;
            }
            Arc::new(FileStore::open(path)?)
        }
        StateKind::Redis => {
            let url = state.url.as_ref().context("sluice.state has no url")?;
            let redis = RedisStore::new(url.reveal(), &state.prefix).with_context(|| format!("sluice.state.url ({})", url.origin()))?;
            // A bare name is a plugin's, whose own bucket it means.
            let bucket = |name: &String| if name.contains('/') { name.clone() } else { format!("plugin/{name}") };
            Arc::new(Degrading::new(redis, state.degrade.iter().map(bucket)))
        }
    })
}
