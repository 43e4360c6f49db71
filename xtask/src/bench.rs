//! `cargo xtask bench --quick`: speed and memory against the bars.

use crate::{
    setup,
    step::{cargo, root, step, target},
};
use anyhow::Result;
use std::process::Command;

/// Built optimised: the one place where the profile differs, since a debug host is not what is judged.
pub fn run(arguments: &[String]) -> Result<()> {
    let guests = setup::components()?;
    setup::programs(&[("nginx", "nginx-light")])?;
    step(
        "building the host and the bench, optimised",
        cargo().args(["build", "--locked", "--release", "-p", "sluice", "-p", "sluice-bench"]),
    )?;
    let release = target().join("release");
    let rest: Vec<&String> = arguments.iter().filter(|a| *a != "--quick").collect();
    step(
        "the bench",
        Command::new(release.join("sluice-bench"))
            .current_dir(root())
            .arg("quick")
            .arg("--sluice")
            .arg(release.join("sluice"))
            .arg("--guests")
            .arg(guests)
            .args(rest),
    )
}
