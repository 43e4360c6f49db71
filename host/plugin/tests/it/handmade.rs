//! What only a plugin written by hand would do: tables without end, every kind of trap, values that point nowhere, functions
//! that run before the first call or after the last.

use crate::support::{
    Call, call, engine,
    handmade::{Handmade, VERDICT, reply, with_instances},
    settings,
};
use bytes::Bytes;
use serde_json::json;
use sluice_chain::{fault::Fault, filter::Verdict};
use sluice_plugin::{Limits, Settings, WasmFilter};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Time enough for a busy machine.
fn limits() -> Limits {
    Limits { wall: Duration::from_secs(9), init_wall: Duration::from_secs(9), ..Limits::default() }
}

async fn try_load(component: Bytes, limits: Limits) -> Result<Arc<WasmFilter>, String> {
    let settings = Settings { limits, ..settings("handmade", json!({})) };
    engine().load(component, settings).await.map_err(|error| error.to_string())
}

async fn load(handmade: Handmade<'_>, limits: Limits) -> Arc<WasmFilter> {
    try_load(handmade.component(), limits).await.unwrap_or_else(|error| panic!("{error}"))
}

fn exchange(number: u64) -> Call {
    let mut call = call("ls", json!({}));
    call.pass.head.exchange = number;
    call
}

/// Exchange 666 does what `request` says; the others pass.
fn on_666(request: &str) -> String {
    format!("(if (i64.eq (local.get $exchange) (i64.const 666)) (then {request}))")
}

#[tokio::test]
async fn tables_end_at_their_limit() {
    // By a thousand until it is told no; then it traps if it has more than two thousand.
    let grows = "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
        (if (i32.gt_u (table.size $t) (i32.const 2000)) (then unreachable))";
    let handmade = Handmade { fields: "(table $t 0 funcref)", request: grows, ..Handmade::default() };
    let capped = load(handmade, Limits { table_elements_max: 2_000, ..limits() }).await;
    let verdict = exchange(1).request(&capped).await;
    assert!(matches!(verdict, Ok(Verdict::Next(None))), "{verdict:?}");
    let lifted = load(handmade, limits()).await;
    let verdict = exchange(1).request(&lifted).await;
    assert!(matches!(verdict, Err(Fault::Trap(_))), "without the limit it has more: {verdict:?}");
}

#[tokio::test]
async fn tables_and_segments_that_are_large_from_the_start_are_refused() {
    let segment = format!("(table $t 30000 funcref) (elem (i32.const 0) func {})", "$start ".repeat(30_000));
    let handmade = Handmade { fields: &segment, ..Handmade::default() };
    let error = try_load(handmade.component(), Limits { table_elements_max: 20_000, ..limits() }).await.err().expect("refused");
    assert!(error.starts_with("handmade.wasm cannot describe itself"), "{error}");
    load(handmade, limits()).await;
    // Beyond what any plugin may have.
    let huge = Handmade { fields: "(table $t 10000000 funcref)", ..Handmade::default() };
    assert!(try_load(huge.component(), limits()).await.is_err());
    let wide = Handmade { fields: "(memory $second 65536)", ..Handmade::default() };
    assert!(try_load(wide.component(), limits()).await.is_err());
}

#[tokio::test]
async fn instances_and_memories_of_one_plugin_are_counted() {
    let well = Handmade::default().component();
    let small = "(module (memory 1))";
    for (module, few, many) in [(small, 5, 40), ("(module)", 50, 300)] {
        try_load(with_instances(&well, module, few), limits()).await.unwrap_or_else(|error| panic!("{few} of {module}: {error}"));
        let error = try_load(with_instances(&well, module, many), limits()).await.err();
        assert!(error.is_some(), "{many} of {module}");
    }
}

#[tokio::test]
async fn types_without_end_are_refused() {
    let nested = (0..2_000).fold("(type $t0 (list u8))".to_owned(), |text, at| text + &format!("(type $t{} (list $t{at}))", at + 1));
    let deep = (0..90).fold("u8".to_owned(), |inner, _| format!("(list {inner})"));
    for text in [nested, format!("(type {deep})"), "(type (tuple u8 u8))".repeat(200_000)] {
        let component = wat::parse_str(format!("(component {text})")).expect("text");
        assert!(try_load(component.into(), limits()).await.is_err());
    }
}

