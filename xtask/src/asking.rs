//! `cargo xtask asking`: official clients and servers that ask each other, through Sluice.

use crate::{
    conformance, setup,
    step::{cargo, root, step, target},
};
use anyhow::Result;
use std::{path::Path, process::Command};

/// Every client over every transport, with every answer, and with clients that leave or die.
pub fn run(arguments: &[String]) -> Result<()> {
    setup::wasm_target()?;
    step("building the host and the client", cargo().arg("build").args(setup::NATIVE).arg("--bins"))?;
    setup::programs(&conformance::PROGRAMS)?;
    step("real servers that ask real clients", script(&target().join("debug")).args(arguments))
}

/// The conversations, with the programs in `built`.
pub fn script(built: &Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(root()).arg("tests/interop/asking.py").arg("--bin").arg(built.join("sluice"));
    command.arg("--rmcp-client").arg(built.join("conformance-rmcp-client"));
    command
}
