//! The directory while traffic runs: whatever happens in it, look again once it is quiet.

use super::Plugins;
use crate::watch::{QUIET, Watch};
use std::{path::PathBuf, sync::Arc};
use tokio::{task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

impl Plugins {
    /// Reload whenever the directory changes, until `stop`; `at_once`: and once before, for what the first chain did not wait for.
    pub fn watch(self: Arc<Self>, at_once: bool, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let folder = self.config.places.plugins_dir.clone();
            let mut watch = Watch::on([folder.clone()]);
            let mut seen = self.loaded_from.clone();
            let mut said: Vec<String> = Vec::new();
            if at_once {
                said = self.reload().await;
                said.iter().for_each(|problem| tracing::error!("{problem}; the chain stays as it was"));
            }
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = watch.stirred() => {}
                }
                let Some(settled) = settle(&folder, &stop).await else { return };
                if settled == seen {
                    continue;
                }
                seen = settled;
                let problems = self.reload().await;
                for problem in problems.iter().filter(|p| !said.contains(p)) {
                    tracing::error!("{problem}; the chain stays as it was");
                }
                said = problems;
            }
        })
    }
}

/// Wait until two looks in a row see the same files; `None`: told to stop.
async fn settle(folder: &std::path::Path, stop: &CancellationToken) -> Option<Fingerprint> {
    let mut last = fingerprint(folder);
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            () = time::sleep(QUIET) => {}
        }
        let now = fingerprint(folder);
        if now == last {
            return Some(now);
        }
        last = now;
    }
}

pub(super) type Fingerprint = Vec<(PathBuf, u64, Option<std::time::SystemTime>, u64)>;

/// Names, sizes, times and inodes of plugins, new versions, sidecars and signatures.
pub(super) fn fingerprint(folder: &std::path::Path) -> Fingerprint {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Fingerprint = entries
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|x| x == "wasm" || x == "toml" || x == "sig" || x == "next"))
        .filter_map(|e| {
            let facts = e.metadata().ok()?;
            Some((e.path(), facts.len(), facts.modified().ok(), std::os::unix::fs::MetadataExt::ino(&facts)))
        })
        .collect();
    files.sort();
    files
}
