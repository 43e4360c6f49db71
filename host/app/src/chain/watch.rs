//! The directory while traffic runs: whatever happens in it, look again once it is quiet.

use super::Plugins;
use notify::{RecursiveMode, Watcher};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

/// A file is taken once nothing has happened in the directory for this long: a copy in progress keeps writing.
const QUIET: Duration = Duration::from_millis(200);
/// Looked at this often whatever the kernel says: some file systems tell nothing.
const ANYWAY: Duration = Duration::from_secs(5);

impl Plugins {
    /// Reload whenever the directory changes, until `stop`.
    pub fn watch(self: Arc<Self>, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let (sender, mut changes) = mpsc::channel::<()>(1);
            let folder = self.config.places.plugins_dir.clone();
            let _watcher = start(folder.clone(), sender);
            let mut seen = self.loaded_from.clone();
            let mut said: Vec<String> = Vec::new();
            // At once for the first time: what changed between the load and now raised no event.
            let mut wait = Duration::ZERO;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = changes.recv() => {}
                    () = time::sleep(wait) => {}
                }
                wait = ANYWAY;
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

fn start(folder: PathBuf, sender: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let made = notify::recommended_watcher(move |_| {
        // One pending wake-up is enough.
        let _ = sender.try_send(());
    });
    let watched = made.and_then(|mut watcher| watcher.watch(&folder, RecursiveMode::NonRecursive).map(|()| watcher));
    watched.map_err(|error| tracing::info!(folder = %folder.display(), %error, "the plugin directory is looked at every few seconds")).ok()
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

/// Names, sizes, times and inodes of plugins and sidecars.
pub(super) fn fingerprint(folder: &std::path::Path) -> Fingerprint {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Fingerprint = entries
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|x| x == "wasm" || x == "toml"))
        .filter_map(|e| {
            let facts = e.metadata().ok()?;
            Some((e.path(), facts.len(), facts.modified().ok(), std::os::unix::fs::MetadataExt::ino(&facts)))
        })
        .collect();
    files.sort();
    files
}
