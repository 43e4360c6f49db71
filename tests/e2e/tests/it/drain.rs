//! SIGTERM: what is in flight ends as if nothing had happened, and nothing of ours outlives us.

use crate::{
    backend::{Backend, Call, Offer},
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, command_line, descendants, journal_entry},
    turn::{alone, eventually},
};
use nix::sys::signal::Signal;
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const IN_FLIGHT: usize = 64;

/// Answers after this many milliseconds, in both eras.
async fn slow_backend(ms: u64) -> Backend {
    Backend::start(Offer::tools(&["slow"]), move |call: Call| async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        call.echo()
    })
    .await
}

/// Of these, what still runs under the same command line.
fn alive(before: &BTreeMap<i32, String>) -> Vec<String> {
    before
        .iter()
        .filter(|(pid, line)| !line.is_empty() && command_line(**pid) == **line)
        .map(|(pid, line)| format!("{pid} {line}"))
        .collect()
}

#[test]
fn no_call_in_flight_is_dropped_and_no_child_is_left() {
    alone("drain", 120, async {
        let backend = slow_backend(1500).await;
        let folder = Folder::new();
        let (_, child) = journal_entry(&folder, "journal.jsonl", &[]);
        let mut gateway = Gateway::start(&folder, json!({"mcpServers": {"http": {"url": backend.url}, "child": child}})).await;
        // A process that the child started is ours to end, too.
        gateway.caller(Era::Legacy).await.result("child_spawn", "{}").await;
        let mut lanes = Vec::new();
        for at in 0..IN_FLIGHT {
            let mut caller = gateway.caller(Era::BOTH[at % 2]).await;
            lanes.push(tokio::spawn(async move {
                let tool = if at % 4 < 2 { "http_slow" } else { "child_slow" };
                let reply = caller.call(tool, &format!(r#"{{"ms":1500,"unique":"{at}"}}"#)).await.map_err(|error| error.to_string())?;
                let answer = reply.json();
                let is_ours = answer["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains(&at.to_string()));
                if is_ours { Ok(()) } else { Err(answer.to_string()) }
            }));
        }
        eventually(Duration::from_secs(10), || async {
            let running = gateway.metric("sluice_exchanges_running").await;
            if running >= IN_FLIGHT as f64 { Ok(()) } else { Err(format!("{running} run")) }
        })
        .await;
        let children = descendants(gateway.pid());
        assert!(children.values().any(|line| line.contains("sleep 600")), "{children:?}");

        let told = Instant::now();
        gateway.signal(Signal::SIGTERM);
        let reply = eventually(Duration::from_secs(3), || async {
            let reply = crate::connection::Connection::open(&gateway.admin).await;
            let Ok(_) = reply else { return Ok(None) };
            let reply = gateway.admin("/readyz", "").await;
            if reply.status == 503 { Ok(Some(reply.status)) } else { Err(format!("readyz {}", reply.status)) }
        })
        .await;
        let mut failures = Vec::new();
        for lane in lanes {
            failures.extend(lane.await.expect("a lane ends well").err());
        }
        assert!(failures.is_empty(), "{} of {IN_FLIGHT} dropped: {:#?}", failures.len(), &failures[..failures.len().min(3)]);
        let status = gateway.ended(Duration::from_secs(30)).await.expect("within the grace time");
        let took = told.elapsed();
        assert_eq!(status.code(), Some(0), "{status}");
        assert!(alive(&children).is_empty(), "still running: {:?}", alive(&children));
        println!(
            "drain: N={IN_FLIGHT} calls in flight, 0 dropped, readyz {reply:?}, ended after {took:?}, {} children gone",
            children.len()
        );
        let audit = folder.read("audit.jsonl");
        assert_eq!(audit.lines().filter(|line| line.contains("_slow")).count(), IN_FLIGHT, "each of them is in the audit log");
    });
}

#[test]
fn the_grace_time_is_kept() {
    alone("drain, grace", 60, async {
        let backend = slow_backend(60_000).await;
        let folder = Folder::new();
        let (_, child) = journal_entry(&folder, "journal.jsonl", &[]);
        let config = json!({
            "mcpServers": {"http": {"url": backend.url}, "child": child},
            "sluice": {"limits": {"drain_timeout_ms": 1000}},
        });
        let mut gateway = Gateway::start(&folder, config).await;
        let mut lanes = Vec::new();
        for tool in ["http_slow", "child_slow"] {
            let mut caller = gateway.caller(Era::Modern).await;
            lanes.push(tokio::spawn(async move { caller.call(tool, r#"{"ms":60000,"unique":"x"}"#).await }));
        }
        eventually(Duration::from_secs(10), || async {
            let running = gateway.metric("sluice_exchanges_running").await;
            if running >= 2.0 { Ok(()) } else { Err(format!("{running} run")) }
        })
        .await;
        let children = descendants(gateway.pid());
        let told = Instant::now();
        gateway.signal(Signal::SIGTERM);
        let status = gateway.ended(Duration::from_secs(15)).await.expect("soon after the grace time");
        println!("drain, grace: two endless calls, grace 1 s, ended after {:?}: {status}", told.elapsed());
        assert_eq!(status.code(), Some(0), "{status}");
        assert!(alive(&children).is_empty(), "still running: {:?}", alive(&children));
        for lane in lanes {
            lane.await.expect("a lane ends well").err();
        }
    });
}

/// Clients that keep calling through it: each call is answered or was never taken.
#[test]
fn under_load_every_call_taken_is_answered() {
    alone("drain, load", 90, async {
        let backend = slow_backend(3).await;
        let folder = Folder::new();
        let mut gateway = Gateway::start(&folder, json!({"mcpServers": {"http": {"url": backend.url}}})).await;
        let mut lanes = Vec::new();
        for at in 0..16 {
            let mut caller = gateway.caller(Era::BOTH[at % 2]).await;
            lanes.push(tokio::spawn(async move {
                let mut answered = 0_usize;
                loop {
                    match caller.call("slow", &format!(r#"{{"unique":"{at}"}}"#)).await {
                        Ok(reply) => {
                            let answer = reply.json();
                            assert!(answer.get("result").is_some(), "{answer}");
                            answered += 1;
                        }
                        // Closed between two calls, or nobody listens any more: not taken. The audit log says how many were.
                        Err(_) => return answered,
                    }
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        gateway.signal(Signal::SIGTERM);
        let mut answered = 0;
        for lane in lanes {
            answered += lane.await.expect("every answer was a result");
        }
        let status = gateway.ended(Duration::from_secs(30)).await.expect("within the grace time");
        assert_eq!(status.code(), Some(0), "{status}");
        let taken = folder.read("audit.jsonl").lines().filter(|line| line.contains(r#""method":"tools/call""#)).count();
        println!("drain, load: {taken} calls taken, {answered} answered");
        assert_eq!(taken, answered, "a call was taken and its client got nothing");
    });
}

/// A client that stays connected and says nothing does not hold the end up.
#[test]
fn idle_clients_do_not_hold_it_up() {
    alone("drain, idle", 60, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let mut gateway = Gateway::start(&folder, json!({"mcpServers": {"http": {"url": backend.url}}})).await;
        let mut callers = Vec::new();
        for at in 0..10 {
            let mut caller = gateway.caller(Era::BOTH[at % 2]).await;
            caller.result("echo", "{}").await;
            callers.push(caller);
        }
        // And one with an event stream of its session.
        let listening = Caller::new(&gateway.address, Era::Legacy, &gateway.token).await;
        let mut stream = crate::connection::Connection::open(&gateway.address).await.expect("a connection");
        tokio::io::AsyncWriteExt::write_all(&mut stream.stream, listening.head("GET", "", None, 0, "").as_bytes()).await.expect("written");
        assert_eq!(stream.head().await.expect("a head").status, 200);
        let told = Instant::now();
        gateway.signal(Signal::SIGTERM);
        let status = gateway.ended(Duration::from_secs(10)).await.expect("soon: nothing is in flight");
        println!("drain, idle: ended after {:?}: {status}", told.elapsed());
        assert_eq!(status.code(), Some(0), "{status}");
        assert!(told.elapsed() < Duration::from_secs(5));
    });
}
