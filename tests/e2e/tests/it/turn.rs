//! Who runs when: a test that measures has the machine to itself, the others share it. And each has an end.

use std::{
    future::Future,
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

static MACHINE: RwLock<()> = RwLock::new(());

/// Run a test that measures or loads, with no other beside it.
pub fn alone(name: &str, seconds_max: u64, test: impl Future<Output = ()>) {
    let _turn = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    run(name, seconds_max, test);
}

/// Run a test that others may run beside.
pub fn beside(name: &str, seconds_max: u64, test: impl Future<Output = ()>) {
    let _turn = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    run(name, seconds_max, test);
}

fn run(name: &str, seconds_max: u64, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let started = Instant::now();
    let in_time = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(seconds_max), test).await });
    assert!(in_time.is_ok(), "{name} did not end within {seconds_max} s");
    println!("{name}: {:.1} s", started.elapsed().as_secs_f64());
    runtime.shutdown_background();
}

/// A run's randomness: `SLUICE_SEED`, or a new seed; printed, so that a run can be repeated.
pub fn rng(name: &str) -> fastrand::Rng {
    let seed = std::env::var("SLUICE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("{name}: SLUICE_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Look again until it is so; the last look is what a test fails with.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(within: Duration, mut look: impl FnMut() -> F) -> T {
    let until = Instant::now() + within;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(why) if Instant::now() >= until => panic!("not within {within:?}: {why}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
