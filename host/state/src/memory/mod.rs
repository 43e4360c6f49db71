//! State in this process: lost at its end, shared by nobody.

mod entry;
mod shard;

use crate::bucket::{Bucket, Op, Outcome, Quota, Rate, StateError, Store};
use entry::{Entry, Value};
use futures_util::future::{BoxFuture, ready};
use shard::Shard;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Enough that two cores seldom meet at one lock, few enough that an idle bucket is small.
const SHARDS: usize = 8;

/// A full bucket and an absent one are the same, so it may be forgotten, but one in use is soon asked for again.
const TOKENS_KEPT: Duration = Duration::from_secs(1);

fn forgotten_at(rate: &Rate, left: f64, now: Instant) -> Option<Instant> {
    now.checked_add(rate.full_in(left).max(TOKENS_KEPT))
}

/// The in-process backend.
#[derive(Default)]
pub struct MemoryStore {
    buckets: Mutex<HashMap<String, Arc<MemoryBucket>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn bucket(&self, name: &str, quota: Quota) -> Arc<dyn Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = buckets.get(name) {
            return known.clone();
        }
        let made = Arc::new(MemoryBucket::new(quota));
        buckets.insert(name.to_owned(), made.clone());
        made
    }

    fn kind(&self) -> &'static str {
        "memory"
    }

    fn waits(&self) -> bool {
        false
    }
}

/// What a key holds, in times that mean something to another process as well.
pub(crate) struct Kept {
    pub(crate) value: KeptValue,
    /// None: stays.
    pub(crate) ends_in: Option<Duration>,
}

pub(crate) enum KeptValue {
    Bytes(Box<[u8]>),
    Number(i64),
    /// So many, so long ago.
    Tokens {
        left: f64,
        idle: Duration,
    },
}

/// What a bucket holds in all its shards together.
#[derive(Default)]
struct Usage {
    keys: AtomicUsize,
    bytes: AtomicUsize,
}

pub(crate) struct MemoryBucket {
    quota: Quota,
    usage: Usage,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

impl MemoryBucket {
    pub(crate) fn new(quota: Quota) -> Self {
        Self { quota, usage: Usage::default(), hasher: RandomState::new(), shards: Default::default() }
    }

    /// What is there by now.
    pub(crate) fn kept(&self, key: &str) -> Option<Kept> {
        let now = Instant::now();
        let shard = self.shard(key, now);
        let entry = shard.get(key)?;
        let value = match &entry.value {
            Value::Bytes(bytes) => KeptValue::Bytes(bytes.clone()),
            Value::Number(number) => KeptValue::Number(*number),
            Value::Tokens { left, at } => KeptValue::Tokens { left: *left, idle: now.saturating_duration_since(*at) },
        };
        Some(Kept { value, ends_in: entry.until.map(|until| until.saturating_duration_since(now)) })
    }

    /// As another process left it.
    pub(crate) fn restore(&self, key: &str, kept: Kept) -> Result<(), StateError> {
        let now = Instant::now();
        let value = match kept.value {
            KeptValue::Bytes(bytes) => Value::Bytes(bytes),
            KeptValue::Number(number) => Value::Number(number),
            // Before this machine's clock began nothing can be written down; whoever waits longer gets no more than is his.
            KeptValue::Tokens { left, idle } => Value::Tokens { left, at: now.checked_sub(idle).unwrap_or(now) },
        };
        self.put(&mut self.shard(key, now), key, Entry::lasting(value, now, kept.ends_in))
    }

    /// The shard of a key, with what is due removed.
    fn shard(&self, key: &str, now: Instant) -> MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(key) as usize % SHARDS;
        let mut shard = self.shards[index].lock().unwrap_or_else(PoisonError::into_inner);
        self.release(shard.expire(now));
        shard
    }

    fn release(&self, freed: (usize, usize)) {
        self.usage.keys.fetch_sub(freed.0, Relaxed);
        self.usage.bytes.fetch_sub(freed.1, Relaxed);
    }

