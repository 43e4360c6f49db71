//! The binary as a compiler: what takes too much is refused, and the process that serves does not notice.

use bytes::Bytes;
use sluice_plugin::{Engine, Settings, Setup, compiler::Compiler};
use sluice_state::memory::MemoryStore;
use std::{
    fmt::Write as _,
    fs,
    sync::{Arc, LazyLock},
    time::Duration,
};

/// A function with many variables, all of which each of many branches sets: work that grows with their product.
fn bomb(locals: usize, branches: usize) -> Bytes {
    let mut text = String::from("(component (core module (func (export \"f\") (param i32)");
    let _ = write!(text, " (local{})", " i64".repeat(locals));
    for branch in 0..branches {
        text.push_str("(if (local.get 0) (then ");
        for at in 1..=locals {
            let _ = write!(text, "(local.set {at} (i64.add (local.get {}) (i64.const {branch})))", at % locals + 1);
        }
        text.push_str("))");
    }
    text.push_str(")))");
    wat::parse_str(&text).expect("it is a component").into()
}

static BOMB: LazyLock<Bytes> = LazyLock::new(|| bomb(300, 200));

fn compiler(cpu: u64, memory_mib: u64) -> Compiler {
    Compiler {
        program: env!("CARGO_BIN_EXE_sluice").into(),
        cpu: Duration::from_secs(cpu),
        memory_bytes_max: memory_mib << 20,
        ..Compiler::this_binary(["compile-plugin"])
    }
}

fn engine(compiler: Option<Compiler>) -> Engine {
    Engine::start(Setup { instances_max: 8, compiler, ..Setup::new(Arc::new(MemoryStore::new())) }).expect("wasm runs here")
}

async fn refused(compiler: Option<Compiler>, bytes: Bytes) -> String {
    let error = engine(compiler).load(bytes, Settings::new("bomb.wasm")).await.err().expect("it has no hook, so it is refused");
    let text = error.to_string();
    assert!(text.starts_with("bomb.wasm ") && !text.contains('\n'), "{text}");
    text
}

/// Highest memory of this process so far, in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}

/// What it says once it has been compiled.
const COMPILED: &str = "does not export";

#[tokio::test]
async fn what_takes_too_long_or_too_much_to_compile_is_refused_and_costs_this_process_nothing() {
    let bomb = BOMB.clone();
    let before = peak_mib();
    let text = refused(Some(compiler(1, 2048)), bomb.clone()).await;
    assert!(text.contains("takes more than 1 s of CPU time to compile"), "{text}");
    let text = refused(Some(compiler(600, 200)), bomb.clone()).await;
    assert!(text.contains("needs more than 200 MiB of memory to be compiled"), "{text}");
    // The control: with both bounds lifted the same file is compiled.
    let text = refused(Some(compiler(600, 4096)), bomb.clone()).await;
    assert!(text.contains(COMPILED), "{text}");
    let aside = peak_mib() - before;
    // And the same in this process, which then has the memory of it.
    let text = refused(None, bomb).await;
    assert!(text.contains(COMPILED), "{text}");
    let here = peak_mib() - before;
    println!("compiler: a bomb of {} KiB cost this process {aside} MiB beside it, {here} MiB within", BOMB.len() >> 10);
    assert!(aside < 24 && here > 2 * aside + 40, "{aside} MiB aside, {here} MiB here");
}

#[tokio::test]
async fn what_is_compiled_aside_is_what_is_compiled_here() {
    let component: Bytes = wat::parse_str("(component (core module (func (export \"f\"))))").expect("text").into();
    for text in [refused(Some(compiler(60, 1024)), component.clone()).await, refused(None, component).await] {
        assert!(text.contains(COMPILED), "{text}");
    }
    for (bytes, says) in
        [(&b"\0asm\x0d\0\x01\0\x07"[..], "is cut short"), (b"\0asm\x0d\0\x01\0\x63\x01\x01", "is not a component this host takes")]
    {
        let aside = refused(Some(compiler(60, 1024)), Bytes::from_static(bytes)).await;
        assert!(aside.contains(says), "{aside}");
        assert_eq!(aside, refused(None, Bytes::from_static(bytes)).await, "in the same words");
    }
}

/// What starts from a copy has been written again by the process that compiles: here, its file is not even parsed for that.
#[tokio::test]
async fn copies_of_started_plugins_are_made_aside_too() {
    let component = Bytes::from_static(sluice::embedded::plugin("redact").expect("it is in the binary"));
    let cache = tempfile::tempdir().expect("a folder");
    let start = |compiler: Compiler, snapshots: bool| {
        let setup = Setup {
            instances_max: 8,
            cache: Some(cache.path().join("cache")),
            compiler: Some(compiler),
            snapshots,
            ..Setup::new(Arc::new(MemoryStore::new()))
        };
        Engine::start(setup).expect("wasm runs here")
    };
    // Once it has been compiled, only the copy needs a compiler.
    start(compiler(60, 1024), false).load(component.clone(), Settings::new("redact.wasm")).await.expect("it loads");
    for (program, copied) in [(compiler(60, 1024), true), (Compiler { program: "/nowhere/sluice".into(), ..compiler(60, 1024) }, false)] {
        let filter = start(program, true).load(component.clone(), Settings::new("redact.wasm")).await.expect("it loads");
        let began = std::time::Instant::now();
        while filter.starts_from_copy().is_none() && began.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        match filter.starts_from_copy().expect("it is known by now") {
            Ok(()) => assert!(copied),
            Err(why) => assert!(!copied && why.contains("/nowhere/sluice does not run"), "{why}"),
        }
    }
}

#[tokio::test]
async fn a_compiler_that_does_not_run_is_named() {
    let missing = Compiler { program: "/nowhere/sluice".into(), ..compiler(60, 1024) };
    let text = refused(Some(missing), BOMB.clone()).await;
    assert!(text.contains("/nowhere/sluice does not run"), "{text}");
    let other = Compiler { program: "/bin/false".into(), ..compiler(60, 1024) };
    let text = refused(Some(other), BOMB.clone()).await;
    assert!(text.contains("made the compiler fail"), "{text}");
}
