//! Builds the standard plugins to components, so that the binary carries them as `builtin:`.
//!
//! A cargo inside cargo, with a target folder of its own (they would wait for each other's lock) and without the
//! outer build's flags, which are meant for this machine's code.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const PLUGINS: [&str; 4] = ["auth-api-key", "namespace", "rate-limit", "redact"];

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../..");
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo"));
    for watched in ["plugins", "sdk/rust", "wit", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(watched).display());
    }
    // OUT_DIR is <target>/<profile>/build/<package>/out.
    let target = out.ancestors().nth(4).expect("cargo's layout").join("components");
    build(&root, &target);
    for plugin in PLUGINS {
        let built = target.join("wasm32-wasip2/plugin").join(format!("sluice_plugin_{}.wasm", plugin.replace('-', "_")));
        fs::copy(&built, out.join(format!("{plugin}.wasm"))).unwrap_or_else(|e| panic!("{}: {e}", built.display()));
    }
}

fn build(root: &Path, target: &Path) {
    let mut cargo = Command::new(env::var("CARGO").expect("set by cargo"));
    cargo.current_dir(root).args(["build", "--locked", "--profile", "plugin", "--target", "wasm32-wasip2", "--target-dir"]).arg(target);
    for plugin in PLUGINS {
        cargo.args(["-p", &format!("sluice-plugin-{plugin}")]);
    }
    for outer in
        ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"]
    {
        cargo.env_remove(outer);
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the standard plugins did not build; is the wasm target there? rustup target add wasm32-wasip2");
}
