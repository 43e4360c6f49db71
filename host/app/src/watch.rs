//! Folders while traffic runs: somebody is told to look whenever something may have changed in them, and at SIGHUP.

use notify::{RecursiveMode, Watcher as _};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

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
    hangup: Option<Signal>,
}

impl Watch {
    /// A folder that cannot be watched is looked at every few seconds.
    pub fn on(folders: impl IntoIterator<Item = PathBuf>) -> Watch {
        // One pending wake-up is enough.
        let (sender, changes) = mpsc::channel(1);
        let watchers = folders.into_iter().filter_map(|folder| start(folder, sender.clone())).collect();
        // At once for the first time: what changed between the load and now raised no event.
        let hangup = hangup().inspect_err(|error| tracing::warn!(%error, "SIGHUP is not heard; changes of files are")).ok();
        Watch { changes, _sender: sender, _watchers: watchers, wait: Duration::ZERO, hangup }
    }

    /// The next time that `look` sees something else than `seen`, the same twice in a row, since whoever writes a file goes on for a moment;
    /// or that somebody has said so, whatever it sees. `true`: somebody has; `None`: `stop` is.
    pub async fn news<T: PartialEq>(&mut self, seen: &mut T, look: impl Fn() -> T, stop: &CancellationToken) -> Option<bool> {
        let settled = async {
            loop {
                let is_told = self.stirred().await;
                let mut now = look();
                loop {
                    sleep(QUIET).await;
                    let last = std::mem::replace(&mut now, look());
                    if last == now {
                        break;
                    }
                }
                if is_told || now != *seen {
                    return (is_told, now);
                }
            }
        };
        let (is_told, now) = tokio::select! {
            () = stop.cancelled() => return None,
            settled = settled => settled,
        };
        *seen = now;
        Some(is_told)
    }

    /// Returns when it is time to look; `true`: somebody has said so, whatever seems to have changed. May be dropped.
    pub async fn stirred(&mut self) -> bool {
        let told = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let is_told = tokio::select! {
            _ = told => true,
            _ = self.changes.recv() => false,
            () = sleep(self.wait) => false,
        };
        self.wait = ANYWAY;
        is_told
    }
}

/// From the first call on SIGHUP does not end this process.
///
/// # Errors
/// The system has no place for a handler.
pub fn hangup() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// What tells a file from one that took its place, or that was written to: its size, time and inode.
pub type Seen = (u64, Option<SystemTime>, u64);

/// A file as it is now, through links, as it is read.
pub fn seen(path: &Path) -> Option<Seen> {
    let facts = fs::metadata(path).ok()?;
    Some((facts.len(), facts.modified().ok(), facts.ino()))
}

fn start(folder: PathBuf, sender: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let made = notify::recommended_watcher(move |_| {
        let _ = sender.try_send(());
    });
    let watched = made.and_then(|mut watcher| watcher.watch(&folder, RecursiveMode::NonRecursive).map(|()| watcher));
    watched.map_err(|error| tracing::info!(folder = %folder.display(), %error, "a folder is looked at every few seconds")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_another_one_is_told_from_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sluice.toml");
        assert_eq!(seen(&file), None);
        fs::write(&file, "a").unwrap();
        let first = seen(&file);
        assert_eq!(first, seen(&file), "the control");
        fs::write(folder.path().join("other"), "b").unwrap();
        fs::rename(folder.path().join("other"), &file).unwrap();
        assert_ne!(first, seen(&file), "renamed into its place, with the same length");
    }
}
