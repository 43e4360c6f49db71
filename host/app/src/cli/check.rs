//! `sluice check`

use super::{ConfigArgs, Exit, look};
use anyhow::Result;
use clap::Args;

#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Check {
    /// The file first, then every plugin it names: loaded, described, started once, and thrown away.
    pub fn run(self) -> Result<Exit> {
        let Some(config) = self.config.load(None) else { return Ok(Exit::Config) };
        let file = config.file.as_ref().map_or_else(|| "no file".to_owned(), |f| f.display().to_string());
        look(config, async |assembly| {
            assembly.plugins.notes().iter().for_each(|line| say!("note: {line}"));
            assembly.plugins.overlaps().iter().for_each(|line| say!("note: {line}"));
            say!("{file}: good; {} upstreams, chain [{}]", assembly.host.upstreams().len(), assembly.plugins.names().join(", "));
            Ok(())
        })
    }
}
