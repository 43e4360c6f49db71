//! HTTP+SSE (2024-11-05) upstreams: found by falling back or named by the operator, and healed when they break.

use crate::support::{
    Asker, Ear, eventually,
    server::{Act, Fake, Seen, chunk, json_body, respond, stream_head},
};
use serde_json::{Value, json};
use sluice_chain::upstream::{Health, Upstream, UpstreamError};
use sluice_transport::upstream::http::{Http, HttpSettings, HttpUpstream};
use sluice_wire::revision::Revision;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// The streams that are open, by session.
#[derive(Default, Clone)]
struct Streams(Arc<Mutex<HashMap<String, UnboundedSender<String>>>>);

impl Streams {
    fn say(&self, session: &str, message: &Value) {
        if let Some(stream) = self.0.lock().unwrap().get(session) {
            let _ = stream.send(format!("event: message\ndata: {message}\n\n"));
        }
    }

    /// As a restart does: streams end and nobody remembers them.
    fn drop_all(&self) {
        self.0.lock().unwrap().clear();
    }
}

struct Server {
    fake: Fake,
    streams: Streams,
    /// Sessions that are not known any more although their stream is open.
    forgotten: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `rest` sees every request but `initialize`, with its session, and says what it likes on the stream.
    async fn start(endpoint: &'static str, rest: impl Fn(&Seen, &str, &Streams) + Send + Sync + 'static) -> Server {
        let (streams, forgotten) = (Streams::default(), Arc::<Mutex<Vec<String>>>::default());
        let (open, gone) = (streams.clone(), forgotten.clone());
        let opened = AtomicUsize::new(0);
        let fake = Fake::start(move |seen| {
            if seen.verb == "GET" {
                let session = (opened.fetch_add(1, SeqCst) + 1).to_string();
                let (stream, events) = unbounded_channel();
                open.0.lock().unwrap().insert(session.clone(), stream);
                return vec![stream_head(), chunk(&format!("event: endpoint\ndata: {endpoint}{session}\n\n")), Act::Relay(events)];
            }
            let Some((_, session)) = seen.target.split_once("?s=") else { return respond(405, "allow: GET\r\n", "") };
            if !open.0.lock().unwrap().contains_key(session) || gone.lock().unwrap().contains(&session.to_owned()) {
                return json_body(404, &json!({"error":"Could not find session"}));
            }
            match seen.method() {
                "initialize" => {
                    let result =
                        json!({"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"name":"old","version":"1"}});
                    open.say(session, &json!({"jsonrpc":"2.0","id":seen.id(),"result":result}));
                }
                _ => rest(seen, session, &open),
            }
            respond(202, "", "Accepted")
        })
        .await;
        Server { fake, streams, forgotten }
    }

    async fn echoing() -> Server {
        Server::start("/messages?s=", echo).await
    }

    fn upstream(&self) -> HttpUpstream {
        Http::upstream(HttpSettings::new("old", self.fake.url.clone()), Arc::new(Ear::default())).unwrap()
    }

    fn calls(&self) -> Vec<(String, String)> {
        let calls = self.fake.seen().into_iter().filter(|seen| seen.method() == "tools/call");
        calls.map(|seen| (seen.target.clone(), seen.tool().to_owned())).collect()
    }
}

fn echo(seen: &Seen, session: &str, streams: &Streams) {
    if seen.verb == "POST" && !seen.id().is_null() {
        streams.say(session, &json!({"jsonrpc":"2.0","id":seen.id(),"result":{"tool":seen.tool()}}));
    }
}

async fn tool(upstream: &HttpUpstream, asker: &Asker, name: &str) -> Value {
    asker.tool(name, json!({})).answer(upstream).await["result"]["tool"].clone()
}

#[tokio::test]
async fn a_server_that_takes_no_post_is_asked_for_a_stream() {
    for (asker, first) in
        [(Asker::legacy("c1"), vec!["initialize", "server/discover"]), (Asker::modern(), vec!["server/discover", "initialize"])]
    {
        let server = Server::echoing().await;
        let upstream = server.upstream();
        assert_eq!(tool(&upstream, &asker, "one").await, "one");
        assert_eq!(tool(&upstream, &asker, "two").await, "two");
        let expected: Vec<_> =
            first.into_iter().chain(["GET", "initialize", "notifications/initialized", "tools/call", "tools/call"]).collect();
        assert_eq!(server.fake.trace(), expected);
        let calls = server.calls();
        assert_eq!((calls[0].0.as_str(), calls[1].0.as_str()), ("/messages?s=1", "/messages?s=1"));
        assert_eq!(server.fake.last("tools/call").header("mcp-session-id"), "");
        // Another client has a stream of its own, and nothing is tried before it.
        let other = Asker::new(asker.revision, asker.client.session.as_deref().map(|_| "c2"), r#"{"roots":{}}"#).named("bob");
        let before = server.fake.trace().len();
        assert_eq!(tool(&upstream, &other, "three").await, "three");
        assert_eq!(server.fake.trace()[before..], ["GET", "initialize", "notifications/initialized", "tools/call"]);
        assert_eq!(server.calls()[2].0, "/messages?s=2");
    }
}

#[tokio::test]
async fn the_operators_word_spares_the_search() {
    let server = Server::echoing().await;
    let settings = HttpSettings { sse: true, ..HttpSettings::new("old", server.fake.url.clone()) };
    let upstream = Http::upstream(settings, Arc::new(Ear::default())).unwrap();
    for asker in [Asker::legacy("c1"), Asker::modern()] {
        assert_eq!(tool(&upstream, &asker, "one").await, "one");
    }
    let opening = ["GET", "initialize", "notifications/initialized", "tools/call"];
    assert_eq!(server.fake.trace(), [opening, opening].concat());
}

#[tokio::test]
async fn an_endpoint_at_another_origin_is_refused() {
    let server = Server::start("http://127.0.0.1:9/messages?s=", echo).await;
    let settings = HttpSettings { sse: true, ..HttpSettings::new("old", server.fake.url.clone()) };
    let upstream = Http::upstream(settings, Arc::new(Ear::default())).unwrap();
    let error = Asker::legacy("c1").tool("t", json!({})).fail(&upstream).await;
    assert!(matches!(&error, UpstreamError::BadReply { reason } if reason.contains("another origin")), "{error}");
    assert_eq!(server.fake.trace(), ["GET"]);
}

#[tokio::test]
async fn what_is_neither_is_told_as_what_it_said_first() {
    let fake = Fake::start(|_| respond(404, "", "")).await;
    let upstream = Http::upstream(HttpSettings::new("x", fake.url.clone()), Arc::new(Ear::default())).unwrap();
    for _ in 0..2 {
        let error = Asker::legacy("c1").tool("t", json!({})).fail(&upstream).await;
        assert!(matches!(&error, UpstreamError::BadReply { reason } if reason.contains("404")), "{error}");
    }
    assert_eq!(fake.trace(), ["initialize", "server/discover", "GET"].repeat(2));
}

#[tokio::test]
async fn a_restart_between_calls_is_not_noticed() {
    let server = Server::echoing().await;
    let (upstream, asker) = (server.upstream(), Asker::legacy("c1"));
    for name in ["one", "two", "three"] {
        assert_eq!(tool(&upstream, &asker, name).await, name);
        server.streams.drop_all();
        // Whether or not the end of the stream was seen yet.
        if name == "one" {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    let ran: Vec<_> = server
        .calls()
        .into_iter()
        .filter(|(target, name)| {
            target.ends_with(&["one", "two", "three"].iter().position(|n| n == name).map_or(0, |at| at + 1).to_string())
        })
        .collect();
    assert_eq!(ran.len(), 3, "each ran once, in its own session: {:?}", server.calls());
    assert_eq!(upstream.health(), Health::Up);
}

#[tokio::test]
async fn a_forgotten_session_is_opened_anew_and_the_refused_call_sent_once_more() {
    let server = Server::echoing().await;
    let (upstream, asker) = (server.upstream(), Asker::legacy("c1"));
    assert_eq!(tool(&upstream, &asker, "one").await, "one");
    server.forgotten.lock().unwrap().push("1".to_owned());
    assert_eq!(tool(&upstream, &asker, "two").await, "two");
    let calls: Vec<_> = server.calls().into_iter().map(|(target, name)| format!("{target} {name}")).collect();
    assert_eq!(calls, ["/messages?s=1 one", "/messages?s=1 two", "/messages?s=2 two"]);
    assert_eq!(upstream.counters().read().sessions_lost, 1);
    eventually("the stream of the lost session is left", || server.fake.left.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn a_call_whose_stream_ends_may_have_run_and_is_not_repeated() {
    let server = Server::start("/messages?s=", |seen, session, streams| match seen.tool() {
        "dies" => streams.drop_all(),
        _ => echo(seen, session, streams),
    })
    .await;
    let (upstream, asker) = (server.upstream(), Asker::legacy("c1"));
    let error = asker.tool("dies", json!({})).fail(&upstream).await;
    assert!(matches!(error, UpstreamError::ClosedEarly { .. }), "{error}");
    assert_eq!(tool(&upstream, &asker, "next").await, "next");
    assert_eq!(server.calls().iter().filter(|(_, name)| name == "dies").count(), 1);
}

#[tokio::test]
async fn questions_and_progress_come_on_the_stream() {
    let server = Server::start("/messages?s=", |seen, session, streams| match (seen.method(), seen.id()) {
        ("tools/call", id) => {
            let token = seen.progress_token();
            let progress = json!({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":token,"progress":1}});
            streams.say(session, &progress);
            streams.say(session, &json!({"jsonrpc":"2.0","id":format!("q{id}"),"method":"elicitation/create","params":{"message":"m"}}));
        }
        ("", id) => {
            let call = id.as_str().unwrap()[1..].parse::<u64>().unwrap();
            streams.say(session, &json!({"jsonrpc":"2.0","id":call,"result":{"answer":seen.body["result"]}}));
        }
        _ => {}
    })
    .await;
    let asker = Asker::new(Revision::V2025_11_25, Some("c1"), r#"{"elicitation":{}}"#);
    let asked = asker.request("tools/call", json!({"name":"t","_meta":{"progressToken":"mine"}}));
    let (answer, heard) = asked.send(&server.upstream()).await;
    let answer = crate::support::value(&answer.expect("an answer").response);
    assert_eq!(answer["result"]["answer"]["action"], "accept", "{answer}");
    let mut heard: Vec<_> = heard.iter().map(|one| one["method"].as_str().unwrap_or_default()).collect();
    heard.sort_unstable();
    assert_eq!(heard, ["elicitation/create", "notifications/progress"]);
}

#[tokio::test]
async fn a_cancelled_call_is_told_so_and_a_session_ends_with_its_client() {
    let server = Server::start("/messages?s=", |_, _, _| {}).await;
    let upstream = server.upstream();
    let asked = Asker::legacy("c1").tool("slow", json!({}));
    let cancel = asked.cancel.clone();
    let cancelling = async {
        eventually("the call", || server.fake.trace().contains(&"tools/call".to_owned())).await;
        cancel.cancel();
    };
    let (error, ()) = tokio::join!(asked.fail(&upstream), cancelling);
    assert!(matches!(error, UpstreamError::Cancelled), "{error}");
    eventually("the cancellation", || server.fake.trace().contains(&"notifications/cancelled".to_owned())).await;
    let told = server.fake.last("notifications/cancelled");
    assert_eq!((&told.body["params"]["requestId"], told.target.as_str()), (&server.fake.last("tools/call").id(), "/messages?s=1"));
    upstream.forget_session("c1").await;
    eventually("the stream is left", || server.fake.left.load(SeqCst) == 1).await;
}
