//! `cargo xtask conformance`: the official suite, direct and through Sluice.

use crate::{
    setup,
    step::{root, step},
};
use anyhow::Result;
use std::process::Command;

/// What the foreign parts run on, by the Debian package that brings it.
pub const PROGRAMS: [(&str, &str); 4] = [("python3", "python3"), ("python3-venv", "python3-venv"), ("node", "nodejs"), ("npm", "npm")];

/// Everything but the host and its flags is the script's business.
pub fn run(arguments: &[String]) -> Result<()> {
    let sluice = setup::host()?;
    setup::programs(&PROGRAMS)?;
    step(
        "the official conformance suite",
        Command::new("python3").current_dir(root()).arg("tests/conformance/run.py").arg("--bin").arg(sluice).args(arguments),
    )
}
