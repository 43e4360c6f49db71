//! `sluice plugin lock`

use crate::{
    chain::supply,
    cli::{ConfigArgs, Exit, look},
};
use anyhow::{Context as _, Result};
use clap::Args;

#[derive(Args)]
pub struct Lock {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Lock {
    /// Loads the chain as it would be in force, and writes down which files it is made of.
    pub fn run(self) -> Result<Exit> {
        let Some(mut config) = self.config.load(None) else { return Ok(Exit::Config) };
        // What is locked now is what is to change.
        config.settings.plugins.locked = false;
        let path = config.places.lock_file.clone();
        look(config, async |assembly| {
            let text = assembly.plugins.lock().text().context("a plugin's file name fits no lock")?;
            supply::write(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
            say!("{}: chain [{}]", path.display(), assembly.plugins.names().join(", "));
            Ok(())
        })
    }
}
