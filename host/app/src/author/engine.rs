//! An engine for one plugin under test: the real one, with the real bounds, without a network.

use crate::{
    cache,
    chain::{self, convert},
    cli,
    config::{self, Sidecar, Surroundings},
};
use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use sluice_plugin::{Engine, Settings, Setup, artifact, compiler::Compiler};
use std::{fs::File, io::Read as _, path::Path};

/// An engine that compiles apart, as a host that serves does, and keeps what it compiled where that one does.
///
/// # Errors
/// wasm cannot run here.
pub fn start(setup: Setup) -> Result<Engine> {
    let folder = config::Places::cache_of(&Surroundings::of_process());
    let (cache, compiler) = (Some(folder.clone()), Some(Compiler::this_binary([cli::COMPILE])));
    let engine = Engine::start(Setup { cache, compiler, ..setup })?;
    if engine.caches() {
        // Copies of fetched plugins stay: a host may need them to start.
        cache::make_room(&[folder.as_path()], config::Limits::default().cache_bytes_max);
    }
    Ok(engine)
}

/// A file's bytes, no more than a plugin may have.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<Bytes> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    file.take(artifact::BYTES_MAX as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(bytes.into())
}

/// A plugin's settings from the text of a sidecar, which need not exist under this name.
///
/// # Errors
/// Everything that is wrong with it.
pub fn settings(file: &str, sidecar: &Path, text: &str) -> Result<Settings> {
    let read = Sidecar::read(text, sidecar, &Surroundings::of_process()).map_err(|report| anyhow!("{}", report.to_string().trim_end()))?;
    let bytes_max = config::Settings::default().limits.response_bytes_max;
    let mut written = read.settings;
    chain::complete(&mut written).map_err(|problem| anyhow!("{}: {problem}", sidecar.display()))?;
    Ok(convert::settings(file, &sidecar.display().to_string(), &written, bytes_max))
}

/// The text of a sidecar; empty if there is none.
///
/// # Errors
/// It is there and cannot be read.
pub fn sidecar(path: &Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => bail!("{} cannot be read: {error}", path.display()),
    }
}
