//! `cargo xtask sbom`: what each plugin inside the binary is made of, as files, judged by CycloneDX's own library.

use crate::{conformance, setup, step::step, test::script};
use anyhow::Result;

/// Writes `target/sbom/<plugin>.cdx.json`.
pub fn run(arguments: &[String]) -> Result<()> {
    let sluice = setup::host()?;
    setup::programs(&conformance::PROGRAMS)?;
    step("what each plugin inside the binary is made of", script("tests/sbom/run.py", &sluice).args(arguments))
}
