//! `sluice plugin`: for those who write and publish plugins, and for those who want to know what one may do and say which may run.

mod bench;
mod build;
mod inspect;
mod keygen;
mod lock;
mod new;
mod registry;
mod sbom;
mod sign;
mod test;

use super::Exit;
use crate::author::{engine, project::Project};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Subcommand;
use std::{
    fs,
    path::{Path, PathBuf},
};

#[derive(Subcommand)]
pub enum Plugin {
    /// Make a project that builds and tests at once.
    New(new::New),
    /// Build a project's component into its `dist` folder.
    Build(build::Build),
    /// Show what a plugin is and may do, in plain words, read from its binary.
    Inspect(inspect::Inspect),
    /// Print what a plugin inside this binary is made of, as CycloneDX.
    Sbom(sbom::Sbom),
    /// Run a plugin's cases in the real engine, with the real limits.
    Test(test::Test),
    /// Measure what a call of each hook costs.
    Bench(bench::Bench),
    /// Make a key to sign plugins with.
    Keygen(keygen::Keygen),
    /// Sign a plugin: FILE.sig says what it is and that it is yours.
    Sign(sign::Sign),
    /// Publish a plugin, with its signature, in an OCI registry.
    Push(registry::Push),
    /// Fetch a plugin, with its signature, from a registry or a URL into a file.
    Pull(registry::Pull),
    /// Write down which plugin files are in force, for --locked.
    Lock(lock::Lock),
}

impl Plugin {
    pub fn run(self) -> Result<Exit> {
        match self {
            Self::New(new) => new.run(),
            Self::Build(build) => build.run(),
            Self::Inspect(inspect) => super::serve::runtime()?.block_on(inspect.run()),
            Self::Sbom(sbom) => sbom.run(),
            Self::Test(test) => super::serve::runtime()?.block_on(test.run()),
            Self::Bench(bench) => super::serve::runtime()?.block_on(bench.run()),
            Self::Keygen(keygen) => keygen.run(),
            Self::Sign(sign) => sign.run(),
            Self::Push(push) => super::serve::runtime()?.block_on(push.run()),
            Self::Pull(pull) => super::serve::runtime()?.block_on(pull.run()),
            Self::Lock(lock) => lock.run(),
        }
    }
}

/// A component with what stands around it: in a project, or beside the file.
struct Subject {
    /// As messages name it.
    file: String,
    bytes: Bytes,
    /// It need not exist.
    sidecar: PathBuf,
    /// None: a file that is in no project.
    fixtures: Option<PathBuf>,
}

impl Subject {
    /// A project's folder, or a component. One in the `dist` of a project has that project's cases.
    fn find(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let project = Project::open(path)?;
            let component = project.component();
            let bytes = fs::read(&component).with_context(|| {
                format!("{} cannot be read; build it first: sluice plugin build {}", component.display(), path.display())
            })?;
            let file = component.strip_prefix(&project.folder).unwrap_or(&component).display().to_string();
            return Ok(Self { file, bytes: bytes.into(), sidecar: project.sidecar(), fixtures: Some(project.fixtures()) });
        }
        let bytes = engine::read(path)?;
        let project = path.parent().and_then(Path::parent).and_then(|folder| Project::open(folder).ok());
        let fixtures = project.filter(|project| project.component().file_name() == path.file_name()).map(|project| project.fixtures());
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { file, bytes, sidecar: path.with_extension("toml"), fixtures })
    }
}
