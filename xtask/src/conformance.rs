//! `cargo xtask conformance`: the official suite, direct and through Sluice.

use crate::{
    setup,
    step::{root, step},
};
use anyhow::Result;
use std::process::Command;

/// Everything but the host and its flags is the script's business.
pub fn run(arguments: &[String]) -> Result<()> {
    let sluice = setup::host()?;
    setup::programs(&[("python3", "python3"), ("python3-venv", "python3-venv"), ("node", "nodejs"), ("npm", "npm")])?;
    step(
        "the official conformance suite",
        Command::new("python3").current_dir(root()).arg("tests/conformance/run.py").arg("--bin").arg(sluice).args(arguments),
    )
}
