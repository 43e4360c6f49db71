//! `cargo xtask faults`: no call runs twice, whatever breaks around it.

use crate::{
    conformance, setup,
    step::{root, step},
};
use anyhow::Result;
use std::{path::Path, process::Command};

/// All of it, and then the control: clients that repeat what may have run have to be found out.
pub fn run(arguments: &[String]) -> Result<()> {
    let sluice = setup::host()?;
    setup::programs(&conformance::PROGRAMS[..1])?;
    step("calls with faults on both sides", script(&sluice).args(arguments))?;
    step("the control: clients that repeat what may have run", script(&sluice).args(["--control", "--calls", "400"]))
}

/// The run itself.
pub fn script(sluice: &Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(root()).arg("tests/faults/run.py").arg("--bin").arg(sluice);
    command
}
