//! What a fresh machine with rustup lacks.

use crate::step::{cargo, root, step, target};
use anyhow::{Context as _, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The target that components are built for.
pub fn wasm_target() -> Result<()> {
    let listed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let installed = listed.context("rustup is needed: https://rustup.rs")?.stdout;
    if String::from_utf8_lossy(&installed).lines().any(|l| l == "wasm32-wasip2") {
        return Ok(());
    }
    step("adding the target wasm32-wasip2", Command::new("rustup").args(["target", "add", "wasm32-wasip2"]))
}

/// The standard plugins, the examples and every test guest as components; the folder they are in.
pub fn components() -> Result<PathBuf> {
    wasm_target()?;
    let out = target().join("components");
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for folder in ["plugins", "examples", "examples/mask", "tests/guests"] {
        for (package, is_built_alone) in packages(folder)? {
            if is_built_alone { &mut alone } else { &mut together }.push(package);
        }
    }
    component_build(&together, &out)?;
    for package in alone {
        component_build(&[package], &out)?;
    }
    Ok(out.join("wasm32-wasip2/plugin"))
}

/// Their components are examples in cargo's sense: a package has only one library.
const BOOK: [&str; 2] = ["sluice-example-hooks", "sluice-example-imports"];

fn component_build(packages: &[String], out: &Path) -> Result<()> {
    let mut command = cargo();
    command.args(["build", "--locked", "--profile", "plugin", "--target", "wasm32-wasip2", "--target-dir"]).arg(out);
    for package in packages {
        command.args(["-p", package]);
    }
    if packages.iter().all(|package| BOOK.contains(&package.as_str())) {
        command.arg("--examples");
    }
    step("building plugins and guests to components", as_component(&mut command))
}

/// Without the outer build's flags, which are meant for this machine's code, and with nothing of this machine in what is built. As in
/// `host/app/build.rs`, whose components these are too.
pub fn as_component(command: &mut Command) -> &mut Command {
    for outer in ["RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET"] {
        command.env_remove(outer);
    }
    let home = std::env::home_dir().unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    command.env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", format!("--remap-path-prefix={}=cargo", cargo_home.display()))
}

/// Names, and whether each is built alone: what is built together shares the features of its dependencies, and most must do without `std`.
fn packages(folder: &str) -> Result<Vec<(String, bool)>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join(folder))? {
        let manifest = entry?.path().join("Cargo.toml");
        let Ok(text) = std::fs::read_to_string(&manifest) else { continue };
        let name = text.lines().find_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"'));
        let name = name.with_context(|| format!("{}: no package name", manifest.display()))?.to_owned();
        names.push((name, text.contains("built = \"alone\"")));
    }
    names.sort();
    Ok(names)
}

/// Everything but the guests: those are components, and natively they are nothing. Naming the whole workspace also
/// makes all builds agree on the features of what they share, so that nothing is compiled twice.
pub const NATIVE: [&str; 4] = ["--locked", "--workspace", "--exclude", "guest-*"];

/// The host binary, in the one profile that runs and tests share. A test is built beside it, because with one the dependencies get the
/// features that all tests need, and are not built again for them.
pub fn host() -> Result<PathBuf> {
    wasm_target()?;
    step("building the host", cargo().arg("build").args(NATIVE).args(["--bin", "sluice", "--test", "arrows"]))?;
    Ok(target().join("debug/sluice"))
}

/// Host, fixtures and tests, in one build, so that all are compiled with the same features; the folder they are in.
pub fn everything() -> Result<PathBuf> {
    wasm_target()?;
    step("building the host, the fixtures and the tests", cargo().arg("build").args(NATIVE).args(["--bins", "--tests", "--examples"]))?;
    Ok(target().join("debug"))
}

/// What the tests in Rust talk to, by the Debian package that brings it.
pub const SERVERS: [(&str, &str); 2] = [("docker-registry", "docker-registry"), ("redis-server", "redis-server")];

/// What the files to deploy Sluice with are judged by and started with, by the Debian package that brings it.
pub const DEPLOY: [(&str, &str); 7] = [
    ("haproxy", "haproxy"),
    ("ip", "iproute2"),
    ("ps", "procps"),
    ("openssl", "openssl"),
    ("readelf", "binutils"),
    ("nsenter", "util-linux"),
    ("systemd-analyze", "systemd"),
];

/// Programs the tests need, by the Debian package that brings them.
pub fn programs(needed: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = needed.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let can_install = is_there("apt-get") && Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    if !can_install {
        bail!("please install {} (Debian: sudo apt-get install {})", missing.join(", "), missing.join(" "));
    }
    step("refreshing the package list", Command::new("apt-get").args(["update", "-q"]))?;
    step("installing what the tests need", Command::new("apt-get").args(["install", "-yq", "--no-install-recommends"]).args(&missing))
}

fn is_there(program: &str) -> bool {
    if program == "python3-venv" {
        return Command::new("python3").args(["-c", "import venv, ensurepip"]).output().is_ok_and(|o| o.status.success());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = [PathBuf::from("/usr/sbin")];
    std::env::split_paths(&path).chain(extra).any(|folder| folder.join(program).is_file())
}
