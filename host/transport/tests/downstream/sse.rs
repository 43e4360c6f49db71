//! 2024-11-05 over HTTP: a stream that is the session, and POSTs beside it.

use crate::support::{Connection, Endpoint, Reply, Rig, decode, eventually, guard, initialize, request, start};
use serde_json::{Value, json};
use sluice_chain::{
    exchange::Delivery,
    host::Ear,
    principal::Principal,
    upstream::{Listener, Unsolicited},
};
use sluice_wire::revision::{Era, Revision};
use std::{sync::Arc, time::Duration};

const ALICE: &str = "Bearer alice";
const TOKEN: &str = "Bearer let-me-in";

struct Client<'a> {
    endpoint: &'a Endpoint,
    who: &'a str,
    stream: Connection,
    messages: String,
}

impl<'a> Client<'a> {
    async fn open(endpoint: &'a Endpoint, who: &'a str) -> Client<'a> {
        let mut stream = endpoint.connect().await;
        let headers = [("authorization", who), ("accept", "text/event-stream"), ("content-type", ""), ("content-length", "")];
        stream.send(&request("GET", "/sse", &headers, b"")).await;
        let (status, headers) = stream.head().await.expect("a stream");
        assert_eq!(status, 200);
        assert!(headers.contains(&("content-type".into(), "text/event-stream".into())));
        assert!(headers.contains(&("x-accel-buffering".into(), "no".into())));
        let first = String::from_utf8(stream.chunk().await.expect("an event")).expect("UTF-8");
        let messages = first.strip_prefix("event: endpoint\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).expect(&first).to_owned();
        Client { endpoint, who, stream, messages }
    }

    async fn post(&self, body: &str) -> Reply {
        self.post_as(self.who, &self.messages, body).await
    }

    async fn post_as(&self, who: &str, target: &str, body: &str) -> Reply {
        // As the official clients do: nothing is said about what is accepted.
        let headers = [("authorization", who), ("accept", "")];
        self.endpoint.connect().await.ask(&request("POST", target, &headers, body.as_bytes())).await
    }

