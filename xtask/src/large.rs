//! `cargo xtask large`: the standard plugins that the binary does not carry. Their libraries take minutes to build, so no other command does.

use crate::{
    setup,
    step::{cargo, root, step, target},
};
use anyhow::Result;
use std::{fs, path::Path};

const NAMES: [&str; 2] = ["policy", "schema"];

/// Builds each as a component, runs its own tests, and then those of the whole host with it in the chain.
pub fn run() -> Result<()> {
    let sluice = setup::everything()?.join("sluice");
    let out = target().join("large");
    components(&out)?;
    let workspace = root().join("plugins-large");
    step("their own tests", cargo().current_dir(&workspace).args(["test", "--locked", "--target-dir"]).arg(out.join("native")))?;
    let test = ["--test", "it", "large::", "--", "--ignored"];
    let mut whole_host = cargo();
    whole_host.arg("test").args(setup::NATIVE).args(test).env("SLUICE_BIN", sluice).env("SLUICE_LARGE", &out);
    step("each in a chain", &mut whole_host)
}

fn components(out: &Path) -> Result<()> {
    let workspace = root().join("plugins-large");
    let mut build = cargo();
    build.current_dir(&workspace).args(["build", "--locked", "--profile", "plugin", "--target", "wasm32-wasip2", "--target-dir"]).arg(out);
    step("building the large plugins to components", setup::as_component(&mut build))?;
    for name in NAMES {
        let built = out.join("wasm32-wasip2/plugin").join(format!("sluice_plugin_{name}.wasm"));
        fs::copy(&built, out.join(format!("{name}.wasm")))?;
    }
    Ok(())
}
