//! State in Redis or Valkey, which many processes share.
//!
//! All operations on a bucket are one script (`bucket.lua`), so each is atomic between all of them, and a batch is one round trip. Token buckets
//! are asked for in leases ([`Leases`]). Nothing is kept here that could be wrong without Redis: while it does not answer, operations
//! are not done and say so.

mod lease;

use crate::bucket::{Bucket, Op, Outcome, Quota, Rate, StateError, Store};
use futures_util::future::BoxFuture;
use lease::{Ask, Leases};
use redis::{
    Client, ConnectionInfo, IntoConnectionInfo as _, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// What a call waits for Redis before it is told that there is no answer.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// Between two attempts to reach it, at most.
const RETRIED_WITHIN: Duration = Duration::from_secs(1);

/// How often it is tried while it is lost.
const TRIED_EVERY: Duration = Duration::from_millis(100);

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("bucket.lua")));

/// Why there is no such store.
#[derive(Debug, thiserror::Error)]
pub enum RedisUrlError {
    /// Its text does not repeat the address, which may hold a password.
    #[error("this is no address of Redis, such as redis://127.0.0.1:6379/0 or rediss://user:password@host: {0}")]
    Malformed(String),
}

/// The backend of many processes.
pub struct RedisStore {
    shared: Arc<Shared>,
    buckets: Mutex<HashMap<String, Arc<RedisBucket>>>,
}

struct Shared {
    connection: ConnectionManager,
    /// What keys begin with.
    prefix: String,
    asked: AtomicU64,
    is_lost: AtomicBool,
    /// When it was last tried while it is lost.
    tried: Mutex<Option<Instant>>,
}

impl Shared {
    /// While it is lost one call in a while tries it, and the others do not wait for it.
    fn is_hopeless(&self) -> bool {
        if !self.is_lost.load(Relaxed) {
            return false;
        }
        let now = Instant::now();
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let is_soon = tried.is_some_and(|tried| now.saturating_duration_since(tried) < TRIED_EVERY);
        if !is_soon {
            *tried = Some(now);
        }
        is_soon
    }
}

impl RedisStore {
    /// Connects when it is first asked, and again whenever the connection is lost. `prefix` tells the keys of this gateway from others' in the same database.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(url: &str, prefix: &str) -> Result<Self, RedisUrlError> {
        let malformed = |error: RedisError| RedisUrlError::Malformed(error.category().to_owned());
        let info: ConnectionInfo = url.into_connection_info().map_err(malformed)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_max_delay(RETRIED_WITHIN)
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(Client::open(info).map_err(malformed)?, config).map_err(malformed)?;
        let shared = Shared {
            connection,
            prefix: prefix.to_owned(),
            asked: AtomicU64::default(),
            is_lost: AtomicBool::default(),
            tried: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), buckets: Mutex::default() })
    }

    /// How often Redis was asked: a script each.
    pub fn asked(&self) -> u64 {
        self.shared.asked.load(Relaxed)
    }

    /// Whether the last question to it was not answered.
    pub fn is_lost(&self) -> bool {
        self.shared.is_lost.load(Relaxed)
    }
}

impl Store for RedisStore {
    fn bucket(&self, name: &str, quota: Quota) -> Arc<dyn Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let key = |part: &str| format!("{}:{{{name}}}:{part}", self.shared.prefix);
            let keys = ["values", "tokens", "ends", "used"].map(key);
            Arc::new(RedisBucket { shared: self.shared.clone(), keys, quota, leases: Leases::default() })
        };
        buckets.entry(name.to_owned()).or_insert_with(make).clone()
    }

    fn kind(&self) -> &'static str {
        "redis"
    }

    fn waits(&self) -> bool {
        true
    }
}

struct RedisBucket {
    shared: Arc<Shared>,
    /// As `bucket.lua` has them.
    keys: [String; 4],
    quota: Quota,
    leases: Leases,
}

