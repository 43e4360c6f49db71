//! Questions of a server, put to the client in the way of its own era.

use crate::{
    http_modern::upstream,
    stdio::{Rig, tool},
    support::{
        Asker,
        server::{Act, Fake, Seen, legacy, modern, respond, result, stream_head},
        value,
    },
};
use serde_json::{Value, json};
use sluice_chain::upstream::{Upstream, UpstreamError};
use sluice_wire::revision::Revision;
use std::time::Duration;

fn round(state: &str, requests: Value) -> Value {
    json!({"resultType":"input_required","requestState":state,"inputRequests":requests})
}

fn elicit(message: &str) -> Value {
    json!({"method":"elicitation/create","params":{"mode":"form","message":message,"requestedSchema":{"type":"object","properties":{}}}})
}

/// Asks twice, each time with its own state, and then says what it was given last.
fn two_rounds(seen: &Seen) -> crate::support::server::Acts {
    let params = &seen.body["params"];
    let given = &params["inputResponses"];
    match params["requestState"].as_str() {
        None => result(seen, round("one", json!({"a":elicit("first"),"b":{"method":"roots/list"}}))),
        Some("one") if given["a"]["action"] == "accept" && given["b"]["asked"] == "roots/list" => {
            result(seen, round("two", json!({"c":elicit("second")})))
        }
        Some("two") => result(seen, json!({"resultType":"complete","content":[],"last":given})),
        _ => respond(400, "", ""),
    }
}

#[tokio::test]
async fn a_legacy_client_plays_the_rounds_of_a_modern_server_without_knowing() {
    let fake = Fake::start(modern(two_rounds)).await;
    let asker = Asker::new(Revision::V2025_06_18, Some("c1"), r#"{"elicitation":{},"roots":{}}"#);
    let (answer, heard) = asker.tool("t", json!({"n":1})).send(&upstream(&fake)).await;
    let asked: Vec<_> = heard.iter().map(|asked| (asked["method"].as_str().unwrap(), asked["params"]["mode"].clone())).collect();
    assert_eq!(asked, [("elicitation/create", Value::Null), ("roots/list", Value::Null), ("elicitation/create", Value::Null)]);
    let last = value(&answer.unwrap().response)["result"]["last"].clone();
    assert_eq!(last, json!({"c":{"action":"accept","asked":"elicitation/create"}}), "only this round's");
    let calls: Vec<_> = fake.seen().into_iter().filter(|seen| seen.method() == "tools/call").collect();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.body["params"]["arguments"] == json!({"n":1}) && call.header("mcp-name") == "t"));
    assert!(calls[0].id() != calls[1].id() && calls[1].id() != calls[2].id());
}

