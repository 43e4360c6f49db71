//! Guests that misbehave: each call of one is refused in time and for the right reason, and who does not meet it does
//! not notice. Every check has its control: the same guest with the limit lifted fails the very same check.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::{Folder, component},
    gateway::{Gateway, key_hash},
    quantile::Latencies,
    turn::{alone, eventually},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const KEY: &str = "contained-key-51d0";
const BLOCKS: usize = 8;
const CALLS_A_BLOCK: usize = 100;
const RATIO_MAX: f64 = 1.5;
/// How often the neighbours are measured. The first window is with a breaker that is still learning; in the others it is
/// open but for its trials. The median is judged, since somebody else may use the machine during one of them.
const WINDOWS: usize = 3;
/// A busy quarter of a minute spoils three windows. Then so many are measured, to the last, and all count: who stops when
/// it suits finds what they look for.
const WINDOWS_MAX: usize = 9;
const CALLS_BESIDE_LOOPS: usize = 600;
const MEMORY_MAX: f64 = 64.0 * 1024.0 * 1024.0;
const LOG_CALLS_MAX: f64 = 1000.0;

/// One kind of misbehaviour.
struct Case {
    guest: &'static str,
    config: &'static str,
    /// Settings under test; defaults where none are given.
    limits: &'static str,
    /// The same with the defence taken away.
    lifted: &'static str,
    /// `kind` in the log.
    kind: &'static str,
    in_time: Duration,
}

const NO_BREAKER: &str = "[breaker]\nin_a_row = 10000\nwindow_calls = 100000\nwindow_percent = 100\n";

/// What one call of the misbehaving tool led to.
#[derive(Debug)]
struct Observed {
    answer: Option<Value>,
    took: Duration,
    memory_peak: f64,
    log_calls: f64,
}

impl Case {
    async fn start(&self, settings: &str, backends: [&Backend; 2]) -> (Gateway, Folder) {
        self.start_limited(settings, json!({}), backends).await
    }

    async fn start_limited(&self, settings: &str, limits: Value, backends: [&Backend; 2]) -> (Gateway, Folder) {
        let folder = Folder::new();
        folder.drop_in("guest.wasm", component(&format!("guest_{}", self.guest.replace('-', "_"))));
        folder.drop_in("guest.toml", format!("{settings}\n[when]\nnames = [\"victim_bad\"]\n[config]\n{}\n", self.config));
        let gateway = Gateway::start(
            &folder,
            json!({
                "mcpServers": {"victim": {"url": backends[0].url}, "neighbour": {"url": backends[1].url}},
                "sluice": {
                    "chain": ["builtin:auth-api-key", "guest", "builtin:namespace"],
                    "limits": limits,
                    "plugins": {"settings": {"auth-api-key": {"config": {"keys": [{"id": "k", "hash": key_hash(KEY)}]}}}},
                },
            }),
        )
        .await;
        (gateway, folder)
    }

