//! Rounds of modern clients: sealed states, calls that wait, and what comes of mistakes.

use crate::support::{Endpoint, Reply, Rig, eventually};
use serde_json::{Value, json};
use sluice_wire::revision::Era;
use std::time::Duration;

const ASKABLE: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"roots":{}}}"#;

/// One request of a call, with these members besides name and `_meta`.
async fn call(endpoint: &Endpoint, tool: &str, mut params: Value) -> Reply {
    params["name"] = tool.into();
    params["_meta"] = serde_json::from_str(ASKABLE).unwrap();
    let body = json!({"jsonrpc":"2.0","id":9,"method":"tools/call","params":params});
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", tool)];
    endpoint.post(&headers, &body.to_string()).await
}

async fn result(endpoint: &Endpoint, tool: &str, params: Value) -> Value {
    call(endpoint, tool, params).await.json()["result"].clone()
}

fn retry(state: &Value, inputs: Value) -> Value {
    json!({"arguments":{"n":1},"requestState":state,"inputResponses":inputs})
}

async fn first(endpoint: &Endpoint, tool: &str) -> Value {
    result(endpoint, tool, json!({"arguments":{"n":1}})).await
}

async fn reason(endpoint: &Endpoint, tool: &str, params: Value) -> Value {
    call(endpoint, tool, params).await.is_error(200, -32602)["error"]["data"]["reason"].clone()
}

fn filled(n: Value) -> Value {
    json!({"1-1":{"action":"accept","content":{"n":n}}})
}

fn runs(endpoint: &Endpoint) -> usize {
    endpoint.fake.called().len()
}

#[tokio::test]
async fn s037_a_servers_state_comes_back_to_it_byte_for_byte() {
    let endpoint = Rig::era(Era::Modern).start().await;
    let asked = first(&endpoint, "rounds").await;
    assert_eq!(asked["inputRequests"], json!({"k":{"method":"roots/list"}}));
    result(&endpoint, "rounds", retry(&asked["requestState"], json!({"k":{"roots":[]}}))).await;
    let sent = endpoint.fake.requests.lock().unwrap().last().unwrap().clone();
    assert!(sent.contains(r#""requestState":"s\u0041""#), "{sent}");
}

#[tokio::test]
async fn s038_a_server_without_a_state_gets_none_back() {
    let endpoint = Rig::era(Era::Modern).start().await;
    let asked = result(&endpoint, "rounds", json!({"arguments":{}})).await;
    let params = json!({"arguments":{},"requestState":asked["requestState"],"inputResponses":{"k":{"roots":[]}}});
    assert_eq!(result(&endpoint, "rounds", params).await["resultType"], "complete");
    let sent = endpoint.fake.requests.lock().unwrap().last().unwrap().clone();
    assert!(sent.contains("inputResponses") && !sent.contains("requestState"), "{sent}");
}

#[tokio::test]
async fn s039_a_retry_brings_the_first_params_and_this_rounds_answers() {
    let endpoint = Rig::era(Era::Modern).start().await;
    let asked = first(&endpoint, "rounds").await;
    result(&endpoint, "rounds", retry(&asked["requestState"], json!({"k":{"roots":[]}}))).await;
    let sent: Value = serde_json::from_str(endpoint.fake.requests.lock().unwrap().last().unwrap()).unwrap();
    assert_eq!((&sent["params"]["arguments"], &sent["params"]["inputResponses"]), (&json!({"n":1}), &json!({"k":{"roots":[]}})));
}

#[tokio::test]
async fn s042_a_state_that_was_altered_or_used_does_not_reach_the_server() {
    let endpoint = Rig::era(Era::Modern).start().await;
    let state = first(&endpoint, "rounds").await["requestState"].clone();
    let answers = json!({"k":{"roots":[]}});
    let mut altered = state.as_str().unwrap().to_owned();
    let last = if altered.pop() == Some('A') { 'E' } else { 'A' };
    altered.push(last);
    for bad in [json!(altered), json!("s\u{41}"), json!("sluice1.")] {
        assert_eq!(reason(&endpoint, "rounds", retry(&bad, answers.clone())).await, "round_unknown");
    }
    assert_eq!(runs(&endpoint), 1);
    result(&endpoint, "rounds", retry(&state, answers.clone())).await;
    assert_eq!(reason(&endpoint, "rounds", retry(&state, answers)).await, "round_used");
    assert_eq!(runs(&endpoint), 2);
}

#[tokio::test]
async fn s043_nothing_of_a_round_is_remembered() {
    let endpoint = Rig::era(Era::Modern).start().await;
    let states = [first(&endpoint, "rounds").await, first(&endpoint, "rounds").await].map(|asked| asked["requestState"].clone());
    assert_ne!(states[0], states[1]);
    for state in &states {
        result(&endpoint, "rounds", retry(state, json!({"k":{"roots":[]}}))).await;
    }
    assert_eq!(runs(&endpoint), 4, "each of them reached the server");
}

#[tokio::test]
async fn s049_a_question_is_an_entry_without_what_only_legacy_has() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let asked = first(&endpoint, "form").await;
    let schema = json!({"type":"object","properties":{"n":{"type":"integer","minimum":1}},"required":["n"]});
    let params = json!({"message":"m","requestedSchema":schema});
    assert_eq!(asked["inputRequests"], json!({"1-1":{"method":"elicitation/create","params":params}}));
}

#[tokio::test]
async fn s050_an_answer_reaches_the_server_and_the_call_ends() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let asked = first(&endpoint, "form").await;
    let last = result(&endpoint, "form", retry(&asked["requestState"], filled(json!(1)))).await;
    assert_eq!((&last["resultType"], &last["answers"][0]["result"]), (&json!("complete"), &filled(json!(1))["1-1"]));
    assert_eq!((runs(&endpoint), endpoint.host.parked()), (1, 0));
}

