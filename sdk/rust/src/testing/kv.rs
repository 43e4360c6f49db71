//! A bucket in memory, on the test's clock.

use std::collections::HashMap;

use super::host;
use crate::kv::{Error, Op, Outcome};

#[derive(Default)]
pub(super) struct Store {
    values: HashMap<(String, String), Value>,
    tokens: HashMap<(String, String), Tokens>,
}

struct Value {
    bytes: Vec<u8>,
    ends_ms: Option<u64>,
}

struct Tokens {
    left: f64,
    at_ms: u64,
}

/// What [`Bucket`](crate::kv::Bucket) is natively.
#[derive(Debug)]
pub struct FakeBucket(String);

impl FakeBucket {
    /// Opens a bucket; there is no grant to ask for.
    pub fn open(name: &str) -> Result<Self, Error> {
        available(|_| FakeBucket(name.to_string()))
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        available(|host| host.kv.live(self.place(key), host.clock_ms).map(|v| v.bytes.clone()))
    }

    /// Puts a value, for a while or for good.
    pub fn set(&self, key: &str, value: &[u8], ttl_ms: Option<u32>) -> Result<(), Error> {
        available(|host| host.kv.put(self.place(key), value, ttl_ms, host.clock_ms))
    }

    /// Removes a key.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        available(|host| {
            host.kv.values.remove(&self.place(key));
        })
    }

    /// Adds to a number, which reads as its decimal digits; the time to live counts from its creation.
    pub fn incr(&self, key: &str, by: i64, ttl_ms: u32) -> Result<i64, Error> {
        available(|host| {
            let now = host.clock_ms;
            let by = if host.runs_again { 0 } else { by };
            match host.kv.live(self.place(key), now) {
                Some(value) => {
                    let old = core::str::from_utf8(&value.bytes).ok().and_then(|digits| digits.parse::<i64>().ok());
                    let sum = old.and_then(|old| old.checked_add(by)).ok_or(Error::Conflict)?;
                    value.bytes = sum.to_string().into_bytes();
                    Ok(sum)
                }
                None => {
                    host.kv.put(self.place(key), by.to_string().as_bytes(), Some(ttl_ms), now);
                    Ok(by)
                }
            }
        })?
    }

    /// Takes from a token bucket: 0, or the milliseconds until there is enough.
    pub fn take(&self, key: &str, cost: u32, burst: u32, per_second: f64) -> Result<u32, Error> {
        available(|host| {
            let now = host.clock_ms;
            let full = Tokens { left: burst.into(), at_ms: now };
            let tokens = host.kv.tokens.entry(self.place(key)).or_insert(full);
            let gained = now.saturating_sub(tokens.at_ms) as f64 * per_second / 1000.0;
            tokens.left = (tokens.left + gained).min(burst.into());
            tokens.at_ms = now;
            let cost = if host.runs_again { 0 } else { cost };
            let missing = f64::from(cost) - tokens.left;
            if missing <= 0.0 {
                tokens.left -= f64::from(cost);
                return 0;
            }
            // A millionth of a millisecond is rounding, not waiting.
            (missing / per_second * 1000.0 - 1e-6).ceil().max(1.0) as u32
        })
    }

    /// Sets a value only if the present one is as expected.
    pub fn swap(&self, key: &str, expect: Option<&[u8]>, value: &[u8], ttl_ms: Option<u32>) -> Result<bool, Error> {
        available(|host| {
            let now = host.clock_ms;
            let fits = host.kv.live(self.place(key), now).map(|v| v.bytes.as_slice()) == expect;
            if fits {
                host.kv.put(self.place(key), value, ttl_ms, now);
            }
            fits
        })
    }

    /// Several in order; one that fails stops none.
    pub fn batch(&self, ops: &[Op]) -> Result<Vec<Result<Outcome, Error>>, Error> {
        available(|_| ())?;
        let run = |op: &Op| match op {
            Op::Get(key) => self.get(key).map(Outcome::Value),
            Op::Set((key, value, ttl_ms)) => self.set(key, value, *ttl_ms).map(|()| Outcome::Done),
            Op::Delete(key) => self.delete(key).map(|()| Outcome::Done),
            Op::Incr((key, by, ttl_ms)) => self.incr(key, *by, *ttl_ms).map(Outcome::Count),
            Op::Take((key, cost, burst, per_second)) => self.take(key, *cost, *burst, *per_second).map(Outcome::WaitMs),
            Op::Swap((key, expect, value, ttl_ms)) => self.swap(key, expect.as_deref(), value, *ttl_ms).map(Outcome::Swapped),
        };
        match ops.len() {
            0..=256 => Ok(ops.iter().map(run).collect()),
            _ => Err(Error::TooLarge),
        }
    }

    fn place(&self, key: &str) -> (String, String) {
        (self.0.clone(), key.to_string())
    }
}

