//! `cargo xtask schemas`: every message Sluice sends against the official schema of its revision.

use crate::{
    setup,
    step::{root, step},
};
use anyhow::Result;
use std::{path::Path, process::Command};

/// The whole corpus over every pair of revisions.
pub fn run(arguments: &[String]) -> Result<()> {
    let guests = setup::components()?;
    let sluice = setup::host()?;
    step("every message against its revision's schema", script(&sluice, &guests).args(arguments))
}

/// The conversations and their judge.
pub fn script(sluice: &Path, guests: &Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(root()).arg("tests/schemas/run.py").arg("--bin").arg(sluice).arg("--guests").arg(guests);
    command
}
