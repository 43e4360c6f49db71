//! A new version of a plugin takes a part of the traffic, is compared with the old one, and is taken back by itself when it is worse.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::{Folder, component},
    gateway::Gateway,
    turn::{alone, eventually},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

const LANES: usize = 8;
const CALLS_MIN: usize = 2_000;
const WITHIN: Duration = Duration::from_secs(60);

/// The guest with another version number and behaviour written into its data.
fn version(number: &str, acts: &str) -> Vec<u8> {
    let mut bytes = component("guest_versions");
    for (what, new) in [("version=", number), ("acts=", acts)] {
        let found: Vec<usize> = bytes.windows(what.len()).enumerate().filter(|(_, w)| *w == what.as_bytes()).map(|(at, _)| at).collect();
        assert!(!found.is_empty(), "no {what} in the component");
        for at in found {
            bytes[at + what.len()..][..new.len()].copy_from_slice(new.as_bytes());
        }
    }
    bytes
}

#[derive(Default)]
struct Calls {
    all: AtomicUsize,
    refused: AtomicUsize,
    faulted: AtomicUsize,
    /// Neither of the three that a version can make of a call.
    lost: AtomicUsize,
    is_over: AtomicBool,
}

async fn lane(mut caller: Caller, calls: Arc<Calls>) {
    for at in 0.. {
        if calls.is_over.load(Relaxed) {
            return;
        }
        let answer = caller.call("echo", &format!(r#"{{"at":{}}}"#, at % 10)).await;
        let answer: Value = answer.map_or(Value::Null, |reply| reply.json());
        match (&answer["result"], answer["error"]["code"].as_i64()) {
            (result, None) if result.is_object() => {}
            (_, Some(4000)) => drop(calls.refused.fetch_add(1, Relaxed)),
            (_, Some(_)) if answer["error"]["data"]["reason"] == "plugin_fault" => drop(calls.faulted.fetch_add(1, Relaxed)),
            _ => drop(calls.lost.fetch_add(1, Relaxed)),
        }
        calls.all.fetch_add(1, Relaxed);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A gateway under load, with version 0.1.0 in force.
struct Stage {
    folder: Folder,
    gateway: Gateway,
    calls: Arc<Calls>,
    lanes: Vec<tokio::task::JoinHandle<()>>,
    _backend: Backend,
}

impl Stage {
    async fn set(canary: &str) -> Self {
        let (backend, folder) = (Backend::echo(&["echo"]).await, Folder::new());
        folder.drop_in("versions.toml", format!("[canary]\npercent = 20\n{canary}"));
        folder.drop_in("versions.wasm", version("0.1.0", "well...."));
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}})).await;
        let calls = Arc::new(Calls::default());
        let mut lanes = Vec::new();
        for at in 0..LANES {
            lanes.push(tokio::spawn(lane(gateway.caller(Era::BOTH[at % 2]).await, calls.clone())));
        }
        let stage = Self { folder, gateway, calls, lanes, _backend: backend };
        stage.more(200).await;
        stage
    }

    /// Until so many calls more have ended.
    async fn more(&self, calls: usize) {
        let enough = self.calls.all.load(Relaxed) + calls;
        eventually(WITHIN, || async {
            let all = self.calls.all.load(Relaxed);
            if all >= enough { Ok(()) } else { Err(format!("{all} of {enough} calls")) }
        })
        .await;
    }

    async fn until_taken_back(&self, times: usize) -> String {
        eventually(WITHIN, || async {
            let lines = self.gateway.errors("taken back");
            if lines.len() == times { Ok(lines[times - 1].clone()) } else { Err(format!("{lines:#?}")) }
        })
        .await
    }

    async fn until_on_trial(&self) {
        self.until("sluice_plugin_trial_running{plugin=\"versions\"}", |value| value == 1.0).await;
    }

    async fn until(&self, series: &str, is_so: impl Fn(f64) -> bool) {
        eventually(WITHIN, || async {
            let value = self.gateway.metric(series).await;
            if is_so(value) { Ok(()) } else { Err(format!("{series} {value}")) }
        })
        .await;
    }

    /// The versions that judged the calls so far, in the order of the audit log.
    fn versions(&self) -> Vec<String> {
        let mut versions = Vec::new();
        // The last line may be on its way.
        for record in self.folder.read("audit.jsonl").lines().flat_map(serde_json::from_str::<Value>) {
            if record["method"] == "tools/call" {
                let verdicts = record["verdicts"].as_array().expect("a list");
                let ours: Vec<_> = verdicts.iter().filter(|verdict| verdict["plugin"] == "versions").collect();
                assert_eq!(ours.len(), 1, "one version a call: {record}");
                versions.push(ours[0]["version"].as_str().expect("a version").to_owned());
            }
        }
        versions
    }

    /// Calls by the version that judged them.
    async fn end(mut self) -> (BTreeMap<String, usize>, Arc<Calls>) {
        self.calls.is_over.store(true, Relaxed);
        for lane in std::mem::take(&mut self.lanes) {
            lane.await.expect("a lane ends well");
        }
        assert!(self.gateway.is_running());
        let mut by_version = BTreeMap::new();
        for version in self.versions() {
            *by_version.entry(version).or_insert(0) += 1;
        }
        (by_version, self.calls)
    }
}

