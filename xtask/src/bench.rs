//! `cargo xtask bench --quick | --plugins | --idle | --parked`: speed and memory against the bars.

use crate::{
    conformance, setup,
    step::{cargo, root, step, target},
};
use anyhow::{Context as _, Result};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What the bench can run: all speeds, what filters cost, quiet streams, waiting calls.
const RUNS: [&str; 4] = ["quick", "plugins", "idle", "parked"];

/// Built optimised: the one place where the profile differs, since a debug host is not what is judged.
pub fn run(arguments: &[String]) -> Result<()> {
    let which = arguments.iter().find_map(|argument| argument.strip_prefix("--").filter(|name| RUNS.contains(name))).unwrap_or(RUNS[0]);
    let mut guests = setup::components()?;
    if which == "quick" {
        setup::programs(&[("nginx", "nginx-light")])?;
    }
    if which == "plugins" {
        guests = filters(&guests)?;
    }
    step(
        "building the host and the bench, optimised",
        cargo().args(["build", "--locked", "--release", "-p", "sluice", "-p", "sluice-bench"]),
    )?;
    // A miss does not keep the rest from being measured.
    let strict_pass = if which == "plugins" { strict_pass() } else { Ok(()) };
    let release = target().join("release");
    let rest = arguments.iter().filter(|argument| argument.strip_prefix("--") != Some(which));
    step(
        "the bench",
        Command::new(release.join("sluice-bench"))
            .current_dir(root())
            .arg(which)
            .arg("--sluice")
            .arg(release.join("sluice"))
            .arg("--guests")
            .arg(guests)
            .args(["--built", "host, bench and bare proxy alike: release profile, fat LTO, no profile of a run"])
            .args(rest),
    )
    .and(strict_pass)
}

/// The filters that are compared, in one folder: those in Rust, and the same in languages with an interpreter inside.
fn filters(components: &Path) -> Result<PathBuf> {
    let folder = target().join("bench/filters");
    setup::programs(&conformance::PROGRAMS)?;
    let mut build = Command::new("python3");
    build.current_dir(root()).arg("tests/languages/filters.py").arg(&folder);
    step("building the filters in Python and TypeScript", &mut build)?;
    for guest in ["guest_facts_only.wasm", "guest_two_reads.wasm"] {
        std::fs::copy(components.join(guest), folder.join(guest)).with_context(|| guest.to_owned())?;
    }
    Ok(folder)
}

/// What the index adds to the strict pass that finds it.
fn strict_pass() -> Result<()> {
    let build = ["build", "--locked", "--release", "-p", "sluice-wire", "--example", "index_cost"];
    step("building the strict pass, optimised", cargo().args(build))?;
    step("the strict pass with and without an index", &mut Command::new(target().join("release/examples/index_cost")))
}
