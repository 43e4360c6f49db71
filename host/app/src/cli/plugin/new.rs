//! `sluice plugin new`

use super::super::Exit;
use crate::author::{language::Language, project::Project};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct New {
    /// What to write it in.
    #[arg(long, value_enum)]
    lang: Language,
    /// The plugin's name: lower-case letters, digits and '-'.
    name: String,
    /// Where to make it [default: a folder of that name, here].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl New {
    pub fn run(self) -> Result<Exit> {
        let folder = self.dir.unwrap_or_else(|| PathBuf::from(&self.name));
        let project = Project::create(&folder, &self.name, self.lang)?;
        let (name, folder) = (&project.name, folder.display());
        say!("{folder} is made: a plugin that refuses tool calls whose arguments hold a forbidden word.\n");
        say!("  sluice plugin build {folder}");
        say!("  sluice plugin test {folder}");
        say!("  cp {folder}/dist/{name}.* <the plugin directory of a Sluice that serves>");
        Ok(Exit::Good)
    }
}
