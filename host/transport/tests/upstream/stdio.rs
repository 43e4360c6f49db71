//! Real children: good ones, bad ones, and ones that are killed.

use crate::support::{Asked, Asker, Ear, eventually, value};
use serde_json::{Value, json};
use sluice_chain::upstream::{Health, Upstream, UpstreamError};
use sluice_transport::upstream::{
    CallLimits, EraChoice,
    stdio::{ChildBudget, Stdio, StdioSettings, StdioUpstream},
};
use sluice_wire::{
    json::Limits,
    revision::{Era, Revision},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// A server that runs the test child, and the file with what its children got.
pub struct Rig {
    settings: StdioSettings,
    trace: PathBuf,
    ear: Arc<Ear>,
    budget: Arc<ChildBudget>,
}

impl Rig {
    pub fn new(words: &str) -> Self {
        static RIGS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}.trace", std::process::id(), RIGS.fetch_add(1, SeqCst));
        let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_file(&trace);
        let mut settings = StdioSettings::new("child", env!("CARGO_BIN_EXE_sluice-test-child"));
        settings.args = words.split_whitespace().map(Into::into).collect();
        settings.env = vec![("TRACE".into(), trace.clone().into())];
        settings.stop = Duration::from_millis(300);
        Self { settings, trace, ear: Arc::default(), budget: ChildBudget::new(64) }
    }

    pub fn with(mut self, change: impl FnOnce(&mut StdioSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub fn start(&self) -> StdioUpstream {
        Stdio::upstream(self.settings.clone(), self.budget.clone(), self.ear.clone())
    }

    /// How many changes of lists were heard.
    pub fn heard(&self) -> usize {
        self.ear.heard().iter().filter(|(_, method)| method.ends_with("list_changed")).count()
    }

    /// Process id and message of everything that children got.
    pub fn seen(&self) -> Vec<(u32, Value)> {
        let text = std::fs::read_to_string(&self.trace).unwrap_or_default();
        text.lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(pid, message)| (pid.parse().unwrap(), serde_json::from_str(message).unwrap()))
            .collect()
    }

    fn trace(&self) -> Vec<String> {
        self.seen().iter().map(|(_, message)| message["method"].as_str().unwrap_or("answer").to_owned()).collect()
    }

    pub fn count(&self, method: &str) -> usize {
        self.trace().iter().filter(|seen| *seen == method).count()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.trace);
    }
}

pub fn tool(asker: &Asker, name: &str) -> Asked {
    asker.tool(name, json!({}))
}

async fn pid(upstream: &StdioUpstream, asker: &Asker) -> u64 {
    tool(asker, "pid").answer(upstream).await["result"]["pid"].as_u64().expect("a pid")
}

fn is_alive(pid: u64) -> bool {
    // A zombie still has an entry; its state tells it apart.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn kill(pid: u64) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn tools_work_in_all_four_cells() {
    for (words, asker, spoken) in [
        ("legacy", Asker::legacy("c1"), Revision::V2025_11_25),
        ("legacy", Asker::modern(), Revision::V2025_11_25),
        ("modern", Asker::legacy("c1"), Revision::V2026_07_28),
        ("modern", Asker::modern(), Revision::V2026_07_28),
        ("dual", Asker::legacy("c1"), Revision::V2025_11_25),
        ("dual", Asker::modern(), Revision::V2026_07_28),
    ] {
        let upstream = Rig::new(words).start();
        let facts = upstream.facts(asker.revision.era(), &asker.client, &asker.principal).await.unwrap();
        assert_eq!(facts.revision, spoken, "{words}");
        let (answer, _) = asker.tool("echo", json!({"n":9_007_199_254_740_993_u64})).send(&upstream).await;
        let response = answer.unwrap().response;
        assert_eq!((response.spoken, &value(&response)["result"]["params"]["arguments"]["n"]), (spoken, &json!(9_007_199_254_740_993_u64)));
        upstream.close().await;
    }
}

