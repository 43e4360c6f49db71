//! Another configuration while traffic runs: read again when its file changes, at SIGHUP and when the operator says so; put in force as a
//! whole, or not at all.

use crate::{
    assembly::Assembly,
    config::{Change, Config, Loaded, Report},
    watch::{QUIET, Watch},
};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// How a configuration is read again.
pub type Read = Box<dyn Fn() -> Result<Loaded, Report> + Send + Sync>;

/// Between two looks whether anybody still needs a server that is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Keeps a gateway's configuration fresh.
pub struct Reloader {
    assembly: Arc<Assembly>,
    read: Read,
    /// The file as it was right after the start.
    began_with: Fingerprint,
    /// What was said of the file as it is now.
    said: Mutex<Vec<String>>,
}

/// What came of reading again.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// These are in force now, but for those that wait for the next start.
    Taken(Vec<Change>),
    /// A line each; everything is as it was.
    Refused(Vec<String>),
}

impl Reloader {
    /// Nothing is read before [`reload`](Self::reload) or [`watch`](Self::watch).
    pub fn new(assembly: Arc<Assembly>, read: Read) -> Arc<Self> {
        let began_with = fingerprint(assembly.config.file.as_ref());
        Arc::new(Self { assembly, read, began_with, said: Mutex::default() })
    }

    /// Read it now, and say in the log what came of it.
    pub async fn reload(&self) -> Outcome {
        let outcome = match (self.read)() {
            Err(report) => Outcome::Refused(report.problems.iter().map(ToString::to_string).collect()),
            Ok(loaded) => match self.assembly.reconfigure(loaded.config).await {
                Ok(changes) => Outcome::Taken(changes),
                Err(problems) => Outcome::Refused(problems),
            },
        };
        let lines = match &outcome {
            Outcome::Taken(changes) => changes.iter().map(ToString::to_string).collect(),
            Outcome::Refused(problems) => problems.clone(),
        };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.iter().filter(|line| !said.contains(line)) {
            match &outcome {
                Outcome::Taken(_) => tracing::info!("configuration: {line}"),
                Outcome::Refused(_) => tracing::error!("{line}; the configuration stays as it was"),
            }
        }
        *said = match &outcome {
            // What has happened happens again when it is said again; what still waits need not be said again.
            Outcome::Taken(changes) => changes.iter().filter(|change| change.needs_restart).map(ToString::to_string).collect(),
            Outcome::Refused(_) => lines,
        };
        drop(said);
        outcome
    }

    /// Reload whenever the file changes, and at SIGHUP, until `stop`.
    pub fn watch(self: Arc<Self>, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let file = self.assembly.config.file.clone();
            let mut watch = Watch::on(file.iter().filter_map(|file| file.parent()).map(PathBuf::from));
            let mut seen = self.began_with;
            loop {
                let is_told = tokio::select! {
                    () = stop.cancelled() => return,
                    is_told = watch.stirred() => is_told,
                };
                let mut now = fingerprint(file.as_ref());
                if now == seen && !is_told {
                    continue;
                }
                // An editor may still be writing.
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = sleep(QUIET) => {}
                    }
                    let last = std::mem::replace(&mut now, fingerprint(file.as_ref()));
                    if last == now {
                        break;
                    }
                }
                seen = now;
                self.reload().await;
            }
        })
    }
}

type Fingerprint = Option<(u64, Option<SystemTime>, u64)>;

/// Through links, as it is read.
fn fingerprint(file: Option<&PathBuf>) -> Fingerprint {
    let facts = fs::metadata(file?).ok()?;
    Some((facts.len(), facts.modified().ok(), facts.ino()))
}

impl Assembly {
    /// Put another configuration in force, as far as that can be done while traffic runs, in one step. A server whose part did not change
    /// goes on with its sessions and children; exchanges that run keep the servers and filters that they began with.
    ///
    /// # Errors
    /// What is wrong with it, a line each; then nothing has changed.
    pub async fn reconfigure(&self, config: Config) -> Result<Vec<Change>, Vec<String>> {
        let before = self.plugins.config();
        let changes = before.changes(&config);
        if changes.iter().all(|change| change.needs_restart) {
            return Ok(changes);
        }
        let next = config.taken_up_by(&before);
        let servers = self.servers(&before, &next).map_err(|error| vec![format!("{error:#}")])?;
        let patience = Duration::from_millis(next.settings.limits.call_total_timeout_ms);
        for gone in self.plugins.reconfigure(next, servers).await? {
            tokio::spawn(async move {
                let mut waited = Duration::ZERO;
                // Generations that somebody runs in hold it.
                while Arc::strong_count(&gone) > 1 && waited < patience {
                    sleep(LOOK_AGAIN).await;
                    waited += LOOK_AGAIN;
                }
                gone.close().await;
                tracing::info!(upstream = %gone.name(), "closed, since it is not in the configuration any more");
            });
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_another_one_is_told_from_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sluice.toml");
        assert_eq!(fingerprint(Some(&file)), None);
        fs::write(&file, "a").unwrap();
        let first = fingerprint(Some(&file));
        assert_eq!(first, fingerprint(Some(&file)), "the control");
        fs::write(folder.path().join("other"), "b").unwrap();
        fs::rename(folder.path().join("other"), &file).unwrap();
        assert_ne!(first, fingerprint(Some(&file)), "renamed into its place, with the same length");
        assert_eq!(fingerprint(None), None);
    }
}
