//! clang for WebAssembly as zig brings it, and wasm-tools, both from PyPI. No WASI is imported as long as nothing prints.

use super::{at, run, virtual_environment};
use crate::author::project::Project;
use anyhow::Result;
use std::{fs, path::Path};

pub(super) fn build(project: &Project, component: &Path) -> Result<()> {
    let bin = virtual_environment(project, &["requirements.txt"])?;
    let core = component.with_extension("core");
    let mut zig = at(bin.join("python"), &project.folder);
    zig.args(["-m", "ziglang", "cc", "-Wall", "-Wextra", "-I", "sdk/include", "--target=wasm32-wasi", "-mexec-model=reactor", "-Os", "-s"]);
    run(zig.arg("plugin.c").arg("-o").arg(&core))?;
    let made = run(at(bin.join("wasm-tools"), &project.folder).args(["component", "new"]).arg(&core).arg("-o").arg(component));
    let _ = fs::remove_file(&core);
    made
}
