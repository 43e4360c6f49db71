//! One client over pipes.

use crate::support::{Fake, META, Rig, decode, eventually, initialize, modern_body, modern_headers, request};
use sluice_chain::{
    exchange::Delivery,
    host::Host,
    principal::Principal,
    upstream::{Listener, Unsolicited},
};
use sluice_transport::downstream::serve_stdio;
use sluice_wire::revision::{Era, Revision};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf, split},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

struct Client {
    write: WriteHalf<DuplexStream>,
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    host: Arc<Host>,
    fake: Arc<Fake>,
    drain: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

fn open(rig: Rig) -> Client {
    let (host, fake, _) = rig.host();
    let (near, far) = tokio::io::duplex(1024 * 1024);
    let (far_read, far_write) = split(far);
    let (read, write) = split(near);
    let drain = CancellationToken::new();
    let serving = tokio::spawn(serve_stdio(far_read, far_write, host.clone(), Arc::new(Principal::local()), rig.settings, drain.clone()));
    Client { write, lines: BufReader::new(read).lines(), host, fake, drain, serving }
}

impl Client {
    async fn say(&mut self, line: &str) {
        self.write.write_all(format!("{line}\n").as_bytes()).await.expect("somebody reads");
    }

    async fn hear(&mut self) -> serde_json::Value {
        let line = timeout(Duration::from_secs(10), self.lines.next_line()).await.expect("in time").expect("readable").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    async fn ask(&mut self, line: &str) -> serde_json::Value {
        self.say(line).await;
        self.hear().await
    }

    async fn is_quiet(&mut self) {
        assert!(timeout(Duration::from_millis(150), self.lines.next_line()).await.is_err());
    }
}

fn call(id: &str, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

fn modern(id: &str, tool: &str) -> String {
    modern_body(id, "tools/call", &format!(r#""name":"{tool}""#))
}

#[tokio::test]
async fn a_question_is_a_line_and_so_is_its_answer() {
    let mut client = open(Rig::default());
    client.ask(&initialize("2025-11-25")).await;
    client.say(&call("\"c\"", "ask")).await;
    for n in 1..=2 {
        let question = client.hear().await;
        assert_eq!(question["id"], n);
        client.say(&format!(r#"{{"jsonrpc":"2.0","id":{n},"result":{{"n":{n}}}}}"#)).await;
    }
    let answer = client.hear().await;
    assert_eq!((&answer["id"], &answer["result"]["answers"][1]["result"]["n"]), (&"c".into(), &2.into()));
}

#[tokio::test]
async fn a_client_is_told_which_question_nobody_waits_for_any_more() {
    let mut client = open(Rig::default());
    client.ask(&initialize("2025-11-25")).await;
    client.say(&call("1", "hasty")).await;
    let (question, withdrawn, answer) = (client.hear().await, client.hear().await, client.hear().await);
    assert_eq!((&question["method"], &withdrawn["method"]), (&"elicitation/create".into(), &"notifications/cancelled".into()));
    assert_eq!((&withdrawn["params"]["requestId"], &answer["id"]), (&question["id"], &1.into()));
}

#[tokio::test]
async fn both_eras_interleave() {
    let mut client = open(Rig::default());
    // A modern word first does not pin the era …
    assert_eq!(client.ask(&modern_body("1", "server/discover", "")).await["result"]["supportedVersions"][0], "2026-07-28");
    assert_eq!(client.ask(&modern("\"m\"", "echo")).await["result"]["resultType"], "complete");
    assert_eq!(client.ask(&call("2", "echo")).await["error"]["code"], -32602, "no session yet");
    // … and neither does the handshake.
    let hello = client.ask(&initialize("2025-06-18")).await;
    assert_eq!((&hello["result"]["protocolVersion"], &hello["result"]["serverInfo"]["name"]), (&"2025-06-18".into(), &"fake".into()));
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    let legacy = client.ask(&call("\"2\"", "echo")).await;
    assert_eq!((&legacy["id"], legacy["result"].get("resultType")), (&"2".into(), None));
    assert_eq!(client.ask(&modern("3", "echo")).await["result"]["resultType"], "complete");
    assert_eq!(client.ask(r#"{"jsonrpc":"2.0","id":4,"method":"ping"}"#).await["result"], serde_json::json!({}));
    assert_eq!(client.ask(&modern_body("5", "ping", "")).await["error"]["code"], -32601);
    assert_eq!(client.ask(r#"{"jsonrpc":"2.0","id":6,"method":"server/discover"}"#).await["error"]["code"], -32601);
}

#[tokio::test]
async fn every_revision_before_may_open() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut client = open(Rig::era(Era::Modern));
        assert_eq!(client.ask(&initialize(version)).await["result"]["protocolVersion"], version);
        assert!(client.ask(&call("1", "echo")).await["result"].get("resultType").is_none());
    }
    let mut client = open(Rig::default());
    assert_eq!(client.ask(&initialize("1999-01-01")).await["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn a_client_may_send_on_before_it_has_the_handshake() {
    let mut client = open(Rig::default());
    client
        .say(&[initialize("2025-11-25"), r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.into(), call("1", "echo")].join("\n"))
        .await;
    let mut ids = [client.hear().await["id"].clone(), client.hear().await["id"].clone()];
    ids.sort_by_key(|id| id.as_i64());
    assert_eq!(ids, [0, 1]);
}

#[tokio::test]
async fn notifications_come_before_their_answer() {
    let mut client = open(Rig::default());
    client.say(&modern("7", "progress").replace(r#""_meta":{"#, r#""_meta":{"progressToken":"t","#)).await;
    for step in 1..=3 {
        let line = client.hear().await;
        assert_eq!((&line["params"]["progressToken"], &line["params"]["progress"]), (&"t".into(), &step.into()));
    }
    assert_eq!(client.hear().await["id"], 7);
}

#[tokio::test]
async fn cancelled_stops_the_call_and_nothing_is_said_of_it() {
    for request in [call("\"5\"", "slow"), modern("\"5\"", "slow")] {
        let mut client = open(Rig::default());
        client.ask(&initialize("2025-11-25")).await;
        client.say(&request).await;
        eventually("it runs", || client.fake.called().len() == 1).await;
        client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#).await;
        client.is_quiet().await;
        assert_eq!(client.host.running(), 1, "another id");
        client.say(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":"5",{META}}}}}"#)).await;
        eventually("it stops", || client.host.running() == 0).await;
        client.is_quiet().await;
        assert_eq!(client.ask(&call("\"5\"", "echo")).await["id"], "5", "its id is free again");
    }
}

#[tokio::test]
async fn an_id_in_flight_cannot_be_used_again() {
    let mut client = open(Rig::default());
    client.say(&modern("5", "held")).await;
    let refusal = client.ask(&modern("5", "echo")).await;
    assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&5.into(), &(-32600).into()));
    assert_eq!(client.ask(&modern("\"5\"", "echo")).await["id"], "5", "another type is another id");
    client.fake.release.notify_one();
    assert!(client.hear().await["result"].is_object());
}

#[tokio::test]
async fn s036_an_id_is_one_clients_own() {
    let mut stdio = open(Rig::default());
    stdio.say(&modern("5", "held")).await;
    let refusal = stdio.ask(&modern("5", "echo")).await;
    assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&5.into(), &(-32600).into()));

    let http = Rig::default().start().await;
    let params = r#""name":"held""#;
    let ask = request("POST", "/mcp", &modern_headers("tools/call", params), modern_body("5", "tools/call", params).as_bytes());
    let (mut one, mut other) = (http.connect().await, http.connect().await);
    one.send(&ask).await;
    other.send(&ask).await;
    eventually("both run", || http.fake.called().len() == 2).await;
    http.fake.release.notify_waiters();
    for client in [&mut one, &mut other] {
        let reply = client.reply().await.expect("an answer").json();
        assert!(reply["id"] == 5 && reply["result"].is_object(), "{reply}");
    }
}

#[tokio::test]
async fn requests_in_flight_are_bounded_and_cancelling_still_works() {
    let mut client = open(Rig::default().settings(|settings| settings.limits.stdio_in_flight_max = 8));
    for id in 0..8 {
        client.say(&modern(&id.to_string(), "slow")).await;
    }
    let refusal = client.ask(&modern("8", "echo")).await;
    assert_eq!((&refusal["id"], &refusal["error"]["data"]["reason"]), (&8.into(), &"in_flight".into()));
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#).await;
    eventually("one stops", || client.host.running() == 7).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(client.ask(&modern("9", "echo")).await["result"].is_object());
}

#[tokio::test]
async fn bad_lines_are_told_and_passed_over() {
    let mut client = open(Rig::default().settings(|settings| settings.limits.json.bytes_max = 10_000));
    for (line, code) in [
        ("hello", -32700),
        ("{\"a\":1,\"a\":2}", -32700),
        ("{}", -32600),
        ("[]", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        (&format!("\"{}\"", "x".repeat(20_000)), 4130),
    ] {
        let json = client.ask(line).await;
        assert_eq!(json["error"]["code"], code, "{line}");
        assert_eq!(json["error"]["data"]["requestId"].as_str().map(str::len), Some(16));
    }
    client.say("\r\n\n   \n").await;
    client.say(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    client.is_quiet().await;
    for (id, params) in [("1", "{}"), ("\"x\"", r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#)] {
        let json = client.ask(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{params}}}"#)).await;
        assert_eq!((json["id"].to_string().as_str(), &json["error"]["code"]), (id, &(-32602).into()));
    }
    let json = client.ask(&modern_body("1", "tools/list", "").replace("2026-07-28", "1999-01-01")).await;
    assert_eq!((&json["error"]["code"], &json["error"]["data"]["requested"]), (&(-32022).into(), &"1999-01-01".into()));
    assert!(client.ask(&modern("1", "echo")).await["result"].is_object());
}

#[tokio::test]
async fn batches_are_answered_in_one_line_in_2025_03_26() {
    let mut client = open(Rig::default());
    client.ask(&initialize("2025-03-26")).await;
    let batch = format!(
        r#"[{},{{"jsonrpc":"2.0","method":"notifications/initialized"}},{{"jsonrpc":"2.0","id":"p","method":"ping"}},{}]"#,
        call("1", "echo"),
        call("2", "nothing")
    );
    let answers = client.ask(&batch).await;
    assert_eq!(
        answers.as_array().expect("an array").iter().map(|answer| answer["id"].clone()).collect::<Vec<_>>(),
        [1.into(), "p".into(), serde_json::Value::from(2)]
    );
    assert_eq!(client.ask(&format!("[{}]", initialize("2025-03-26"))).await["error"]["code"], -32600);
}

#[tokio::test]
async fn what_an_upstream_says_unasked_reaches_a_session() {
    let mut client = open(Rig::default());
    let session = Arc::new(std::sync::Mutex::new(None::<Arc<str>>));
    client.ask(&initialize("2025-11-25")).await;
    let ear = sluice_chain::host::Ear::default();
    ear.attach(&client.host);
    let text = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;
    for (principal, session) in [
        (Principal::new("x", "other", None), None),
        (Principal::local(), Some("other".into())),
        (Principal::local(), session.lock().unwrap().clone()),
    ] {
        ear.unsolicited(Unsolicited {
            upstream: "fake".into(),
            principal: Arc::new(principal),
            session,
            delivery: Delivery { message: Arc::new(decode(text.into())), spoken: Revision::V2025_11_25 },
        });
    }
    assert_eq!(client.hear().await["method"], "notifications/message");
    client.is_quiet().await;
}

#[tokio::test]
async fn the_end_of_input_lets_quick_answers_out_and_cancels_the_rest() {
    let mut client = open(Rig::default().settings(|settings| settings.limits.stdio_linger = Duration::from_millis(300)));
    client.ask(&initialize("2025-11-25")).await;
    client.say(&call("1", "slow")).await;
    eventually("it runs", || client.fake.called().len() == 1).await;
    // The last line may lack its line end.
    client.write.write_all(call("2", "echo").as_bytes()).await.expect("somebody reads");
    client.write.shutdown().await.expect("closed");
    assert_eq!(client.hear().await["id"], 2);
    assert!(timeout(Duration::from_secs(5), client.serving).await.expect("it returns").expect("no panic").is_ok());
    assert_eq!(client.lines.next_line().await.expect("readable"), None);
    eventually("the slow one is cancelled", || client.host.running() == 0).await;
    eventually("the session is forgotten", || client.fake.forgotten.lock().unwrap().len() == 1).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_and_leaves_ends_it_too() {
    let client = open(Rig::default());
    let Client { mut write, lines, serving, .. } = client;
    write.write_all((modern("1", "echo") + "\n").as_bytes()).await.expect("somebody reads");
    drop((write, lines));
    assert!(timeout(Duration::from_secs(5), serving).await.is_ok());
}

#[tokio::test]
async fn a_drain_lets_answers_out_and_takes_nothing_new() {
    let mut client = open(Rig::default());
    client.say(&modern("1", "held")).await;
    eventually("it runs", || client.fake.called().len() == 1).await;
    client.drain.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.fake.release.notify_one();
    assert_eq!(client.hear().await["id"], 1);
    assert!(timeout(Duration::from_secs(5), client.serving).await.is_ok());
}

#[tokio::test]
async fn lines_never_mix() {
    let mut client = open(Rig::default());
    for id in 0..200 {
        client
            .say(&modern_body(&id.to_string(), "tools/call", &format!(r#""name":"echo","arguments":{{"a":"{}"}}"#, "x".repeat(2_000))))
            .await;
    }
    let mut ids: Vec<i64> = Vec::new();
    for _ in 0..200 {
        ids.push(client.hear().await["id"].as_i64().expect("an id"));
    }
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..200));
}

#[tokio::test]
async fn subscriptions_share_the_channel_and_one_that_was_cancelled_says_nothing_more() {
    let mut client = open(Rig::default());
    let listen = |id: &str| modern_body(id, "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#);
    for id in ["1", "\"b\""] {
        let acknowledged = client.ask(&listen(id)).await;
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].to_string(), id);
    }
    assert_eq!(client.ask(&listen("1")).await["error"]["code"], -32600, "its id is in use");
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#).await;
    client.is_quiet().await;
    // Another chain is another list to nobody here, and the drain ends the one that is left.
    client.drain.cancel();
    let end = client.hear().await;
    assert_eq!((&end["id"], &end["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"]), (&"b".into(), &"b".into()));
    assert!(client.lines.next_line().await.expect("readable").is_none());
}