#[tokio::test]
async fn what_reaches_a_child_is_what_was_sent_but_for_the_id() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    let text = r#"{ "jsonrpc":"2.0","params":{"arguments":{"z":1.0,"a":"\u0041"},"name":"echo","_meta":{"v/x":[1e2]}},"id":"x","method":"tools/call" }"#;
    Asker::legacy("c1").raw(text).answer(&upstream).await;
    let trace = std::fs::read_to_string(&rig.trace).unwrap();
    let line = trace.lines().last().unwrap().split_once(' ').unwrap().1;
    let id = rig.seen().last().unwrap().1["id"].clone();
    assert_eq!(line, text.replace(r#""id":"x""#, &format!(r#""id":{id}"#)));
}

// Eras.

#[tokio::test]
async fn s012_a_child_that_dies_on_the_probe_is_initialised_afresh() {
    let rig = Rig::new("legacy dies-on-probe");
    let upstream = rig.start();
    let asker = Asker::modern();
    tool(&asker, "echo").answer(&upstream).await;
    assert_eq!(rig.trace(), ["server/discover", "initialize", "notifications/initialized", "tools/call"]);
    let seen = rig.seen();
    assert_ne!(seen[0].0, seen[1].0, "another child");
    // It is remembered: the next principal's child is not probed.
    tool(&asker.named("bob"), "echo").answer(&upstream).await;
    assert_eq!(rig.count("server/discover"), 1);
}

#[tokio::test]
async fn s013_a_child_that_ignores_the_probe_is_legacy_after_a_while() {
    let rig = Rig::new("legacy ignores-probe").with(|settings| settings.probe = Duration::from_millis(200));
    let upstream = rig.start();
    tool(&Asker::modern(), "echo").answer(&upstream).await;
    assert_eq!(rig.trace(), ["server/discover", "initialize", "notifications/initialized", "tools/call"]);
}

#[tokio::test]
async fn a_modern_child_that_is_slow_to_start_is_modern_all_the_same() {
    for era in [EraChoice::Auto, EraChoice::Modern] {
        let rig = Rig::new("modern starts-slowly").with(|settings| {
            settings.probe = Duration::from_millis(100);
            settings.era = era;
        });
        let upstream = rig.start();
        let child = pid(&upstream, &Asker::modern()).await;
        // Its successor is known to be modern, and has the time that it needs.
        kill(child);
        eventually("its death", || upstream.counters().read().child_deaths == 1).await;
        tool(&Asker::modern(), "echo").answer(&upstream).await;
        assert_eq!(rig.count("initialize"), usize::from(era == EraChoice::Auto), "only when it had to be found out");
    }
}

#[tokio::test]
async fn a_child_of_each_era_for_a_server_of_both() {
    let rig = Rig::new("dual");
    let upstream = rig.start();
    let (legacy, modern) = (pid(&upstream, &Asker::legacy("c1")).await, pid(&upstream, &Asker::modern()).await);
    assert_ne!(legacy, modern, "each era has its own channel");
    assert_eq!((pid(&upstream, &Asker::legacy("c2")).await, pid(&upstream, &Asker::modern()).await), (legacy, modern));
    assert_eq!((rig.count("initialize"), rig.count("server/discover")), (1, 1));
}

#[tokio::test]
async fn the_operators_word_on_the_era_counts() {
    let rig = Rig::new("dual").with(|settings| settings.era = EraChoice::Legacy);
    let asker = Asker::modern();
    let facts = rig.start().facts(Era::Modern, &asker.client, &asker.principal).await.unwrap();
    assert_eq!((facts.era, rig.count("server/discover")), (Era::Legacy, 0));
}

#[tokio::test]
async fn a_program_that_changed_its_era_is_probed_again_with_the_next_child() {
    for (first, then) in [("modern", "legacy"), ("legacy", "modern")] {
        for asker in [Asker::modern(), Asker::legacy("c1")] {
            let mut rig = Rig::new("");
            let file = rig.trace.with_extension("era");
            rig.settings.env.push(("ERA".into(), file.clone().into()));
            std::fs::write(&file, first).unwrap();
            let upstream = rig.start();
            let child = pid(&upstream, &asker).await;
            std::fs::write(&file, then).unwrap();
            kill(child);
            eventually("its death", || upstream.counters().read().child_deaths == 1).await;
            tool(&asker, "echo").answer(&upstream).await;
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[tokio::test]
async fn a_probe_fits_into_a_bound_of_one_child_even_if_that_one_will_not_leave() {
    let rig = Rig::new("legacy ignores-probe stays").with(|settings| {
        settings.children_max = 1;
        settings.child_wait = Duration::from_millis(300);
        settings.probe = Duration::from_millis(100);
        settings.stop = Duration::from_secs(5);
    });
    let upstream = rig.start();
    tool(&Asker::modern(), "echo").answer(&upstream).await;
}

// Whose child.

#[tokio::test]
async fn each_principal_has_its_own_child() {
    let upstream = Rig::new("legacy").start();
    let asker = Asker::legacy("c1");
    let (alice, bob) = (asker.clone().named("alice"), asker.clone().named("bob"));
    let alices = pid(&upstream, &alice).await;
    assert_ne!(alices, pid(&upstream, &bob).await);
    assert_eq!(alices, pid(&upstream, &alice).await);
}

#[tokio::test]
async fn children_are_bounded_and_the_refusal_names_the_setting() {
    let rig = Rig::new("legacy").with(|settings| {
        settings.children_max = 2;
        settings.child_wait = Duration::from_millis(200);
    });
    let upstream = rig.start();
    let person = |name: &str| Asker::legacy("c1").named(name);
    // Busy children are not taken from their owners.
    let busy: Vec<_> = ["alice", "bob"].map(|name| tool(&person(name), "slow")).into();
    let cancels: Vec<_> = busy.iter().map(|asked| asked.cancel.clone()).collect();
    let slow = futures_util::future::join_all(busy.into_iter().map(|asked| asked.send(&upstream)));
    let others = async {
        eventually("both calls", || rig.count("tools/call") == 2).await;
        let error = tool(&person("carol"), "pid").fail(&upstream).await;
        assert!(matches!(&error, UpstreamError::Busy { setting } if setting == "limits.children_per_upstream_max"), "{error}");
        cancels.iter().for_each(|cancel| cancel.cancel());
        // Now one is idle and makes room.
        tool(&person("carol"), "pid").answer(&upstream).await;
    };
    tokio::join!(slow, others);
}

#[tokio::test]
async fn a_child_that_may_have_a_task_is_the_last_to_make_room() {
    let rig = Rig::new("legacy").with(|settings| settings.children_max = 2);
    let upstream = rig.start();
    let person = |name: &str| Asker::legacy("c1").named(name);
    let alices = pid(&upstream, &person("alice")).await;
    person("alice").request("tools/call", json!({"name":"job","task":{}})).answer(&upstream).await;
    let bobs = pid(&upstream, &person("bob")).await;
    // Hers was idle longer.
    pid(&upstream, &person("carol")).await;
    eventually("one of them has left", || !is_alive(bobs) || !is_alive(alices)).await;
    assert!(is_alive(alices));
    // Where all may have one nobody is kept out.
    person("carol").request("tools/call", json!({"name":"job","task":{}})).answer(&upstream).await;
    pid(&upstream, &person("dave")).await;
}

#[tokio::test]
async fn the_bound_on_all_children_is_shared() {
    let mut rig = Rig::new("legacy").with(|settings| settings.child_wait = Duration::from_millis(100));
    rig.budget = ChildBudget::new(1);
    let (one, two) = (rig.start(), rig.start());
    let asked = tool(&Asker::legacy("c1"), "slow");
    let cancel = asked.cancel.clone();
    let other = async {
        eventually("the call", || rig.count("tools/call") == 1).await;
        let error = tool(&Asker::legacy("c1"), "pid").fail(&two).await;
        assert!(matches!(&error, UpstreamError::Busy { setting } if setting == "limits.children_max"), "{error}");
        cancel.cancel();
    };
    let _ = tokio::join!(asked.send(&one), other);
}

#[tokio::test]
async fn an_idle_child_is_stopped_and_started_again_when_needed() {
    let rig = Rig::new("legacy").with(|settings| settings.child_idle = Duration::from_millis(300));
    let upstream = rig.start();
    let asker = Asker::legacy("c1");
    let first = pid(&upstream, &asker).await;
    eventually("the end of the idle child", || upstream.counters().read().children == 0).await;
    assert!(!is_alive(first));
    assert_ne!(pid(&upstream, &asker).await, first);
    assert_eq!(upstream.counters().read().child_deaths, 0);
}

// Environment and end.

#[tokio::test]
async fn a_child_gets_the_allowlist_and_its_own_variables_only() {
    let rig = Rig::new("legacy").with(|settings| settings.env.push(("API_KEY".into(), "k".into())));
    let env = tool(&Asker::legacy("c1"), "env").answer(&rig.start()).await;
    let allowed = ["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "TRACE", "API_KEY"];
    let names: Vec<_> = env["result"].as_object().unwrap().keys().collect();
    assert!(names.iter().all(|name| allowed.contains(&name.as_str())), "{names:?}");
    assert!(std::env::vars().any(|(name, _)| !allowed.contains(&name.as_str())), "there was something to leave out");
    assert_eq!(env["result"]["API_KEY"], "k");
}

#[tokio::test]
async fn arguments_are_no_shell_text() {
    let words = ["legacy", "$(touch pwned)", "; echo", "`id`", "a b", "'", "*", "--flag=$HOME", ""];
    let rig = Rig::new("").with(|settings| settings.args = words.iter().map(Into::into).collect());
    let got = tool(&Asker::legacy("c1"), "args").answer(&rig.start()).await;
    assert_eq!(got["result"], json!(words));
}

#[tokio::test]
async fn a_bare_name_is_looked_up_in_the_childs_own_path() {
    let program = Path::new(env!("CARGO_BIN_EXE_sluice-test-child"));
    let rig = |path: &Path| {
        let path = path.to_owned();
        Rig::new("legacy").with(|settings| {
            settings.command = "sluice-test-child".into();
            settings.env.push(("PATH".into(), path.into()));
        })
    };
    tool(&Asker::legacy("c1"), "echo").answer(&rig(program.parent().unwrap()).start()).await;
    let error = tool(&Asker::legacy("c1"), "echo").fail(&rig(Path::new("/nowhere")).start()).await;
    assert!(matches!(&error, UpstreamError::Unreachable { reason } if reason.contains("PATH")), "{error}");
}

#[tokio::test]
async fn closing_ends_the_whole_group_even_one_that_will_not_leave() {
    let rig = Rig::new("legacy stays");
    let upstream = rig.start();
    let asker = Asker::legacy("c1");
    let child = pid(&upstream, &asker).await;
    let grandchild = tool(&asker, "grandchild").answer(&upstream).await["result"]["pid"].as_u64().unwrap();
    assert!(is_alive(child) && is_alive(grandchild));
    upstream.close().await;
    eventually("the end of both", || !is_alive(child) && !is_alive(grandchild)).await;
}

#[tokio::test]
async fn a_child_deaf_to_sigterm_is_killed() {
    let rig = Rig::new("").with(|settings| {
        settings.command = "/bin/sh".into();
        settings.args = vec!["-c".into(), r#"trap "" TERM; echo $$ > "$TRACE"; while :; do sleep 0.1; done"#.into()];
        settings.stop = Duration::from_millis(100);
    });
    let upstream = rig.start();
    let asked = tool(&Asker::legacy("c1"), "x");
    let cancel = asked.cancel.clone();
    let file = || std::fs::read_to_string(&rig.trace).ok().and_then(|pid| pid.trim().parse::<u64>().ok());
    let (_, pid) = tokio::join!(asked.send(&upstream), async {
        eventually("the child", || file().is_some()).await;
        cancel.cancel();
        file().unwrap()
    });
    drop(upstream);
    eventually("its end", || !is_alive(pid)).await;
}

#[tokio::test]
async fn a_dropped_upstream_leaves_no_process_behind() {
    let upstream = Rig::new("legacy stays").start();
    let child = pid(&upstream, &Asker::legacy("c1")).await;
    drop(upstream);
    eventually("the end of the child", || !is_alive(child)).await;
}

// Notifications, ids, questions.

#[tokio::test]
async fn s065_progress_is_the_callers_own_and_none_comes_after_the_answer() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    let ask = |token: Value| {
        Asker::legacy("c1").request("tools/call", json!({"name":"progress","_meta":{"progressToken":token}})).send(&upstream)
    };
    let ((one, first), (two, second)) = tokio::join!(ask(json!("tok")), ask(json!(0)));
    assert!(one.is_ok() && two.is_ok());
    for (heard, token) in [(first, json!("tok")), (second, json!(0))] {
        let heard: Vec<_> = heard.iter().map(|one| (one["params"]["progressToken"].clone(), one["params"]["progress"].clone())).collect();
        assert_eq!(heard, [(token.clone(), json!(1)), (token.clone(), json!(2)), (token, json!(3.5))]);
    }
    let tokens: Vec<_> = rig
        .seen()
        .into_iter()
        .filter(|(_, m)| m["method"] == "tools/call")
        .map(|(_, m)| m["params"]["_meta"]["progressToken"].clone())
        .collect();
    assert!(tokens[0] != tokens[1] && tokens.iter().all(Value::is_u64), "{tokens:?}");
}

#[tokio::test]
async fn logs_go_to_the_only_call_or_to_the_session() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    let (_, heard) = tool(&Asker::legacy("c1"), "log").send(&upstream).await;
    assert_eq!(heard.len(), 3, "a legacy client that set no level gets what the server sends: {heard:?}");
    let ask = |meta: Value| Asker::modern().request("tools/call", json!({"name":"log","_meta":meta})).send(&upstream);
    let (_, heard) = ask(json!({"io.modelcontextprotocol/logLevel":"warning"})).await;
    assert_eq!(heard.iter().map(|one| one["params"]["level"].clone()).collect::<Vec<_>>(), [json!("warning"), json!("error")]);
    let (_, heard) = ask(json!({})).await;
    assert!(heard.is_empty(), "{heard:?}");
    let changes = rig.ear.heard().into_iter().filter(|(_, method)| method == "notifications/tools/list_changed").count();
    assert_eq!(changes, 3, "changes belong to no call");
    assert_eq!(rig.count("logging/setLevel"), 1);
}

#[tokio::test]
async fn with_two_calls_in_flight_nobody_knows_whose_a_log_is() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    let slow = tool(&Asker::legacy("c1"), "slow");
    let cancel = slow.cancel.clone();
    let logging = async {
        eventually("the slow call", || rig.count("tools/call") == 1).await;
        let (_, heard) = tool(&Asker::legacy("c1"), "log").send(&upstream).await;
        cancel.cancel();
        heard
    };
    let (_, heard) = tokio::join!(slow.send(&upstream), logging);
    assert!(heard.is_empty(), "{heard:?}");
    assert_eq!(rig.ear.heard().iter().filter(|(_, method)| method == "notifications/message").count(), 3);
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_limit_and_the_child_is_told() {
    let limits = CallLimits { silent_max: Duration::from_millis(300), ..CallLimits::default() };
    let rig = Rig::new("legacy").with(|settings| settings.call = limits);
    let upstream = rig.start();
    let error = tool(&Asker::legacy("c1"), "slow").fail(&upstream).await;
    assert!(matches!(error, UpstreamError::Deadline { limit } if limit == limits.silent_max), "{error}");
    eventually("the cancellation", || rig.count("notifications/cancelled") == 1).await;
}

#[tokio::test]
async fn wrong_and_second_answers_are_dropped() {
    let upstream = Rig::new("legacy").start();
    let asker = Asker::legacy("c1");
    for _ in 0..3 {
        assert_eq!(tool(&asker, "twice").answer(&upstream).await["result"], json!({"n":1}));
    }
    tool(&asker, "pid").answer(&upstream).await;
    assert_eq!(upstream.counters().read().dropped, 9);
}

#[tokio::test]
async fn sixty_four_clients_with_the_same_id_each_get_their_own_answer() {
    let upstream = Rig::new("legacy").start();
    let asker = Asker::legacy("c1");
    let calls = (0..64).map(|n| {
        let asked = asker.tool("echo", json!({"canary":n}));
        let upstream = &upstream;
        async move { (n, asked.answer(upstream).await) }
    });
    for (n, answer) in futures_util::future::join_all(calls).await {
        assert_eq!(answer["result"]["params"]["arguments"]["canary"], n);
    }
}

#[tokio::test]
async fn several_messages_on_one_line_are_taken_apart() {
    let upstream = Rig::new("legacy").start();
    assert_eq!(tool(&Asker::legacy("c1"), "batch").answer(&upstream).await["result"]["batched"], true);
}

#[tokio::test]
async fn a_cancelled_call_is_told_so_under_our_id() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    let asked = tool(&Asker::legacy("c1"), "slow");
    let cancel = asked.cancel.clone();
    let cancelling = async {
        eventually("the call", || rig.count("tools/call") == 1).await;
        cancel.cancel();
    };
    let (error, ()) = tokio::join!(asked.fail(&upstream), cancelling);
    assert!(matches!(error, UpstreamError::Cancelled), "{error}");
    eventually("the cancellation", || rig.count("notifications/cancelled") == 1).await;
    let seen = rig.seen();
    let of = |method: &str| seen.iter().find(|(_, m)| m["method"] == method).unwrap().1.clone();
    assert_eq!(of("notifications/cancelled")["params"]["requestId"], of("tools/call")["id"]);
}

#[tokio::test]
async fn a_cancellation_is_not_lost_on_a_child_that_does_not_read_for_a_while() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    let asker = Asker::legacy("c1");
    let slow = tool(&asker, "slow");
    let cancel = slow.cancel.clone();
    let filling = async {
        eventually("the call", || rig.count("tools/call") == 1).await;
        let deaf = asker.tool("deaf", json!({"for":1000})).answer(&upstream);
        // More than its pipe and our queue hold.
        let text = "x".repeat(16_000);
        let rest = async {
            eventually("it has stopped reading", || rig.count("tools/call") == 2).await;
            let echoes = (0..64).map(|_| asker.tool("echo", json!({"text":text})).answer(&upstream));
            let cancelling = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                assert_eq!(rig.count("tools/call"), 2, "it does not read");
                cancel.cancel();
            };
            tokio::join!(futures_util::future::join_all(echoes), cancelling);
        };
        tokio::join!(deaf, rest);
    };
    tokio::join!(slow.fail(&upstream), filling);
    eventually("the cancellation", || rig.count("notifications/cancelled") == 1).await;
    let seen = rig.seen();
    let of = |what: &str| seen.iter().find(|(_, m)| m["method"] == what || m["params"]["name"] == what).unwrap().1.clone();
    assert_eq!(of("notifications/cancelled")["params"]["requestId"], of("slow")["id"]);
}

// Faults.

#[tokio::test]
async fn s098_noise_on_stdout_is_skipped_and_stderr_is_no_failure() {
    let upstream = Rig::new("legacy junk floods-stderr").start();
    tool(&Asker::legacy("c1"), "echo").answer(&upstream).await;
    assert_eq!((upstream.counters().read().junk, upstream.health()), (3, Health::Up));
    eventually("the rest of stderr is left out", || upstream.counters().read().stderr_muted > 100_000).await;
}

#[tokio::test]
async fn c99_a_child_that_dies_fails_its_calls_and_the_next_call_has_another() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    let asker = Asker::legacy("c1");
    let first = pid(&upstream, &asker).await;
    let (slow, died) = tokio::join!(tool(&asker, "slow").send(&upstream), tool(&asker, "die").send(&upstream));
    for error in [slow.0.unwrap_err(), died.0.unwrap_err()] {
        assert!(matches!(&error, UpstreamError::ClosedEarly { reason } if reason.contains("exit status: 3")), "{error}");
    }
    assert!(matches!(upstream.health(), Health::Down(_)));
    assert_ne!(pid(&upstream, &asker).await, first);
    assert_eq!((rig.count("initialize"), upstream.health()), (2, Health::Up));
    assert_eq!(upstream.counters().read().child_deaths, 1);
}

