//! A store elsewhere whose loss some buckets outlive.

use crate::{
    bucket::{Bucket, Op, Outcome, Quota, Rate, StateError, Store},
    memory::MemoryStore,
};
use futures_util::future::BoxFuture;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// Buckets that go on in this process's memory while the store does not answer: with what this process has counted since, and without
/// what the others have. When the store is back, it counts again, and what was kept here meanwhile is not carried over.
pub struct Degrading<S> {
    store: S,
    memory: MemoryStore,
    /// Names of buckets. All others refuse, as the store does.
    named: HashSet<String>,
}

impl<S: Store> Degrading<S> {
    /// Only these buckets go on.
    pub fn new(store: S, named: impl IntoIterator<Item = String>) -> Self {
        Self { store, memory: MemoryStore::new(), named: named.into_iter().collect() }
    }
}

impl<S: Store> Store for Degrading<S> {
    fn bucket(&self, name: &str, quota: Quota) -> Arc<dyn Bucket> {
        let elsewhere = self.store.bucket(name, quota);
        if !self.named.contains(name) {
            return elsewhere;
        }
        let (name, here) = (name.to_owned(), self.memory.bucket(name, quota));
        Arc::new(DegradingBucket { name, elsewhere, here, is_degraded: AtomicBool::default() })
    }

    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    fn close(&self) {
        self.store.close();
    }

    fn waits(&self) -> bool {
        self.store.waits()
    }
}

struct DegradingBucket {
    name: String,
    elsewhere: Arc<dyn Bucket>,
    here: Arc<dyn Bucket>,
    is_degraded: AtomicBool,
}

impl DegradingBucket {
    /// Said once when it begins, and once when it ends.
    fn noted(&self, problem: Option<&str>) {
        if self.is_degraded.swap(problem.is_some(), Relaxed) == problem.is_some() {
            return;
        }
        match problem {
            Some(problem) => tracing::warn!(bucket = self.name, problem, "degraded: this process goes by its own memory alone"),
            None => tracing::info!(bucket = self.name, "goes by the shared store again"),
        }
    }
}

impl Bucket for DegradingBucket {
    /// It is one question, so it is answered as a whole or not at all.
    fn batch(&self, ops: Vec<Op>) -> BoxFuture<'_, Vec<Result<Outcome, StateError>>> {
        Box::pin(async move {
            let told = self.elsewhere.batch(ops.clone()).await;
            // Of an operation that makes no sense this is no word of the store's.
            let lost = ops.iter().zip(&told).filter(|(op, _)| op.check().is_ok()).find_map(|(_, told)| problem(told));
            self.noted(lost);
            if lost.is_some() { self.here.batch(ops).await } else { told }
        })
    }

    fn take<'a>(&'a self, key: &'a str, cost: u32, burst: u32, per_second: f64) -> BoxFuture<'a, Result<u32, StateError>> {
        Box::pin(async move {
            Rate::new(cost, burst, per_second)?;
            let told = self.elsewhere.take(key, cost, burst, per_second).await;
            let lost = problem(&told);
            self.noted(lost);
            if lost.is_some() { self.here.take(key, cost, burst, per_second).await } else { told }
        })
    }
}

/// Why nobody answered.
fn problem<T>(told: &Result<T, StateError>) -> Option<&str> {
    if let Err(StateError::Unavailable(problem)) = told { Some(problem) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;
    use std::time::Duration;

    /// The memory backend, with a plug.
    #[derive(Default)]
    struct Plugged {
        memory: MemoryStore,
        is_out: Arc<AtomicBool>,
    }

    struct PluggedBucket(Arc<dyn Bucket>, Arc<AtomicBool>);

    impl Store for Plugged {
        fn bucket(&self, name: &str, quota: Quota) -> Arc<dyn Bucket> {
            Arc::new(PluggedBucket(self.memory.bucket(name, quota), self.is_out.clone()))
        }

        fn kind(&self) -> &'static str {
            "plugged"
        }

        fn waits(&self) -> bool {
            true
        }
    }

    impl Bucket for PluggedBucket {
        fn batch(&self, ops: Vec<Op>) -> BoxFuture<'_, Vec<Result<Outcome, StateError>>> {
            if self.1.load(Relaxed) {
                let out = vec![Err(StateError::Unavailable("out".into())); ops.len()];
                return Box::pin(std::future::ready(out));
            }
            self.0.batch(ops)
        }
    }

    fn fresh() -> Degrading<Plugged> {
        Degrading::new(Plugged::default(), ["a", "b", "q", "n", "s", "t", "ttl", "batch"].map(str::to_owned))
    }

    /// As with the store, and as without it.
    fn lost() -> Degrading<Plugged> {
        let store = fresh();
        store.store.is_out.store(true, Relaxed);
        store
    }

    mod there {
        use super::*;
        crate::contract_tests!(true, contract::Paused, fresh);
    }

    mod away {
        use super::*;
        crate::contract_tests!(true, contract::Paused, lost);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_named_goes_on_and_what_was_shared_counts_again() {
        let store = fresh();
        let (named, other) = (store.bucket("a", Quota::default()), store.bucket("other", Quota::default()));
        assert_eq!(named.incr("n", 5, Duration::from_secs(60)).await, Ok(5));
        store.store.is_out.store(true, Relaxed);
        assert_eq!(named.incr("n", 1, Duration::from_secs(60)).await, Ok(1), "what others counted is not known here");
        assert!(matches!(other.incr("n", 1, Duration::from_secs(60)).await, Err(StateError::Unavailable(_))));
        store.store.is_out.store(false, Relaxed);
        assert_eq!(named.incr("n", 1, Duration::from_secs(60)).await, Ok(6));
    }

    #[tokio::test(start_paused = true)]
    async fn what_makes_no_sense_is_no_loss_of_the_store() {
        let store = fresh();
        let bucket = store.bucket("a", Quota::default());
        bucket.set("k", b"shared".to_vec(), None).await.unwrap();
        assert!(bucket.take("t", 1, 1, f64::NAN).await.is_err());
        let told = bucket.batch(vec![Op::Take("t".into(), 1, 1, -1.0), Op::Get("k".into())]).await;
        assert!(matches!(&told[0], Err(StateError::Unavailable(_))));
        assert_eq!(told[1], Ok(Outcome::Value(Some(b"shared".to_vec()))), "the rest is answered by the store");
    }
}
