//! Another configuration while traffic runs: read again when its file changes, at SIGHUP and when the operator says so; put in force as a
//! whole, or not at all.

use crate::{
    assembly::Assembly,
    config::{Change, Config, Loaded, Report},
    watch::{Seen, Watch, seen},
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How a configuration is read again.
pub type Read = Box<dyn Fn() -> Result<Loaded, Report> + Send + Sync>;

/// Keeps a gateway's configuration fresh.
pub struct Reloader {
    assembly: Arc<Assembly>,
    read: Read,
    /// The file as it was when the gateway began to start.
    began_with: Option<Seen>,
    /// Whoever reads second sees what the first has done.
    one_at_a_time: tokio::sync::Mutex<()>,
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
    pub fn new(assembly: Arc<Assembly>, read: Read, began_with: Option<Seen>) -> Arc<Self> {
        Arc::new(Self { assembly, read, began_with, one_at_a_time: tokio::sync::Mutex::default(), said: Mutex::default() })
    }

    /// Read it now, and say in the log what came of it. `is_told`: somebody wants to hear it, also what was said before.
    pub async fn reload(&self, is_told: bool) -> Outcome {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        let outcome = self.read_and_take().await;
        let lines = match &outcome {
            Outcome::Taken(changes) => changes.iter().map(ToString::to_string).collect(),
            Outcome::Refused(problems) => problems.clone(),
        };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.iter().filter(|line| is_told || !said.contains(line)) {
            match &outcome {
                Outcome::Taken(_) => tracing::info!("configuration: {line}"),
                Outcome::Refused(_) => tracing::error!("{line}; the configuration stays as it was"),
            }
        }
        if is_told && lines.is_empty() {
            tracing::info!("configuration: nothing is otherwise");
        }
        *said = match &outcome {
            // What has happened happens again when it is said again; what still waits need not be said again.
            Outcome::Taken(changes) => changes.iter().filter(|change| change.needs_restart).map(ToString::to_string).collect(),
            Outcome::Refused(_) => lines,
        };
        drop(said);
        outcome
    }

    async fn read_and_take(&self) -> Outcome {
        let loaded = match (self.read)() {
            Ok(loaded) => loaded,
            Err(report) => return Outcome::Refused(report.problems.iter().map(ToString::to_string).collect()),
        };
        let file = &self.assembly.config.file;
        if loaded.config.file != *file {
            // Without a file there would be no server, and another chain.
            let named = file.as_ref().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
            return Outcome::Refused(vec![format!(
                "this gateway was started with {named}, and that is not what is here now: put it back, or start again"
            )]);
        }
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        match self.assembly.reconfigure(loaded.config).await {
            Ok(changes) => Outcome::Taken(changes),
            Err(problems) => Outcome::Refused(problems),
        }
    }

    /// Reload whenever the file changes, and at SIGHUP, until `stop`.
    pub fn watch(self: Arc<Self>, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let file = self.assembly.config.file.clone();
            let mut watch = Watch::on(file.iter().filter_map(|file| file.parent()).map(PathBuf::from));
            let mut last = self.began_with;
            while let Some(is_told) = watch.news(&mut last, || file.as_deref().and_then(seen), &stop).await {
                self.reload(is_told).await;
            }
        })
    }
}

impl Assembly {
    /// Put another configuration in force, as far as that can be done while traffic runs, in one step. A server whose part did not change
    /// goes on with its sessions and children; exchanges that run keep the servers and filters that they began with.
    ///
    /// # Errors
    /// What is wrong with it, a line each; then nothing has changed.
    pub(crate) async fn reconfigure(&self, config: Config) -> Result<Vec<Change>, Vec<String>> {
        let before = self.plugins.config();
        let changes = before.changes(&config);
        if changes.iter().all(|change| change.needs_restart) {
            return Ok(changes);
        }
        if before.settings.auth != config.settings.auth && before.settings.chain != config.settings.chain {
            return Err(vec![
                "who gets in without a filter (auth) is taken up at a start alone, and the chain changes with it: start it again for both"
                    .to_owned(),
            ]);
        }
        let next = config.taken_up_by(&before);
        self.replace(&before, next).await.map_err(|mut problems| {
            let waiting: Vec<&str> = changes.iter().filter(|change| change.needs_restart).map(|change| &*change.what).collect();
            if !waiting.is_empty() {
                problems.push(format!("it may need what waits for the next start ({})", waiting.join("; ")));
            }
            problems
        })?;
        Ok(changes)
    }
}
