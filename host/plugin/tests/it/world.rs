//! What a guest finds outside itself: WASI that gives nothing away, and a store that may be slow or broken.

use crate::support::{call, guests, labels, load, settings};
use futures_util::future::BoxFuture;
use serde_json::json;
use sluice_chain::{fault::Fault, filter::Verdict};
use sluice_plugin::{Engine, Limits, Settings, Setup, engine::Memory};
use sluice_state::{Bucket, Op, Outcome, Quota, StateError, Store};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

#[tokio::test]
async fn wasi_gives_nothing_away() {
    let filter = load(&crate::support::engine(), "wasi-probe", json!({})).await;
    let mut call = call("ls", json!({}));
    let verdict = call.request(&filter).await;
    assert!(matches!(verdict, Ok(Verdict::Next(None))), "{verdict:?}");
    let said = labels(&call);
    // The control: there is something to give away.
    assert!(std::env::vars_os().count() > 0 && std::env::args_os().count() > 0);
    for expected in ["env=0", "args=0", "stdin=0", "slept=true", "coarse=true", "random=true"] {
        assert!(said.contains(&format!("wasi-probe.{expected}")), "{expected}: {said:?}");
    }
    for refused in ["read", "write", "list", "connect", "listen", "udp", "resolve"] {
        let label = format!("wasi-probe.{refused}=");
        let said = said.iter().find_map(|l| l.strip_prefix(&label)).unwrap_or_else(|| panic!("no {refused}: {said:?}"));
        assert_ne!(said, "yes", "{refused} worked");
    }
}

#[tokio::test]
async fn exit_ends_the_call_and_not_the_host() {
    let filter = load(&crate::support::engine(), "wasi-probe", json!({})).await;
    let fault = call("exit", json!({})).request(&filter).await.unwrap_err();
    assert!(matches!(&fault, Fault::Trap(why) if why.contains("exit")), "{fault}");
    assert!(call("ls", json!({})).request(&filter).await.is_ok());
}

/// Run this binary again with one test, where only so much address space is to be had.
fn in_a_small_address_space(test: &str, kib: u64) -> bool {
    let this = std::env::current_exe().unwrap();
    let script = format!("ulimit -v {kib}; exec \"$0\" --exact --ignored {test}");
    std::process::Command::new("sh").arg("-c").arg(script).arg(this).status().unwrap().success()
}

#[test]
fn without_address_space_plugins_run_slower_but_run() {
    // Reservations of 256 MiB for the few instances of a test; and hardly any.
    assert!(in_a_small_address_space("world::small_reservations", 100 << 20));
    assert!(in_a_small_address_space("world::one_by_one", 6 << 20));
}

async fn runs_with(memory: Memory) {
    let setup = Setup { instances_max: 64, ..Setup::new(Arc::new(sluice_state::memory::MemoryStore::new())) };
    let engine = Engine::start(setup).unwrap();
    assert_eq!(engine.memory(), memory);
    let filter = load(&engine, "facts-only", json!({})).await;
    assert!(call("ls", json!({})).request(&filter).await.is_ok());
    let filter = load(&engine, "eat-memory", json!({})).await;
    assert!(call("ls", json!({})).request(&filter).await.is_err());
}

#[tokio::test]
#[ignore = "run by its parent, in a small address space"]
async fn small_reservations() {
    runs_with(Memory::PooledSmall).await;
}

#[tokio::test]
#[ignore = "run by its parent, in a small address space"]
async fn one_by_one() {
    runs_with(Memory::OnDemand).await;
}

/// A store that is remote and does not work.
struct Broken(How);

#[derive(Clone, Copy)]
enum How {
    Hangs,
    Panics,
    Fails,
}

impl Store for Broken {
    fn bucket(&self, _: &str, _: Quota) -> Arc<dyn Bucket> {
        Arc::new(Broken(self.0))
    }

    fn kind(&self) -> &'static str {
        "broken"
    }

    fn waits(&self) -> bool {
        true
    }
}

impl Bucket for Broken {
    fn batch(&self, ops: Vec<Op>) -> BoxFuture<'_, Vec<Result<Outcome, StateError>>> {
        let how = self.0;
        Box::pin(async move {
            match how {
                How::Hangs => std::future::pending().await,
                How::Panics => panic!("a backend's mistake"),
                How::Fails => vec![Err(StateError::Unavailable("no connection".into())); ops.len()],
            }
        })
    }
}