#[tokio::test]
async fn every_kind_of_trap_is_its_own_calls_only() {
    let fields = "(table $t 2 funcref) (elem (i32.const 1) func $start) (type $other (func (result i64)))";
    let kinds = [
        ("unreachable", "unreachable"),
        ("division by zero", "(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
        ("overflow", "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"),
        ("conversion", "(drop (i32.trunc_f32_s (f32.const inf)))"),
        ("memory", "(drop (i32.load (i32.const 0x7ffffff0)))"),
        ("table", "(drop (table.get $t (i32.const 7)))"),
        ("null", "(call_indirect $t (i32.const 0))"),
        ("signature", "(drop (call_indirect $t (type $other) (i32.const 1)))"),
    ];
    for (kind, traps) in kinds {
        let filter = load(Handmade { fields, request: &on_666(traps), ..Handmade::default() }, limits()).await;
        for _ in 0..3 {
            let verdict = exchange(666).request(&filter).await;
            assert!(matches!(verdict, Err(Fault::Trap(_))), "{kind}: {verdict:?}");
            let verdict = exchange(1).request(&filter).await;
            assert!(matches!(verdict, Ok(Verdict::Next(None))), "{kind}: {verdict:?}");
        }
        assert_eq!(filter.figures().discarded.load(Relaxed), 3, "{kind}");
    }
}

/// What an endless recursion does at each place where guest code runs.
#[tokio::test]
async fn a_full_stack_is_a_trap_wherever_it_fills() {
    let fields = "(func $deeper (call $deeper) (call $deeper))";
    let deeper = "(call $deeper)";
    for (place, handmade) in [
        ("start", Handmade { fields, start: deeper, ..Handmade::default() }),
        ("init", Handmade { fields, init: deeper, ..Handmade::default() }),
        ("realloc", Handmade { fields, realloc: deeper, ..Handmade::default() }),
    ] {
        let error = try_load(handmade.component(), limits()).await.err().unwrap_or_else(|| panic!("{place}: it was loaded"));
        assert!(error.contains("stack"), "{place}: {error}");
    }
    let deep = on_666(deeper);
    let in_request = Handmade { fields, request: &deep, ..Handmade::default() };
    let in_post_return = Handmade { fields, post_return: deeper, ..Handmade::default() };
    for (place, handmade) in [("request", in_request), ("post-return", in_post_return)] {
        let filter = load(handmade, limits()).await;
        let verdict = exchange(666).request(&filter).await;
        assert!(matches!(&verdict, Err(Fault::Trap(why)) if why.contains("stack")), "{place}: {verdict:?}");
        assert_eq!(filter.figures().live.load(Relaxed), 0, "{place}: the instance is gone");
    }
}

/// The same recursion in an engine that does not count the stack: it takes the whole process with it.
#[test]
fn without_a_bound_on_the_stack_the_process_dies() {
    let this = std::env::current_exe().unwrap();
    let mut child = std::process::Command::new(this);
    let output = child.args(["--exact", "--ignored", "handmade::recursion_without_a_bound"]).output().unwrap();
    assert_eq!(output.status.code(), None, "it was to end by a signal: {:?} {}", output.status, String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "run by its parent, since it ends the process"]
fn recursion_without_a_bound() {
    let mut config = wasmtime::Config::new();
    config.max_wasm_stack(1 << 30).async_stack_size(2 << 30);
    let engine = wasmtime::Engine::new(&config).unwrap();
    let text = r#"(module (func $deeper (export "deeper") (call $deeper) (call $deeper)))"#;
    let module = wasmtime::Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
    let deeper = instance.get_typed_func::<(), ()>(&mut store, "deeper").unwrap();
    let _ = deeper.call(&mut store, ());
}

#[tokio::test]
async fn values_that_point_nowhere_are_faults_and_their_instance_is_gone() {
    let odd = VERDICT + 1;
    let verdicts = [
        ("beyond the end", reply(65_530, 100)),
        ("near 4 GiB", reply(0xffff_fff0, 0x100)),
        ("all of 4 GiB", reply(0, 0xffff_ffff)),
        ("2 GiB", reply(64, 0x7fff_ffff)),
        ("no UTF-8", format!("(i64.store (i32.const 3000) (i64.const -1)) {}", reply(3000, 8))),
        ("a surrogate", format!("(i32.store (i32.const 3000) (i32.const 0x0080a0ed)) {}", reply(3000, 3))),
        ("an odd address", format!("(return (i32.const {odd}))")),
        ("an address beyond", "(return (i32.const 0xfffffff0))".to_owned()),
        ("no such case", format!("(i32.store (i32.const {VERDICT}) (i32.const 9)) (return (i32.const {VERDICT}))")),
    ];
    for (what, verdict) in &verdicts {
        let filter = load(Handmade { request: &on_666(verdict), ..Handmade::default() }, limits()).await;
        for turn in 1..3 {
            let verdict = exchange(666).request(&filter).await;
            assert!(matches!(verdict, Err(Fault::Trap(_) | Fault::Limit(_) | Fault::BadReply(_))), "{what}: {verdict:?}");
            assert_eq!(filter.figures().discarded.load(Relaxed), turn, "{what}: after a lift error it could still be called");
            assert!(matches!(exchange(1).request(&filter).await, Ok(Verdict::Next(None))), "{what}");
        }
    }
    // The control: the same with an address and a length that hold.
    let filter = load(Handmade { request: &on_666(&reply(48, 2)), ..Handmade::default() }, limits()).await;
    let verdict = exchange(666).request(&filter).await;
    assert!(matches!(&verdict, Ok(Verdict::Reply(text)) if &text[..] == b"{}"), "{verdict:?}");
}

#[tokio::test]
async fn manifests_and_memory_that_point_nowhere_are_refused() {
    // A name of 4 GiB; 268 million needs; an address beyond the memory.
    let fields = r#"(data (i32.const 3000) "\10\00\00\00\ff\ff\ff\ff")
        (data (i32.const 3400) "\10\00\00\00\08\00\00\00" "\20\00\00\00\05\00\00\00" "\10\00\00\00\08\00\00\00" "\30\00\00\00\02\00\00\00" "\00\00\00\00\00\00\00\10")"#;
    for at in [3000, 3400, 65_500, 0xffff_fff0] {
        let error = try_load(Handmade { fields, manifest: Some(at), ..Handmade::default() }.component(), limits()).await.err();
        assert!(error.as_ref().is_some_and(|error| error.contains("cannot describe itself")), "{at}: {error:?}");
    }
    for returns in ["(return (i32.const 65530))", "(return (i32.const -8))", "(return (i32.const 4097))"] {
        let handmade = Handmade { realloc: returns, ..Handmade::default() };
        // What it gives for the settings' two bytes may hold; for what a request brings it does not.
        let Ok(filter) = try_load(handmade.component(), limits()).await else { continue };
        let verdict = call("a-name-that-is-longer-than-what-is-left", json!({})).request(&filter).await;
        assert!(verdict.is_err() || returns.contains("4097"), "{returns}: {verdict:?}");
    }
}

/// Before any call: instances are made under the same clocks as hooks.
#[tokio::test]
async fn a_start_function_ends_with_its_time_or_its_trap() {
    for (start, says) in [("(loop $l (br $l))", "CPU time"), ("unreachable", "cannot describe itself")] {
        let handmade = Handmade { start, ..Handmade::default() };
        let began = Instant::now();
        let error = try_load(handmade.component(), limits()).await.err().unwrap_or_else(|| panic!("{start}: it was loaded"));
        assert!(error.contains(says), "{error}");
        assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    }
    let spins = Handmade { start: "(loop $l (br $l))", ..Handmade::default() }.component();
    let cpu_of = async |init_cpu: Duration| {
        let began = cpu_now();
        assert!(try_load(spins.clone(), Limits { init_cpu, ..limits() }).await.is_err());
        cpu_now() - began
    };
    cpu_of(Duration::from_millis(100)).await; // compiles
    let (bound, lifted) = (cpu_of(Duration::from_millis(50)).await, cpu_of(Duration::from_millis(600)).await);
    assert!(lifted > bound + Duration::from_millis(300), "with its limit lifted it goes on: {bound:?}, {lifted:?}");
}

fn cpu_now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// While the host puts values into a guest or has taken them out, the guest may call nobody.
#[tokio::test]
async fn nobody_is_called_from_where_values_are_moved() {
    let log = "(call $log (i32.const 0) (i32.const 16) (i32.const 8) (i32.const 0) (i32.const 0))";
    let error = try_load(Handmade { realloc: log, ..Handmade::default() }.component(), limits()).await.err().expect("refused");
    assert!(error.contains("does not start"), "{error}");
    let filter = load(Handmade { post_return: log, ..Handmade::default() }, limits()).await;
    let verdict = exchange(1).request(&filter).await;
    assert!(matches!(verdict, Err(Fault::Trap(_))), "{verdict:?}");
    // The control: the very same call where it may.
    let filter = load(Handmade { request: log, ..Handmade::default() }, limits()).await;
    assert!(matches!(exchange(1).request(&filter).await, Ok(Verdict::Next(None))));
}

#[tokio::test]
async fn asynchronous_functions_are_not_in_the_contract() {
    let text = r#"(component
        (core module $m (func (export "f") (result i32) (i32.const 0)) (func (export "cb") (param i32 i32 i32) (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func (export "f") async (canon lift (core func $i "f") async (callback (core func $i "cb")))))"#;
    let component = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    let error = try_load(component.into(), limits()).await.err().expect("refused");
    assert!(error.contains("is not a component this host takes"), "{error}");
}
