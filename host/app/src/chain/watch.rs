//! The directory, and what settings name as files of their own, while traffic runs: whatever happens there, look again once it is quiet.

use super::Plugins;
use crate::watch::{Seen, Watch, seen};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::task::JoinHandle;
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
            let mut last = self.loaded_from.clone();
            let mut said: Vec<String> = Vec::new();
            if at_once {
                said = self.reload().await;
                said.iter().for_each(|problem| tracing::error!("{problem}; the chain stays as it was"));
            }
            while watch.news(&mut last, || fingerprint(&folder, &self.files()), &stop).await.is_some() {
                let problems = self.reload().await;
                for problem in problems.iter().filter(|p| !said.contains(p)) {
                    tracing::error!("{problem}; the chain stays as it was");
                }
                said = problems;
            }
        })
    }
}

pub(super) type Fingerprint = Vec<(PathBuf, Option<Seen>)>;

/// Plugins, new versions, sidecars and signatures, and the files that settings name.
pub(super) fn fingerprint(folder: &Path, named: &[PathBuf]) -> Fingerprint {
    let listed = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let listed = listed.filter(|path| path.extension().is_some_and(|x| x == "wasm" || x == "toml" || x == "sig" || x == "next"));
    let mut files: Fingerprint = listed.chain(named.iter().cloned()).map(|path| (path.clone(), seen(&path))).collect();
    files.sort();
    files
}
