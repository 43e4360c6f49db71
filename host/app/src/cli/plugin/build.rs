//! `sluice plugin build`

use super::super::Exit;
use crate::author::{project::Project, recipe};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct Build {
    /// The project.
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl Build {
    pub fn run(self) -> Result<Exit> {
        let component = recipe::build(&Project::open(&self.dir)?)?;
        let bytes = std::fs::metadata(&component)?.len();
        say!("{} ({bytes} bytes)", component.display());
        Ok(Exit::Good)
    }
}
