//! What a store of state can do.

use futures_util::future::BoxFuture;
use std::{sync::Arc, time::Duration};

/// How much one bucket may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Most keys at once.
    pub keys_max: usize,
    /// Most bytes of one key.
    pub key_bytes_max: usize,
    /// Most bytes of one value.
    pub value_bytes_max: usize,
    /// Most bytes of all keys and values together.
    pub bytes_max: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self { keys_max: 100_000, key_bytes_max: 512, value_bytes_max: 64 * 1024, bytes_max: 64 * 1024 * 1024 }
    }
}

/// Why an operation was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The backend did not answer, or not in time; or the arguments make no sense. The text says which.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The key holds something that this operation cannot work on.
    #[error("the key holds a value of another kind")]
    Conflict,
    /// A quota would be exceeded.
    #[error("over a quota of the bucket")]
    TooLarge,
}

impl StateError {
    /// The backend answered something that no such operation has for an answer.
    pub(crate) fn unexpected() -> Self {
        Self::Unavailable("the store answered something else".to_owned())
    }
}

/// One operation of a [`Bucket`] with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// [`Bucket::get`].
    Get(String),
    /// [`Bucket::set`].
    Set(String, Vec<u8>, Option<Duration>),
    /// [`Bucket::delete`].
    Delete(String),
    /// [`Bucket::incr`].
    Incr(String, i64, Duration),
    /// [`Bucket::take`]: key, cost, burst, per second.
    Take(String, u32, u32, f64),
    /// [`Bucket::swap`]: key, expected, value, time to live.
    Swap(String, Option<Vec<u8>>, Vec<u8>, Option<Duration>),
}

impl Op {
    /// Whether it can be asked at all. What makes no sense is the caller's fault, and says nothing of the backend.
    ///
    /// # Errors
    /// As [`Rate::new`], for a take.
    pub(crate) fn check(&self) -> Result<(), StateError> {
        match self {
            Op::Take(_, cost, burst, per_second) => Rate::new(*cost, *burst, *per_second).map(|_| ()),
            _ => Ok(()),
        }
    }
}

/// What an [`Op`] answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a get.
    Value(Option<Vec<u8>>),
    /// Of a set or delete.
    Done,
    /// Of an incr.
    Count(i64),
    /// Of a take.
    WaitMs(u32),
    /// Of a swap.
    Swapped(bool),
}

/// Somewhere state is kept.
pub trait Store: Send + Sync {
    /// The bucket of this name, made when it does not exist. The first quota given for a name stays.
    fn bucket(&self, name: &str, quota: Quota) -> Arc<dyn Bucket>;
    /// `memory`, `redis`, …
    fn kind(&self) -> &'static str;
    /// Writes what is not written yet. Nothing is kept after it.
    fn close(&self) {}
    /// Do operations wait for somebody else? Decides which wall limit a hook gets.
    fn waits(&self) -> bool;
}

/// One bucket. All operations are atomic, also between processes that share a remote backend.
/// Time to live counts on the store's clock; an expired key is an absent key.
///
/// A backend answers batches; one operation is a batch of one, unless the backend has a shorter way.
pub trait Bucket: Send + Sync {
    /// Operations in order, one outcome each; each is atomic, all together are not. A backend elsewhere makes one round trip of them.
    fn batch(&self, ops: Vec<Op>) -> BoxFuture<'_, Vec<Result<Outcome, StateError>>>;

