//! Every hostile guest is contained; and with its limit taken away it is not, which shows that it is the limit
//! that contains it.

use crate::support::{Call, call, engine, labels, load, load_with, settings};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use sluice_chain::{
    attributes::Attributes,
    fault::Fault,
    filter::{Credential, Filter, Verdict},
};
use sluice_plugin::{Engine, Limits, WasmFilter};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const ARGUMENTS: fn() -> Value = || json!({"a": "éclair", "o": {"b": 1}, "n": 1});

async fn with(engine: &Engine, name: &str, config: Value, limits: Limits) -> Arc<WasmFilter> {
    let mut settings = settings(name, config);
    settings.limits = limits;
    load_with(engine, settings).await
}

/// Long enough that on a busy machine no other clock runs out first.
fn patient() -> Limits {
    Limits { wall: Duration::from_secs(9), ..Limits::default() }
}

fn cpu_now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The verdict, and the CPU time that it took on this thread. Tests here run on one thread.
async fn timed(filter: &WasmFilter, call: &mut Call) -> (Result<Verdict, Fault>, Duration) {
    let before = cpu_now();
    let verdict = call.request(filter).await;
    (verdict, cpu_now() - before)
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_cpu_time() {
    let engine = engine();
    let filter = with(&engine, "spin-forever", json!({}), patient()).await;
    let neighbour = Arc::new(AtomicU32::new(0));
    let turns = neighbour.clone();
    let other = tokio::spawn(async move {
        loop {
            turns.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let (verdict, cpu) = timed(&filter, &mut call("ls", json!({}))).await;
    assert!(matches!(verdict, Err(Fault::Deadline { clock: "CPU time", .. })), "{verdict:?}");
    assert!(cpu >= Duration::from_millis(18) && cpu < Duration::from_millis(32), "killed after {cpu:?}");
    assert!(neighbour.load(Relaxed) >= 3, "others on the same thread went on");
    other.abort();
    let patient = with(&engine, "spin-forever", json!({}), Limits { cpu: Duration::from_millis(300), ..patient() }).await;
    let (_, cpu) = timed(&patient, &mut call("ls", json!({}))).await;
    assert!(cpu >= Duration::from_millis(250), "without the limit it goes on: {cpu:?}");
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_wall_time_too() {
    let limits = Limits { wall: Duration::from_millis(50), cpu: Duration::from_secs(5), ..Limits::default() };
    let filter = with(&engine(), "spin-forever", json!({}), limits).await;
    let began = Instant::now();
    let verdict = call("ls", json!({})).request(&filter).await;
    assert!(matches!(verdict, Err(Fault::Deadline { clock: "wall time", .. })), "{verdict:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn every_place_of_a_plugin_is_guarded() {
    let engine = engine();
    let on = |place: &str| json!({"on": place});
    for name in ["spin-forever", "trap", "stack-overflow"] {
        let authenticator = with(&engine, name, on("authenticate"), patient()).await;
        let credential = Credential { scheme: "none".into(), value: String::new() };
        assert!(authenticator.authenticate(&credential, &mut Attributes::default()).await.is_err(), "{name}");
        let mut answered = call("ls", json!({})).answered(json!({"content": []}));
        let filter = with(&engine, name, on("response"), patient()).await;
        assert!(answered.response(&filter).await.is_err(), "{name}");
        assert!(matches!(call("ls", json!({})).request(&filter).await, Ok(Verdict::Next(None))), "{name}: elsewhere it is well");
        let mut notified = call("ls", json!({})).notified("notifications/progress", json!({}));
        let filter = with(&engine, name, on("notification"), patient()).await;
        assert!(notified.notification(&filter).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_plugin_that_never_starts_is_never_loaded() {
    let engine = engine();
    for (name, config, says) in [
        ("init-fails", json!({}), "does not start"),
        ("spin-forever", json!({"on": "init"}), "CPU time"),
        ("trap", json!({"on": "init"}), "does not start"),
        ("describe-spins", json!({}), "cannot describe itself"),
        ("bad-manifest", json!({}), "manifest"),
    ] {
        let began = Instant::now();
        let mut settings = settings(name, config);
        settings.limits.init_wall = Duration::from_secs(9);
        let error = crate::support::try_load(&engine, settings).await.err().unwrap_or_else(|| panic!("{name} was loaded"));
        let text = error.to_string();
        assert!(text.starts_with(&format!("{name}.wasm ")) && text.contains(says) && !text.contains('\n'), "{text}");
        assert!(began.elapsed() < Duration::from_secs(9), "{name} took {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn memory_ends_at_its_limit() {
    let engine = engine();
    // Touching that many pages takes a busy machine longer than a hook has.
    let filter = with(&engine, "eat-memory", json!({}), Limits { cpu: Duration::from_secs(5), ..patient() }).await;
    let verdict = call("ls", json!({})).request(&filter).await;
    assert!(matches!(&verdict, Err(Fault::Limit(what)) if what.contains("64 MiB")), "{verdict:?}");
    assert!(filter.figures().memory_peak.load(Relaxed) <= 64 << 20);
    let limits = Limits { memory_bytes_max: 256 << 20, cpu: Duration::from_secs(5), ..patient() };
    let more = with(&engine, "eat-memory", json!({}), limits).await;
    let _ = call("ls", json!({})).request(&more).await;
    assert!(more.figures().memory_peak.load(Relaxed) > 64 << 20, "without the limit it takes more");
}

#[tokio::test]
async fn a_trap_is_its_own_calls_only() {
    let filter = load(&engine(), "trap", json!({"name": "bad"})).await;
    for _ in 0..3 {
        assert!(matches!(call("bad", json!({})).request(&filter).await, Err(Fault::Trap(_))));
        assert!(matches!(call("good", json!({})).request(&filter).await, Ok(Verdict::Next(None))));
    }
    assert_eq!(filter.figures().discarded.load(Relaxed), 3);
    assert_eq!(filter.figures().faults()[0], ("trap", 3));
}

#[tokio::test]
async fn a_full_stack_is_a_trap() {
    let filter = with(&engine(), "stack-overflow", json!({}), patient()).await;
    let verdict = call("ls", json!({})).request(&filter).await;
    assert!(matches!(&verdict, Err(Fault::Trap(why)) if why.contains("stack")), "{verdict:?}");
}

#[tokio::test]
async fn a_wait_in_the_host_ends_with_the_wall_time() {
    let engine = engine();
    for (wall, control) in [(100, false), (700, true)] {
        let limits = Limits { wall: Duration::from_millis(wall), ..Limits::default() };
        let filter = with(&engine, "wait-in-host", json!({}), limits).await;
        let began = Instant::now();
        let verdict = call("ls", json!({})).request(&filter).await;
        assert!(matches!(verdict, Err(Fault::Deadline { clock: "wall time", .. })), "{verdict:?}");
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(wall - 1), "{waited:?}");
        assert!(control || waited < Duration::from_millis(600), "{waited:?}");
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_is_a_trickle() {
    let engine = engine();
    let flood = |limits: Limits| {
        let engine = engine.clone();
        async move {
            let filter = with(&engine, "flood-log", json!({}), limits).await;
            let _ = call("ls", json!({})).request(&filter).await;
            filter.figures().log_dropped.load(Relaxed)
        }
    };
    let dropped = flood(patient()).await;
    assert!(dropped > 0, "most lines are dropped");
    let limits = Limits { log_lines_per_second: u32::MAX, tenant_log_lines_per_second: u32::MAX, host_calls_max: 2_000, ..patient() };
    assert_eq!(flood(limits).await, 0, "without the limit they all come");
}

#[tokio::test]
async fn host_calls_end_at_their_limit() {
    let engine = engine();
    for (what, says) in [
        ("attr", "host calls"),
        ("set-attr", "host calls"),
        ("get", "host calls"),
        ("text", "host calls"),
        ("stage", "host calls"),
        ("kv", "bytes through host calls"),
        ("bucket", "handles"),
        ("define", "host calls"),
    ] {
        let host_bytes_max = if what == "kv" { 1 << 20 } else { Limits::default().host_bytes_max };
        let limits = Limits { cpu: Duration::from_secs(5), host_bytes_max, ..patient() };
        let filter = with(&engine, "flood-host", json!({"call": what}), limits).await;
        let verdict = call("ls", ARGUMENTS()).request(&filter).await;
        assert!(matches!(&verdict, Err(Fault::Limit(why)) if why.contains(says)), "{what}: {verdict:?}");
    }
    let limits = Limits { host_calls_max: u32::MAX, ..patient() };
    let filter = with(&engine, "flood-host", json!({"call": "attr"}), limits).await;
    let verdict = call("ls", json!({})).request(&filter).await;
    assert!(matches!(verdict, Err(Fault::Deadline { .. })), "without the limit only time ends it: {verdict:?}");
}

#[tokio::test]
async fn what_is_too_big_does_not_come_back() {
    let engine = engine();
    let limits = || Limits { cpu: Duration::from_secs(5), memory_bytes_max: 512 << 20, ..patient() };
    for to in ["reply", "message", "set"] {
        let filter = with(&engine, "big-return", json!({"to": to, "bytes": 40 << 20}), limits()).await;
        let verdict = call("ls", json!({})).request(&filter).await;
        assert!(matches!(&verdict, Err(Fault::Limit(_) | Fault::BadReply(_))), "{to}: {verdict:?}");
    }
    // Into attributes and log lines it does not fit either, and that is no fault.
    for to in ["attr", "log"] {
        let filter = with(&engine, "big-return", json!({"to": to, "bytes": 1 << 20}), limits()).await;
        let mut call = call("ls", json!({}));
        assert!(matches!(call.request(&filter).await, Ok(Verdict::Next(None))), "{to}");
        assert!(labels(&call).is_empty());
    }
    let larger = Limits { host_bytes_max: 256 << 20, message_bytes_max: 64 << 20, ..limits() };
    let filter = with(&engine, "big-return", json!({"to": "reply", "bytes": 40 << 20}), larger).await;
    assert!(matches!(call("ls", json!({})).request(&filter).await, Ok(Verdict::Reply(_))), "without the limit it does");
}

#[tokio::test]
async fn sixty_four_at_once_do_not_bring_the_host_down() {
    let engine = engine();
    let mut tasks = Vec::new();
    for name in ["spin-forever", "eat-memory", "trap", "stack-overflow", "flood-host", "wait-in-host", "flood-log", "big-return"] {
        let config = if name == "flood-host" { json!({"call": "kv"}) } else { json!({}) };
        let filter = load(&engine, name, config).await;
        for i in 0..8 {
            let filter = filter.clone();
            tasks.push(tokio::spawn(async move {
                let mut call = call("ls", json!({})).by(&format!("user{i}"));
                call.request(&filter).await.map(|_| ())
            }));
        }
    }
    for task in tasks {
        let _ = task.await.expect("no panic reaches a task");
    }
    let well = load(&engine, "facts-only", json!({})).await;
    assert!(matches!(call("ls", json!({})).request(&well).await, Ok(Verdict::Next(None))));
}

#[tokio::test]
async fn a_panic_in_any_import_is_its_own_calls_only() {
    use sluice_plugin::failpoint::{host_call, panic_in_host_call};
    let engine = engine();
    let mut panics = 0;
    for what in ["attr", "set-attr", "get", "text", "stage", "kv", "bucket", "define", "log"] {
        let (name, config) = if what == "log" { ("flood-log", json!({})) } else { ("flood-host", json!({"call": what})) };
        let filter = with(&engine, name, config, Limits { cpu: Duration::from_secs(5), ..patient() }).await;
        for nth in [1, 2, 7] {
            panic_in_host_call(nth);
            let verdict = call("ls", ARGUMENTS()).request(&filter).await;
            panic_in_host_call(0);
            assert!(matches!(&verdict, Err(Fault::Trap(why)) if why.contains("panicked")), "{what}, call {nth}: {verdict:?}");
            panics += 1;
        }
        assert_eq!(filter.figures().live.load(Relaxed), 0, "{what}: its instances are gone");
    }
    // Where an instance is made it is the load that fails.
    panic_in_host_call(1);
    let error = crate::support::try_load(&engine, settings("flood-log", json!({"on": "init"}))).await.err();
    panic_in_host_call(0);
    assert!(error.as_ref().is_some_and(|error| error.what.contains("panicked")), "{error:?}");
    let well = load(&engine, "facts-only", json!({})).await;
    assert!(matches!(call("ls", json!({})).request(&well).await, Ok(Verdict::Next(None))));
    // The control: the same panic with nothing around it takes its task down.
    let bare = tokio::spawn(async {
        panic_in_host_call(1);
        host_call();
    });
    assert!(bare.await.is_err_and(|error| error.is_panic()));
    println!("hostile: N={panics} panics of the host in 9 imports, 0 reached a task");
}
