//! Plugins come, change, break and go while calls run: no call notices more than the chain it came with.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::{Folder, component, marked},
    gateway::Gateway,
    turn::{alone, eventually, rng},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

const ROUNDS: usize = 5;
const CALLS_MIN: usize = 10_000;
const LANES: usize = 16;
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// What the calls have found so far.
#[derive(Default)]
struct Findings {
    calls: AtomicUsize,
    is_over: AtomicBool,
    /// Calls by the tag that both phases wrote; "" without the plugin.
    tags: Mutex<BTreeMap<String, usize>>,
    failures: Mutex<Vec<String>>,
}

impl Findings {
    fn note(&self, unique: &str, answer: Result<Value, String>) {
        self.calls.fetch_add(1, Relaxed);
        let read = answer.and_then(|answer| tag(unique, &answer));
        match read {
            Ok(tag) => *self.tags.lock().expect("no panic").entry(tag).or_default() += 1,
            Err(why) => self.failures.lock().expect("no panic").push(why),
        }
    }

    /// Until calls are answered under this tag, and since now.
    async fn until(&self, tag: &str) {
        let count = || self.tags.lock().expect("no panic").get(tag).copied().unwrap_or(0);
        let before = count();
        eventually(SEEN_WITHIN, || async {
            let now = count();
            if now > before {
                Ok(())
            } else {
                Err(format!("no call under {tag:?}; failures: {:?}", self.failures.lock().expect("no panic").first()))
            }
        })
        .await;
    }
}

/// The generation that wrote into both phases of one call.
fn tag(unique: &str, answer: &Value) -> Result<String, String> {
    let result = answer.get("result").ok_or_else(|| answer.to_string())?;
    if result["structuredContent"]["unique"] != unique {
        return Err(format!("another call's answer: {answer}"));
    }
    match result["_meta"].get("generation") {
        None => Ok(String::new()),
        Some(both) if both["request"] == both["response"] && both["request"] != "" => {
            Ok(both["request"].as_str().unwrap_or_default().into())
        }
        Some(both) => Err(format!("two generations in one call: {both}")),
    }
}

async fn lane(mut caller: Caller, lane: usize, found: Arc<Findings>) {
    for turn in 0.. {
        if found.is_over.load(Relaxed) {
            return;
        }
        let unique = format!("{lane}-{turn}");
        let answer = caller.call("echo", &format!(r#"{{"unique":"{unique}"}}"#)).await;
        found.note(&unique, answer.map(|reply| reply.json()).map_err(|error| error.to_string()));
        // Room for the compiler on two cores; calls go on throughout.
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
}

/// One of the ways in which a file can be wrong.
fn garbage(round: usize, good: &[u8], rng: &mut fastrand::Rng) -> Vec<u8> {
    match round % 5 {
        0 => b"This is not a component.".to_vec(),
        1 => Vec::new(),
        2 => good[..good.len() / 2].to_vec(),
        3 => b"\0asm\x01\0\0\0".to_vec(),
        _ => (0..2000).map(|_| rng.u8(..)).collect(),
    }
}

fn sidecar(generation: &str) -> String {
    format!("[config]\ngeneration = \"{generation}\"\n")
}

#[test]
fn a_plugin_comes_changes_breaks_and_goes_under_load() {
    alone("swap", 300, async {
        let mut rng = rng("swap");
        let good = component("guest_generation");
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let mut gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let found = Arc::new(Findings::default());
        let mut lanes = Vec::new();
        for at in 0..LANES {
            let caller = gateway.caller(Era::BOTH[at % 2]).await;
            lanes.push(tokio::spawn(lane(caller, at, found.clone())));
        }
        found.until("").await;
        for round in 0..ROUNDS {
            let (first, second) = (format!("g{round}a"), format!("g{round}b"));
            // Settings first: a plugin without those it needs would be a bad file.
            folder.drop_in("generation.toml", sidecar(&first));
            folder.drop_in("generation.wasm", marked(&good, &first));
            found.until(&first).await;

            // One change in three is of the settings alone.
            if round % 3 != 0 {
                folder.drop_in("generation.wasm", marked(&good, &second));
            }
            folder.drop_in("generation.toml", sidecar(&second));
            found.until(&second).await;

            folder.drop_in("generation.wasm", garbage(round, &good, &mut rng));
            eventually(SEEN_WITHIN, || async {
                let lines = gateway.errors("generation.wasm");
                if lines.len() == round + 1 { Ok(()) } else { Err(format!("{lines:#?}")) }
            })
            .await;
            found.until(&second).await;

            folder.take_out("generation.wasm");
            found.until("").await;
            folder.take_out("generation.toml");
        }
        eventually(Duration::from_secs(60), || async {
            let calls = found.calls.load(Relaxed);
            if calls >= CALLS_MIN { Ok(()) } else { Err(format!("{calls} calls")) }
        })
        .await;
        found.is_over.store(true, Relaxed);
        for lane in lanes {
            lane.await.expect("a lane ends well");
        }
        report(&folder, &mut gateway, &found);
    });
}

fn report(folder: &Folder, gateway: &mut Gateway, found: &Findings) {
    let failures = found.failures.lock().expect("no panic");
    let tags = found.tags.lock().expect("no panic");
    let calls = found.calls.load(Relaxed);
    println!(
        "swap: N={calls} calls at concurrency {LANES}, {} changes, {} failed, {} generations seen",
        ROUNDS * 4,
        failures.len(),
        tags.len()
    );
    assert!(failures.is_empty(), "{} of {calls} failed: {:#?}", failures.len(), &failures[..failures.len().min(5)]);
    assert_eq!(tags.len(), 2 * ROUNDS + 1, "every version was in force for a while: {tags:?}");
    let lines = gateway.errors("generation.wasm");
    assert_eq!(lines.len(), ROUNDS, "one clear line for each bad file: {lines:#?}");
    assert!(gateway.is_running());
    one_version_a_call(folder);
}

/// The audit log's view of the same: the code that saw a request is the code that saw its answer.
fn one_version_a_call(folder: &Folder) {
    let audit = folder.read("audit.jsonl");
    let mut by_count = BTreeMap::new();
    for line in audit.lines() {
        let record: Value = serde_json::from_str(line).expect("a record is one line of JSON");
        if record["method"] != "tools/call" {
            continue;
        }
        let verdicts = record["verdicts"].as_array().expect("a list");
        let ours: Vec<_> = verdicts.iter().filter(|verdict| verdict["plugin"] == "generation").collect();
        assert!(ours.iter().all(|verdict| verdict["digest"] == ours[0]["digest"]), "{line}");
        *by_count.entry(ours.len()).or_insert(0) += 1;
    }
    assert!(by_count.keys().all(|hooks| [0, 2].contains(hooks)), "a call with half a plugin: {by_count:?}");
    println!("swap: audit has {by_count:?} calls by hooks of the plugin entered, each of one digest");
}