impl Store {
    fn live(&mut self, place: (String, String), now_ms: u64) -> Option<&mut Value> {
        self.values.get_mut(&place).filter(|v| v.ends_ms.is_none_or(|ends| now_ms < ends))
    }

    fn put(&mut self, place: (String, String), bytes: &[u8], ttl_ms: Option<u32>, now_ms: u64) {
        let ends_ms = ttl_ms.map(|ttl| now_ms + u64::from(ttl));
        self.values.insert(place, Value { bytes: bytes.to_vec(), ends_ms });
    }
}

fn available<T>(use_it: impl FnOnce(&mut host::Host) -> T) -> Result<T, Error> {
    host::with(|host| match &host.kv_broken {
        Some(reason) => Err(Error::Unavailable(reason.clone())),
        None => Ok(use_it(host)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{advance_ms, break_kv, heal_kv};

    #[test]
    fn a_bucket_refills_with_the_clock() {
        let bucket = FakeBucket::open("b").unwrap();
        assert_eq!(bucket.take("k", 2, 2, 1.0), Ok(0));
        assert_eq!(bucket.take("k", 1, 2, 1.0), Ok(1000));
        advance_ms(999);
        assert_eq!(bucket.take("k", 1, 2, 1.0), Ok(1));
        advance_ms(1);
        assert_eq!(bucket.take("k", 1, 2, 1.0), Ok(0));
    }

    #[test]
    fn values_end_and_numbers_count() {
        let bucket = FakeBucket::open("b").unwrap();
        assert_eq!(bucket.incr("n", 2, 100), Ok(2));
        assert_eq!(bucket.incr("n", 3, 100), Ok(5));
        assert_eq!(bucket.get("n"), Ok(Some(b"5".to_vec())));
        advance_ms(100);
        assert_eq!(bucket.incr("n", 1, 100), Ok(1));
        assert_eq!(bucket.swap("s", None, b"a", None), Ok(true));
        assert_eq!(bucket.swap("s", None, b"b", None), Ok(false));
        assert_eq!(bucket.swap("s", Some(b"a"), b"b", None), Ok(true));
        assert_eq!(bucket.get("s"), Ok(Some(b"b".to_vec())));
    }

    #[test]
    fn what_runs_again_counts_nothing() {
        crate::testing::reset();
        let bucket = FakeBucket::open("b").unwrap();
        assert_eq!((bucket.incr("n", 1, 100), bucket.take("t", 1, 1, 1.0)), (Ok(1), Ok(0)));
        crate::testing::run_again(true);
        assert_eq!((bucket.incr("n", 1, 100), bucket.take("t", 1, 1, 1.0)), (Ok(1), Ok(0)));
        assert_eq!(bucket.incr("other", 1, 100), Ok(0));
        crate::testing::run_again(false);
        assert_eq!((bucket.incr("n", 1, 100), bucket.take("t", 1, 1, 1.0)), (Ok(2), Ok(1000)));
        assert_eq!((bucket.set("text", b"a", None), bucket.incr("text", 1, 100)), (Ok(()), Err(Error::Conflict)));
    }

    #[test]
    fn a_batch_answers_in_order_and_is_bounded() {
        let bucket = FakeBucket::open("b").unwrap();
        let ops = [Op::set("k", b"x", None), Op::swap("k", Some(b"y"), b"z", None), Op::get("k"), Op::take("t", 1, 1, 1.0)];
        let expected =
            vec![Ok(Outcome::Done), Ok(Outcome::Swapped(false)), Ok(Outcome::Value(Some(b"x".to_vec()))), Ok(Outcome::WaitMs(0))];
        assert_eq!(bucket.batch(&ops), Ok(expected));
        let many: Vec<_> = (0..257).map(|_| Op::incr("n", 1, 1000)).collect();
        assert_eq!(bucket.batch(&many), Err(Error::TooLarge));
        assert_eq!(bucket.batch(&many[..256]).unwrap().pop(), Some(Ok(Outcome::Count(256))));
    }

    #[test]
    fn a_broken_store_says_so() {
        let bucket = FakeBucket::open("b").unwrap();
        break_kv("down");
        assert_eq!(bucket.get("k"), Err(Error::Unavailable("down".to_string())));
        heal_kv();
        assert_eq!(bucket.get("k"), Ok(None));
    }
}
