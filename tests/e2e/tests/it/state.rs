//! What plugins keep, where it is configured to stand: found again by the next process, shared by two, and what happens without it.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    redis::Redis,
    turn::{beside, eventually},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{os::unix::fs::PermissionsExt as _, time::Duration};

/// A gateway that lets one principal call so often, and no more in this hour.
async fn limited(folder: &Folder, backend: &Backend, state: Value, calls: u32) -> Gateway {
    let keys = json!([{"id": "ada", "hash": key_hash("key-ada")}]);
    let limits = json!([{"name": "some", "key": ["principal"], "burst": calls, "per_hour": 1}]);
    let settings = json!({"auth-api-key": {"config": {"keys": keys}}, "rate-limit": {"config": {"limits": limits}}});
    let own = json!({"state": state, "chain": ["builtin:auth-api-key", "builtin:rate-limit"], "plugins": {"settings": settings}});
    Gateway::start(folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await
}

async fn caller(gateway: &Gateway) -> Caller {
    Caller::new(&gateway.address, Era::Modern, "key-ada").await
}

/// The HTTP status of a call: 200, or 429 if it is one too many.
async fn status(caller: &mut Caller) -> u16 {
    caller.call("echo", "{}").await.expect("an answer").status
}

#[test]
fn f075_what_was_counted_outlives_the_process() {
    beside("state in a file", 120, async {
        let backend = Backend::recording(&["echo"]).await;
        let folder = Folder::new();
        let state = json!({"kind": "file", "path": folder.path("state.redb")});
        for (signal, left) in [(Signal::SIGTERM, 2), (Signal::SIGKILL, 1), (Signal::SIGTERM, 0)] {
            let mut gateway = limited(&folder, &backend, state.clone(), 2).await;
            let mut caller = caller(&gateway).await;
            assert_eq!(status(&mut caller).await, if left > 0 { 200 } else { 429 }, "{left} left");
            if signal == Signal::SIGKILL {
                // What was counted in the last tenth of a second may be lost with a crash, and is lost with nothing else.
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
            gateway.signal(signal);
            gateway.ended(Duration::from_secs(20)).await.expect("it ends");
        }
        assert_eq!(backend.asked("tools/call"), 2);
        let mode = std::fs::metadata(folder.path("state.redb")).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it is its owner's alone");
    });
}

#[test]
fn a_state_file_is_one_process_s_and_whoever_looks_needs_none() {
    beside("state file in use", 120, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let state = json!({"kind": "file", "path": folder.path("state.redb")});
        let _running = limited(&folder, &backend, state.clone(), 2).await;
        let config = json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": {"state": state}});
        let refused = Gateway::refused(&folder, config.clone()).await;
        assert!(refused.stderr.contains("is in use by another process"), "{}", refused.stderr);
        let looked = crate::gateway::finish(crate::gateway::command(&folder, &config, "check"), Duration::from_secs(20)).await;
        assert!(looked.status.success(), "{}", looked.stderr);
    });
}

#[test]
fn f075_two_gateways_count_as_one_and_say_so_when_they_cannot() {
    beside("state in Redis", 120, async {
        const LIMIT: u32 = 10;
        let backend = Backend::recording(&["echo"]).await;
        let redis = Redis::start();
        let folders = [Folder::new(), Folder::new(), Folder::new()];
        let state = |folder: &Folder, degrade: Value| {
            let url = folder.write("redis.txt", redis.url());
            std::fs::set_permissions(&url, std::fs::Permissions::from_mode(0o600)).expect("its mode");
            json!({"kind": "redis", "url": format!("file:{}", url.display()), "degrade": degrade})
        };
        let one = limited(&folders[0], &backend, state(&folders[0], json!([])), LIMIT).await;
        let other = limited(&folders[1], &backend, state(&folders[1], json!([])), LIMIT).await;
        let going_on = limited(&folders[2], &backend, state(&folders[2], json!(["rate-limit"])), LIMIT).await;
        let mut callers = [caller(&one).await, caller(&other).await, caller(&going_on).await];
        let mut let_through = 0;
        for round in 0..3 * LIMIT as usize {
            let status = status(&mut callers[round % 3]).await;
            assert!(status == 200 || status == 429, "{status}");
            let_through += u32::from(status == 200);
        }
        // What a gateway holds in advance it may not come to use: never more than the limit, and here hardly less.
        assert!((LIMIT - 3..=LIMIT).contains(&let_through), "{let_through} of {LIMIT}");
        assert_eq!(backend.asked("tools/call"), let_through as usize);

        let port = redis.stop();
        // A refusal of before holds for up to a second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let refused = callers[0].call("echo", "{}").await.expect("an answer");
        assert!(refused.json().get("result").is_none() && refused.status >= 500, "{} {}", refused.status, refused.answer());
        assert_eq!(backend.asked("tools/call"), let_through as usize, "without its counts nothing is let through");
        for _ in 0..LIMIT {
            assert_eq!(status(&mut callers[2]).await, 200, "it goes by its own memory");
        }
        assert_eq!(status(&mut callers[2]).await, 429, "and that has a limit, too");

        let _again = Redis::on(port);
        eventually(Duration::from_secs(20), || async {
            let mut caller = caller(&one).await;
            let status = status(&mut caller).await;
            if status == 200 { Ok(()) } else { Err(format!("still {status}")) }
        })
        .await;
        for word in ["Redis is lost", "Redis answers again"] {
            assert!(!one.log(|line| line.contains(word)).is_empty(), "no word of it: {word}");
        }
        assert!(!going_on.log(|line| line.contains("goes by its own memory alone")).is_empty());
    });
}

/// A gateway with two principals, and a server that can be followed.
async fn with_sessions(folder: &Folder, backend: &Backend, state: Value) -> Gateway {
    let keys = json!([{"id": "ada", "hash": key_hash("key-ada")}, {"id": "bob", "hash": key_hash("key-bob")}]);
    let own =
        json!({"state": state, "chain": ["builtin:auth-api-key"], "plugins": {"settings": {"auth-api-key": {"config": {"keys": keys}}}}});
    Gateway::start(folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await
}

/// The same session at another gateway, as this caller.
fn moved(caller: &Caller, gateway: &Gateway, key: &str) -> Caller {
    let mut moved = Caller::silent(&gateway.address, Era::Legacy, key);
    moved.session.clone_from(&caller.session);
    moved
}

#[test]
fn f017_a_session_outlives_its_process_and_is_nobody_elses() {
    beside("sessions in a file", 120, async {
        let (backend, folder) = (Backend::echo(&["echo"]).await, Folder::new());
        let state = json!({"kind": "file", "path": folder.path("state.redb")});
        let mut first = with_sessions(&folder, &backend, state.clone()).await;
        let mut ada = Caller::new(&first.address, Era::Legacy, "key-ada").await;
        ada.result("echo", "{}").await;
        first.signal(Signal::SIGKILL);
        first.ended(Duration::from_secs(20)).await.expect("it ends");

        let second = with_sessions(&folder, &backend, state).await;
        assert_eq!(status(&mut moved(&ada, &second, "key-bob")).await, 404, "an id is no authority");
        let mut again = moved(&ada, &second, "key-ada");
        again.result("echo", "{}").await;
        let ended = again.send(again.head("DELETE", "", None, 0, "").as_bytes()).await.expect("an answer");
        assert_eq!(ended.status, 204);
        assert_eq!(status(&mut moved(&ada, &second, "key-ada")).await, 404, "what has ended does not come back");
        let kept = std::fs::read(folder.path("state.redb")).expect("the file");
        let id = ada.session.as_deref().expect("a session").as_bytes();
        assert!(!kept.windows(id.len()).any(|window| window == id), "whoever reads the file is told no id");
    });
}

#[test]
fn f077_a_session_is_good_at_every_gateway_that_shares_redis() {
    beside("sessions in Redis", 120, async {
        let (backend, redis, folders) = (Backend::echo(&["echo"]).await, Redis::start(), [Folder::new(), Folder::new()]);
        let state = |folder: &Folder| {
            let url = folder.write("redis.txt", redis.url());
            std::fs::set_permissions(&url, std::fs::Permissions::from_mode(0o600)).expect("its mode");
            json!({"kind": "redis", "url": format!("file:{}", url.display())})
        };
        let one = with_sessions(&folders[0], &backend, state(&folders[0])).await;
        let other = with_sessions(&folders[1], &backend, state(&folders[1])).await;
        let mut here = Caller::new(&one.address, Era::Legacy, "key-ada").await;
        let mut there = moved(&here, &other, "key-ada");
        for _ in 0..5 {
            here.result("echo", "{}").await;
            there.result("echo", "{}").await;
        }
        // Without Redis each goes on with those that it has, and of others nobody can say.
        drop(redis);
        here.result("echo", "{}").await;
        there.result("echo", "{}").await;
        let mut unknown = moved(&here, &other, "key-ada");
        unknown.session = Some("0123456789abcdef0123456789abcdef".to_owned());
        assert_eq!(status(&mut unknown).await, 503);
        // The control: a gateway that shares nothing knows no such session.
        let lonely = Folder::new();
        let alone = with_sessions(&lonely, &backend, json!({"kind": "memory"})).await;
        assert_eq!(status(&mut moved(&here, &alone, "key-ada")).await, 404);
    });
}
