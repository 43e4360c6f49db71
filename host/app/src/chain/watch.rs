//! The directory, and what settings name as files of their own, while traffic runs: whatever happens there, look again once it is quiet.

use super::Plugins;
use crate::watch::{QUIET, Watch};
use std::{
    collections::BTreeSet,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use tokio::{task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

impl Plugins {
    /// Reload whenever the directory or one of the files changes, and at SIGHUP, until `stop`; `at_once`: and once before, for what the first chain did not wait for.
    pub fn watch(self: Arc<Self>, at_once: bool, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let folder = self.config().places.plugins_dir.clone();
            // A file elsewhere that a sidecar names later on is looked at every few seconds.
            let files = self.files();
            let folders: BTreeSet<PathBuf> =
                files.iter().filter_map(|file| file.parent()).map(Path::to_owned).chain([folder.clone()]).collect();
            let mut watch = Watch::on(folders);
            let mut seen = self.loaded_from.clone();
            let mut said: Vec<String> = Vec::new();
            if at_once {
                said = self.reload().await;
                said.iter().for_each(|problem| tracing::error!("{problem}; the chain stays as it was"));
            }
            loop {
                let is_told = tokio::select! {
                    () = stop.cancelled() => return,
                    is_told = watch.stirred() => is_told,
                };
                let Some(settled) = self.settle(&folder, &stop).await else { return };
                if settled == seen && !is_told {
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

    /// Wait until two looks in a row see the same files; `None`: told to stop.
    async fn settle(&self, folder: &Path, stop: &CancellationToken) -> Option<Fingerprint> {
        let mut last = fingerprint(folder, &self.files());
        loop {
            tokio::select! {
                () = stop.cancelled() => return None,
                () = time::sleep(QUIET) => {}
            }
            let now = fingerprint(folder, &self.files());
            if now == last {
                return Some(now);
            }
            last = now;
        }
    }
}

pub(super) type Fingerprint = Vec<(PathBuf, u64, Option<SystemTime>, u64)>;

/// Names, sizes, times and inodes of plugins, new versions, sidecars and signatures, and of the files that settings name.
pub(super) fn fingerprint(folder: &Path, named: &[PathBuf]) -> Fingerprint {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let listed = entries
        .filter(|e| e.path().extension().is_some_and(|x| x == "wasm" || x == "toml" || x == "sig" || x == "next"))
        .filter_map(|e| Some(seen(e.path(), &e.metadata().ok()?)));
    // Through links, as they are read.
    let named = named.iter().filter_map(|path| Some(seen(path.clone(), &fs::metadata(path).ok()?)));
    let mut files: Fingerprint = listed.chain(named).collect();
    files.sort();
    files
}

fn seen(path: PathBuf, facts: &Metadata) -> (PathBuf, u64, Option<SystemTime>, u64) {
    (path, facts.len(), facts.modified().ok(), facts.ino())
}
