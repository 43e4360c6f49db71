//! `cargo xtask governed`: the example with tenants, roles and an OpenID provider, with official clients.

use crate::{conformance, setup, step::step, test::script};
use anyhow::Result;

/// Every check, and then the control: without a plugin those that it answers for have to fail. With `--stay` it is started for another client.
pub fn run(arguments: &[String]) -> Result<()> {
    let sluice = setup::host()?;
    setup::programs(&conformance::PROGRAMS)?;
    step("two tenants, three roles, eight servers", script("tests/governed/run.py", &sluice).args(arguments))?;
    if !arguments.is_empty() {
        return Ok(());
    }
    step("the control: the same without each plugin", script("tests/governed/run.py", &sluice).arg("--control"))
}