fn of(calls: &AtomicUsize) -> usize {
    calls.load(Relaxed)
}

#[test]
fn a_version_that_is_as_good_takes_its_share_and_is_put_in_force_by_a_rename() {
    alone("trial, good", 180, async {
        let stage = Stage::set("").await;
        stage.folder.drop_in("versions.wasm.next", version("0.2.0", "well...."));
        stage.until_on_trial().await;
        stage.more(CALLS_MIN).await;
        let during: Vec<_> = stage.versions().into_iter().skip_while(|version| version != "0.2.0").collect();
        let share = during.iter().filter(|version| *version == "0.2.0").count() * 100 / during.len();
        std::fs::rename(stage.folder.path("plugins/versions.wasm.next"), stage.folder.path("plugins/versions.wasm")).expect("the rename");
        stage.until("sluice_plugin_trial_running{plugin=\"versions\"}", |value| value == 0.0).await;
        stage.more(500).await;
        assert!(stage.gateway.errors("taken back").is_empty());
        let (by_version, calls) = stage.end().await;
        assert_eq!((of(&calls.refused), of(&calls.faulted), of(&calls.lost)), (0, 0, 0), "of {}", of(&calls.all));
        println!(
            "trial, good: N={} calls at concurrency {LANES}, 0 failed, {share} % of {} on trial; {by_version:?}",
            of(&calls.all),
            during.len()
        );
        assert!((12..=28).contains(&share), "{share} % of {} took a share of 20", during.len());
    });
}

#[test]
fn one_that_faults_is_slower_or_decides_otherwise_is_taken_back_under_load() {
    alone("trial, worse", 240, async {
        let stage = Stage::set("").await;
        for (times, (acts, why)) in [("traps...", "faults"), ("slow....", "nine of ten"), ("refuses.", "verdict unlike")].iter().enumerate()
        {
            let number = format!("0.{}.0", times + 2);
            stage.folder.drop_in("versions.wasm.next", version(&number, acts));
            let line = stage.until_taken_back(times + 1).await;
            assert!(line.contains(why) && line.contains(&number), "{line}");
            // What had begun under it ends; then no call meets it.
            stage.more(2 * LANES).await;
            let worse = (of(&stage.calls.faulted), of(&stage.calls.refused));
            stage.more(500).await;
            assert_eq!((of(&stage.calls.faulted), of(&stage.calls.refused)), worse, "{acts}: nothing of it is left");
            println!("trial, worse: {acts} {line}; so far {worse:?} calls faulted and refused of {}", of(&stage.calls.all));
        }
        assert_eq!(stage.gateway.metric("sluice_plugin_trials_taken_back_total{plugin=\"versions\"}").await, 3.0);
        let audit = stage.folder.read("audit.jsonl");
        assert_eq!(audit.lines().filter(|line| line.contains("\"event\":\"taken-back\"")).count(), 3);
        let (by_version, calls) = stage.end().await;
        // Three faults in a row end it, and as many as there are lanes may have begun by then.
        assert!(of(&calls.faulted) <= 3 + LANES, "{} calls met a version that traps", of(&calls.faulted));
        assert_eq!(of(&calls.lost), 0);
        assert!(["0.2.0", "0.3.0", "0.4.0"].iter().all(|number| by_version[*number] > 0), "{by_version:?}");
    });
}

/// The control: with bounds that allow it, the same version stays, and goes on refusing.
#[test]
fn one_that_decides_otherwise_stays_where_the_operator_allows_it() {
    alone("trial, control", 120, async {
        let stage = Stage::set("diverging_percent_max = 100\n").await;
        stage.folder.drop_in("versions.wasm.next", version("0.2.0", "refuses."));
        stage.until_on_trial().await;
        stage.more(CALLS_MIN).await;
        assert!(stage.gateway.errors("taken back").is_empty());
        let diverging = stage.gateway.metric("sluice_plugin_trial_recent_diverging{plugin=\"versions\"}").await;
        let (_, calls) = stage.end().await;
        assert!(of(&calls.refused) > 10 && diverging > 10.0, "{} refused, {diverging} diverging", of(&calls.refused));
    });
}

/// A new version that is no version of this plugin, or none at all, begins nothing; the one in force goes on.
#[test]
fn what_is_no_new_version_changes_nothing() {
    alone("trial, garbage", 120, async {
        let stage = Stage::set("").await;
        stage.folder.drop_in("versions.wasm.next", b"This is not a component.");
        let garbage =
            eventually(WITHIN, || async { stage.gateway.errors("versions.wasm.next").pop().ok_or_else(|| "no line".to_owned()) }).await;
        stage.folder.drop_in("versions.wasm.next", component("guest_facts_only"));
        eventually(WITHIN, || async {
            let lines = stage.gateway.errors("no new version of versions");
            if lines.len() == 1 { Ok(()) } else { Err(format!("{lines:?} after {garbage}")) }
        })
        .await;
        assert_eq!(stage.gateway.metric("sluice_plugin_trial_running{plugin=\"versions\"}").await, 0.0);
        let (by_version, calls) = stage.end().await;
        assert_eq!((by_version.len(), of(&calls.faulted) + of(&calls.refused) + of(&calls.lost)), (1, 0), "{by_version:?}");
    });
}