    /// Put an entry in place, within the quota. The caller holds the key's shard.
    fn put(&self, shard: &mut Shard, key: &str, entry: Entry) -> Result<(), StateError> {
        let bytes = key.len() + entry.value.bytes();
        let before = shard.get(key).map(|old| key.len() + old.value.bytes());
        if entry.value.bytes() > self.quota.value_bytes_max || key.len() > self.quota.key_bytes_max {
            return Err(StateError::TooLarge);
        }
        // Counted first and given back on refusal, so that two shards cannot both take the last place.
        let keys = self.usage.keys.fetch_add(usize::from(before.is_none()), Relaxed) + usize::from(before.is_none());
        let total = self.usage.bytes.fetch_add(bytes, Relaxed) + bytes - before.unwrap_or(0);
        if (before.is_none() && keys > self.quota.keys_max) || total > self.quota.bytes_max {
            self.release((usize::from(before.is_none()), bytes));
            return Err(StateError::TooLarge);
        }
        self.release((0, before.unwrap_or(0)));
        shard.put(key, entry);
        Ok(())
    }

    /// Run `act` on the key's shard. When a quota says no, expired keys of all shards go first and it runs again.
    fn with<T>(&self, key: &str, mut act: impl FnMut(&mut Shard, Instant) -> Result<T, StateError>) -> Result<T, StateError> {
        let now = Instant::now();
        let first = act(&mut self.shard(key, now), now);
        if !matches!(first, Err(StateError::TooLarge)) {
            return first;
        }
        for shard in &self.shards {
            self.release(shard.lock().unwrap_or_else(PoisonError::into_inner).expire(now));
        }
        act(&mut self.shard(key, now), now)
    }

    fn incr_now(&self, key: &str, by: i64, ttl: Duration) -> Result<i64, StateError> {
        self.with(key, |shard, now| {
            if let Some(entry) = shard.get_mut(key) {
                let sum = entry.value.as_number().and_then(|n| n.checked_add(by)).ok_or(StateError::Conflict)?;
                let (old, value) = (entry.value.bytes(), Value::Number(sum));
                self.usage.bytes.fetch_add(value.bytes(), Relaxed);
                self.usage.bytes.fetch_sub(old, Relaxed);
                entry.value = value;
                return Ok(sum);
            }
            self.put(shard, key, Entry::new(Value::Number(by), now.checked_add(ttl)))?;
            Ok(by)
        })
    }

    fn take_now(&self, key: &str, rate: Rate) -> Result<u32, StateError> {
        self.with(key, |shard, now| {
            let Some(entry) = shard.get_mut(key) else {
                let left = rate.burst - rate.cost;
                self.put(shard, key, Entry::new(Value::Tokens { left, at: now }, forgotten_at(&rate, left, now)))?;
                return Ok(0);
            };
            let Value::Tokens { left, at } = &mut entry.value else { return Err(StateError::Conflict) };
            let tokens = rate.refilled(*left, now.saturating_duration_since(*at));
            if tokens < rate.cost {
                return Ok(rate.wait_ms(tokens));
            }
            (*left, *at) = (tokens - rate.cost, now);
            // Never sooner than it was: the queue of ends has a note of that.
            entry.until = entry.until.and_then(|until| Some(until.max(forgotten_at(&rate, *left, now)?)));
            Ok(0)
        })
    }

    fn swap_now(&self, key: &str, expect: Option<&[u8]>, value: &[u8], ttl: Option<Duration>) -> Result<bool, StateError> {
        self.with(key, |shard, now| {
            let matches = match (shard.get(key).map(|entry| &entry.value), expect) {
                (None, None) => true,
                (Some(Value::Tokens { .. }), _) => return Err(StateError::Conflict),
                (Some(held), Some(expect)) => held.read().is_some_and(|held| held == expect),
                _ => false,
            };
            if matches {
                self.put(shard, key, Entry::lasting(Value::Bytes(value.into()), now, ttl))?;
            }
            Ok(matches)
        })
    }
}

impl MemoryBucket {
    fn get_now(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.with(key, |shard, _| match shard.get(key) {
            None => Ok(None),
            Some(entry) => entry.value.read().map(Some).ok_or(StateError::Conflict),
        })
    }

