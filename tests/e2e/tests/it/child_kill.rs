//! A stdio server is killed again and again under load: what was in flight on it fails and says so, nothing runs twice,
//! and the server next to it notices nothing.

use crate::{
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, descendants, journal_entry},
    turn::{alone, rng},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const KILLS: usize = 10;
const CALLS: usize = 10_000;
const LANES: usize = 16;
/// From a kill until the gateway has noticed: a call that leaves within it may still be written to the dead child's pipe.
const NOTICED_WITHIN: Duration = Duration::from_millis(100);

/// One call, as its client saw it.
struct Call {
    unique: String,
    began: Instant,
    ended: Instant,
    outcome: Result<(), String>,
}

async fn call(caller: &mut Caller, tool: &str, unique: String) -> Call {
    let began = Instant::now();
    let reply = caller.call(tool, &format!(r#"{{"unique":"{unique}"}}"#)).await;
    let outcome = match reply.map(|reply| reply.json()) {
        Ok(answer) if answer["result"]["content"][0]["text"] == *unique => Ok(()),
        Ok(answer) => Err(answer.to_string()),
        Err(error) => Err(format!("no answer: {error}")),
    };
    Call { unique, began, ended: Instant::now(), outcome }
}

/// Calls in turn until `next` has none left.
async fn lane(mut caller: Caller, tool: &'static str, next: impl Fn() -> Option<usize>) -> Vec<Call> {
    let mut calls = Vec::new();
    while let Some(number) = next() {
        calls.push(call(&mut caller, tool, format!("{tool}-{number}")).await);
    }
    calls
}

/// Kills a child of this server at a time, when this many calls were made.
async fn killer(gateway: i32, journal: String, made: Arc<AtomicUsize>, mut rng: fastrand::Rng) -> Vec<Instant> {
    let mut kills = Vec::new();
    while kills.len() < KILLS {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if made.load(Relaxed) < (kills.len() + 1) * CALLS / (KILLS + 1) {
            continue;
        }
        let children: Vec<i32> = descendants(gateway).into_iter().filter(|(_, line)| line.contains(&journal)).map(|(pid, _)| pid).collect();
        if let Some(pid) = rng.choice(children) {
            kills.push(Instant::now());
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the child ran");
        }
    }
    kills
}

fn executed(journal: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(journal).expect("the journal");
    let unique = |line: &str| serde_json::from_str::<Value>(line).expect("a whole line")["unique"].as_str().expect("a text").to_owned();
    text.lines().map(unique).collect()
}

/// Every failure says what happened, to which upstream, and where to find it.
fn is_meaningful(failure: &str) -> Result<String, String> {
    let answer: Value = serde_json::from_str(failure).map_err(|_| failure.to_owned())?;
    let error = &answer["error"];
    let data = &error["data"];
    let id = data["requestId"].as_str().unwrap_or_default();
    let good = error["code"] == -32603 && data["upstream"] == "victim" && id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let reason = data["reason"].as_str().unwrap_or_default();
    if good && reason == "outcome_unknown" && error["message"].as_str().is_some_and(|text| text.contains("victim")) {
        Ok(reason.to_owned())
    } else {
        Err(failure.to_owned())
    }
}

#[test]
fn a_killed_child_takes_only_its_own_calls_along() {
    alone("child_kill", 240, async {
        let rng = rng("child_kill");
        let folder = Folder::new();
        let (victim_journal, victim) = journal_entry(&folder, "victim.jsonl", &["--delay-ms", "2"]);
        let (neighbour_journal, neighbour) = journal_entry(&folder, "neighbour.jsonl", &["--delay-ms", "2"]);
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"victim": victim, "neighbour": neighbour}})).await;

        let made = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut victims = Vec::new();
        for at in 0..LANES {
            let (caller, made) = (gateway.caller(Era::BOTH[at % 2]).await, made.clone());
            let next = move || Some(made.fetch_add(1, Relaxed)).filter(|number| *number < CALLS);
            victims.push(tokio::spawn(lane(caller, "victim_record", next)));
        }
        let neighbours_made = Arc::new(AtomicUsize::new(0));
        let mut neighbours = Vec::new();
        for era in Era::BOTH {
            let (caller, is_over, made) = (gateway.caller(era).await, is_over.clone(), neighbours_made.clone());
            let next = move || (!is_over.load(Relaxed)).then(|| made.fetch_add(1, Relaxed));
            neighbours.push(tokio::spawn(lane(caller, "neighbour_record", next)));
        }
        let kills = killer(gateway.pid(), victim_journal.display().to_string(), made, rng).await;

        let mut calls = Vec::new();
        for lane in victims {
            calls.extend(lane.await.expect("a lane ends well"));
        }
        is_over.store(true, Relaxed);
        let mut beside = Vec::new();
        for lane in neighbours {
            beside.extend(lane.await.expect("a lane ends well"));
        }
        judge_victims(&calls, &kills, &executed(&victim_journal));
        judge_neighbours(&beside, &executed(&neighbour_journal));
        let deaths = gateway.log(|line| line.contains("child ended by itself") && line.contains("victim"));
        assert_eq!(deaths.len(), KILLS, "{deaths:#?}");
    });
}

