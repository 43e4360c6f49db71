//! Calls that go on while something changes, and what they found.

use crate::{caller::Era, gateway::Gateway, turn::eventually};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

/// How many call at once.
pub const LANES: usize = 16;
/// What changed is noticed by then.
pub const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// Runs until [`end`](Self::end).
pub struct Load {
    found: Arc<Found>,
    lanes: Vec<JoinHandle<()>>,
}

/// What the calls have found so far.
#[derive(Default)]
pub struct Found {
    calls: AtomicUsize,
    is_over: AtomicBool,
    tags: Mutex<BTreeMap<String, usize>>,
    failures: Mutex<Vec<String>>,
}

/// From the text that makes a call unique and its answer: under what it was answered, or what is wrong.
pub type Read = fn(&str, &Value) -> Result<String, String>;

impl Load {
    /// Clients of both eras call this tool, each again after a pause: room for the compiler on two cores, while calls go on throughout.
    pub async fn start(gateway: &Gateway, tool: &'static str, pause: Duration, read: Read) -> Self {
        Self::of(gateway, &Era::BOTH, tool, pause, read).await
    }

    /// The same with clients of one era.
    pub async fn of_era(gateway: &Gateway, era: Era, tool: &'static str, pause: Duration, read: Read) -> Self {
        Self::of(gateway, &[era], tool, pause, read).await
    }

    async fn of(gateway: &Gateway, eras: &[Era], tool: &'static str, pause: Duration, read: Read) -> Self {
        let (found, mut lanes) = (Arc::<Found>::default(), Vec::new());
        for lane in 0..LANES {
            let (mut caller, found) = (gateway.caller(eras[lane % eras.len()]).await, found.clone());
            lanes.push(tokio::spawn(async move {
                for turn in 0.. {
                    if found.is_over.load(Relaxed) {
                        return;
                    }
                    let unique = format!("{lane}-{turn}");
                    let answer = caller.call(tool, &format!(r#"{{"unique":"{unique}"}}"#)).await;
                    found.note(answer.map_err(|error| error.to_string()).and_then(|reply| read(&unique, &reply.json())));
                    tokio::time::sleep(pause).await;
                }
            }));
        }
        Self { found, lanes }
    }

    /// Until calls are answered under this tag, and since now.
    pub async fn until(&self, tag: &str) {
        let count = || self.found.tags().get(tag).copied().unwrap_or(0);
        let before = count();
        eventually(SEEN_WITHIN, || async {
            let now = count();
            if now > before { Ok(()) } else { Err(format!("no call under {tag:?}; failures: {:?}", self.found.failures().first())) }
        })
        .await;
    }

    /// Until there were so many.
    pub async fn calls(&self, least: usize) {
        eventually(Duration::from_secs(60), || async {
            let calls = self.found.calls();
            if calls >= least { Ok(()) } else { Err(format!("{calls} calls")) }
        })
        .await;
    }

    pub async fn end(self) -> Arc<Found> {
        self.found.is_over.store(true, Relaxed);
        for lane in self.lanes {
            lane.await.expect("a lane ends well");
        }
        self.found
    }
}

impl Found {
    fn note(&self, read: Result<String, String>) {
        self.calls.fetch_add(1, Relaxed);
        match read {
            Ok(tag) => *self.tags().entry(tag).or_default() += 1,
            Err(why) => self.failures().push(why),
        }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }

    /// How many calls were answered under each.
    pub fn tags(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn failures(&self) -> MutexGuard<'_, Vec<String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints N, and fails where a call did.
    pub fn report(&self, of: &str) {
        let (calls, failures) = (self.calls(), self.failures());
        println!("{of}: N={calls} calls at concurrency {LANES}, {} failed, by tag {:?}", failures.len(), self.tags());
        assert!(failures.is_empty(), "{} of {calls} failed: {:#?}", failures.len(), &failures[..failures.len().min(5)]);
    }
}