#[tokio::test]
async fn s051_questions_that_come_together_are_one_round() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let asked = first(&endpoint, "both").await["inputRequests"].clone();
    assert_eq!((asked.as_object().unwrap().len(), &asked["1-2"]["method"]), (2, &json!("roots/list")));
}

#[tokio::test]
async fn s052_what_is_still_open_is_asked_again() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let asked = first(&endpoint, "both").await;
    let rest = result(&endpoint, "both", retry(&asked["requestState"], json!({"1-2":{"roots":[]}}))).await;
    assert!(rest["inputRequests"].as_object().unwrap().keys().eq(["1-1"]), "{rest}");
}

#[tokio::test]
async fn s053_an_answer_that_breaks_the_forms_schema_is_asked_for_again() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let mut asked = first(&endpoint, "form").await;
    for bad in [json!("1"), json!(0), json!(1.5), json!(null)] {
        let again = result(&endpoint, "form", retry(&asked["requestState"], filled(bad))).await;
        assert_eq!(again["inputRequests"], asked["inputRequests"]);
        asked = again;
    }
    let last = result(&endpoint, "form", retry(&asked["requestState"], filled(json!(2)))).await;
    assert_eq!(last["answers"].as_array().unwrap().len(), 1, "the server heard one answer: {last}");
}

/// States are good for a second.
async fn hurried() -> Endpoint {
    let mut rig = Rig::era(Era::Legacy);
    rig.parking.ttl = Duration::from_millis(300);
    rig.start().await
}

#[tokio::test]
async fn s054_a_client_that_never_returns_leaves_nothing_but_a_record() {
    let endpoint = hurried().await;
    first(&endpoint, "form").await;
    assert_eq!(endpoint.host.parked(), 1);
    eventually("the call is cancelled", || *endpoint.fake.cancelled.lock().unwrap() == ["form"]).await;
    assert_eq!((endpoint.host.parked(), endpoint.seen.abandoned.lock().unwrap().len()), (0, 1));
}

#[tokio::test]
async fn s055_a_late_retry_is_told_so_and_nothing_runs_again() {
    let endpoint = hurried().await;
    let asked = first(&endpoint, "form").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let state = asked["requestState"].clone();
    assert_eq!(reason(&endpoint, "form", retry(&state, filled(json!(1)))).await, "round_expired");
    let restarted = Rig::era(Era::Legacy).start().await;
    assert_eq!(reason(&restarted, "form", retry(&state, filled(json!(1)))).await, "round_unknown");
    assert_eq!((runs(&endpoint), runs(&restarted)), (1, 0));
}

#[tokio::test]
async fn s056_of_two_retries_at_once_one_wins() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let asked = first(&endpoint, "form").await;
    let again = || async { call(&endpoint, "form", retry(&asked["requestState"], filled(json!(1)))).await.json() };
    let (a, b) = tokio::join!(again(), again());
    let (won, lost) = if a.get("result").is_some() { (a, b) } else { (b, a) };
    assert_eq!(won["result"]["answers"].as_array().unwrap().len(), 1);
    assert_eq!((&lost["error"]["code"], &lost["error"]["data"]["reason"]), (&json!(-32602), &json!("round_used")));
    assert_eq!(runs(&endpoint), 1);
}

#[tokio::test]
async fn s057_other_arguments_are_another_call() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let asked = first(&endpoint, "form").await;
    let mut other = retry(&asked["requestState"], filled(json!(1)));
    other["arguments"] = json!({"n":2});
    assert_eq!(reason(&endpoint, "form", other).await, "round_other");
    let last = result(&endpoint, "form", retry(&asked["requestState"], filled(json!(1)))).await;
    assert_eq!((&last["resultType"], runs(&endpoint)), (&json!("complete"), 1), "the call has gone on waiting");
}

#[tokio::test]
async fn s058_an_answer_that_came_meanwhile_is_there_at_once() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let asked = first(&endpoint, "hasty").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let last = result(&endpoint, "hasty", retry(&asked["requestState"], json!({}))).await;
    assert_eq!((&last["resultType"], runs(&endpoint)), (&json!("complete"), 1));
}