    async fn hear(&mut self) -> Value {
        let event = String::from_utf8(self.stream.chunk().await.expect("an event")).expect("UTF-8");
        let data = event.strip_prefix("event: message\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).expect(&event);
        serde_json::from_str(data).expect("JSON")
    }

    async fn say(&self, body: &str) {
        let reply = self.post(body).await;
        assert_eq!((reply.status, reply.body.len()), (202, 0), "{}", reply.text());
    }

    async fn ask(&mut self, body: &str) -> Value {
        self.say(body).await;
        self.hear().await
    }
}

fn call(id: &str, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

#[tokio::test]
async fn s096_the_endpoint_comes_first_and_replies_come_on_the_stream_alone() {
    for era in [Era::Legacy, Era::Modern] {
        let endpoint = Rig::era(era).start().await;
        let mut client = Client::open(&endpoint, TOKEN).await;
        let opened = client.ask(&initialize("2024-11-05")).await;
        assert_eq!((&opened["id"], &opened["result"]["protocolVersion"]), (&json!(0), &json!("2024-11-05")));
        client.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        let answer = client.ask(&call("\"x\"", "echo")).await;
        // This revision has no `structuredContent`, so it comes as text.
        let content = json!([{"type":"text","text":r#"{"got":null}"#}]);
        assert_eq!((&answer["id"], &answer["result"]["content"]), (&json!("x"), &content));
        assert!(answer["result"].get("resultType").is_none(), "{answer}");
        client.say(&call("7", "progress").replace("\"params\":{", r#""params":{"_meta":{"progressToken":"t"},"#)).await;
        for _ in 0..3 {
            assert_eq!(client.hear().await["params"]["progressToken"], "t");
        }
        assert_eq!(client.hear().await["id"], 7);
        // What is wrong with a request is told where its answer would have been.
        assert_eq!(client.ask(r#"{"jsonrpc":"2.0","id":8,"method":"no/such"}"#).await["error"]["code"], -32601);
    }
}

#[tokio::test]
async fn a_question_comes_on_the_stream_and_its_answer_is_posted() {
    let endpoint = start().await;
    let mut client = Client::open(&endpoint, TOKEN).await;
    assert_eq!(client.ask(&initialize("2025-06-18")).await["result"]["protocolVersion"], "2025-06-18");
    client.say(&call("5", "ask")).await;
    for _ in 0..2 {
        let question = client.hear().await;
        client.say(&json!({"jsonrpc":"2.0","id":question["id"],"result":{"said":question["method"]}}).to_string()).await;
    }
    let answers = client.hear().await["result"]["answers"].clone();
    assert_eq!([&answers[0]["result"]["said"], &answers[1]["result"]["said"]], ["elicitation/create", "roots/list"]);
}

#[tokio::test]
async fn the_session_dies_with_its_stream() {
    let endpoint = start().await;
    let mut client = Client::open(&endpoint, TOKEN).await;
    client.ask(&initialize("2024-11-05")).await;
    client.say(&call("5", "slow")).await;
    eventually("it runs", || endpoint.host.running() == 1).await;
    let Client { stream, messages, .. } = client;
    drop(stream);
    eventually("it stops", || endpoint.host.running() == 0).await;
    eventually("upstreams forget it", || endpoint.fake.forgotten.lock().unwrap().len() == 1).await;
    let other = Client::open(&endpoint, TOKEN).await;
    other.post_as(TOKEN, &messages, &call("6", "echo")).await.is_error(404, 4040);
    endpoint.is_well().await;
}

#[tokio::test]
async fn nobody_else_speaks_in_it() {
    let endpoint = start().await;
    endpoint.host.swap(guard());
    let mut client = Client::open(&endpoint, ALICE).await;
    client.ask(&initialize("2024-11-05")).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    for body in [&*call("1", "echo"), cancel] {
        client.post_as("Bearer bob", &client.messages, body).await.is_error(404, 4040);
        assert_eq!(client.post_as("", &client.messages, body).await.status, 401);
    }
    for target in ["/messages", "/messages?sessionId=", "/messages?sessionId=0", "/messages?x=1"] {
        client.post_as(ALICE, target, &call("1", "echo")).await.is_error(404, 4040);
    }
    let strange = [("authorization", ALICE), ("host", "evil.example.com")];
    endpoint.connect().await.ask(&request("POST", &client.messages, &strange, call("1", "echo").as_bytes())).await.is_error(403, 4030);
    let strange = [("authorization", ALICE), ("origin", "http://evil.example.com"), ("accept", "text/event-stream")];
    endpoint.connect().await.ask(&request("GET", "/sse", &strange, b"")).await.is_error(403, 4030);
    assert_eq!(endpoint.fake.called(), Vec::<String>::new());
    // Its owner's present claims count, as everywhere: the opener was no admin, and neither is this one.
    assert_eq!(client.ask(&call("1", "held")).await["error"]["code"], 1429);
    client.post_as("Bearer alice+admin", &client.messages, &call("2", "held")).await;
    eventually("it is let through", || endpoint.fake.called().len() == 1).await;
    endpoint.fake.release.notify_one();
    assert_eq!(client.hear().await["id"], 2);
}

#[tokio::test]
async fn bad_posts_are_told_to_whoever_sent_them() {
    let endpoint = Rig::default().settings(|settings| settings.limits.json.bytes_max = 1000).start().await;
    let mut client = Client::open(&endpoint, TOKEN).await;
    client.ask(&initialize("2025-03-26")).await;
    client.post("{").await.is_error(400, -32700);
    client.post(&" ".repeat(1001)).await.is_error(413, 4130);
    let plain = [("content-type", "text/plain")];
    endpoint.connect().await.ask(&request("POST", &client.messages, &plain, b"{}")).await.is_error(415, 4150);
    endpoint.connect().await.ask(&request("GET", &client.messages, &[], b"")).await.is_error(405, 4050);
    endpoint.connect().await.ask(&request("POST", "/sse", &[], b"{}")).await.is_error(405, 4050);
    assert_eq!(client.ask(r#"{"jsonrpc":"2.0","id":1}"#).await["error"]["code"], -32600);
    let batch = client.ask(&format!("[{},{}]", call("1", "echo"), call("2", "echo"))).await;
    assert_eq!(batch.as_array().map(Vec::len), Some(2));
    assert_eq!(client.ask(&call("3", "echo")).await["id"], 3);
}

#[tokio::test]
async fn it_can_be_switched_off_and_is_bounded() {
    let endpoint = Rig::default().settings(|settings| settings.http_sse = false).start().await;
    let open = [("accept", "text/event-stream")];
    endpoint.connect().await.ask(&request("GET", "/sse", &open, b"")).await.is_error(404, 4040);
    let endpoint = Rig::default().settings(|settings| settings.limits.sessions_per_principal_max = 2).start().await;
    let (first, _second) = (Client::open(&endpoint, TOKEN).await, Client::open(&endpoint, TOKEN).await);
    endpoint.connect().await.ask(&request("GET", "/sse", &open, b"")).await.is_error(503, 5030);
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    Client::open(&endpoint, TOKEN).await;
}

#[tokio::test]
async fn what_belongs_to_no_request_reaches_it_and_a_drain_ends_it() {
    let rig = Rig::default().settings(|settings| settings.limits.comment_after = Duration::from_millis(50));
    let endpoint = rig.start().await;
    let mut client = Client::open(&endpoint, TOKEN).await;
    assert_eq!(client.stream.chunk().await.as_deref(), Some(&b":\n\n"[..]), "it is kept alive");
    client.say(&initialize("2024-11-05")).await;
    while client.stream.chunk().await.as_deref() == Some(&b":\n\n"[..]) {}
    let ear = Ear::default();
    ear.attach(&endpoint.host);
    ear.unsolicited(Unsolicited {
        upstream: "fake".into(),
        principal: Arc::new(Principal::local()),
        session: None,
        delivery: Delivery {
            message: Arc::new(decode(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#.into())),
            spoken: Revision::V2025_11_25,
        },
    });
    let heard = loop {
        let chunk = client.stream.chunk().await.expect("an event");
        if chunk != b":\n\n" {
            break String::from_utf8(chunk).expect("UTF-8");
        }
    };
    assert!(heard.contains("notifications/message"), "{heard}");
    client.say(&call("1", "held")).await;
    eventually("it runs", || endpoint.host.running() == 1).await;
    endpoint.drain.cancel();
    endpoint.fake.release.notify_one();
    let mut last = String::new();
    while let Some(chunk) = client.stream.chunk().await {
        last = String::from_utf8(chunk).expect("UTF-8");
    }
    assert!(last.contains(r#""id" : 1"#) || last.contains(r#""id":1"#), "the answer is let out first: {last}");
}
