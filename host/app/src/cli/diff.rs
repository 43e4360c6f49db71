//! `sluice diff`

use super::{ConfigArgs, Exit};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct Diff {
    /// The configuration file that is in force.
    old: PathBuf,
    /// The one that would be.
    new: PathBuf,
}

impl Diff {
    pub fn run(self) -> Result<Exit> {
        let [old, new] = [self.old, self.new].map(|file| ConfigArgs::of_file(Some(file)).load(None));
        let (Some(old), Some(new)) = (old, new) else { return Ok(Exit::Config) };
        let changes = old.changes(&new);
        changes.iter().for_each(|change| say!("{}", super::plain(&change.to_string())));
        if changes.is_empty() {
            say!("nothing would change");
            return Ok(Exit::Good);
        }
        Ok(Exit::Differs)
    }
}