#[tokio::test]
async fn an_answer_cut_off_by_the_end_fails_the_call() {
    let upstream = Rig::new("legacy").start();
    let error = tool(&Asker::legacy("c1"), "half").fail(&upstream).await;
    assert!(matches!(error, UpstreamError::ClosedEarly { .. }), "{error}");
}

#[tokio::test]
async fn a_child_killed_ten_times_under_load_fails_only_the_calls_on_it_and_repeats_none() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    let asker = Asker::legacy("c1");
    let (calls, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let load = futures_util::future::join_all((0..8).map(|worker| {
        let (asker, upstream, calls, is_over) = (&asker, &upstream, &calls, &is_over);
        async move {
            let mut failed = 0;
            while !is_over.load(SeqCst) {
                let round = calls.fetch_add(1, SeqCst);
                // A pace that leaves the killer some of the machine.
                tokio::time::sleep(Duration::from_millis(1)).await;
                match asker.tool("echo", json!({"worker":worker,"round":round})).send(upstream).await.0 {
                    Ok(inbound) => {
                        let arguments = &value(&inbound.response)["result"]["params"]["arguments"];
                        assert_eq!(*arguments, json!({"worker":worker,"round":round}));
                    }
                    Err(UpstreamError::ClosedEarly { reason }) => {
                        assert!(reason.contains("signal: 9"), "{reason}");
                        failed += 1;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            failed
        }
    }));
    let killing = async {
        for round in 1..=10 {
            let deaths = || upstream.counters().read().child_deaths;
            let before = calls.load(SeqCst);
            eventually("load on a new child", || calls.load(SeqCst) > before + 30 && upstream.counters().read().children == 1).await;
            kill(pid(&upstream, &asker).await);
            eventually("its death", || deaths() == round).await;
        }
        is_over.store(true, SeqCst);
    };
    let (failed, ()) = tokio::join!(load, killing);
    let failed: usize = failed.into_iter().sum();
    assert!(failed <= 80, "{failed} calls failed for ten deaths with eight in flight");
    // Each call reached at most one child, at most once.
    let mut seen: Vec<_> =
        rig.seen().into_iter().filter(|(_, m)| m["params"]["name"] == "echo").map(|(_, m)| m["params"]["arguments"].to_string()).collect();
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "no call was repeated");
    assert_eq!(upstream.counters().read().child_deaths, 10);
}

#[tokio::test]
async fn a_child_that_never_starts_well_is_tried_less_and_less() {
    let rig = Rig::new("dies-at-once");
    let upstream = rig.start();
    let asker = Asker::legacy("c1");
    let began = Instant::now();
    let mut last = None;
    for _ in 0..8 {
        last = Some(tool(&asker, "echo").fail(&upstream).await);
    }
    assert!(matches!(last, Some(UpstreamError::Resting { .. })), "{last:?}");
    assert!(began.elapsed() < Duration::from_secs(8));
    assert!(matches!(upstream.health(), Health::Down(reason) if reason.contains("exit status: 7")));
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named() {
    let rig = Rig::new("").with(|settings| settings.command = "/no/such/program".into());
    let error = tool(&Asker::legacy("c1"), "echo").fail(&rig.start()).await;
    assert!(matches!(&error, UpstreamError::Unreachable { reason } if reason.contains("/no/such/program")), "{error}");
}

#[tokio::test]
async fn a_line_that_never_ends_fails_the_call_at_its_limit() {
    let limits = CallLimits { silent_max: Duration::from_millis(300), ..CallLimits::default() };
    let rig = Rig::new("legacy never-newline").with(|settings| settings.call = limits);
    let error = tool(&Asker::legacy("c1"), "echo").fail(&rig.start()).await;
    assert!(matches!(error, UpstreamError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_over_the_cap_fails_its_call_and_leaves_the_child_of_use() {
    let limits = CallLimits { response: Limits { bytes_max: 100_000, ..Limits::RESPONSE }, ..CallLimits::default() };
    let rig = Rig::new("legacy").with(|settings| settings.call = limits);
    let upstream = rig.start();
    let asker = Asker::legacy("c1");
    let error = asker.tool("big", json!({"size":300_000})).fail(&upstream).await;
    assert!(matches!(error, UpstreamError::TooLarge { limit_bytes: 100_000 }), "{error}");
    assert!(asker.tool("big", json!({"size":90_000})).answer(&upstream).await["result"].is_string());
    assert_eq!(rig.count("initialize"), 1);
}
