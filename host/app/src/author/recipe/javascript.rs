//! `sluice-js build`, with the SDK as a workspace of the project.

use super::{answers, once, program, run};
use crate::author::project::Project;
use anyhow::{Result, bail};
use std::path::Path;

pub(super) fn build(project: &Project, component: &Path) -> Result<()> {
    if !answers("node", &["-e", "process.exit(Number(process.versions.node.split('.')[0]) < 20 ? 1 : 0)"]) {
        bail!("Node 20 or later is needed: https://nodejs.org");
    }
    if !answers("npm", &["--version"]) {
        bail!("npm is needed; Debian: sudo apt-get install npm; others: https://nodejs.org");
    }
    once(project, "node_modules", &["package.json", "sdk"], || {
        run(program("npm", project).args(["install", "--no-audit", "--no-fund", "--loglevel=error"]))?;
        run(program("npm", project).args(["run", "build", "--workspace", "sdk", "--loglevel=error"]))?;
        // Its command was not there yet when npm linked commands.
        run(program("npm", project).args(["rebuild", "--loglevel=error"]))
    })?;
    run(program("node", project).args(["node_modules/typescript/bin/tsc", "-p", "."]))?;
    run(program("node", project).args(["sdk/dist/build.js", "build", ".", "-o"]).arg(component))
}
