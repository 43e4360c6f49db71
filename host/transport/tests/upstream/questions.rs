//! Questions of a server, put to the client in the way of its own era.

use crate::{
    http_modern::upstream,
    stdio::{Rig, tool},
    support::{
        Asker, note,
        server::{Act, Fake, Seen, legacy, modern, respond, result, stream_head},
        value,
    },
};
use serde_json::{Value, json};
use sluice_chain::{
    exchange::Interim,
    queue::Receiver,
    upstream::{Upstream, UpstreamError},
};
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
async fn s075_a_legacy_client_plays_the_rounds_of_a_modern_server_without_knowing() {
    let fake = Fake::start(modern(two_rounds)).await;
    let asker = Asker::new(Revision::V2025_06_18, Some("c1"), r#"{"elicitation":{},"roots":{}}"#);
    let (answer, heard) = asker.tool("t", json!({"n":1})).send(&upstream(&fake)).await;
    let asked: Vec<_> = heard.iter().map(|asked| asked["method"].as_str().unwrap()).collect();
    assert_eq!(asked, ["elicitation/create", "roots/list", "elicitation/create"]);
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
async fn s077_a_no_that_a_round_has_no_words_for_ends_the_call() {
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
async fn s079_a_server_that_asks_for_ever_is_told_from_one_that_answers() {
    let fake = Fake::start(modern(|seen| result(seen, round("s", json!({"k":elicit("more")}))))).await;
    let upstream = upstream(&fake);
    let asker = Asker::new(Revision::V2025_11_25, Some("c1"), r#"{"elicitation":{}}"#);
    let error = asker.tool("again", json!({})).fail(&upstream).await;
    assert!(matches!(error, UpstreamError::BadReply { .. }), "{error}");
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
async fn a_question_that_its_server_takes_back_is_closed_and_not_answered() {
    let fake = Fake::start(legacy(json!({"tools":{}}), |seen| match (seen.verb.as_str(), seen.method()) {
        ("POST", "tools/call") => {
            let question = json!({"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"m"}});
            let back = json!({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q1"}});
            let mut acts = crate::support::server::events(&[question, back, json!({"jsonrpc":"2.0","id":seen.id(),"result":{}})]);
            // The question first, the rest when somebody has it.
            acts.insert(2, Act::Pause(Duration::from_millis(100)));
            acts
        }
        ("POST", _) => respond(202, "", ""),
        _ => respond(405, "", ""),
    }))
    .await;
    let upstream = upstream(&fake);
    let mut asked = Asker::new(Revision::V2025_11_25, Some("c1"), r#"{"elicitation":{}}"#).tool("t", json!({}));
    let answering = async {
        let Interim::Question(mut question) = asked.heard.next().await else { panic!("a question") };
        question.reply.closed().await;
    };
    let (answer, ()) = tokio::join!(upstream.send(asked.outbound), answering);
    assert_eq!(value(&answer.unwrap().response)["result"], json!({}));
    assert!(!fake.seen().iter().any(|seen| seen.body["id"] == "q1"), "it hears no answer: {:?}", fake.trace());
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

fn asking(n: u64) -> crate::support::Asked {
    Asker::new(Revision::V2026_07_28, None, r#"{"elicitation":{}}"#).tool("ask-one", json!({"n":n}))
}

#[tokio::test]
async fn calls_take_turns_on_a_child_that_does_not_say_about_which_it_asks() {
    let upstream = Rig::new("legacy").start();
    asking(0).answer(&upstream).await;
    let began = std::time::Instant::now();
    let all = (1..=8).map(|n| asking(n).send(&upstream));
    for (at, (answer, heard)) in futures_util::future::join_all(all).await.into_iter().enumerate() {
        let asked: Vec<_> = heard.iter().map(|asked| asked["params"]["message"].clone()).collect();
        assert_eq!(asked, [json!((at + 1).to_string())], "its own question and no other");
        assert_eq!(value(&answer.unwrap().response)["result"]["answer"]["action"], "accept");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "nobody waited until all doubt was given up");
}

#[tokio::test]
async fn what_a_call_that_was_cancelled_asks_is_nobodys() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    asking(0).answer(&upstream).await;
    let late = Asker::new(Revision::V2026_07_28, None, r#"{"elicitation":{}}"#).tool("ask-late", json!({}));
    let cancel = late.cancel.clone();
    let cancelling = async {
        crate::support::eventually("the call", || rig.seen().iter().any(|(_, seen)| seen["params"]["name"] == "ask-late")).await;
        cancel.cancel();
    };
    tokio::join!(late.fail(&upstream), cancelling);
    let (answer, heard) = asking(1).send(&upstream).await;
    assert_eq!(heard.iter().map(|asked| asked["params"]["message"].clone()).collect::<Vec<_>>(), [json!("1")]);
    assert_eq!(value(&answer.unwrap().response)["result"]["answer"]["action"], "accept");
    let answered: Vec<_> =
        rig.seen().into_iter().filter(|(_, seen)| seen["result"].is_object()).map(|(_, seen)| seen["result"].clone()).collect();
    assert_eq!((answered.len(), &answered[1]), (3, &json!({"action":"cancel"})), "{answered:?}");
}

/// However late it comes: a call that begins after it cannot be the one it is about.
#[tokio::test]
async fn a_question_after_every_call_is_not_put_to_the_next() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    asking(0).answer(&upstream).await;
    let late = Asker::new(Revision::V2026_07_28, None, r#"{"elicitation":{}}"#).tool("ask-late", json!({"after":1500}));
    let cancel = late.cancel.clone();
    let cancelling = async {
        crate::support::eventually("the call", || rig.seen().iter().any(|(_, seen)| seen["params"]["name"] == "ask-late")).await;
        cancel.cancel();
    };
    tokio::join!(late.fail(&upstream), cancelling);
    // It has asked by now, a moment ago.
    tokio::time::sleep(Duration::from_millis(1700)).await;
    let (_, heard) = asking(1).send(&upstream).await;
    assert_eq!(heard.iter().map(|asked| asked["params"]["message"].clone()).collect::<Vec<_>>(), [json!("1")]);
}

#[tokio::test]
async fn a_call_that_waits_for_its_client_holds_up_no_other() {
    let upstream = Rig::new("legacy").start();
    let mut first = asking(1);
    let second = async {
        let Interim::Question(question) = first.heard.next().await else { panic!("a question") };
        let (answer, heard) = asking(2).send(&upstream).await;
        assert_eq!((heard.len(), &heard[0]["params"]["message"]), (1, &json!("2")));
        assert_eq!(value(&answer.unwrap().response)["result"]["answer"]["action"], "accept");
        drop(question);
    };
    let (answer, ()) = tokio::join!(upstream.send(first.outbound), second);
    assert_eq!(value(&answer.unwrap().response)["result"]["answer"], json!({"action":"cancel"}));
}

/// What a call's client is asked next. It is not answered yet.
async fn next_question(asked: &mut Receiver<Interim>) -> (Value, Interim) {
    let interim = tokio::time::timeout(Duration::from_secs(10), asked.next()).await.expect("a question in time");
    let Interim::Question(question) = interim else { panic!("a question") };
    (value(&question.delivery)["params"]["message"].clone(), Interim::Question(question))
}

/// Both have their answers at once; told so at once they would both be at work, and what either asks could be the other's.
#[tokio::test]
async fn calls_that_have_their_answers_go_on_in_turn() {
    let upstream = Rig::new("legacy").start();
    asking(0).answer(&upstream).await;
    let twice = |n: u64| Asker::new(Revision::V2026_07_28, None, r#"{"elicitation":{}}"#).tool("ask-twice", json!({"n":n}));
    let (mut first, mut second) = (twice(1), twice(2));
    let talking = async {
        let ((one, a), (two, b)) = (next_question(&mut first.heard).await, next_question(&mut second.heard).await);
        assert_eq!((one, two), (json!("1"), json!("2")));
        note(a);
        note(b);
        for (heard, again) in [(&mut first.heard, "1 again"), (&mut second.heard, "2 again")] {
            let (asked, question) = next_question(heard).await;
            assert_eq!(asked, again);
            note(question);
        }
    };
    let (one, two, ()) = tokio::join!(upstream.send(first.outbound), upstream.send(second.outbound), talking);
    for answer in [one, two] {
        assert_eq!(value(&answer.unwrap().response)["result"]["answer"]["action"], "accept");
    }
}

/// It may be the other's, so the one that is left is at work still, and no call of another client begins beside it.
#[tokio::test]
async fn a_call_does_not_rest_for_a_question_that_a_cancelled_one_may_have_asked() {
    let rig = Rig::new("legacy");
    let upstream = rig.start();
    let of = |session: &str, name: &str, arguments: Value| {
        Asker::new(Revision::V2025_11_25, Some(session), r#"{"elicitation":{}}"#).tool(name, arguments)
    };
    of("c1", "ask-one", json!({"n":0})).answer(&upstream).await;
    let gone = of("c1", "ask-late", json!({"after":500}));
    let cancel = gone.cancel.clone();
    let cancelling = async {
        crate::support::eventually("the call", || rig.seen().iter().any(|(_, seen)| seen["params"]["name"] == "ask-late")).await;
        cancel.cancel();
    };
    tokio::join!(gone.fail(&upstream), cancelling);
    let (mut left, mut other) = (of("c1", "ask-late", json!({"after":2500})), of("c2", "slow", json!({})));
    let stop = other.cancel.clone();
    let talking = async {
        let (_, of_the_gone) = next_question(&mut left.heard).await;
        let its_own = async {
            let (_, its_own) = next_question(&mut left.heard).await;
            note(of_the_gone);
            note(its_own);
            stop.cancel();
        };
        tokio::join!(upstream.send(other.outbound), its_own).0.unwrap_err()
    };
    let (answer, _) = tokio::join!(upstream.send(left.outbound), talking);
    assert_eq!(value(&answer.unwrap().response)["result"]["answer"]["action"], "accept");
    assert!(other.heard.try_recv().is_none(), "it is not asked what another's call wants to know");
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

#[tokio::test]
async fn s040_what_a_client_has_not_declared_it_is_not_asked() {
    let fake = Fake::start(modern(two_rounds)).await;
    let upstream = upstream(&fake);
    for (declared, missing) in [("{}", r#"{"elicitation":{"form":{}}}"#), (r#"{"elicitation":{}}"#, r#"{"roots":{}}"#)] {
        let error = Asker::new(Revision::V2026_07_28, None, declared).tool("t", json!({})).fail(&upstream).await;
        assert!(matches!(error, UpstreamError::NeedsCapability { required } if required == missing), "{error}");
    }
}

#[tokio::test]
async fn s041_a_result_of_a_kind_nobody_knows_is_no_result() {
    let fake = Fake::start(modern(|seen| result(seen, json!({"resultType":"riddle"})))).await;
    let upstream = upstream(&fake);
    for asker in [Asker::modern(), Asker::legacy("c1")] {
        let error = asker.tool("t", json!({})).fail(&upstream).await;
        assert!(matches!(error, UpstreamError::BadReply { .. }), "{error}");
    }
}

#[tokio::test]
async fn s059_what_is_asked_outside_any_call_is_refused() {
    let fake = Fake::start(legacy(json!({"tools":{}}), |seen| match seen.verb.as_str() {
        "GET" => {
            let mut acts = crate::support::server::events(&[json!({"jsonrpc":"2.0","id":"q1","method":"roots/list"})]);
            acts.truncate(2);
            acts.push(crate::support::server::Act::Hold);
            acts
        }
        _ => respond(202, "", ""),
    }))
    .await;
    let upstream = upstream(&fake);
    let asker = Asker::new(Revision::V2025_11_25, Some("c1"), r#"{"roots":{}}"#);
    upstream.facts(sluice_wire::revision::Era::Legacy, &asker.client, &asker.principal).await.unwrap();
    let answer = || fake.seen().into_iter().find(|seen| seen.body["id"] == "q1");
    crate::support::eventually("the answer", || answer().is_some()).await;
    assert_eq!(answer().unwrap().body["error"]["code"], -32601);
}

#[tokio::test]
async fn s060_links_to_be_opened_first_are_a_round_and_the_call_is_made_again() {
    let fake = Fake::start(legacy(json!({"tools":{}}), |seen| match seen.body["params"]["arguments"]["n"].as_u64() {
        Some(1) => crate::support::server::error(
            seen,
            200,
            -32042,
            json!({"elicitations":[{"mode":"url","elicitationId":"e","url":"https://a/b","message":"m"}]}),
        ),
        _ => result(seen, json!({"content":[]})),
    }))
    .await;
    let upstream = upstream(&fake);
    let asker = Asker::new(Revision::V2026_07_28, None, r#"{"elicitation":{"url":{}}}"#);
    let asked = asker.tool("t", json!({"n":1})).answer(&upstream).await["result"].clone();
    assert_eq!(
        asked["inputRequests"],
        json!({"link-1":{"method":"elicitation/create","params":{"mode":"url","url":"https://a/b","message":"m"}}})
    );
    let calls = || fake.seen().iter().filter(|seen| seen.method() == "tools/call").count();
    let retry = |action: &str, n: u64| {
        let inputs = json!({"link-1":{"action":action}});
        let params = json!({"name":"t","arguments":{"n":n},"inputResponses":inputs,"requestState":asked["requestState"]});
        asker.request("tools/call", params)
    };
    assert_eq!(retry("decline", 1).answer(&upstream).await["result"]["isError"], true);
    assert_eq!(calls(), 1, "a no is the end of it");
    let again = retry("accept", 2).answer(&upstream).await;
    assert_eq!((again["result"]["content"].clone(), calls()), (json!([]), 2));
    let sent = fake.last("tools/call").body["params"].clone();
    assert!(sent.get("inputResponses").is_none() && sent.get("requestState").is_none(), "{sent}");

    let other = Asker::new(Revision::V2026_07_28, None, r#"{"elicitation":{"form":{}}}"#);
    let error = other.tool("t", json!({"n":1})).fail(&upstream).await;
    assert!(matches!(error, UpstreamError::NeedsCapability { required } if required.contains("url")), "{error}");
}

#[tokio::test]
async fn s078_a_server_that_shows_only_a_state_is_asked_again_without_the_client() {
    let fake = Fake::start(modern(|seen| match seen.body["params"]["requestState"].as_str() {
        None => result(seen, json!({"resultType":"input_required","requestState":"later"})),
        Some(state) => result(seen, json!({"resultType":"complete","content":[],"state":state})),
    }))
    .await;
    let (answer, heard) = Asker::legacy("c1").tool("t", json!({})).send(&upstream(&fake)).await;
    assert_eq!((value(&answer.unwrap().response)["result"]["state"].clone(), heard), (json!("later"), Vec::<Value>::new()));
    assert!(fake.last("tools/call").body["params"].get("inputResponses").is_none());
}