/// What the script is asked.
enum Asked {
    For(Op),
    /// At least `cost` tokens, and as many as there are up to `most`.
    Lease {
        key: String,
        cost: u32,
        most: u32,
        burst: u32,
        per_second: f64,
    },
}

/// What it says.
#[derive(Clone)]
enum Told {
    Outcome(Outcome),
    /// So many tokens.
    Leased(u32),
}

fn millis(ttl: Duration) -> String {
    // Rounded up, so that nothing ends too early; and no end that a double does not hold.
    ttl.as_nanos().div_ceil(1_000_000).min(1 << 52).to_string()
}

impl RedisBucket {
    async fn run(&self, ops: &[Asked]) -> Vec<Result<Told, StateError>> {
        if self.shared.is_hopeless() {
            return vec![Err(StateError::Unavailable("Redis did not answer a moment ago".to_owned())); ops.len()];
        }
        match timeout(PATIENCE, self.ask(ops)).await.unwrap_or_else(|_| Err("Redis did not answer in time".to_owned())) {
            Ok(outcomes) => {
                if self.shared.is_lost.swap(false, Relaxed) {
                    tracing::info!("Redis answers again");
                }
                outcomes
            }
            Err(problem) => {
                if !self.shared.is_lost.swap(true, Relaxed) {
                    tracing::error!(problem, "Redis is lost: state cannot be asked until it is back");
                }
                vec![Err(StateError::Unavailable(problem)); ops.len()]
            }
        }
    }

    async fn ask(&self, ops: &[Asked]) -> Result<Vec<Result<Told, StateError>>, String> {
        self.shared.asked.fetch_add(1, Relaxed);
        let mut call = SCRIPT.prepare_invoke();
        for key in &self.keys {
            call.key(key);
        }
        let Quota { keys_max, key_bytes_max, value_bytes_max, bytes_max } = self.quota;
        for most in [keys_max, key_bytes_max, value_bytes_max, bytes_max] {
            call.arg(most);
        }
        for op in ops {
            let op = match op {
                Asked::For(op) => op,
                Asked::Lease { key, cost, most, burst, per_second } => {
                    call.arg("lease").arg(key).arg(cost).arg(most).arg(burst).arg(format!("{per_second:?}"));
                    continue;
                }
            };
            match op {
                Op::Get(key) => call.arg("get").arg(key),
                Op::Set(key, value, ttl) => call.arg("set").arg(key).arg(&value[..]).arg(ttl.map(millis).unwrap_or_default()),
                Op::Delete(key) => call.arg("delete").arg(key),
                Op::Incr(key, by, ttl) => call.arg("incr").arg(key).arg(by).arg(millis(*ttl)),
                Op::Take(key, cost, burst, per_second) => call.arg("take").arg(key).arg(cost).arg(burst).arg(format!("{per_second:?}")),
                Op::Swap(key, expect, value, ttl) => {
                    call.arg("swap").arg(key).arg(i32::from(expect.is_some())).arg(expect.as_deref().unwrap_or_default());
                    call.arg(&value[..]).arg(ttl.map(millis).unwrap_or_default())
                }
            };
        }
        let mut connection = self.shared.connection.clone();
        let said: Vec<Vec<Vec<u8>>> = call.invoke_async(&mut connection).await.map_err(|error| format!("Redis: {error}"))?;
        if said.len() != ops.len() {
            return Err("Redis answered something else".to_owned());
        }
        said.into_iter().map(told).collect()
    }
}