async fn counts_on(how: How) -> (Result<Verdict, Fault>, Vec<String>) {
    let engine = Engine::start(Setup { instances_max: 8, ..Setup::new(Arc::new(Broken(how))) }).unwrap();
    let limits = Limits { wall: Duration::from_millis(10), wall_waiting: Duration::from_millis(300), ..Limits::default() };
    let settings = Settings { limits, ..settings("kv-counter", json!({})) };
    let filter = engine.load(guests::bytes("kv-counter"), settings).await.unwrap();
    let mut call = call("ls", json!({}));
    (call.request(&filter).await, labels(&call))
}

#[tokio::test]
async fn a_store_that_hangs_costs_the_waiting_wall_time() {
    let began = Instant::now();
    let (verdict, _) = counts_on(How::Hangs).await;
    let Err(Fault::Deadline { clock: "wall time", limit }) = verdict else { panic!("{verdict:?}") };
    assert_eq!(limit, Duration::from_millis(300), "a store elsewhere is waited for longer");
    assert!(began.elapsed() >= limit);
}

#[tokio::test]
async fn a_store_that_fails_is_the_guests_to_judge() {
    let (verdict, said) = counts_on(How::Fails).await;
    assert!(matches!(verdict, Ok(Verdict::Next(None))), "{verdict:?}");
    assert_eq!(said, ["kv-counter.error=unavailable"]);
}

#[tokio::test]
async fn a_panic_of_the_host_is_one_calls_fault() {
    let (verdict, _) = counts_on(How::Panics).await;
    assert!(matches!(&verdict, Err(Fault::Trap(why)) if why.contains("panicked")), "{verdict:?}");
}

/// A quota is the plugin's own: who fills his bucket fills nobody else's, and counting at once loses nothing.
#[tokio::test]
async fn a_bucket_is_full_for_who_filled_it() {
    use sluice_state::memory::MemoryStore;
    let store = MemoryStore::new();
    let fill = async |name: &str, quota: Quota| {
        let bucket = store.bucket(name, quota);
        let mut kept = 0;
        for at in 0..50 {
            kept += usize::from(bucket.set(&format!("k{at}"), vec![0; 100], None).await.is_ok());
        }
        (bucket, kept)
    };
    let small = Quota { keys_max: 10, ..Quota::default() };
    let (_, kept) = fill("plugin/greedy", small).await;
    assert_eq!(kept, 10);
    let few_bytes = Quota { bytes_max: 1_000, ..Quota::default() };
    assert!(fill("plugin/fat", few_bytes).await.1 < 10);
    let (other, kept) = fill("plugin/other", Quota::default()).await;
    assert_eq!(kept, 50, "the control: without the quota they all fit");
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let other = other.clone();
            tokio::spawn(async move {
                for _ in 0..500 {
                    other.incr("count", 1, Duration::from_secs(60)).await.expect("it counts");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(other.incr("count", 0, Duration::from_secs(60)).await.expect("it counts"), 4_000);
}

/// Bytes of the same plugin with a digest of their own.
fn another(bytes: &[u8]) -> bytes::Bytes {
    // A custom section called "x".
    [bytes, &[0, 3, 1, b'x', b'y'][..]].concat().into()
}

/// Why a chain has no two different plugins of one name: nothing else keeps them apart.
#[tokio::test]
async fn without_the_check_an_impostor_counts_in_anothers_bucket() {
    let engine = crate::support::engine();
    let (good, impostor) = (guests::bytes("kv-counter"), another(&guests::bytes("kv-counter")));
    assert_ne!(sluice_plugin::artifact::digest(&good), sluice_plugin::artifact::digest(&impostor));
    let mut counts = Vec::new();
    for bytes in [good, impostor] {
        let filter = engine.load(bytes, settings("kv-counter", json!({}))).await.unwrap();
        let mut call = call("ls", json!({}));
        call.request(&filter).await.unwrap();
        counts.extend(labels(&call).into_iter().filter(|label| label.starts_with("kv-counter.count=")));
    }
    assert_eq!(counts, ["kv-counter.count=1", "kv-counter.count=2"]);
}
