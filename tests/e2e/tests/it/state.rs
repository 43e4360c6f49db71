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
