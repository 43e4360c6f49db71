//! The demo servers, in both eras.

use crate::support::Asker;
use serde_json::{Value, json};
use sluice_chain::upstream::UpstreamError;
use sluice_transport::upstream::{BUILTIN_NAMES, builtin};

#[tokio::test]
async fn each_demo_server_speaks_both_eras() {
    for kind in BUILTIN_NAMES {
        let upstream = builtin::upstream("demo", kind);
        for (asker, result_type) in [(Asker::legacy("c1"), Value::Null), (Asker::modern(), json!("complete"))] {
            let facts = upstream.facts(asker.revision.era(), &asker.client, &asker.principal).await.unwrap();
            assert_eq!(facts.era, asker.revision.era());
            let listed = asker.request("tools/list", json!({})).answer(&*upstream).await;
            assert!(listed["result"]["tools"].as_array().is_some_and(|tools| tools.len() > 2), "{listed}");
            assert_eq!(listed["result"]["resultType"], result_type);
            let unknown = asker.tool("no such tool", json!({})).answer(&*upstream).await;
            assert_eq!(unknown["error"]["code"], -32602);
        }
    }
}

#[tokio::test]
async fn notes_of_one_principal_are_not_another_ones() {
    let upstream = builtin::upstream("notes", "notes");
    let note = json!({"title":"Plan","text":"meet at noon"});
    Asker::modern().named("alice").tool("add_note", note).answer(&*upstream).await;
    for (subject, hits) in [("alice", 1), ("bob", 0)] {
        let found = Asker::modern().named(subject).tool("search_notes", json!({"query":"NOON"})).answer(&*upstream).await;
        assert_eq!(found["result"]["structuredContent"]["notes"].as_array().unwrap().len(), hits, "{subject}");
    }
    let read = Asker::modern().named("alice").request("resources/read", json!({"uri":"note://1"})).answer(&*upstream).await;
    assert_eq!(read["result"]["contents"][0]["text"], "meet at noon");
}

#[tokio::test]
async fn a_contact_holds_what_redaction_is_for() {
    let upstream = builtin::upstream("notes", "notes");
    let asked = Asker::legacy("c1").tool("exposed", json!({"name":"ada"})).renamed("lookup_contact");
    let found = asked.answer(&*upstream).await;
    assert_eq!(found["result"]["structuredContent"]["email"], "ada@example.com");
    assert_eq!(found["result"]["structuredContent"]["card"], "4111 1111 1111 1111");
}

#[tokio::test(start_paused = true)]
async fn a_countdown_reports_progress_and_can_be_cancelled() {
    let upstream = builtin::upstream("clock", "clock");
    let ask = |seconds: u32| {
        Asker::modern().request("tools/call", json!({"name":"countdown","arguments":{"seconds":seconds},"_meta":{"progressToken":"p"}}))
    };
    let (answer, heard) = ask(3).send(&*upstream).await;
    assert!(answer.is_ok());
    let heard: Vec<_> = heard.iter().map(|one| (one["params"]["progressToken"].clone(), one["params"]["progress"].clone())).collect();
    assert_eq!(heard, [1, 2, 3].map(|n| (json!("p"), json!(n))));

    let asked = ask(60);
    asked.cancel.cancel();
    assert!(matches!(asked.fail(&*upstream).await, UpstreamError::Cancelled));
}
