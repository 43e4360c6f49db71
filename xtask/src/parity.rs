//! `cargo xtask parity`: one corpus through every pairing of eras and transports.

use crate::{
    conformance, setup,
    step::{root, step},
};
use anyhow::Result;
use std::{path::Path, process::Command};

/// All of it, and then the control: a filter that decides by era has to be found.
pub fn run(arguments: &[String]) -> Result<()> {
    let guests = setup::components()?;
    let sluice = setup::host()?;
    setup::programs(&conformance::PROGRAMS[..1])?;
    step("every exchange over every path", script(&sluice, &guests).args(arguments))?;
    step("the control: a filter that decides by era", script(&sluice, &guests).args(["--control", "--every", "50"]))
}

/// The comparison itself.
pub fn script(sluice: &Path, guests: &Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(root()).arg("tests/parity/run.py").arg("--bin").arg(sluice).arg("--guests").arg(guests);
    command
}
