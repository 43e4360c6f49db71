//! `rate-limit`: over the limit is 429 and says when to come back; others are not concerned.

use super::with;
use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    turn::beside,
};
use serde_json::json;
use std::time::Duration;

#[test]
fn f062_over_the_limit_is_429_with_retry_after() {
    beside("rate-limit", 60, async {
        let backend = Backend::recording(&["a", "b"]).await;
        for era in Era::BOTH {
            let folder = Folder::new();
            let config = json!({"limits": [{"name": "three", "key": ["principal", "tool"], "burst": 3, "per_second": 0.5}]});
            let gateway = with(&folder, "rate-limit", config, json!({"only": {"url": backend.url}})).await;
            let mut caller = gateway.caller(era).await;
            let before = backend.asked("tools/call");
            for _ in 0..3 {
                caller.result("a", "{}").await;
            }
            let reply = caller.call("a", "{}").await.expect("an answer");
            let answer = reply.json();
            assert_eq!((reply.status, &answer["error"]["code"]), (429, &json!(4290)), "{era:?}: {answer}");
            let seconds: u64 = reply.header("retry-after").expect("Retry-After").parse().expect("seconds");
            assert!((1..=2).contains(&seconds), "{seconds}");
            assert_eq!(answer["error"]["data"]["limit"], "three", "{answer}");
            assert_eq!(answer["error"]["data"]["whose"], "per principal, tool", "{answer}");
            assert_eq!(gateway.metric(r#"sluice_plugin_count_refused_total{plugin="rate-limit",limit="three"}"#).await, 1.0);
            assert_eq!(backend.asked("tools/call"), before + 3, "the refused one did not reach the server");
            caller.result("b", "{}").await;
            caller.names("tools").await;
            tokio::time::sleep(Duration::from_secs(seconds) + Duration::from_millis(100)).await;
            caller.result("a", "{}").await;
        }
    });
}

#[test]
fn f063_each_principal_has_a_bucket_of_its_own_and_models_can_read_the_no() {
    beside("rate-limit, principals", 60, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let keys = json!([{"id": "a", "hash": key_hash("key-a")}, {"id": "b", "hash": key_hash("key-b")}]);
        let gateway = Gateway::start(
            &folder,
            json!({
                "mcpServers": {"only": {"url": backend.url}},
                "sluice": {
                    "chain": ["builtin:auth-api-key", "builtin:rate-limit"],
                    "plugins": {"settings": {
                        "auth-api-key": {"config": {"keys": keys}},
                        "rate-limit": {"config": {"limits": [{"name": "two", "burst": 2, "per_hour": 1}], "answer": "tool-result"}},
                    }},
                },
            }),
        )
        .await;
        for key in ["key-a", "key-b"] {
            // Two clients of one principal share its bucket.
            for era in Era::BOTH {
                Caller::new(&gateway.address, era, key).await.result("echo", "{}").await;
            }
            for era in Era::BOTH {
                let no = Caller::new(&gateway.address, era, key).await.result("echo", "{}").await;
                assert_eq!(no["isError"], true, "{no}");
                assert!(no["content"][0]["text"].as_str().is_some_and(|text| text.contains("try again")), "{no}");
            }
        }
    });
}

/// Calls at once do not get more than there is.
#[test]
fn a_burst_at_once_gets_what_the_bucket_holds() {
    beside("rate-limit, burst", 60, async {
        let backend = Backend::echo(&["echo"]).await;
        let folder = Folder::new();
        let config = json!({"limits": [{"name": "ten", "burst": 10, "per_hour": 1}]});
        let gateway = with(&folder, "rate-limit", config, json!({"only": {"url": backend.url}})).await;
        let mut lanes = Vec::new();
        for at in 0..40 {
            let mut caller = gateway.caller(Era::BOTH[at % 2]).await;
            lanes.push(tokio::spawn(async move { caller.call("echo", "{}").await.expect("an answer").status }));
        }
        let mut passed = 0;
        for lane in lanes {
            passed += usize::from(lane.await.expect("a lane ends well") == 200);
        }
        assert_eq!(passed, 10);
    });
}
