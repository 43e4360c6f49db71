//! `sluice plugin push` and `sluice plugin pull`: a plugin to a registry, and back into a file.

use crate::{
    author::engine,
    chain::{self, fetched::registries, folder, supply},
    cli::{ConfigArgs, Exit},
    config::Config,
};
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use sluice_plugin::{Settings, Setup, artifact};
use sluice_registry::{Artifact, Reference, registries::Pulled};
use sluice_state::memory::MemoryStore;
use sluice_supply::Signed;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Args)]
pub struct Push {
    /// The component. If FILE.sig stands beside it, it is published with it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to: oci://registry/repository:tag.
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    #[command(flatten)]
    config: RegistryArgs,
}

#[derive(Args)]
pub struct Pull {
    /// Where from: oci://registry/repository:tag or @sha256:…, or https://host/x.wasm#sha256:….
    #[arg(value_name = "REFERENCE")]
    reference: Reference,
    /// The file to write; its signature, if it has one, goes beside it [default: NAME.wasm here, if there is none yet].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    config: RegistryArgs,
}

/// Where logins are.
#[derive(Args)]
pub struct RegistryArgs {
    /// Configuration file whose sluice.plugins.registries are used [default: sluice.json, .toml or .yaml here, else docker's logins].
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl RegistryArgs {
    /// Problems are printed; `None` means there were some.
    pub fn load(&self) -> Option<Config> {
        ConfigArgs::of_file(self.config.clone()).load(None)
    }
}

impl Push {
    /// The plugin is asked what it is first: what is no plugin for this host is not published.
    pub async fn run(self) -> Result<Exit> {
        let Some(config) = self.config.load() else { return Ok(Exit::Config) };
        let bytes = folder::read(&self.file).map_err(|why| anyhow!(why))?;
        let signature = self.signature(&artifact::digest(&bytes))?;
        let engine = engine::start(Setup::new(Arc::new(MemoryStore::new())))?;
        let found = engine.inspect(bytes.clone(), &Settings::new(self.file.display().to_string())).await?;
        let artifact = Artifact {
            name: found.manifest.name,
            version: found.manifest.version,
            summary: found.manifest.summary,
            bytes,
            imports: found.imports.iter().map(|imported| imported.name.to_string()).collect(),
            exports: found.exports.iter().map(|name| name.to_string()).collect(),
            signature,
        };
        let digest = registries(&config).push(&self.reference, &artifact).await?;
        let signed = if artifact.signature.is_some() { ", with its signature" } else { "" };
        say!("{}: {} {}{signed}", self.reference, artifact.name, artifact.version);
        say!("{}", pinned(&self.reference, &digest));
        Ok(Exit::Good)
    }

    /// One that is another file's would be refused wherever it arrives.
    fn signature(&self, digest: &str) -> Result<Option<String>> {
        let path = chain::beside(&self.file);
        let Some(text) = folder::text(&path).map_err(|why| anyhow!(why))? else { return Ok(None) };
        let signed: Signed = text.parse().map_err(|why| anyhow!("{} {why}", self.file.display()))?;
        if signed.statement().digest != digest {
            bail!("{} is the signature of another file: sign this one again, or take it away", path.display());
        }
        Ok(Some(text))
    }
}

/// The same artifact, whatever becomes of its tag.
fn pinned(reference: &Reference, digest: &str) -> String {
    let text = reference.to_string();
    let name = text.rsplit_once('/').map_or(text.len(), |(front, last)| front.len() + 1 + last.find(':').unwrap_or(last.len()));
    format!("{}@{digest}", &text[..name])
}

impl Pull {
    pub async fn run(self) -> Result<Exit> {
        let Some(config) = self.config.load() else { return Ok(Exit::Config) };
        let path = match &self.output {
            Some(path) => path.clone(),
            None => PathBuf::from(format!("{}.wasm", self.reference.name())),
        };
        if self.output.is_none() && path.exists() {
            bail!("{} is there already: name the file to write with -o", path.display());
        }
        let Pulled { bytes, digest, manifest, signature } = registries(&config).pull(&self.reference, &|_| None).await?;
        let cannot = |path: &Path| format!("cannot write {}", path.display());
        let beside = chain::beside(&path);
        // The signature first: a host that watches the folder finds both, or refuses what it finds in between.
        match &signature {
            Some(text) => supply::write(&beside, text.as_bytes()).with_context(|| cannot(&beside))?,
            None if beside.exists() => eprintln!("warning: {} is of what was here before: this plugin has no signature", beside.display()),
            None => {}
        }
        supply::write(&path, &bytes).with_context(|| cannot(&path))?;
        let signed = if signature.is_some() { ", with its signature" } else { ", not signed" };
        let manifest = manifest.map_or_else(String::new, |digest| format!(", manifest {digest}"));
        say!("{}: {} bytes, sha256 {digest}{manifest}{signed}", path.display(), bytes.len());
        Ok(Exit::Good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_named_by_its_digest() {
        for (written, is) in [("oci://localhost:5000/a/b:1", "oci://localhost:5000/a/b@d"), ("oci://ghcr.io/b:1.0", "oci://ghcr.io/b@d")] {
            assert_eq!(pinned(&written.parse().unwrap(), "d"), is);
        }
    }
}
