//! What every backend must do, as tests. `contract_tests!(is_paused, Clock, make)` in a backend's test module runs
//! each case on a fresh store; `make` is a function without arguments.

use crate::{Op, Outcome, Quota, StateError, Store};
use std::time::Duration;

/// How a backend's tests let time pass.
pub trait Clock {
    /// Let `by` pass.
    fn pass(by: Duration) -> impl Future<Output = ()>;
}

/// For backends that live on tokio's clock.
pub struct Paused;

impl Clock for Paused {
    async fn pass(by: Duration) {
        tokio::time::advance(by).await;
    }
}

/// For backends with a clock of their own.
pub struct Real;

impl Clock for Real {
    async fn pass(by: Duration) {
        tokio::time::sleep(by).await;
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What was set is read, replaced and deleted; buckets do not see each other.
pub async fn values_are_kept_apart<C: Clock>(store: impl Store) {
    let (a, b) = (store.bucket("a", Quota::default()), store.bucket("b", Quota::default()));
    a.set("k", b"1".to_vec(), None).await.unwrap();
    assert_eq!(a.get("k").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(b.get("k").await.unwrap(), None, "another bucket's key");
    a.set("k", vec![0, 255, 10], None).await.unwrap();
    assert_eq!(a.get("k").await.unwrap().as_deref(), Some(&[0, 255, 10][..]), "bytes are bytes");
    a.delete("k").await.unwrap();
    a.delete("k").await.unwrap();
    assert_eq!(a.get("k").await.unwrap(), None);
    assert_eq!(store.bucket("a", Quota::default()).get("k").await.unwrap(), None, "a name is one bucket");
}

/// A key ends at its time, and setting it again sets a new end or none.
pub async fn values_expire<C: Clock>(store: impl Store) {
    let bucket = store.bucket("ttl", Quota::default());
    bucket.set("short", b"x".to_vec(), Some(ms(100))).await.unwrap();
    bucket.set("kept", b"x".to_vec(), Some(ms(100))).await.unwrap();
    bucket.set("kept", b"y".to_vec(), None).await.unwrap();
    bucket.set("cut", b"x".to_vec(), Some(ms(60_000))).await.unwrap();
    bucket.set("cut", b"y".to_vec(), Some(ms(100))).await.unwrap();
    C::pass(ms(50)).await;
    assert!(bucket.get("short").await.unwrap().is_some());
    C::pass(ms(100)).await;
    assert_eq!(bucket.get("short").await.unwrap(), None);
    assert_eq!(bucket.get("cut").await.unwrap(), None, "a shorter life counts");
    assert_eq!(bucket.get("kept").await.unwrap().as_deref(), Some(&b"y"[..]));
}

/// Counters count, start at zero, end when their first call said, and refuse what is no number.
pub async fn counters_count<C: Clock>(store: impl Store) {
    let bucket = store.bucket("n", Quota::default());
    assert_eq!(bucket.incr("n", 5, ms(100)).await, Ok(5));
    assert_eq!(bucket.incr("n", -7, ms(60_000)).await, Ok(-2));
    assert_eq!(bucket.get("n").await.unwrap().as_deref(), Some(&b"-2"[..]));
    C::pass(ms(150)).await;
    assert_eq!(bucket.incr("n", 1, ms(100)).await, Ok(1), "the time to live is the first call's");
    bucket.set("word", b"x".to_vec(), None).await.unwrap();
    assert_eq!(bucket.incr("word", 1, ms(100)).await, Err(StateError::Conflict));
    bucket.set("digits", b"41".to_vec(), None).await.unwrap();
    assert_eq!(bucket.incr("digits", 1, ms(100)).await, Ok(42));
    bucket.incr("top", i64::MAX, ms(1_000)).await.unwrap();
    assert_eq!(bucket.incr("top", 1, ms(1_000)).await, Err(StateError::Conflict), "no wrapping");
}

/// A token bucket starts full, refuses with the exact wait, refills, and never holds more than its burst.
pub async fn tokens_are_taken<C: Clock>(store: impl Store) {
    let bucket = store.bucket("t", Quota::default());
    for _ in 0..3 {
        assert_eq!(bucket.take("t", 1, 3, 10.0).await, Ok(0));
    }
    let wait = bucket.take("t", 1, 3, 10.0).await.unwrap();
    assert!((1..=100).contains(&wait), "a token takes 100 ms, said {wait}");
    assert_eq!(bucket.take("other", 3, 3, 10.0).await, Ok(0), "keys are apart");
    C::pass(ms(u64::from(wait) + 5)).await;
    assert_eq!(bucket.take("t", 1, 3, 10.0).await, Ok(0), "after the wait it is there");
    C::pass(ms(1_000)).await;
    assert_eq!(bucket.take("t", 3, 3, 10.0).await, Ok(0));
    assert!(bucket.take("t", 1, 3, 10.0).await.unwrap() > 0, "no more than the burst was saved up");
    assert_eq!(bucket.take("t", 4, 3, 10.0).await, Err(StateError::TooLarge), "can never be there");
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(bucket.take("t", 1, 3, wrong).await, Err(StateError::Unavailable(_))), "{wrong}");
    }
    assert_eq!(bucket.incr("t", 1, ms(10)).await, Err(StateError::Conflict));
    assert_eq!(bucket.take("free", 0, 0, 1.0).await, Ok(0), "nothing costs nothing");
}

/// Compare-and-swap sets exactly when the expected value is there.
pub async fn swaps_compare<C: Clock>(store: impl Store) {
    let bucket = store.bucket("s", Quota::default());
    let (one, two) = (b"1".to_vec(), b"2".to_vec());
    assert_eq!(bucket.swap("k", Some(b"1"), two.clone(), None).await, Ok(false), "absent is not 1");
    assert_eq!(bucket.swap("k", None, one.clone(), Some(ms(100))).await, Ok(true));
    assert_eq!(bucket.swap("k", None, two.clone(), None).await, Ok(false), "present is not absent");
    assert_eq!(bucket.swap("k", Some(b"2"), two.clone(), None).await, Ok(false));
    assert_eq!(bucket.swap("k", Some(b"1"), two.clone(), Some(ms(100))).await, Ok(true));
    assert_eq!(bucket.get("k").await.unwrap(), Some(two.clone()));
    C::pass(ms(150)).await;
    assert_eq!(bucket.swap("k", None, one, None).await, Ok(true), "expired is absent");
    bucket.incr("n", 7, ms(1_000)).await.unwrap();
    assert_eq!(bucket.swap("n", Some(b"7"), two, None).await, Ok(true), "a counter compares as its digits");
}

/// Each quota refuses, names nothing, and leaves what was there as it was; freed room can be used again.
pub async fn quotas_hold<C: Clock>(store: impl Store) {
    let quota = Quota { keys_max: 3, key_bytes_max: 8, value_bytes_max: 16, bytes_max: 48 };
    let bucket = store.bucket("q", quota);
    let too_large = Err(StateError::TooLarge);
    assert_eq!(bucket.set("k", vec![0; 17], None).await, too_large);
    assert_eq!(bucket.set("123456789", vec![], None).await, too_large);
    for key in ["a", "b", "c"] {
        bucket.set(key, vec![0; 8], Some(ms(100))).await.unwrap();
    }
    assert_eq!(bucket.set("d", vec![], None).await, too_large, "a fourth key");
    assert_eq!(bucket.set("a", vec![0; 17], None).await, too_large);
    assert_eq!(bucket.get("a").await.unwrap(), Some(vec![0; 8]), "what was there stays");
    bucket.delete("b").await.unwrap();
    bucket.set("d", vec![], None).await.unwrap();
    C::pass(ms(150)).await;
    for key in ["e", "f"] {
        bucket.set(key, vec![0; 16], None).await.unwrap();
    }
    assert_eq!(bucket.set("e", vec![0; 16], None).await, Ok(()), "replacing counts once");
    assert_eq!(bucket.set("d", vec![0; 16], None).await, too_large, "48 bytes in all");
}

/// A batch answers in order as its operations would alone, each sees what the ones before it did, and a failing one stops none.
pub async fn batches_run_in_order<C: Clock>(store: impl Store) {
    let bucket = store.bucket("b", Quota::default());
    let (key, one) = (|key: &str| key.to_owned(), b"1".to_vec());
    let ops = vec![
        Op::Get(key("a")),
        Op::Set(key("a"), one.clone(), Some(ms(100))),
        Op::Get(key("a")),
        Op::Incr(key("a"), 4, ms(100)),
        Op::Take(key("a"), 1, 1, 1.0),
        Op::Swap(key("a"), Some(b"5".to_vec()), b"x".to_vec(), None),
        Op::Incr(key("a"), 1, ms(100)),
        Op::Take(key("t"), 1, 1, 1.0),
        Op::Delete(key("a")),
        Op::Get(key("a")),
    ];
    let expected = [
        Ok(Outcome::Value(None)),
        Ok(Outcome::Done),
        Ok(Outcome::Value(Some(one))),
        Ok(Outcome::Count(5)),
        Err(StateError::Conflict),
        Ok(Outcome::Swapped(true)),
        Err(StateError::Conflict),
        Ok(Outcome::WaitMs(0)),
        Ok(Outcome::Done),
        Ok(Outcome::Value(None)),
    ];
    assert_eq!(bucket.batch(ops).await, expected);
    assert!(bucket.take("t", 1, 1, 1.0).await.unwrap() > 0, "what a batch takes is taken");
    assert_eq!(bucket.batch(Vec::new()).await, []);
}

/// One `#[tokio::test]` for each case above; the first word is whether time stands still, but for what the clock lets pass.
#[macro_export]
macro_rules! contract_tests {
    ($is_paused:literal, $clock:ty, $make:expr) => {
        $crate::contract_tests!(@ $is_paused, $clock, $make, values_are_kept_apart, values_expire, counters_count, tokens_are_taken,
            swaps_compare, quotas_hold, batches_run_in_order);
    };
    (@ $is_paused:literal, $clock:ty, $make:expr, $($case:ident),*) => {
        $(#[tokio::test(start_paused = $is_paused)]
        async fn $case() {
            $crate::contract::$case::<$clock>($make()).await;
        })*
    };
}
