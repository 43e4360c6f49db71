//! `sluice plugin sign`

use crate::{
    author::engine,
    chain::{self, folder, supply},
    cli::{Exit, serve},
};
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use sluice_plugin::{Settings, Setup, artifact};
use sluice_state::memory::MemoryStore;
use sluice_supply::{PrivateKey, Signed, Statement};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

#[derive(Args)]
pub struct Sign {
    /// The component. Its signature goes beside it, into FILE.sig.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The private key, as `sluice plugin keygen` makes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Sign {
    /// Name and version are what the plugin says itself. A signature of another key that is there for the same file stays.
    pub fn run(self) -> Result<Exit> {
        let key = read_key(&self.key)?;
        let bytes = folder::read(&self.file).map_err(|why| anyhow!(why))?;
        let digest = artifact::digest(&bytes);
        let inspected = serve::runtime()?.block_on(async {
            let engine = engine::start(Setup::new(Arc::new(MemoryStore::new())))?;
            let settings = Settings::new(self.file.display().to_string());
            engine.inspect(bytes, &settings).await.map_err(anyhow::Error::from)
        })?;
        let manifest = inspected.manifest;
        let version = manifest.version.parse().map_err(|why| anyhow!("the version {:?}: {why}", manifest.version))?;
        let statement = Statement { name: manifest.name, version, digest };
        let path = chain::beside(&self.file);
        let there = folder::text(&path).map_err(|why| anyhow!(why))?.and_then(|text| text.parse::<Signed>().ok());
        let signed = match there.filter(|there| *there.statement() == statement) {
            Some(there) => there.and(&key),
            None => statement.sign(&key),
        };
        supply::write(&path, signed.to_string().as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        let statement = signed.statement();
        say!("{}: {} {}, sha256 {}, by {}", path.display(), statement.name, statement.version, statement.digest, key.public());
        Ok(Exit::Good)
    }
}

fn read_key(path: &Path) -> Result<PrivateKey> {
    let cannot = || format!("cannot read {}", path.display());
    let facts = fs::metadata(path).with_context(cannot)?;
    if !facts.is_file() || facts.mode() & 0o077 != 0 {
        bail!("{} must be a regular file that only its owner can read: chmod 600 it", path.display());
    }
    let text = Zeroizing::new(fs::read_to_string(path).with_context(cannot)?);
    PrivateKey::from_pem(&text).with_context(|| path.display().to_string())
}
