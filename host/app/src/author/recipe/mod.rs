//! From a project to a component. What a recipe needs it installs in the project's own folder, once; what it cannot install it names.

mod c;
mod javascript;
mod python;
mod rust;

use super::{language::Language, project::Project};
use anyhow::{Context as _, Result, anyhow, bail};
use sha2::{Digest as _, Sha256};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Builds it; the component's path. The sidecar is put beside it, so that both go into a plugin directory together.
///
/// # Errors
/// What is missing and how to get it, or what the compiler says.
pub fn build(project: &Project) -> Result<PathBuf> {
    let component = project.component();
    let dist = component.parent().context("dist")?;
    fs::create_dir_all(dist).with_context(|| format!("{} cannot be made", dist.display()))?;
    project.with_sdk()?;
    match project.language {
        Language::Rust => rust::build(project, &component),
        Language::Python => python::build(project, &component),
        Language::Js => javascript::build(project, &component),
        Language::C => c::build(project, &component),
    }?;
    let sidecar = project.sidecar();
    if sidecar.exists() {
        fs::copy(&sidecar, component.with_extension("toml")).with_context(|| format!("{} cannot be copied", sidecar.display()))?;
    }
    Ok(component)
}

/// A program of the machine in the project's folder.
fn program(name: &str, project: &Project) -> Command {
    at(name, &project.folder)
}

fn at(name: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(folder);
    command
}

/// Is it there, and does it answer?
fn answers(name: &str, arguments: &[&str]) -> bool {
    let quiet = Command::new(name).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// To its end. What it says is the author's to read.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    // Our own standard output is for results.
    let status = command.stdout(std::io::stderr()).status().with_context(|| format!("{name} does not start"))?;
    if status.success() { Ok(()) } else { bail!("{name} failed ({status}); what it said stands above") }
}

/// Runs `install` unless it was done for these very files, `into` a folder of the project.
fn once(project: &Project, into: &str, inputs: &[&str], install: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = project.folder.join(into).join("installed");
    let mut digest = Sha256::new();
    for input in inputs {
        add(&mut digest, &project.folder.join(input))?;
    }
    let digest = format!("{:x}", digest.finalize());
    if fs::read_to_string(&stamp).is_ok_and(|done| done == digest) {
        return Ok(());
    }
    eprintln!("installing what the recipe needs in {into}, once");
    install()?;
    fs::write(&stamp, digest).with_context(|| format!("{} cannot be written", stamp.display()))
}

/// Folders that tools write into an SDK while they install it.
const WRITTEN_BY_TOOLS: [&str; 6] = ["node_modules", "dist", "contract", "build", "sluice_sdk.egg-info", "__pycache__"];

fn add(digest: &mut Sha256, path: &Path) -> Result<()> {
    if path.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let written = |entry: &fs::DirEntry| WRITTEN_BY_TOOLS.iter().any(|name| entry.file_name() == *name);
        return entries.iter().filter(|entry| !written(entry)).try_for_each(|entry| add(digest, &entry.path()));
    }
    digest.update(fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?);
    Ok(())
}

/// A virtual environment of the project's own with its requirements; its `bin`.
fn virtual_environment(project: &Project, inputs: &[&str]) -> Result<PathBuf> {
    let version = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    if !answers("python3", &["-c", version]) {
        bail!("Python 3.11 or later with venv is needed; Debian: sudo apt-get install python3-venv; others: https://python.org/downloads");
    }
    let bin = project.folder.join(".venv").join("bin");
    once(project, ".venv", inputs, || {
        run(program("python3", project).args(["-m", "venv", ".venv"]))?;
        run(at(bin.join("python"), &project.folder).args(["-m", "pip", "install", "--quiet", "-r", "requirements.txt"]))
    })?;
    Ok(bin)
}

/// The recipe is done and has made nothing.
fn nothing_made(what: &str) -> anyhow::Error {
    anyhow!("{what} ended well and made no component")
}
