//! Folders while traffic runs: somebody is told to look whenever something may have changed in them.

use notify::{RecursiveMode, Watcher as _};
use std::{path::PathBuf, time::Duration};
use tokio::{sync::mpsc, time::sleep};

/// A file is taken once nothing has happened to it for this long: a copy in progress keeps writing.
pub const QUIET: Duration = Duration::from_millis(200);
/// Looked at this often whatever the kernel says: some file systems tell nothing.
const ANYWAY: Duration = Duration::from_secs(5);

/// Watches folders for as long as it lives.
pub struct Watch {
    changes: mpsc::Receiver<()>,
    /// Keeps the channel open where the kernel tells nothing.
    _sender: mpsc::Sender<()>,
    _watchers: Vec<notify::RecommendedWatcher>,
    wait: Duration,
}

impl Watch {
    /// A folder that cannot be watched is looked at every few seconds.
    pub fn on(folders: impl IntoIterator<Item = PathBuf>) -> Watch {
        // One pending wake-up is enough.
        let (sender, changes) = mpsc::channel(1);
        let watchers = folders.into_iter().filter_map(|folder| start(folder, sender.clone())).collect();
        // At once for the first time: what changed between the load and now raised no event.
        Watch { changes, _sender: sender, _watchers: watchers, wait: Duration::ZERO }
    }

    /// Returns when it is time to look. May be dropped.
    pub async fn stirred(&mut self) {
        tokio::select! {
            _ = self.changes.recv() => {}
            () = sleep(self.wait) => {}
        }
        self.wait = ANYWAY;
    }
}

fn start(folder: PathBuf, sender: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let made = notify::recommended_watcher(move |_| {
        let _ = sender.try_send(());
    });
    let watched = made.and_then(|mut watcher| watcher.watch(&folder, RecursiveMode::NonRecursive).map(|()| watcher));
    watched.map_err(|error| tracing::info!(folder = %folder.display(), %error, "a folder is looked at every few seconds")).ok()
}
