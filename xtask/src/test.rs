//! `cargo xtask test`: everything a change is judged by, but the bench.

use crate::{
    asking, conformance, faults, isolation, languages, parity, schemas, setup,
    step::{cargo, root, step},
};
use anyhow::Result;
use std::process::Command;

/// All tests; with `--fast` only those in Rust.
pub fn run(arguments: &[String]) -> Result<()> {
    let guests = setup::components()?;
    setup::programs(&setup::SERVERS)?;
    let built = setup::everything()?;
    let sluice = built.join("sluice");
    step("tests in Rust", cargo().arg("test").args(setup::NATIVE).env("SLUICE_GUESTS", &guests).env("SLUICE_BIN", &sluice))?;
    if arguments.iter().any(|a| a == "--fast") {
        return Ok(());
    }
    setup::programs(&conformance::PROGRAMS)?;
    step(
        "real servers and clients",
        script("tests/interop/run.py", &sluice).arg("--rmcp-client").arg(built.join("conformance-rmcp-client")),
    )?;
    step(
        "interceptors of an official SDK, and ours for one",
        script("tests/interop/interceptors.py", &sluice).arg("--rmcp-client").arg(built.join("conformance-rmcp-client")),
    )?;
    step("a slice of the corpus over every path", parity::script(&sluice, &guests).args(["--every", "12"]))?;
    step("a few tries of one caller to reach another's", isolation::program(&sluice).args(["--tries", "8000"]))?;
    step("a few calls with faults on both sides", faults::script(&sluice).args(["--calls", "400"]))?;
    step("a slice of the corpus against the official schemas", schemas::script(&sluice, &guests).args(["--every", "6"]))?;
    step("the same filter in four languages, in one chain, and a slice of the hooks", languages::script(&built, &guests).arg("--slice"))?;
    step("real servers that ask real clients, a slice", asking::script(&built).arg("--slice"))?;
    step("an official client's own OAuth, with a real provider", &mut script("tests/interop/oauth.py", &sluice))?;
    step("accounts at a real authorization server", &mut script("tests/connect/run.py", &sluice))?;
    step("two tenants, three roles, eight servers, one configuration", &mut script("tests/governed/run.py", &sluice))?;
    step("what some plugins inside the binary are made of", script("tests/sbom/run.py", &sluice).args(["--every", "5"]))?;
    setup::programs(&setup::DEPLOY)?;
    step("files to deploy it with", script("tests/deploy/run.py", &sluice).arg("--slice").arg("--guests").arg(&guests))?;
    step("real servers with tasks", script("tests/interop/tasks.py", &sluice).arg("--rmcp").arg(built.join("conformance-rmcp")))?;
    step(
        "what the suite's comparison counts as a difference",
        Command::new("python3").current_dir(root()).args(["-m", "unittest", "discover", "tests/conformance"]),
    )?;
    // `cargo xtask conformance` has servers of the other SDK, and all scenarios of clients.
    let suite = ["--server", "python", "--every", "3"];
    step("the official suite", script("tests/conformance/run.py", &sluice).args(suite).arg("--rmcp").arg(built.join("conformance-rmcp")))
}

/// A run of Python with the binary under test.
pub fn script(path: &str, sluice: &std::path::Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(root()).arg(path).arg("--bin").arg(sluice);
    command
}
