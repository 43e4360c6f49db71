//! One corpus through the same filter in several languages: verdict, edited message and attributes of each, and what a call costs.
//!
//!     cargo run --example same_verdicts -- examples/mask/corpus.json CACHE-FOLDER mask_rust.wasm mask_c.wasm ...
//!
//! Ends with an error if one differs from the corpus, or if a filter that is switched off is not found out.

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_chain::{
    attributes::Attributes,
    exchange::{Direction, Head, Kind},
    filter::{Filter, Pass, Verdict},
    principal::Principal,
};
use sluice_plugin::{Engine, Scope, Settings, Setup, WasmFilter};
use sluice_state::memory::MemoryStore;
use sluice_wire::{
    json::{Document, IndexDepth, Limits},
    message::Message,
    revision::Revision,
};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

const ROUNDS: u32 = 10;
const ROUND: Duration = Duration::from_millis(40);
/// What a plugin with an interpreter inside is given.
const MEMORY_BYTES_MAX: usize = 128 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(corpus), Some(cache)) = (arguments.next(), arguments.next()) else { panic!("name the corpus, a folder and components") };
    let corpus: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&corpus).expect("the corpus")).expect("JSON");
    let files: Vec<PathBuf> = arguments.collect();
    let engine = Engine::start(Setup { cache: Some(cache), ..Setup::new(Arc::new(MemoryStore::new())) }).expect("wasm runs here");
    let mut wrong = 0;
    println!("{:<24} {:>8} {:>8} {:>7} {:>10} {:>10} {:>10}", "", "size MB", "load ms", "cases", "warm us", "one hit us", "fresh us");
    for file in &files {
        wrong += judge(&engine, file, &corpus).await;
    }
    println!("{} cases, {} components, {wrong} differ", corpus.len(), files.len());
    if wrong == 0 && !files.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many cases come out otherwise than the corpus says.
async fn judge(engine: &Engine, file: &Path, corpus: &[Value]) -> usize {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let began = Instant::now();
    let filter = load(engine, file, &json!({}), Scope::Principal).await;
    let load_ms = began.elapsed().as_millis();
    let (mut wrong, mut unseen) = (0, 0);
    for case in corpus {
        let config = case.get("config").cloned().unwrap_or_else(|| json!({}));
        let (expected, got) = (expectation(case), outcome(&*load(engine, file, &config, Scope::Principal).await, case).await);
        if got != expected {
            println!("{name}, {}: {got} instead of {expected}", case["case"]);
            wrong += 1;
        }
        // The control: a filter that looks at nothing differs wherever there is something to find.
        let blind = load(engine, file, &json!({"hooks": []}), Scope::Principal).await;
        let differs = expected["refused"].is_number() || expected["hits"].is_string();
        unseen += usize::from(differs && outcome(&blind, case).await == expected);
    }
    if unseen > 0 {
        println!("{name}: {unseen} cases pass with the filter switched off");
    }
    let clean = cost(&*filter, &message(r#"{"message":"good morning"}"#)).await;
    let hit = cost(&*filter, &message(r#"{"message":"write to ada@example.com"}"#)).await;
    let fresh = load(engine, file, &json!({}), Scope::Call).await;
    let fresh = cost(&*fresh, &message(r#"{"message":"good morning"}"#)).await;
    let megabytes = std::fs::metadata(file).map_or(0.0, |facts| facts.len() as f64 / 1e6);
    let cases = corpus.len();
    println!("{name:<24} {megabytes:>8.2} {load_ms:>8} {cases:>7} {clean:>10.1} {hit:>10.1} {fresh:>10.1}");
    wrong + unseen
}

async fn load(engine: &Engine, file: &Path, config: &Value, scope: Scope) -> Arc<WasmFilter> {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut settings = Settings { config: config.clone(), scope, ..Settings::new(file.to_string_lossy()) };
    settings.limits.memory_bytes_max = MEMORY_BYTES_MAX;
    engine.load(Bytes::from(bytes), settings).await.unwrap_or_else(|error| panic!("{error}"))
}

fn expectation(case: &Value) -> Value {
    match case["refused"].as_i64() {
        Some(code) => json!({"refused": code}),
        None => json!({"becomes": case["becomes"], "hits": case["hits"]}),
    }
}

async fn outcome(filter: &WasmFilter, case: &Value) -> Value {
    let arguments = case["raw"].as_str().map_or_else(|| case["arguments"].to_string(), str::to_owned);
    let message = message(&arguments);
    let mut attributes = attributes();
    let verdict = filter.on_request(&mut pass(&head(), &Principal::local(), &mut attributes, &message)).await;
    let text = match verdict {
        Ok(Verdict::Next(edited)) => edited.unwrap_or(message).document().bytes().clone(),
        Ok(Verdict::Reject(no)) => return json!({"refused": no.code}),
        other => return json!({"neither": format!("{other:?}")}),
    };
    let after: Value = serde_json::from_slice(&text).expect("JSON");
    let hits = attributes.find(&format!("{}.hits", filter.manifest().name)).map(str::to_owned);
    json!({"becomes": after["params"]["arguments"], "hits": hits})
}

/// The least mean time of a call, in microseconds.
async fn cost(filter: &WasmFilter, message: &Arc<Message>) -> f64 {
    let (head, principal) = (head(), Principal::local());
    let mut attributes = attributes();
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let (began, mut calls) = (Instant::now(), 0_u32);
        while began.elapsed() < ROUND {
            filter.on_request(&mut pass(&head, &principal, &mut attributes, message)).await.expect("a good filter");
            calls += 1;
        }
        best = best.min(began.elapsed().as_nanos() as f64 / 1e3 / f64::from(calls));
    }
    best
}

fn pass<'e>(head: &'e Head, principal: &'e Principal, attributes: &'e mut Attributes, message: &'e Arc<Message>) -> Pass<'e> {
    Pass { head, principal, attributes, message, asked: None, again: false, began: Instant::now(), origin: None }
}

fn head() -> Head {
    Head {
        exchange: 1,
        round: 0,
        direction: Direction::ToServer,
        kind: Kind::Request,
        method: "tools/call".into(),
        name: Some("t".into()),
        upstream: Some("files".into()),
        protocol: Revision::V2026_07_28,
    }
}

fn attributes() -> Attributes {
    Attributes::new(Arc::new(vec![("principal.subject".into(), "local".into())]))
}

fn message(arguments: &str) -> Arc<Message> {
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments}}}}}"#);
    let document = Document::parse(Bytes::from(text), &Limits::REQUEST, IndexDepth::Full).expect("strict JSON");
    Arc::new(Message::decode(document).expect("a message"))
}
