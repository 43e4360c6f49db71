//! What a child process may touch and use, as an operator says so.

use crate::{
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, journal_entry},
    turn::{beside, eventually},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path, time::Duration};

async fn reach(caller: &mut Caller, what: &str, at: &str) -> String {
    let answer = caller.result("reach", &json!({"what": what, "at": at}).to_string()).await;
    answer["content"][0]["text"].as_str().expect("a text").to_owned()
}

fn confined(folder: &Folder, confine: Value) -> Value {
    let (_, child) = journal_entry(folder, "journal.jsonl", &[]);
    json!({"mcpServers": {"child": child}, "sluice": {"upstreams": {"child": {"confine": confine}}}})
}

#[test]
fn f120_a_confined_child_touches_what_it_was_given_and_nothing_else() {
    beside("confined", 60, async {
        let folder = Folder::new();
        let (given, kept) = (folder.path("given"), folder.path("kept"));
        for folder in [&given, &kept] {
            std::fs::create_dir(folder).expect("a folder");
            std::fs::write(folder.join("there"), "x").expect("a file");
        }
        let journal = folder.write("journal.jsonl", "");
        let confine = json!({"read": [given.join("there")], "write": [journal], "own_directory": true, "network": false, "files_max": 64, "file_mib": 1});
        let gateway = Gateway::start(&folder, confined(&folder, confine)).await;
        let mut caller = gateway.caller(Era::Modern).await;
        let (there, new) =
            (|folder: &Path| folder.join("there").display().to_string(), |folder: &Path| folder.join("new").display().to_string());
        let home = reach(&mut caller, "home", "").await;
        for (what, at, expected) in [
            ("read", there(&given), "ok"),
            ("write", there(&given), "denied"),
            ("read", there(&kept), "denied"),
            ("write", new(&kept), "denied"),
            ("read", "/etc/hostname".to_owned(), "ok"),
            ("write", "new".to_owned(), "ok"),
            ("write", format!("{home}/other"), "ok"),
            ("connect", gateway.address.clone(), "denied"),
            ("signal", gateway.pid().to_string(), "not permitted"),
        ] {
            let said = reach(&mut caller, what, &at).await.to_lowercase();
            assert!(said == expected || said.contains(expected), "{what} {at}: {said}");
        }
        let bounds = reach(&mut caller, "bounds", "").await;
        let line =
            |name: &str| bounds.lines().find(|line| line.starts_with(name)).expect(name).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(line("Max open files").contains(" 64 64") && line("Max core file size").contains(" 0 0"), "{bounds}");
        assert!(line("Max file size").contains("1048576"), "{bounds}");
        // Its folder goes with it.
        assert!(Path::new(&home).join("other").exists());
        gateway.signal(Signal::SIGTERM);
        eventually(Duration::from_secs(5), || async {
            if Path::new(&home).exists() { Err(format!("{home} is still there")) } else { Ok(()) }
        })
        .await;
    });
}

#[test]
fn f021_each_call_has_a_server_of_its_own_where_nobody_shares_one() {
    beside("a child a call", 60, async {
        let folder = Folder::new();
        let (_, child) = journal_entry(&folder, "journal.jsonl", &[]);
        for (sharing, expected) in [("call", 4), ("principal", 1)] {
            let config = json!({"mcpServers": {"child": child}, "sluice": {"upstreams": {"child": {"sharing": sharing}}}});
            let gateway = Gateway::start(&folder, config).await;
            let journal = folder.write("journal.jsonl", "");
            let mut caller = gateway.caller(Era::Legacy).await;
            for unique in ["a", "b", "c", "d"] {
                caller.result("record", &json!({"unique": unique}).to_string()).await;
            }
            let text = std::fs::read_to_string(&journal).expect("the journal");
            let pids: BTreeSet<u64> =
                text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["pid"].as_u64().expect("a number")).collect();
            assert_eq!(pids.len(), expected, "{sharing}: {text}");
            eventually(Duration::from_secs(5), || async {
                let left = pids.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).count();
                if left == usize::from(sharing == "principal") { Ok(()) } else { Err(format!("{sharing}: {left} are left")) }
            })
            .await;
        }
    });
}

/// The same questions without a word about it: what says no above says yes here.
#[test]
fn a_child_that_nothing_was_said_of_may_what_we_may() {
    beside("not confined", 60, async {
        let folder = Folder::new();
        let (_, child) = journal_entry(&folder, "journal.jsonl", &[]);
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"child": child}})).await;
        let mut caller = gateway.caller(Era::Modern).await;
        let new = folder.path("new").display().to_string();
        for (what, at) in [("write", new), ("connect", gateway.address.clone()), ("signal", gateway.pid().to_string())] {
            assert_eq!(reach(&mut caller, what, &at).await, "ok", "{what} {at}");
        }
    });
}

#[test]
fn a_bound_that_cannot_be_is_said_in_the_log_and_the_child_does_not_start() {
    beside("confined, wrong", 60, async {
        let folder = Folder::new();
        let gateway = Gateway::start(&folder, confined(&folder, json!({"cgroup": folder.path("nowhere")}))).await;
        let mut caller = gateway.caller(Era::Modern).await;
        let answer = caller.call("reach", "{}").await.expect("an answer").json();
        assert!(answer.get("result").is_none(), "{answer}");
        let said = gateway.log(|line| line.contains("the server cannot be started as it is confined: the cgroup"));
        assert!(!said.is_empty(), "{:?}", gateway.log(|_| true));
    });
}
