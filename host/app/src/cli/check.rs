//! `sluice check`

use super::{ConfigArgs, Exit, serve};
use crate::assembly::{Assembly, Purpose};
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
        serve::runtime()?.block_on(async {
            let assembly = match Assembly::new(config, Purpose::Look).await {
                Ok(assembly) => assembly,
                Err(problems) => {
                    eprintln!("{problems:#}");
                    return Ok(Exit::Config);
                }
            };
            assembly.plugins.overlaps().iter().for_each(|line| say!("note: {line}"));
            say!("{file}: good; {} upstreams, chain [{}]", assembly.host.upstreams().len(), assembly.plugins.names().join(", "));
            Ok(Exit::Good)
        })
    }
}
