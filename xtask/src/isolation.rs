//! `cargo xtask isolation`: nothing of one caller reaches another, whatever that one tries.

use crate::{
    setup,
    step::{cargo, step, target},
};
use anyhow::Result;
use std::{path::Path, process::Command};

/// All of it, and then the control: each way that an operator has of taking isolation away has to be found out.
pub fn run(arguments: &[String]) -> Result<()> {
    setup::wasm_target()?;
    // As in `setup::host`.
    let both = ["--bin", "sluice", "--bin", "sluice-isolation", "--test", "arrows"];
    step("building the host and those who try", cargo().arg("build").args(setup::NATIVE).args(both))?;
    let sluice = target().join("debug/sluice");
    step("what one caller tries with another's", program(&sluice).args(arguments))?;
    step("the control: isolation taken away", program(&sluice).arg("--control"))
}

/// The run itself. It is built beside the host.
pub fn program(sluice: &Path) -> Command {
    let mut command = Command::new(target().join("debug/sluice-isolation"));
    command.arg("--bin").arg(sluice).arg("--cache").arg(target().join("isolation"));
    command
}
