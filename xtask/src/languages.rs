//! `cargo xtask languages` and `cargo xtask bindings`: the SDKs that are not in Rust.

use crate::{
    conformance, setup,
    step::{cargo, root, step, target},
};
use anyhow::Result;
use std::{path::Path, process::Command};

/// The same filter in four languages, built from source, alone and in one chain.
pub fn run(_: &[String]) -> Result<()> {
    let components = setup::components()?;
    step("building the host and the judge", cargo().arg("build").args(setup::NATIVE).args(["--bins", "--tests", "--examples"]))?;
    setup::programs(&conformance::PROGRAMS)?;
    step("the same filter in four languages", &mut script(&target().join("debug"), &components))
}

/// What builds, tests and compares them, with the programs in `built`.
pub fn script(built: &Path, components: &Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(root()).arg("tests/languages/run.py").arg("--bin").arg(built.join("sluice"));
    command.arg("--same").arg(built.join("examples/same_verdicts"));
    command.arg("--components").arg(components);
    command.arg("--rmcp-client").arg(built.join("conformance-rmcp-client"));
    command
}

/// From nothing to a plugin that works, in each language, measured.
pub fn five_minutes(arguments: &[String]) -> Result<()> {
    let sluice = setup::host()?;
    setup::programs(&conformance::PROGRAMS)?;
    step("from nothing to a plugin, in each language", five_minutes_script(&sluice).args(arguments))
}

/// What does that, with this host.
pub fn five_minutes_script(sluice: &Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(root()).arg("tests/languages/five_minutes.py").arg("--bin").arg(sluice);
    command
}

/// Writes what the C SDK has of the contract. Needed once after each change of the contract.
pub fn bindings() -> Result<()> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--locked", "--manifest-path", "sdk/c/generate/Cargo.toml", "--target-dir"]);
    command.arg(target().join("bindings")).args(["--", "wit/v0.1.0", "sdk/c/include"]);
    step("writing sdk/c/include/contract.h and contract.c", &mut command)
}