    async fn observe(&self, gateway: &Gateway) -> Observed {
        let mut caller = Caller::new(&gateway.address, Era::Modern, KEY).await;
        // Compiling and listing are not the call's.
        caller.result("neighbour_echo", "{}").await;
        caller.patience = self.in_time * 3;
        let began = Instant::now();
        let reply = caller.call("victim_bad", "{}").await;
        let took = began.elapsed();
        let plugin = self.guest;
        let written = gateway.log(|line| line.contains(r#""target":"plugin""#)).len() as f64;
        Observed {
            answer: reply.ok().map(|reply| reply.json()),
            took,
            memory_peak: gateway.metric(&format!("sluice_plugin_memory_peak_bytes{{plugin=\"{plugin}\"}}")).await,
            log_calls: written + gateway.metric(&format!("sluice_plugin_log_dropped_total{{plugin=\"{plugin}\"}}")).await,
        }
    }

    /// The check itself; the control must fail it.
    fn is_contained(&self, seen: &Observed) -> Result<(), String> {
        let answer = seen.answer.as_ref().ok_or_else(|| format!("no answer within {:?}", seen.took))?;
        if answer["error"]["data"]["reason"] != "plugin_fault" || answer["error"]["code"] != -32603 {
            return Err(format!("not refused for the plugin's fault: {answer}"));
        }
        if seen.took > self.in_time {
            return Err(format!("refused after {:?}", seen.took));
        }
        if seen.memory_peak > MEMORY_MAX {
            return Err(format!("it had {} bytes of memory", seen.memory_peak));
        }
        if seen.log_calls > LOG_CALLS_MAX {
            return Err(format!("it logged {} times in one call", seen.log_calls));
        }
        Ok(())
    }

    async fn check_log(&self, gateway: &Gateway) {
        let is_ours = |line: &str| line.contains("plugin fault") && line.contains(&format!(r#""plugin":"{}""#, self.guest));
        let faults = eventually(Duration::from_secs(2), || async {
            let faults = gateway.log(is_ours);
            if faults.is_empty() { Err("no line about the fault".to_owned()) } else { Ok(faults) }
        })
        .await;
        let kinds: Vec<Value> = faults.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["kind"].take()).collect();
        assert!(kinds.first().is_some_and(|kind| kind == self.kind), "{}: expected {} in {faults:#?}", self.guest, self.kind);
        // Whatever a guest says, a line is one JSON object, and the host's.
        for line in gateway.log(|_| true) {
            let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
            assert_ne!(said["message"], "all is well");
        }
    }
}

/// Calls a tool at a low rate until told to stop; answers do not matter.
async fn keep_calling(tool: &'static str, address: String, stop: Arc<AtomicBool>) {
    let mut caller = Caller::new(&address, Era::Modern, KEY).await;
    caller.patience = Duration::from_secs(2);
    while !stop.load(Relaxed) {
        let _ = caller.call(tool, "{}").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn neighbour(caller: &mut Caller, calls: usize, latencies: &mut Latencies) {
    for _ in 0..calls {
        let began = Instant::now();
        caller.result("neighbour_echo", r#"{"x":1}"#).await;
        latencies.note(began.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The neighbour's latencies, in turns: beside calls of a tool that does not enter the guest, and of the one that does.
async fn side_by_side(gateway: &Gateway) -> (Latencies, Latencies) {
    let mut caller = Caller::new(&gateway.address, Era::Legacy, KEY).await;
    let mut both = [Latencies::default(), Latencies::default()];
    for _ in 0..BLOCKS {
        for (tool, latencies) in ["victim_ok", "victim_bad"].into_iter().zip(&mut both) {
            let stop = Arc::new(AtomicBool::new(false));
            let lanes: Vec<_> = (0..2).map(|_| tokio::spawn(keep_calling(tool, gateway.address.clone(), stop.clone()))).collect();
            neighbour(&mut caller, CALLS_A_BLOCK, latencies).await;
            stop.store(true, Relaxed);
            for lane in lanes {
                lane.await.expect("a lane ends well");
            }
        }
    }
    both.into()
}

/// The middle one; of an even number the larger of the two.
fn median(ratios: &[f64]) -> f64 {
    let mut sorted = ratios.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn ratio(beside: &Latencies, baseline: &Latencies) -> f64 {
    beside.quantile(0.99).as_secs_f64() / baseline.quantile(0.99).as_secs_f64()
}

async fn backends() -> [Backend; 2] {
    [Backend::echo(&["ok", "bad"]).await, Backend::echo(&["echo"]).await]
}

async fn check(case: Case) {
    let [victim, other] = backends().await;
    let (gateway, _folder) = case.start(case.limits, [&victim, &other]).await;
    let seen = case.observe(&gateway).await;
    println!(
        "contained, {}: refused after {:?}; memory peak {} bytes, {} log calls",
        case.guest, seen.took, seen.memory_peak, seen.log_calls
    );
    case.is_contained(&seen).unwrap_or_else(|why| panic!("{}: {why}", case.guest));
    case.check_log(&gateway).await;
    let mut ratios = Vec::new();
    let mut windows = WINDOWS;
    while ratios.len() < windows {
        let (baseline, beside) = side_by_side(&gateway).await;
        ratios.push(ratio(&beside, &baseline));
        println!(
            "contained, {}: neighbour alone {baseline}; beside it {beside}; p99 × {:.2} (window {})",
            case.guest,
            ratio(&beside, &baseline),
            ratios.len()
        );
        if ratios.len() == WINDOWS && median(&ratios) > RATIO_MAX {
            windows = WINDOWS_MAX;
        }
    }
    assert!(median(&ratios) <= RATIO_MAX, "{}: neighbours' p99 × {ratios:.2?}", case.guest);
    switched_off(&gateway).await;
    drop(gateway);

    let (lifted, _folder) = case.start(case.lifted, [&victim, &other]).await;
    let seen = case.observe(&lifted).await;
    let why = case.is_contained(&seen).expect_err("the control must fail the check");
    println!("contained, {}: control, limit lifted: {why}", case.guest);
}

/// By now the breaker is open: refused without entering the guest, and said so.
async fn switched_off(gateway: &Gateway) {
    let mut caller = Caller::new(&gateway.address, Era::Legacy, KEY).await;
    let answer = caller.call("victim_bad", "{}").await.expect("an answer").json();
    let reason = &answer["error"]["data"]["reason"];
    // Once in a while a call is the trial.
    assert!(reason == "plugin_off" || reason == "plugin_fault", "{answer}");
    caller.result("victim_ok", "{}").await;
}

#[test]
fn a_guest_that_loops_for_ever() {
    alone(
        "contained, spin-forever",
        240,
        check(Case {
            guest: "spin-forever",
            config: "on = \"request\"",
            limits: "",
            lifted: "[limits]\ncpu_ms = 60000\nwall_ms = 600000\n",
            kind: "deadline",
            in_time: Duration::from_millis(700),
        }),
    );
}

/// Eight endless loops, their own limits lifted: only because slow guests take turns is there a processor for others.
#[test]
fn turns_alone_keep_endless_loops_from_the_neighbours() {
    alone("contained, turns", 300, async {
        let case = Case {
            guest: "spin-forever",
            config: "on = \"request\"",
            limits: "",
            lifted: "",
            kind: "deadline",
            in_time: Duration::from_secs(1),
        };
        let [victim, other] = backends().await;
        let settings = format!("[limits]\ncpu_ms = 60000\nwall_ms = 600000\n{NO_BREAKER}");
        let (mut with_turns, mut without_turns) = (0.0, 0.0);
        // On a machine that was busy with something else the baseline is as bad, and shows nothing: it is measured again.
        for _ in 0..3 {
            with_turns = beside_endless_loops(case.start(&settings, [&victim, &other]).await).await;
            // A turn for each is no turn for anybody.
            let without = case.start_limited(&settings, json!({"slow_hooks_max": 1000}), [&victim, &other]).await;
            without_turns = beside_endless_loops(without).await;
            if without_turns > RATIO_MAX {
                break;
            }
        }
        // One processor stays lost to the loops, so nothing is as it was; without turns all are.
        assert!(without_turns > RATIO_MAX, "the measurement would not notice a guest that is not contained");
        assert!(with_turns < without_turns / 2.0, "neighbours' p99 × {with_turns:.2} with turns, × {without_turns:.2} without");
    });
}

/// How much slower the neighbour gets, by its p99.
async fn beside_endless_loops((gateway, _folder): (Gateway, Folder)) -> f64 {
    let mut caller = Caller::new(&gateway.address, Era::Legacy, KEY).await;
    let (mut baseline, mut beside) = (Latencies::default(), Latencies::default());
    neighbour(&mut caller, CALLS_A_BLOCK, &mut Latencies::default()).await;
    neighbour(&mut caller, CALLS_BESIDE_LOOPS, &mut baseline).await;
    let hung: Vec<_> = (0..8)
        .map(|_| {
            let address = gateway.address.clone();
            tokio::spawn(async move {
                let mut caller = Caller::new(&address, Era::Modern, KEY).await;
                let _ = caller.call("victim_bad", "{}").await;
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    neighbour(&mut caller, CALLS_BESIDE_LOOPS, &mut beside).await;
    hung.iter().for_each(tokio::task::JoinHandle::abort);
    println!("contained, turns: alone {baseline}; beside 8 endless loops {beside}; p99 × {:.2}", ratio(&beside, &baseline));
    ratio(&beside, &baseline)
}

#[test]
fn a_guest_that_eats_memory() {
    // With time enough to eat its fill, so that it is the memory that ends it.
    alone(
        "contained, eat-memory",
        240,
        check(Case {
            guest: "eat-memory",
            config: "on = \"request\"",
            limits: "[limits]\ncpu_ms = 5000\nwall_ms = 10000\n",
            lifted: "[limits]\ncpu_ms = 60000\nwall_ms = 600000\nmemory_mib = 512\n",
            kind: "limit",
            in_time: Duration::from_secs(4),
        }),
    );
}

#[test]
fn a_guest_that_traps() {
    alone(
        "contained, trap",
        240,
        check(Case {
            guest: "trap",
            config: "on = \"request\"",
            limits: "",
            lifted: "on_fault = \"skip\"\n",
            kind: "trap",
            in_time: Duration::from_millis(500),
        }),
    );
}

#[test]
fn a_guest_that_returns_bad_json() {
    alone(
        "contained, bad-json",
        240,
        check(Case {
            guest: "bad-json",
            config: "what = \"duplicate-key\"\nto = \"reply\"",
            limits: "",
            lifted: "on_fault = \"skip\"\n",
            kind: "bad_reply",
            in_time: Duration::from_millis(500),
        }),
    );
}

#[test]
fn a_guest_that_waits_in_a_host_call() {
    alone(
        "contained, wait-in-host",
        240,
        check(Case {
            guest: "wait-in-host",
            config: "on = \"request\"",
            limits: "",
            lifted: "[limits]\nwall_ms = 600000\nwall_waiting_ms = 600000\n",
            kind: "deadline",
            in_time: Duration::from_secs(1),
        }),
    );
}

#[test]
fn a_guest_that_floods_the_log() {
    alone(
        "contained, flood-log",
        240,
        check(Case {
            guest: "flood-log",
            config: "on = \"request\"",
            limits: "",
            lifted: "[limits]\ncpu_ms = 60000\nwall_ms = 600000\nhost_calls_max = 1000000\nhost_bytes_max = 1073741824\n",
            kind: "limit",
            in_time: Duration::from_millis(500),
        }),
    );
}
