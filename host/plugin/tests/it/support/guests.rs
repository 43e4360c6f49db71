//! Where the components are: built once, or in the folder that `SLUICE_GUESTS` names.

use bytes::Bytes;
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const TARGET: &str = "wasm32-wasip2";

/// Every guest and standard plugin in the tree, by folder name.
pub fn all() -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    for (folder, prefix) in [("tests/guests", "guest-"), ("plugins", "sluice-plugin-")] {
        let entries = std::fs::read_dir(workspace().join(folder)).expect("the tree has guests");
        for entry in entries.flatten().filter(|entry| entry.path().join("Cargo.toml").exists()) {
            found.push((entry.file_name().into_string().expect("plain names"), prefix));
        }
    }
    found.sort();
    // What the hostile guests share is no component.
    found.retain(|(name, _)| name != "misbehaving");
    found
}

/// The component of this name.
pub fn bytes(name: &str) -> Bytes {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// Where it is.
pub fn path(name: &str) -> PathBuf {
    let all = all();
    let (_, prefix) = all.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no guest is called {name}"));
    folder().join(format!("{prefix}{name}.wasm").replace('-', "_"))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| std::env::var_os("SLUICE_GUESTS").map_or_else(build, PathBuf::from))
}

/// Build them all, in a target folder of their own: the one in use is locked while tests are built. Those that say so alone: what cargo
/// builds together shares features.
fn build() -> PathBuf {
    let target = workspace().join("target/guests");
    let is_built_alone = |(name, prefix): &(String, &str)| {
        let folder = if *prefix == "guest-" { "tests/guests" } else { "plugins" };
        let manifest = workspace().join(folder).join(name).join("Cargo.toml");
        std::fs::read_to_string(manifest).is_ok_and(|text| text.contains("built = \"alone\""))
    };
    let (alone, together): (Vec<_>, Vec<_>) = all().into_iter().partition(is_built_alone);
    build_in(&target, &together);
    alone.into_iter().for_each(|one| build_in(&target, &[one]));
    target.join(TARGET).join("plugin")
}

fn build_in(target: &Path, packages: &[(String, &str)]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(workspace()).args(["build", "--quiet", "--profile", "plugin", "--target", TARGET]);
    build.arg("--target-dir").arg(target);
    for (name, prefix) in packages {
        build.arg("-p").arg(format!("{prefix}{name}"));
    }
    // What cargo set for this test is not for that build.
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("CARGO_PKG")) {
        build.env_remove(key);
    }
    let status = build.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS").status().expect("cargo runs");
    assert!(status.success(), "the guests do not build");
}
