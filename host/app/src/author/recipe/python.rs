//! `sluice-python build`, in a virtual environment with the SDK.

use super::{at, run, virtual_environment};
use crate::author::project::Project;
use anyhow::Result;
use std::path::Path;

pub(super) fn build(project: &Project, component: &Path) -> Result<()> {
    let bin = virtual_environment(project, &["requirements.txt", "sdk"])?;
    run(at(bin.join("sluice-python"), &project.folder).args(["build", ".", "-o"]).arg(component))
}
