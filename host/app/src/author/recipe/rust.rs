//! `cargo build`, for the target that makes components.

use super::{nothing_made, program};
use crate::author::project::Project;
use anyhow::{Context as _, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const TARGET: &str = "wasm32-wasip2";

pub(super) fn build(project: &Project, component: &Path) -> Result<()> {
    has_target(project)?;
    let mut cargo = program("cargo", project);
    cargo.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    let done = cargo.stderr(Stdio::inherit()).output().context("cargo does not start")?;
    if !done.status.success() {
        bail!("cargo build failed ({}); what it said stands above", done.status);
    }
    let made = String::from_utf8_lossy(&done.stdout).lines().filter_map(|line| made(line, project)).next_back();
    let made = made.ok_or_else(|| nothing_made("cargo build"))?;
    fs::copy(&made, component).with_context(|| format!("{} cannot be copied to {}", made.display(), component.display()))?;
    Ok(())
}

/// The component that a message of cargo's is about, if it is one of this project.
fn made(line: &str, project: &Project) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let manifest = Path::new(message.get("manifest_path")?.as_str()?);
    if message["reason"] != "compiler-artifact" || manifest.parent()? != project.folder {
        return None;
    }
    let files = message.get("filenames")?.as_array()?.iter().filter_map(serde_json::Value::as_str);
    files.map(PathBuf::from).find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

fn has_target(project: &Project) -> Result<()> {
    let asked = program("rustc", project).args(["--print", "target-libdir", "--target", TARGET]).stderr(Stdio::null()).output();
    let Ok(asked) = asked else { bail!("Rust is needed: https://rustup.rs, then `rustup target add {TARGET}`") };
    let libraries = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim());
    if libraries.is_dir() {
        return Ok(());
    }
    let has_rustup = Command::new("rustup").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let how = if has_rustup { "rustup target add" } else { "install Rust with https://rustup.rs, then: rustup target add" };
    bail!("the target {TARGET} is needed; {how} {TARGET}")
}
