//! `sluice plugin sbom`

use super::super::Exit;
use crate::{embedded, sbom::Bom};
use anyhow::{Context as _, Result};
use clap::Args;

#[derive(Args)]
pub struct Sbom {
    /// A plugin that is inside this binary: `builtin:<name>`.
    #[arg(value_name = "builtin:NAME")]
    plugin: String,
}

impl Sbom {
    pub fn run(self) -> Result<Exit> {
        let name = self.plugin.strip_prefix("builtin:").unwrap_or(&self.plugin);
        let bom = Bom::of(name).with_context(|| {
            format!(
                "{name} is not inside this binary, so its publisher knows what it is made of; inside are {}",
                embedded::PLUGIN_NAMES.join(", ")
            )
        })?;
        say!("{:#}", bom.cyclonedx());
        Ok(Exit::Good)
    }
}
