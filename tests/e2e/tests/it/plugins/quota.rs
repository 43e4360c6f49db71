//! `quota`: a place is given back with the end of a call, an hour has so many calls, and what answers weigh is spent when they end.

use super::with;
use crate::{backend::Backend, caller::Era, folder::Folder, turn::beside};
use serde_json::json;
use std::time::Duration;

#[test]
fn places_come_back_and_an_hour_has_an_end() {
    beside("quota", 60, async {
        let backend = Backend::echo(&["a", "b"]).await;
        for era in Era::BOTH {
            let folder = Folder::new();
            let config = json!({"limits": [
                {"name": "one", "at_once": 1},
                {"name": "five", "names": ["a"], "per_day": 5},
                {"name": "weight", "names": ["b"], "per_day": 1, "of": "result-kib"},
            ]});
            let gateway = with(&folder, "quota", config, json!({"only": {"url": backend.url}})).await;
            let mut caller = gateway.caller(era).await;
            // One after another each has the place; were it not given back, the second would be refused.
            for _ in 0..5 {
                caller.result("a", "{}").await;
            }
            caller.result("b", "{}").await;
            // What an answer weighs is known once it is out.
            tokio::time::sleep(Duration::from_millis(300)).await;
            for (tool, limit) in [("a", "five"), ("b", "weight")] {
                let reply = caller.call(tool, "{}").await.expect("an answer");
                let answer = reply.json();
                assert_eq!((reply.status, &answer["error"]["code"]), (429, &json!(4290)), "{era:?}: {answer}");
                assert_eq!(answer["error"]["data"]["limit"], limit, "{answer}");
                assert!(reply.header("retry-after").is_some());
            }
        }
    });
}
