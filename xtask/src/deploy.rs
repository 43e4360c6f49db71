//! `cargo xtask deploy`: the files to deploy Sluice with, judged by what reads them and started.

use crate::{conformance, setup, step::step, test::script};
use anyhow::Result;

/// `--release FILE` judges the binary that ships, too.
pub fn run(arguments: &[String]) -> Result<()> {
    let (guests, sluice) = (setup::components()?, setup::host()?);
    setup::programs(&conformance::PROGRAMS)?;
    setup::programs(&setup::DEPLOY)?;
    step("files to deploy it with", script("tests/deploy/run.py", &sluice).arg("--guests").arg(&guests).args(arguments))
}
