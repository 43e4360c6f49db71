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
    step(
        "building the host and the judge",
        cargo().arg("build").args(setup::NATIVE).args(["--bin", "sluice", "--example", "same_verdicts"]),
    )?;
    setup::programs(&conformance::PROGRAMS)?;
    step("the same filter in four languages", &mut script(&target().join("debug"), &components))
}

/// What builds, tests and compares them, with the programs in `built`.
pub fn script(built: &Path, components: &Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(root()).arg("tests/languages/run.py").arg("--bin").arg(built.join("sluice"));
    command.arg("--same").arg(built.join("examples/same_verdicts"));
    command.arg("--rust").arg(components.join("sluice_example_mask.wasm"));
    command
}

/// Writes what the C SDK has of the contract. Needed once after each change of the contract.
pub fn bindings() -> Result<()> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--locked", "--manifest-path", "sdk/c/generate/Cargo.toml", "--target-dir"]);
    command.arg(target().join("bindings")).args(["--", "wit/v0.1.0", "sdk/c/include"]);
    step("writing sdk/c/include/contract.h and contract.c", &mut command)
}