fn judge_victims(calls: &[Call], kills: &[Instant], executed: &[String]) {
    assert_eq!((calls.len(), kills.len()), (CALLS, KILLS));
    let failed: Vec<_> = calls.iter().filter_map(|call| Some((call, call.outcome.as_ref().err()?))).collect();
    let mut reasons = BTreeMap::new();
    let mut latest = Duration::ZERO;
    for (call, failure) in &failed {
        let reason = is_meaningful(failure).unwrap_or_else(|bad| panic!("not a meaningful error: {bad}"));
        *reasons.entry(reason).or_insert(0) += 1;
        let after = kills.iter().filter(|kill| **kill <= call.ended).map(|kill| call.began.saturating_duration_since(*kill)).min();
        let after = after.filter(|after| *after <= NOTICED_WITHIN);
        latest = latest.max(after.unwrap_or_else(|| panic!("{} failed with no kill in its time: {failure}", call.unique)));
    }
    let once: BTreeSet<_> = executed.iter().collect();
    assert_eq!(once.len(), executed.len(), "a call was executed twice");
    let lost: Vec<_> = calls.iter().filter(|call| call.outcome.is_ok() && !once.contains(&call.unique)).map(|call| &call.unique).collect();
    assert!(lost.is_empty(), "answered and never executed: {lost:?}");
    let mut texts = BTreeMap::new();
    for (call, failure) in &failed {
        let answer: Value = serde_json::from_str(failure).expect("looked at before");
        let text = answer["error"]["message"].as_str().unwrap_or_default().to_owned();
        let (count, took) = texts.entry(text).or_insert((0, Duration::ZERO));
        *count += 1;
        *took = (*took).max(call.ended - call.began);
    }
    println!("child_kill: failures by their words, with the longest wait: {texts:#?}");
    assert!(failed.len() <= KILLS * LANES, "{} failed: more than can have been in flight", failed.len());
    println!(
        "child_kill: N={CALLS} calls at concurrency {LANES}, {KILLS} kills, {} failed, all in flight ({reasons:?}; the latest left {latest:?} after the kill), {} executed, 0 twice",
        failed.len(),
        executed.len()
    );
}

fn judge_neighbours(calls: &[Call], executed: &[String]) {
    let failed: Vec<_> = calls.iter().filter_map(|call| call.outcome.as_ref().err()).collect();
    println!("child_kill: beside it N={} calls, {} failed", calls.len(), failed.len());
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(executed.iter().collect::<BTreeSet<_>>().len(), calls.len(), "each executed once");
    assert_eq!(executed.len(), calls.len(), "each executed once");
    assert!(calls.len() >= 1000, "the neighbour was busy, too");
}