    /// The value, if there is one. A counter reads as its decimal digits.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StateError>> {
        one(self, Op::Get(key.to_owned()), |outcome| if let Outcome::Value(value) = outcome { Some(value) } else { None })
    }

    /// Set, whatever was there. Without `ttl` it stays.
    fn set<'a>(&'a self, key: &'a str, value: Vec<u8>, ttl: Option<Duration>) -> BoxFuture<'a, Result<(), StateError>> {
        one(self, Op::Set(key.to_owned(), value, ttl), done)
    }

    /// Remove; nothing there is fine.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StateError>> {
        one(self, Op::Delete(key.to_owned()), done)
    }

    /// Add to a counter, from 0 when absent. `ttl` is set when the key is created and not touched after.
    /// Conflict when the value is no decimal number or would overflow.
    fn incr<'a>(&'a self, key: &'a str, by: i64, ttl: Duration) -> BoxFuture<'a, Result<i64, StateError>> {
        one(self, Op::Incr(key.to_owned(), by, ttl), |outcome| if let Outcome::Count(count) = outcome { Some(count) } else { None })
    }

    /// Take `cost` from a token bucket that starts full with `burst` and refills at `per_second`.
    /// Zero: taken. Otherwise nothing was taken and that many milliseconds have to pass first.
    fn take<'a>(&'a self, key: &'a str, cost: u32, burst: u32, per_second: f64) -> BoxFuture<'a, Result<u32, StateError>> {
        let op = Op::Take(key.to_owned(), cost, burst, per_second);
        one(self, op, |outcome| if let Outcome::WaitMs(wait) = outcome { Some(wait) } else { None })
    }

    /// Set only if the value is `expect` (none: absent). Says whether it was set.
    fn swap<'a>(
        &'a self,
        key: &'a str,
        expect: Option<&'a [u8]>,
        value: Vec<u8>,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        let op = Op::Swap(key.to_owned(), expect.map(<[u8]>::to_vec), value, ttl);
        one(self, op, |outcome| if let Outcome::Swapped(is_set) = outcome { Some(is_set) } else { None })
    }
}

/// A batch of one, and what its outcome says.
fn one<'a, B: Bucket + ?Sized, T: Send + 'a>(
    bucket: &'a B,
    op: Op,
    read: fn(Outcome) -> Option<T>,
) -> BoxFuture<'a, Result<T, StateError>> {
    Box::pin(async move {
        let outcome = bucket.batch(vec![op]).await.pop().transpose()?;
        outcome.and_then(read).ok_or_else(StateError::unexpected)
    })
}

fn done(outcome: Outcome) -> Option<()> {
    (outcome == Outcome::Done).then_some(())
}

/// A token bucket's numbers, checked. Every backend uses this arithmetic, or its own after the same checks.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Tokens asked for.
    pub cost: f64,
    /// Tokens in a full bucket.
    pub burst: f64,
    /// Tokens that come back in a second.
    pub per_second: f64,
}

impl Rate {
    /// Refuses numbers that no bucket can have.
    ///
    /// # Errors
    /// `TooLarge` when `cost` can never be there at once, `Unavailable` when the rate is not a number above 0.
    pub fn new(cost: u32, burst: u32, per_second: f64) -> Result<Self, StateError> {
        if !per_second.is_finite() || per_second <= 0.0 {
            return Err(StateError::Unavailable("per-second must be a finite number above 0".into()));
        }
        if cost > burst {
            return Err(StateError::TooLarge);
        }
        Ok(Self { cost: f64::from(cost), burst: f64::from(burst), per_second })
    }

    /// Tokens after `idle`, starting from `tokens`.
    pub fn refilled(&self, tokens: f64, idle: Duration) -> f64 {
        (tokens + idle.as_secs_f64() * self.per_second).min(self.burst)
    }

    /// Milliseconds until `tokens` has grown to the cost, at least 1.
    pub fn wait_ms(&self, tokens: f64) -> u32 {
        let seconds = (self.cost - tokens) / self.per_second;
        (seconds * 1000.0).ceil().clamp(1.0, f64::from(u32::MAX)) as u32
    }

    /// How long until a bucket with `tokens` is full, when it need not be remembered any more.
    pub fn full_in(&self, tokens: f64) -> Duration {
        // A rate near zero gives more seconds than a duration can hold.
        Duration::try_from_secs_f64((self.burst - tokens).max(0.0) / self.per_second).unwrap_or(Duration::MAX)
    }
}
