//! `cargo xtask test`: everything a change is judged by, but the bench.

use crate::{
    conformance, setup,
    step::{cargo, root, step},
};
use anyhow::Result;
use std::process::Command;

/// All tests; with `--fast` only those in Rust.
pub fn run(arguments: &[String]) -> Result<()> {
    let guests = setup::components()?;
    step(
        "tests in Rust",
        cargo().args(["test", "--locked", "--workspace"]).env("SLUICE_GUESTS", &guests),
    )?;
    if arguments.iter().any(|a| a == "--fast") {
        return Ok(());
    }
    let sluice = setup::host()?;
    setup::programs(&[("python3", "python3"), ("python3-venv", "python3-venv"), ("node", "nodejs"), ("npm", "npm")])?;
    step(
        "real servers and clients",
        Command::new("python3").current_dir(root()).arg("tests/interop/run.py").arg("--bin").arg(&sluice),
    )?;
    conformance::run(&[])
}
