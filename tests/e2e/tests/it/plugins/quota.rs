//! `quota`: a place is given back with the end of a call, however it ends, a day has so many calls, and what answers weigh is spent when they
//! end.

use super::{
    approve::{call, said},
    with,
};
use crate::{
    backend::{Backend, Call, Offer},
    caller::Era,
    folder::Folder,
    gateway::Gateway,
    turn::{beside, eventually},
};
use serde_json::json;
use std::time::Duration;

#[test]
fn f114_places_come_back_and_a_day_has_an_end() {
    beside("quota", 60, async {
        let backend = Backend::echo(&["a", "b"]).await;
        for era in Era::BOTH {
            let folder = Folder::new();
            let config = json!({"limits": [
                {"name": "one", "at_once": 1},
                {"name": "five", "names": ["a"], "per_day": 5, "sliding": true},
                {"name": "weight", "names": ["b"], "per_day": 1, "sliding": true, "of": "result-kib"},
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
                let data = &answer["error"]["data"];
                assert_eq!((&data["limit"], &data["whose"]), (&json!(limit), &json!("per principal")), "{answer}");
                assert!(reply.header("retry-after").is_some());
                let series = format!(r#"sluice_plugin_count_refused_total{{plugin="quota",limit="{limit}"}}"#);
                assert_eq!(gateway.metric(&series).await, 1.0, "{}", gateway.metrics().await);
            }
        }
    });
}

/// A call runs, and another is refused meanwhile; the place comes back when the first fails, and when its client leaves.
#[test]
fn f062_a_place_is_held_while_a_call_runs_and_comes_back_however_it_ends() {
    beside("quota, places", 60, async {
        let offer = Offer::tools(&["fails", "slow", "quick"]);
        let backend = Backend::start(offer, |call: Call| async move {
            match call.name.as_str() {
                "quick" => call.echo(),
                "fails" => {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                    call.error(-32603, "broken", "null")
                }
                _ => {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    call.echo()
                }
            }
        })
        .await;
        let folder = Folder::new();
        let config = json!({"limits": [{"name": "one", "key": [], "at_once": 1}]});
        let gateway = with(&folder, "quota", config, json!({"only": {"url": backend.url}})).await;
        let mut quick = gateway.caller(Era::Legacy).await;

        let mut failing = gateway.caller(Era::Modern).await;
        let failing = tokio::spawn(async move { failing.call("fails", "{}").await.expect("an answer").json() });
        tokio::time::sleep(Duration::from_millis(150)).await;
        let no = quick.call("quick", "{}").await.expect("an answer");
        assert_eq!((no.status, no.header("retry-after")), (429, Some("1")), "{}", no.answer());
        let failed = failing.await.expect("it ends well");
        assert_eq!(failed["error"]["code"], -32603, "{failed}");
        quick.result("quick", "{}").await;

        let mut leaving = gateway.caller(Era::Modern).await;
        let leaves = leaving.call("slow", "{}");
        assert!(tokio::time::timeout(Duration::from_millis(200), leaves).await.is_err(), "it answers in twenty seconds");
        drop(leaving);
        eventually(Duration::from_secs(5), || async {
            let mut after = gateway.caller(Era::Modern).await;
            let reply = after.call("quick", "{}").await.expect("an answer");
            if reply.status == 200 { Ok(()) } else { Err(reply.answer().to_string()) }
        })
        .await;
    });
}

/// Where a person is asked first, a call comes to `quota` in its second round: it counts all the same.
#[test]
fn f062_a_call_that_a_person_allowed_counts_too() {
    beside("quota, approve", 60, async {
        let backend = Backend::recording(&["delete_file"]).await;
        let folder = Folder::new();
        let limits = json!([{"name": "two", "per_day": 2, "sliding": true}, {"name": "one", "at_once": 1}]);
        let gateway = Gateway::start(
            &folder,
            json!({
                "mcpServers": {"only": {"url": backend.url}},
                "sluice": {
                    "chain": ["builtin:approve", "builtin:quota"],
                    "plugins": {"settings": {
                        "approve": {"config": {"rules": [{}]}},
                        "quota": {"config": {"limits": limits}},
                    }},
                },
            }),
        )
        .await;
        let mut caller = gateway.caller(Era::Modern).await;
        for at in 0..3 {
            let asked = call(&mut caller, "{}", "").await;
            let done = call(&mut caller, "{}", &said(&asked, r#"{"action":"accept","content":{}}"#)).await;
            match at {
                0 | 1 => assert!(done["result"]["isError"].is_null() && done["error"].is_null(), "{done}"),
                _ => assert_eq!(done["error"]["data"]["limit"], "two", "{done}"),
            }
        }
        assert_eq!(backend.asked("tools/call"), 2);
    });
}
