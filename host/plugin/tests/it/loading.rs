//! What is loaded and what is refused, in which words.

use crate::support::{engine, guests, load, settings, try_load};
use bytes::Bytes;
use serde_json::json;
use sluice_chain::filter::{Filter, Hook};
use sluice_plugin::{Engine, Limits, Scope, Settings, Setup};
use std::time::Duration;

async fn refused(engine: &Engine, bytes: impl Into<Bytes>) -> String {
    let error = engine.load(bytes.into(), Settings::new("10-x.wasm")).await.err().expect("it is refused");
    let text = error.to_string();
    assert!(text.starts_with("10-x.wasm ") && !text.contains('\n') && text.len() < 900, "{text}");
    text
}

#[tokio::test]
async fn what_is_no_plugin_says_what_it_is_and_what_to_do() {
    let engine = engine();
    let core = wat::parse_str(include_str!("../../../../tests/guests/core-module.wat")).unwrap();
    let no_exports = wat::parse_str(include_str!("../../../../tests/guests/no-exports.wat")).unwrap();
    let garbage = include_bytes!("../../../../tests/guests/garbage.txt");
    for (bytes, says) in [
        (core, "is a core module; build for wasm32-wasip2 or run `wasm-tools component new`"),
        (no_exports, "does not export sluice:filter/describe@0.1.0"),
        (garbage.to_vec(), "is not WebAssembly"),
        (Vec::new(), "is empty"),
        (vec![0; 65 << 20], "at most 64 MiB"),
    ] {
        let text = refused(&engine, bytes).await;
        assert!(text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn one_file_has_one_machine_code_however_many_load_it_at_once() {
    let engine = engine();
    let one = || engine.load(guests::bytes("label"), settings("label", json!({})));
    let (first, second, other) = tokio::join!(one(), one(), engine.load(guests::bytes("remembers"), settings("remembers", json!({}))));
    let (first, second, other) = (first.unwrap(), second.unwrap(), other.unwrap());
    assert!(first.shares_code_with(&second));
    assert!(first.shares_code_with(&*one().await.unwrap()), "and whoever comes later");
    assert!(!first.shares_code_with(&other), "the control");
}

#[tokio::test]
async fn an_import_that_nobody_offers_is_named() {
    let text = refused(&engine(), guests::bytes("unknown-import")).await;
    assert!(text.contains("evil:host/x") && text.contains("sluice:filter 0.1.0"), "{text}");
}

#[tokio::test]
async fn what_is_inspected_is_what_is_loaded() {
    let engine = engine();
    let names = |imports: &[sluice_plugin::import::Imported]| imports.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
    // Every import of the contract and of WASI is among theirs; two are refused, one for its settings.
    for name in ["wasi-probe", "fetches", "uses-secrets", "kv-batch", "rename-catalog", "bad-manifest", "init-fails"] {
        let inspected = engine.inspect(guests::bytes(name), &settings(name, json!({}))).await;
        let loaded = engine.load(guests::bytes(name), settings(name, json!({}))).await;
        match (&inspected, &loaded) {
            (Ok(inspected), Ok(loaded)) => {
                assert_eq!(names(&inspected.imports), names(loaded.imports()), "{name}");
                assert_eq!(*loaded.identity().digest, *inspected.digest);
                assert!(inspected.code_bytes > inspected.bytes / 10, "{name}");
            }
            // What is refused for what it is, is refused in the same words whoever asks.
            (Err(why), Err(same)) => assert_eq!(why.to_string(), same.to_string()),
            // To inspect needs no settings and no grants.
            (Ok(_), Err(_)) => {}
            (Err(why), Ok(_)) => panic!("{name} is loaded and not inspected: {why}"),
        }
    }
    // The control: a power that has no words cannot be inspected, and nothing that could be loaded has one.
    let error = engine.inspect(guests::bytes("unknown-import"), &settings("unknown-import", json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("evil:host/x"), "{error}");
}

#[tokio::test]
async fn another_version_of_the_contract_is_named() {
    let newer = wat::parse_str(r#"(component (import "sluice:filter/log@0.2.0" (instance)))"#).unwrap();
    let text = refused(&engine(), newer).await;
    assert!(text.contains("sluice:filter/log@0.2.0") && text.contains("it speaks sluice:filter 0.1.0"), "{text}");
}

#[tokio::test]
async fn an_import_of_another_shape_is_refused() {
    let skewed = wat::parse_str(
        r#"(component
            (import "sluice:filter/metrics@0.1.0" (instance (export "add" (func (param "name" string)))))
            (instance $empty) (export "sluice:filter/describe@0.1.0" (instance $empty))
            (export "sluice:filter/lifecycle@0.1.0" (instance $empty))
            (export "sluice:filter/on-request@0.1.0" (instance $empty)))"#,
    )
    .unwrap();
    let text = refused(&engine(), skewed).await;
    assert!(text.contains("does not fit sluice:filter 0.1.0"), "{text}");
}

/// Where the contents of a component's sections are, with their ids (component model, binary format: an id, a LEB128 length, the content).
fn sections(component: &[u8]) -> Vec<(u8, std::ops::Range<usize>)> {
    let (mut at, mut found) = (8, Vec::new());
    while at < component.len() {
        let (id, mut length, mut shift) = (component[at], 0, 0);
        loop {
            at += 1;
            length |= usize::from(component[at] & 0x7f) << shift;
            shift += 7;
            if component[at] & 0x80 == 0 {
                break;
            }
        }
        found.push((id, at + 1..at + 1 + length));
        at += 1 + length;
    }
    found
}

/// The parser takes such a file for whole, with the hooks that it has by then: a component inside ends where one of its own sections does.
#[tokio::test]
async fn a_file_cut_between_two_sections_of_a_component_inside_is_refused() {
    const COMPONENT: u8 = 4;
    let (engine, whole) = (engine(), guests::bytes("label"));
    let inside = sections(&whole).into_iter().filter(|(id, _)| *id == COMPONENT).map(|(_, content)| content);
    let mut cuts = 0;
    for content in inside {
        for (_, section) in sections(&whole[content.clone()]) {
            let end = content.start + section.end;
            if end < content.end {
                let said = refused(&engine, whole.slice(..end)).await;
                assert!(said.contains("cut short"), "{said}");
                cuts += 1;
            }
        }
    }
    assert!(cuts > 0);
}

/// One at every byte, the others at a step; not where a section ends, since what is before it may be a component of its own, without
/// notes or without its last export.
#[tokio::test]
async fn a_file_cut_anywhere_is_refused() {
    let engine = engine();
    let handmade = crate::support::handmade::Handmade::default().component();
    let mut cuts = 0;
    for (whole, step) in [(handmade, 1), (guests::bytes("facts-only"), 97), (guests::bytes("label"), 397)] {
        let ends: Vec<usize> = sections(&whole).into_iter().map(|(_, content)| content.end).collect();
        let cut = (0..64).chain((64..whole.len()).step_by(step)).chain(whole.len() - 8..whole.len());
        for end in cut.filter(|end| !ends.contains(end)) {
            refused(&engine, whole.slice(..end)).await;
            cuts += 1;
        }
        // The control: it is the cut that is refused.
        assert!(engine.load(whole, Settings::new("10-x.wasm")).await.is_ok());
    }
    println!("loading: N={cuts} cut files refused, 3 whole ones loaded");
}

/// What refuses an unknown import is the host: the engine underneath would put a trap in its place and run the rest.
#[test]
fn without_the_check_an_unknown_import_would_load() {
    let engine = wasmtime::Engine::new(wasmtime::Config::new().concurrency_support(false)).unwrap();
    let component = wasmtime::component::Component::from_binary(&engine, &guests::bytes("unknown-import")).unwrap();
    let mut linker = wasmtime::component::Linker::<()>::new(&engine);
    assert!(linker.instantiate_pre(&component).is_err());
    linker.define_unknown_imports_as_traps(&component).unwrap();
    assert!(linker.instantiate_pre(&component).is_ok());
}

#[tokio::test]
async fn a_file_with_flipped_bytes_never_crashes_the_host() {
    let engine = engine();
    let whole = guests::bytes("facts-only").to_vec();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = seed as usize % bytes.len();
            bytes[at] ^= 1 << (seed >> 60 & 7);
        }
        // Some still load: not every byte matters.
        let mut settings = Settings::new("10-x.wasm");
        settings.limits.init_wall = Duration::from_secs(9);
        let _ = engine.load(bytes.into(), settings).await;
    }
}

#[tokio::test]
async fn settings_are_checked_and_filled_in() {
    let engine = engine();
    let filter = load(&engine, "spin-forever", json!({"on": "done"})).await;
    assert_eq!(filter.config(), r#"{"on":"done"}"#);
    assert_eq!(load(&engine, "spin-forever", json!({"name": "x", "on": "done"})).await.config(), r#"{"name":"x","on":"done"}"#);
    let defaulted = load(&engine, "trap", json!({"name": "never"})).await;
    assert!(defaulted.config().contains(r#""on":"request""#), "{}", defaulted.config());
    for (config, says) in [(json!({"on": "nowhere"}), "on: "), (json!({"typo": 1}), "typo"), (json!([]), "not a table")] {
        let error = try_load(&engine, settings("trap", config)).await.err().unwrap().to_string();
        assert!(error.contains("trap.toml") && error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn needs_are_granted_or_the_line_to_add_is_shown() {
    let engine = engine();
    // rate-limit opens the bucket its settings name; a shared one only by grant.
    let mut wanted = settings("kv-counter", json!({"bucket": "shared"}));
    wanted.grants = vec!["kv:shared".into()];
    let filter = try_load(&engine, wanted).await.unwrap();
    assert!(filter.manifest().needs.is_empty());
    let mut denied = settings("kv-counter", json!({}));
    denied.denied = vec![sluice_plugin::Power::Kv];
    assert!(try_load(&engine, denied).await.is_ok(), "what is not said to be needed can be taken away");
}

#[tokio::test]
async fn instances_for_everybody_need_the_manifests_word() {
    let engine = engine();
    let everybody = |name| Settings { scope: Scope::All, ..settings(name, json!({})) };
    let error = try_load(&engine, everybody("remembers")).await.err().unwrap().to_string();
    assert!(error.contains("stateless") && error.contains("remembers.toml"), "{error}");
    assert!(try_load(&engine, everybody("facts-only")).await.is_ok());
}

#[tokio::test]
async fn interest_is_what_is_exported_and_selected() {
    let engine = engine();
    let filter = load(&engine, "rate-limit", json!({"limits": [{"name": "a", "per_second": 1}]})).await;
    let hooks = &filter.interest().hooks;
    assert!(hooks.iter().all(|(hook, _)| *hook == Hook::OnRequest));
    assert!(hooks[0].1.methods.contains(&"tools/call".to_owned()));
    assert!(!filter.interest().reads_payload);
    assert!(load(&engine, "redact", json!({})).await.interest().reads_payload);
}

#[tokio::test]
async fn an_engine_goes_when_its_last_owner_goes() {
    let before = threads();
    let engine =
        Engine::start(Setup { instances_max: 8, ..Setup::new(std::sync::Arc::new(sluice_state::memory::MemoryStore::new())) }).unwrap();
    let filter = load(&engine, "facts-only", json!({})).await;
    assert!(threads() > before);
    drop(engine);
    let mut call = crate::support::call("ls", json!({}));
    assert!(call.request(&filter).await.is_ok(), "a filter keeps what it needs");
    drop(filter);
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, |tasks| tasks.flatten().filter(is_epoch_thread).count())
}

fn is_epoch_thread(task: &std::fs::DirEntry) -> bool {
    std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "epochs")
}

#[test]
fn the_limits_are_those_of_the_table() {
    let limits = Limits::default();
    assert_eq!((limits.cpu, limits.init_cpu), (Duration::from_millis(20), Duration::from_millis(100)));
    assert_eq!((limits.wall, limits.wall_waiting), (Duration::from_millis(100), Duration::from_secs(5)));
    assert_eq!(limits.memory_bytes_max, 64 << 20);
    assert_eq!((limits.host_calls_max, limits.handles_max), (1_000, 256));
    assert_eq!(limits.host_bytes_max, 2 * limits.message_bytes_max);
}

#[tokio::test]
async fn a_file_in_use_is_not_compiled_again_for_other_settings() {
    let engine =
        Engine::start(Setup { instances_max: 8, ..Setup::new(std::sync::Arc::new(sluice_state::memory::MemoryStore::new())) }).unwrap();
    let began = std::time::Instant::now();
    let first = load(&engine, "redact", json!({})).await;
    let compiled = began.elapsed();
    let began = std::time::Instant::now();
    let second = load(&engine, "redact", json!({"action": "mask"})).await;
    assert!(began.elapsed() < compiled / 2, "{:?} after {compiled:?}", began.elapsed());
    assert_eq!(first.identity().digest, second.identity().digest);
}

/// Whoever signs a plugin has no grants and no settings for it.
#[tokio::test]
async fn a_component_is_asked_what_it_is_without_anything_of_an_operators() {
    let engine = engine();
    for name in ["fetches", "versioned"] {
        let found = engine.inspect(guests::bytes(name), &Settings::new("x.wasm")).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((found.manifest.name.as_str(), found.manifest.version.as_str()), (name, "0.1.0"));
    }
    let fetches = engine.load(guests::bytes("fetches"), Settings::new("x.wasm")).await.err().expect("the control: it needs a grant");
    assert!(fetches.to_string().contains("which is not granted"), "{fetches}");
}

/// Only then may a version on trial be compared with the one in force on live traffic.
#[tokio::test]
async fn what_keeps_and_reaches_nothing_can_be_asked_twice() {
    let engine = engine();
    for (guest, repeatable) in [("versions", true), ("facts-only", true), ("kv-counter", false)] {
        assert_eq!(load(&engine, guest, json!({})).await.interest().repeatable, repeatable, "{guest}");
    }
}