#[tokio::test]
async fn a_modern_client_plays_its_rounds_itself() {
    let fake = Fake::start(modern(two_rounds)).await;
    let asker = Asker::new(Revision::V2026_07_28, None, r#"{"elicitation":{},"roots":{}}"#);
    let (answer, heard) = asker.tool("t", json!({})).send(&upstream(&fake)).await;
    assert_eq!(heard, Vec::<Value>::new());
    assert_eq!(value(&answer.unwrap().response)["result"]["requestState"], "one");
}

#[tokio::test]
async fn a_no_that_a_round_has_no_words_for_ends_the_call() {
    let fake = Fake::start(modern(|seen| {
        result(
            seen,
            round("s", json!({"k":{"method":"sampling/createMessage","params":{"message":"nothing","messages":[],"maxTokens":1}}})),
        )
    }))
    .await;
    let asker = Asker::new(Revision::V2025_11_25, Some("c1"), r#"{"sampling":{}}"#);
    let answer = asker.tool("t", json!({})).answer(&upstream(&fake)).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert_eq!(fake.seen().iter().filter(|seen| seen.method() == "tools/call").count(), 1, "it is not asked for ever");
}

#[tokio::test]
async fn a_server_that_asks_for_ever_or_nonsense_is_told_from_one_that_answers() {
    let fake = Fake::start(modern(|seen| match seen.tool() {
        "again" => result(seen, round("s", json!({"k":elicit("more")}))),
        _ => result(seen, json!({"resultType":"riddle"})),
    }))
    .await;
    let upstream = upstream(&fake);
    let asker = Asker::new(Revision::V2025_11_25, Some("c1"), r#"{"elicitation":{}}"#);
    for tool in ["again", "other"] {
        let error = asker.tool(tool, json!({})).fail(&upstream).await;
        assert!(matches!(error, UpstreamError::BadReply { .. }), "{tool}: {error}");
    }
    assert!(fake.seen().iter().filter(|seen| seen.tool() == "again").count() <= 11);
}

#[tokio::test]
async fn a_question_that_nobody_answers_is_no_consent() {
    let fake = Fake::start(legacy(json!({"tools":{}}), |seen| match seen.verb.as_str() {
        "POST" => crate::support::server::events(&[
            json!({"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"m"}}),
            json!({"jsonrpc":"2.0","id":seen.id(),"result":{}}),
        ]),
        _ => respond(405, "", ""),
    }))
    .await;
    let mut asked = Asker::new(Revision::V2025_11_25, Some("c1"), r#"{"elicitation":{}}"#).tool("t", json!({}));
    // Nobody listens.
    (asked.outbound.interim, _) = sluice_chain::queue::queue(1);
    let upstream = upstream(&fake);
    asked.answer(&upstream).await;
    let answer = || fake.seen().into_iter().find(|seen| seen.body["id"] == "q1");
    crate::support::eventually("the answer", || answer().is_some()).await;
    assert_eq!(answer().unwrap().body["result"], json!({"action":"cancel"}));
}

#[tokio::test]
async fn the_first_call_waits_for_the_stream_that_questions_may_come_on() {
    const SLOW: Duration = Duration::from_millis(100);
    let fake = Fake::start(legacy(json!({"tools":{}}), |seen| match seen.verb.as_str() {
        "GET" => vec![Act::Pause(SLOW), stream_head(), Act::Hold],
        _ => result(seen, json!({"content":[]})),
    }))
    .await;
    let upstream = upstream(&fake);
    let asker = Asker::new(Revision::V2026_07_28, None, r#"{"elicitation":{}}"#);
    asker.tool("t", json!({})).answer(&upstream).await;
    let at = |found: fn(&Seen) -> bool| fake.seen().iter().find(|seen| found(seen)).expect("it came").at;
    let stream = at(|seen| seen.verb == "GET");
    assert!(at(|seen| seen.method() == "tools/call") >= stream + SLOW, "{:?}", fake.trace());
}

#[tokio::test]
async fn stdio_what_was_not_declared_is_refused_and_a_ping_answered() {
    let upstream = Rig::new("legacy").start();
    let answer = tool(&Asker::legacy("c1"), "ask").answer(&upstream).await;
    let answers = &answer["result"]["answers"];
    assert_eq!(answers[0], json!({"jsonrpc":"2.0","id":"a","result":{}}));
    for (at, id) in [(1, "b"), (2, "c")] {
        assert_eq!((&answers[at]["id"], &answers[at]["error"]["code"]), (&json!(id), &json!(-32601)));
    }
}

#[tokio::test]
async fn stdio_what_was_declared_is_asked_of_the_client() {
    let upstream = Rig::new("legacy").start();
    let asker = Asker::new(Revision::V2025_11_25, Some("c1"), r#"{"roots":{},"elicitation":{}}"#);
    let (answer, heard) = tool(&asker, "ask").send(&upstream).await;
    let methods: Vec<_> = heard.iter().map(|asked| asked["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["roots/list", "elicitation/create"]);
    let answers = value(&answer.unwrap().response)["result"]["answers"].clone();
    for (at, id, method) in [(1, "b", "roots/list"), (2, "c", "elicitation/create")] {
        assert_eq!(answers[at], json!({"jsonrpc":"2.0","id":id,"result":{"action":"accept","asked":method}}));
    }
}

#[tokio::test]
async fn questions_without_end_are_refused_beyond_a_bound() {
    let upstream = Rig::new("legacy").start();
    let asked = tool(&Asker::new(Revision::V2025_11_25, Some("c1"), r#"{"elicitation":{}}"#), "ask-on");
    // The client hears and does not answer.
    let sent = tokio::time::timeout(Duration::from_secs(20), upstream.send(asked.outbound)).await;
    let answer = sent.expect("in time").unwrap();
    let answers = value(&answer.response)["result"]["answers"].as_array().unwrap().clone();
    assert!(answers.iter().all(|answer| answer["error"]["code"] == -32603), "{:?}", answers.first());
    drop(asked.heard);
}