    fn set_now(&self, key: &str, value: Vec<u8>, ttl: Option<Duration>) -> Result<(), StateError> {
        let value: Box<[u8]> = value.into();
        self.with(key, |shard, now| self.put(shard, key, Entry::lasting(Value::Bytes(value.clone()), now, ttl)))
    }

    fn delete_now(&self, key: &str) -> Result<(), StateError> {
        self.with(key, |shard, _| {
            if let Some(old) = shard.remove(key) {
                self.release((1, key.len() + old.value.bytes()));
            }
            Ok(())
        })
    }

    fn now(&self, op: Op) -> Result<Outcome, StateError> {
        match op {
            Op::Get(key) => self.get_now(&key).map(Outcome::Value),
            Op::Set(key, value, ttl) => self.set_now(&key, value, ttl).map(|()| Outcome::Done),
            Op::Delete(key) => self.delete_now(&key).map(|()| Outcome::Done),
            Op::Incr(key, by, ttl) => self.incr_now(&key, by, ttl).map(Outcome::Count),
            Op::Take(key, cost, burst, per_second) => {
                Rate::new(cost, burst, per_second).and_then(|rate| self.take_now(&key, rate)).map(Outcome::WaitMs)
            }
            Op::Swap(key, expect, value, ttl) => self.swap_now(&key, expect.as_deref(), &value, ttl).map(Outcome::Swapped),
        }
    }
}

/// The futures are ready at once: a lock is held only inside, never while somebody waits. What filters ask in every call goes the short way, without
/// a copy of its key.
impl Bucket for MemoryBucket {
    fn batch(&self, ops: Vec<Op>) -> BoxFuture<'_, Vec<Result<Outcome, StateError>>> {
        Box::pin(ready(ops.into_iter().map(|op| self.now(op)).collect()))
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StateError>> {
        Box::pin(ready(self.get_now(key)))
    }

    fn incr<'a>(&'a self, key: &'a str, by: i64, ttl: Duration) -> BoxFuture<'a, Result<i64, StateError>> {
        Box::pin(ready(self.incr_now(key, by, ttl)))
    }

    fn take<'a>(&'a self, key: &'a str, cost: u32, burst: u32, per_second: f64) -> BoxFuture<'a, Result<u32, StateError>> {
        Box::pin(ready(Rate::new(cost, burst, per_second).and_then(|rate| self.take_now(key, rate))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    crate::contract_tests!(true, contract::Paused, MemoryStore::new);

    #[tokio::test(start_paused = true)]
    async fn expired_keys_leave_nothing_behind() {
        let bucket = MemoryBucket::new(Quota::default());
        for round in 0..1_000u32 {
            let key = format!("k{round}");
            bucket.set(&key, vec![0; 10], Some(Duration::from_millis(50))).await.unwrap();
            bucket.take(&format!("t{round}"), 1, 10, 100.0).await.unwrap();
            tokio::time::advance(Duration::from_millis(20)).await;
        }
        assert!(bucket.usage.keys.load(Relaxed) < 100, "kept {}", bucket.usage.keys.load(Relaxed));
        tokio::time::advance(Duration::from_secs(2)).await;
        for shard in &bucket.shards {
            bucket.release(shard.lock().unwrap().expire(Instant::now()));
        }
        assert_eq!((bucket.usage.keys.load(Relaxed), bucket.usage.bytes.load(Relaxed)), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn counters_and_quotas_hold_under_races() {
        let bucket = Arc::new(MemoryBucket::new(Quota { keys_max: 100, ..Quota::default() }));
        let tasks = (0..8).map(|task| {
            let bucket = bucket.clone();
            tokio::spawn(async move {
                let mut made = 0;
                for round in 0..1_000 {
                    bucket.incr("n", 1, Duration::from_secs(60)).await.unwrap();
                    made += usize::from(bucket.set(&format!("{task}-{round}"), vec![1], None).await.is_ok());
                }
                made
            })
        });
        let mut made = 0;
        for task in tasks.collect::<Vec<_>>() {
            made += task.await.unwrap();
        }
        assert_eq!(made, 99, "one place is the counter's");
        assert_eq!(bucket.get("n").await.unwrap().unwrap(), b"8000");
    }
}
