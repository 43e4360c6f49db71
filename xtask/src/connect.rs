//! `cargo xtask connect`: accounts at a real authorization server, through Sluice.

use crate::{conformance, setup, step::step, test::script};
use anyhow::Result;

/// Everybody, all the way.
pub fn run(arguments: &[String]) -> Result<()> {
    let sluice = setup::host()?;
    setup::programs(&conformance::PROGRAMS)?;
    step("accounts at a real authorization server", script("tests/connect/run.py", &sluice).args(arguments))
}
