//! Plugins come, change, break and go while calls run: no call notices more than the chain it came with.

use crate::{
    backend::Backend,
    folder::{Folder, component, marked},
    gateway::Gateway,
    load::{Found, Load, SEEN_WITHIN},
    turn::{alone, eventually, rng},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const ROUNDS: usize = 5;
const CALLS_MIN: usize = 10_000;

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
        let load = Load::start(&gateway, "echo", Duration::from_millis(4), tag).await;
        load.until("").await;
        for round in 0..ROUNDS {
            let (first, second) = (format!("g{round}a"), format!("g{round}b"));
            // Settings first: a plugin without those it needs would be a bad file.
            folder.drop_in("generation.toml", sidecar(&first));
            folder.drop_in("generation.wasm", marked(&good, &first));
            load.until(&first).await;

            // One change in three is of the settings alone.
            if round % 3 != 0 {
                folder.drop_in("generation.wasm", marked(&good, &second));
            }
            folder.drop_in("generation.toml", sidecar(&second));
            load.until(&second).await;

            folder.drop_in("generation.wasm", garbage(round, &good, &mut rng));
            eventually(SEEN_WITHIN, || async {
                let lines = gateway.errors("generation.wasm");
                if lines.len() == round + 1 { Ok(()) } else { Err(format!("{lines:#?}")) }
            })
            .await;
            load.until(&second).await;

            folder.take_out("generation.wasm");
            load.until("").await;
            folder.take_out("generation.toml");
        }
        load.calls(CALLS_MIN).await;
        let found = load.end().await;
        report(&folder, &mut gateway, &found);
    });
}

fn report(folder: &Folder, gateway: &mut Gateway, found: &Found) {
    found.report(&format!("swap, {} changes", ROUNDS * 4));
    let tags = found.tags();
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
