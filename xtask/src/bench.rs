//! `cargo xtask bench --quick | --idle | --parked`: speed and memory against the bars.

use crate::{
    setup,
    step::{cargo, root, step, target},
};
use anyhow::Result;
use std::process::Command;

/// What the bench can run: all speeds, quiet streams, waiting calls.
const RUNS: [&str; 3] = ["quick", "idle", "parked"];

/// Built optimised: the one place where the profile differs, since a debug host is not what is judged.
pub fn run(arguments: &[String]) -> Result<()> {
    let which = arguments.iter().find_map(|argument| argument.strip_prefix("--").filter(|name| RUNS.contains(name))).unwrap_or(RUNS[0]);
    let guests = setup::components()?;
    if which == RUNS[0] {
        setup::programs(&[("nginx", "nginx-light")])?;
    }
    step(
        "building the host and the bench, optimised",
        cargo().args(["build", "--locked", "--release", "-p", "sluice", "-p", "sluice-bench"]),
    )?;
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
}
