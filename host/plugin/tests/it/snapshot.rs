//! New instances as copies of one that has run `init`: they are what `init` would have made of them, and nobody's else.

use crate::support::{Call, call, guests, handmade::Handmade, labels, settings};
use bytes::Bytes;
use serde_json::{Value, json};
use sluice_chain::filter::Verdict;
use sluice_plugin::{Engine, Scope, Settings, Setup, WasmFilter};
use sluice_state::memory::MemoryStore;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

fn engine(cache: Option<&Path>, snapshots: bool) -> Engine {
    let cache = cache.map(Path::to_path_buf);
    Engine::start(Setup { instances_max: 64, cache, snapshots, ..Setup::new(Arc::new(MemoryStore::new())) }).expect("wasm runs here")
}

/// Once it is known how its new instances begin, which is soon.
async fn settled(filter: &WasmFilter) -> Result<(), String> {
    let began = Instant::now();
    loop {
        if let Some(known) = filter.starts_from_copy() {
            return known.map_err(str::to_owned);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "neither copied nor refused");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn load(engine: &Engine, bytes: Bytes, name: &str, config: Value, scope: Scope) -> Arc<WasmFilter> {
    engine.load(bytes, Settings { scope, ..settings(name, config) }).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Verdict, message and labels, as text.
async fn said(filter: &WasmFilter, mut call: Call) -> String {
    let verdict = call.request(filter).await;
    format!("{verdict:?} {:?}", labels(&call))
}

#[tokio::test]
async fn a_copy_does_what_init_would_have_made_it_do() {
    let (plain, copying) = (engine(None, false), engine(None, true));
    let mail = || call("ls", json!({"text": "write to ada@example.com, key 4111111111111111", "n": 3}));
    let cases = [
        ("facts-only", json!({})),
        ("two-reads", json!({})),
        ("scan", json!({"patterns": ["[a-z]+@[a-z.]+", "\\d{16}"], "roots": []})),
        ("echo-edit", json!({"on": "request", "edits": [{"set": ["/params/arguments/n", "4"]}]})),
        ("reads-arguments", json!({"pointers": ["/params/arguments/text"], "by": "get"})),
        ("label", json!({"set": {"a": "1"}, "copy": {"b": "client.name"}})),
        ("verdict", json!({"on": "request", "verdict": {"reject": {"code": 4001, "message": "no"}}})),
        ("redact", json!({})),
        ("namespace", json!({})),
        ("rate-limit", json!({"limits": [{"name": "each", "per_hour": 3, "burst": 3}]})),
    ];
    for (name, config) in cases {
        let without = load(&plain, guests::bytes(name), name, config.clone(), Scope::Call).await;
        let with = load(&copying, guests::bytes(name), name, config, Scope::Call).await;
        assert_eq!(settled(&with).await, Ok(()), "{name}");
        assert_eq!(without.starts_from_copy(), None, "nobody asked for it");
        for _ in 0..2 {
            assert_eq!(said(&with, mail()).await, said(&without, mail()).await, "{name}");
        }
        assert_eq!(with.figures().live.load(Relaxed), 0, "{name}: the one that was looked into is gone, too");
    }
}

/// Memory, a global, a table and what a start function did are there; neither `init` nor the start function runs again.
#[tokio::test]
async fn a_copy_holds_what_init_left() {
    let lost = "(i32.store (i32.const 2096) (i32.const 1)) (i32.store (i32.const 2100) (i32.const 48)) (i32.store (i32.const 2104) (i32.const 2)) (return (i32.const 2096))";
    let handmade = Handmade {
        fields: "(global $inits (mut i32) (i32.const 0)) (global $starts (mut i64) (i64.const 0)) (global $f (mut f64) (f64.const 0)) (memory $own 1)
            (table $t 2 funcref) (elem (table $t) (i32.const 1) func $start)",
        start: "(global.set $starts (i64.add (global.get $starts) (i64.const 1)))",
        init: "(global.set $inits (i32.add (global.get $inits) (i32.const 1))) (global.set $f (f64.const 1.5))
            (drop (memory.grow $own (i32.const 3))) (i32.store $own (i32.const 200000) (i32.const 77)) (i32.store (i32.const 3000) (i32.const 78))",
        request: &format!(
            "(if (i32.ne (global.get $inits) (i32.const 1)) (then {lost}))
             (if (i64.ne (global.get $starts) (i64.const 1)) (then {lost}))
             (if (f64.ne (global.get $f) (f64.const 1.5)) (then {lost}))
             (if (i32.ne (i32.load $own (i32.const 200000)) (i32.const 77)) (then {lost}))
             (if (i32.ne (i32.load (i32.const 3000)) (i32.const 78)) (then {lost}))
             (if (i32.ne (memory.size $own) (i32.const 4)) (then {lost}))
             (if (ref.is_null (table.get $t (i32.const 1))) (then {lost}))
             (i32.store (i32.const 3000) (i32.const 0)) (global.set $inits (i32.const 9))"
        ),
        ..Handmade::default()
    };
    let filter = load(&engine(None, true), handmade.component(), "handmade", json!({}), Scope::Call).await;
    assert_eq!(settled(&filter).await, Ok(()));
    for _ in 0..3 {
        let verdict = call("ls", json!({})).request(&filter).await;
        assert!(matches!(verdict, Ok(Verdict::Next(None))), "{verdict:?}");
    }
}

/// Who asks for what a copy would lack is not copied, and so none hands out another's bucket, time or random number.
#[tokio::test]
async fn what_a_copy_would_lack_is_not_copied() {
    let engine = engine(None, true);
    let lacking =
        Err("it asks the host for what a copy would lack (buckets, secrets, counters, the time, random numbers, output, more memory than it may have)".to_owned());
    for (asks, copied) in [
        ("nothing", true),
        ("log", true),
        ("patterns", true),
        ("bad-patterns", false),
        ("bucket", false),
        ("counter", false),
        ("time", false),
        ("random", false),
    ] {
        let filter = load(&engine, guests::bytes("asks-in-init"), "asks-in-init", json!({"asks": asks}), Scope::Call).await;
        assert_eq!(settled(&filter).await, if copied { Ok(()) } else { lacking.clone() }, "{asks}");
        let mut got = Vec::new();
        for _ in 0..3 {
            let mut call = call("ls", json!({}));
            assert!(matches!(call.request(&filter).await, Ok(Verdict::Next(None))), "{asks}");
            got.extend(labels(&call));
        }
        assert_eq!(got.len(), 3);
        assert!(asks != "random" || (got[0] != got[1] && got[1] != got[2]), "instances share a random number: {got:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_again_runs_as_ever() {
    let table =
        Handmade { fields: "(table $t 2 funcref)", init: "(drop (table.grow $t (ref.null func) (i32.const 5)))", ..Handmade::default() };
    let filter = load(&engine(None, true), table.component(), "handmade", json!({}), Scope::Call).await;
    let known = settled(&filter).await;
    assert!(known.clone().is_err_and(|why| why.contains("unsupported `table.grow` instruction")), "{known:?}");
    let verdict = call("ls", json!({})).request(&filter).await;
    assert!(matches!(verdict, Ok(Verdict::Next(None))), "{verdict:?}");
}

#[tokio::test]
async fn copies_know_nobody() {
    let engine = engine(None, true);
    let filter = load(&engine, guests::bytes("remembers"), "remembers", json!({}), Scope::Principal).await;
    assert_eq!(settled(&filter).await, Ok(()));
    for round in 0..3 {
        for who in ["ada", "bob", "eve"] {
            let mut call = call("ls", json!({})).by(who);
            call.request(&filter).await.unwrap();
            let expected = format!("remembers.last={}", if round == 0 { "nobody" } else { who });
            assert!(labels(&call).contains(&expected), "{who}, round {round}: {:?}", labels(&call));
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let mut entries: Vec<_> = all.filter(|path| path.extension().is_some_and(|e| e == "cwasm")).collect();
    entries.sort();
    entries
}

const FIRST: &str = r"\bada\b";

async fn scans(engine: &Engine, pattern: &str) -> Arc<WasmFilter> {
    load(engine, guests::bytes("scan"), "scan", json!({"patterns": [pattern]}), Scope::Call).await
}

async fn finds(filter: &WasmFilter, text: &str) -> bool {
    match call("ls", json!({"text": text})).request(filter).await {
        Ok(Verdict::Reply(bytes)) => String::from_utf8_lossy(&bytes).contains("/params/arguments/text"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_copy_is_of_a_file_and_its_settings_and_is_no_file_itself() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    let engine = engine(Some(&folder), true);
    let filter = scans(&engine, FIRST).await;
    assert_eq!(settled(&filter).await, Ok(()));
    // In use it is shared.
    let again = scans(&engine, FIRST).await;
    assert_eq!(again.starts_from_copy(), Some(Ok(())));
    assert!(finds(&again, "ada").await && !finds(&again, "bob").await);
    // Other settings are another copy.
    let other = scans(&engine, r"\bbob\b").await;
    assert_eq!(settled(&other).await, Ok(()));
    assert!(finds(&other, "bob").await && !finds(&other, "ada").await);
    // In the settings may be a secret, so they are in no file: what is kept is the component, as it was published.
    assert_eq!(entries(&folder).len(), 1);
}

/// Links with the same file and settings have one copy, however many ask for it at once.
#[tokio::test]
async fn a_copy_is_made_once() {
    let engine = engine(None, true);
    let (one, two) = (scans(&engine, FIRST).await, scans(&engine, FIRST).await);
    assert_eq!((settled(&one).await, settled(&two).await), (Ok(()), Ok(())));
    for filter in [&one, &two] {
        assert!(finds(filter, "ada").await && !finds(filter, "bob").await);
    }
}