/// What the script said of one operation.
fn told(said: Vec<Vec<u8>>) -> Result<Result<Told, StateError>, String> {
    let mut said = said.into_iter();
    let kind = said.next().unwrap_or_default();
    let value = said.next();
    fn number<T: std::str::FromStr>(value: Option<Vec<u8>>) -> Option<T> {
        std::str::from_utf8(&value?).ok()?.parse().ok()
    }
    let said = |outcome| Ok(Told::Outcome(outcome));
    let read = match &kind[..] {
        b"absent" => Some(said(Outcome::Value(None))),
        b"value" => value.map(|value| said(Outcome::Value(Some(value)))),
        b"done" => Some(said(Outcome::Done)),
        b"count" => number(value).map(|count| said(Outcome::Count(count))),
        b"wait" => number(value).map(|wait| said(Outcome::WaitMs(wait))),
        b"swapped" => number(value).map(|swapped: u8| said(Outcome::Swapped(swapped == 1))),
        b"taken" => number(value).map(|tokens| Ok(Told::Leased(tokens))),
        b"conflict" => Some(Err(StateError::Conflict)),
        b"large" => Some(Err(StateError::TooLarge)),
        _ => None,
    };
    read.ok_or_else(|| "Redis answered something else".to_owned())
}

impl Bucket for RedisBucket {
    /// One round trip; what is taken in it is taken without a lease.
    fn batch(&self, ops: Vec<Op>) -> BoxFuture<'_, Vec<Result<Outcome, StateError>>> {
        Box::pin(async move {
            // What was taken in advance of a key that is another's now is nobody's.
            ops.iter().filter_map(replaced).for_each(|key| self.leases.forget(key));
            // What cannot be asked for is told here, and the rest is asked.
            let mut outcomes: Vec<Option<Result<Outcome, StateError>>> = ops.iter().map(refused).collect();
            let asked: Vec<Asked> =
                ops.into_iter().zip(&outcomes).filter(|(_, told)| told.is_none()).map(|(op, _)| Asked::For(op)).collect();
            if !asked.is_empty() {
                let mut said = self.run(&asked).await.into_iter().map(|told| match told? {
                    Told::Outcome(outcome) => Ok(outcome),
                    Told::Leased(_) => Err(StateError::unexpected()),
                });
                outcomes.iter_mut().filter(|told| told.is_none()).for_each(|told| *told = said.next());
            }
            outcomes.into_iter().map(|told| told.unwrap_or_else(|| Err(StateError::unexpected()))).collect()
        })
    }

    /// By leases, since this is what filters ask in every call.
    fn take<'a>(&'a self, key: &'a str, cost: u32, burst: u32, per_second: f64) -> BoxFuture<'a, Result<u32, StateError>> {
        Box::pin(async move {
            let rate = Rate::new(cost, burst, per_second)?;
            if cost == 0 {
                return Ok(0);
            }
            let (lease, asking) = loop {
                match self.leases.ask(key, cost, &rate) {
                    Ask::Granted => return Ok(0),
                    Ask::Wait(wait) => return Ok(wait),
                    // It is closed, and never acquired.
                    Ask::After(answer) => drop(answer.acquire().await),
                    Ask::For(tokens, asking) => break (tokens, asking),
                }
            };
            let asked = Asked::Lease { key: key.to_owned(), cost, most: lease, burst, per_second };
            match self.run(&[asked]).await.pop() {
                Some(Ok(Told::Leased(tokens))) if tokens >= cost => {
                    asking.granted(cost, tokens, lease);
                    Ok(0)
                }
                Some(Ok(Told::Outcome(Outcome::WaitMs(wait)))) if wait > 0 => {
                    asking.refused(cost, wait, &rate);
                    Ok(wait)
                }
                Some(Err(error)) => Err(error),
                _ => Err(StateError::unexpected()),
            }
        })
    }
}

/// The key whose value, or token bucket, is gone after it.
fn replaced(op: &Op) -> Option<&str> {
    match op {
        Op::Set(key, ..) | Op::Delete(key) => Some(key),
        _ => None,
    }
}

/// The answer to an operation that is not asked.
fn refused(op: &Op) -> Option<Result<Outcome, StateError>> {
    match (op.check(), op) {
        (Err(error), _) => Some(Err(error)),
        (Ok(()), Op::Take(_, 0, ..)) => Some(Ok(Outcome::WaitMs(0))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
