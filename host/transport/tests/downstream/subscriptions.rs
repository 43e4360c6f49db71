//! Changes, from servers of both eras to clients of both eras, through the whole host and over real sockets.

use crate::authority::server::{self, Act, Acts, Fake, Seen, event, json_body, legacy, modern, respond, result, stream_head};
use crate::support::{Connection, Endpoint, Log, Rig, Tailor, eventually, initialize, modern_body, modern_headers, request};
use serde_json::{Value, json};
use sluice_chain::{
    catalogue::Change,
    generation::Policy,
    groups::Group,
    host::{Ear, Listening},
    upstream::{Listener, Upstream},
};
use sluice_transport::upstream::http::{Http, HttpSettings};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

const URI: &str = "test://a";

/// A server whose streams say what a test says.
#[derive(Clone, Default)]
struct Voice {
    streams: Arc<Mutex<Vec<mpsc::UnboundedSender<String>>>>,
    /// What each `subscriptions/listen` asked for.
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Voice {
    /// A stream that opens with these messages.
    fn stream(&self, first: &[Value]) -> Acts {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.streams.lock().unwrap().push(sender);
        let mut acts = vec![stream_head()];
        acts.extend(first.iter().map(event));
        acts.push(Act::Relay(receiver));
        acts
    }

    /// Says it on every stream that is open.
    fn say(&self, message: &Value) {
        self.streams.lock().unwrap().retain(|stream| stream.send(format!("data: {message}\n\n")).is_ok());
    }

    fn changed(&self, list: &str) {
        self.say(&json!({"jsonrpc":"2.0","method":format!("notifications/{list}/list_changed")}));
    }

    fn updated(&self, uri: &str) {
        self.say(&json!({"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":uri,"_meta":{"a.b/c":1.0}}}));
    }

    /// Drops all streams.
    fn hang_up(&self) {
        self.streams.lock().unwrap().clear();
    }

    fn open(&self) -> usize {
        let mut streams = self.streams.lock().unwrap();
        streams.retain(|stream| !stream.is_closed());
        streams.len()
    }
}

fn everything() -> Value {
    json!({"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true}})
}

/// Lists and calls of either era.
fn offered(seen: &Seen) -> Acts {
    let hints = json!({"resultType":"complete","ttlMs":0,"cacheScope":"private"});
    let mut answer = match seen.method() {
        "tools/list" => json!({"tools":[{"name":"t","inputSchema":{"type":"object"}}]}),
        "prompts/list" => json!({"prompts":[]}),
        "resources/list" => json!({"resources":[{"uri":URI,"name":"a"},{"uri":"test://b","name":"b"}]}),
        "resources/templates/list" => json!({"resourceTemplates":[]}),
        _ => json!({"content":[]}),
    };
    if !seen.header("mcp-method").is_empty() {
        answer.as_object_mut().unwrap().extend(hints.as_object().unwrap().clone());
    }
    result(seen, answer)
}

async fn legacy_server(voice: &Voice) -> Fake {
    let voice = voice.clone();
    Fake::start(legacy(everything(), move |seen| match (seen.verb.as_str(), seen.method()) {
        ("GET", _) => voice.stream(&[]),
        (_, "resources/subscribe" | "resources/unsubscribe") => result(seen, json!({})),
        _ => offered(seen),
    }))
    .await
}

/// A modern server that agrees to everything but what `refuses` names.
async fn modern_server(voice: &Voice, refuses: &'static str) -> Fake {
    let voice = voice.clone();
    let rest = modern(move |seen| match seen.method() {
        "subscriptions/listen" => {
            let mut granted = seen.body["params"]["notifications"].clone();
            voice.asked.lock().unwrap().push(granted.clone());
            if let Some(uris) = granted["resourceSubscriptions"].as_array_mut() {
                uris.retain(|uri| uri != refuses);
            }
            let meta = json!({"io.modelcontextprotocol/subscriptionId":seen.id()});
            let method = "notifications/subscriptions/acknowledged";
            voice.stream(&[json!({"jsonrpc":"2.0","method":method,"params":{"notifications":granted,"_meta":meta}})])
        }
        _ => offered(seen),
    });
    Fake::start(move |seen| match seen.method() {
        "server/discover" => result(
            seen,
            json!({"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":everything(),"ttlMs":0,"cacheScope":"private"}),
        ),
        _ => rest(seen),
    })
    .await
}

fn upstream(name: &str, fake: &Fake, ear: &Arc<Ear>) -> Arc<dyn Upstream> {
    let settings = HttpSettings::new(name, fake.url.clone());
    Arc::new(Http::upstream(settings, ear.clone() as Arc<dyn Listener>).expect("a URL"))
}

async fn over(fakes: &[(&str, &Fake)]) -> Endpoint {
    rig_over(fakes, |_| {}).await
}

async fn rig_over(fakes: &[(&str, &Fake)], change: impl FnOnce(&mut Rig)) -> Endpoint {
    let ear = Arc::<Ear>::default();
    let mut rig = Rig::over(fakes.iter().map(|(name, fake)| upstream(name, fake, &ear)).collect());
    change(&mut rig);
    let endpoint = rig.start().await;
    ear.attach(&endpoint.host);
    endpoint
}

/// An event stream as it is read.
struct Stream(Connection);

impl Stream {
    async fn open(endpoint: &Endpoint, bytes: &[u8]) -> Stream {
        let mut connection = endpoint.connect().await;
        connection.send(bytes).await;
        let (status, headers) = connection.head().await.expect("a response");
        assert_eq!(status, 200, "{headers:?}");
        Stream(connection)
    }

    async fn listen(endpoint: &Endpoint, id: &str, filter: &Value) -> Stream {
        let params = format!(r#""notifications":{filter}"#);
        let body = modern_body(id, "subscriptions/listen", &params);
        Stream::listen_at(endpoint, "/mcp", &body).await
    }

    async fn listen_at(endpoint: &Endpoint, path: &str, body: &str) -> Stream {
        Stream::open(endpoint, &request("POST", path, &modern_headers("subscriptions/listen", ""), body.as_bytes())).await
    }

    /// A legacy session's own.
    async fn of_session(endpoint: &Endpoint, session: &str) -> Stream {
        let headers = [("mcp-session-id", session), ("accept", "text/event-stream")];
        Stream::open(endpoint, &request("GET", "/mcp", &headers, b"")).await
    }

    /// The next message; none at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let chunk = timeout(Duration::from_secs(15), self.0.chunk()).await.expect("something comes in time")?;
            let text = String::from_utf8(chunk).expect("UTF-8");
            let data = text.lines().find_map(|line| line.strip_prefix("data: ")).filter(|data| !data.is_empty());
            if let Some(data) = data {
                return Some(serde_json::from_str(data).expect("JSON"));
            }
        }
    }

    async fn hear(&mut self) -> Value {
        self.next().await.expect("a message")
    }

    async fn is_quiet(&mut self) {
        let heard = timeout(Duration::from_millis(400), self.hear()).await;
        assert!(heard.is_err(), "{heard:?}");
    }
}

fn tag(id: Value) -> Value {
    json!({"io.modelcontextprotocol/subscriptionId":id})
}

#[tokio::test]
async fn s067_a_change_of_a_list_is_told_after_the_acknowledgement_and_under_the_clients_id() {
    for is_modern in [false, true] {
        let voice = Voice::default();
        let fake = if is_modern { modern_server(&voice, "").await } else { legacy_server(&voice).await };
        let endpoint = over(&[("u", &fake)]).await;
        let mut stream = Stream::listen(&endpoint, r#""\u0041""#, &json!({"toolsListChanged":true,"taskIds":["t"]})).await;
        let acknowledged = stream.hear().await;
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(acknowledged["params"], json!({"notifications":{"toolsListChanged":true},"_meta":tag(json!("A"))}));
        eventually("the server is listened to", || voice.open() > 0).await;
        voice.changed("prompts");
        voice.changed("tools");
        let changed = stream.hear().await;
        assert_eq!(changed, json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":tag(json!("A"))}}));
        stream.is_quiet().await;
    }
}

#[tokio::test]
async fn a_change_that_a_legacy_server_tells_during_a_call_is_told_too() {
    let voice = Voice::default();
    let said = json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed"});
    let own = voice.clone();
    let fake = Fake::start(legacy(everything(), move |seen| match (seen.verb.as_str(), seen.method()) {
        ("GET", _) => own.stream(&[]),
        (_, "tools/call") => server::events(&[said.clone(), json!({"jsonrpc":"2.0","id":seen.id(),"result":{"content":[]}})]),
        _ => offered(seen),
    }))
    .await;
    let endpoint = over(&[("u", &fake)]).await;
    let mut stream = Stream::listen(&endpoint, "1", &json!({"toolsListChanged":true})).await;
    assert!(stream.hear().await["params"]["notifications"]["toolsListChanged"].as_bool().is_some_and(|granted| granted));
    endpoint.result("tools/call", r#""name":"t""#).await;
    assert_eq!(stream.hear().await["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn s068_what_a_server_without_a_stream_cannot_give_is_not_acknowledged() {
    let fake = Fake::start(legacy(everything(), |seen| match seen.verb.as_str() {
        "GET" => respond(405, "", ""),
        _ => offered(seen),
    }))
    .await;
    let endpoint = over(&[("u", &fake)]).await;
    let wanted = json!({"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":[URI]});
    let mut stream = Stream::listen(&endpoint, "1", &wanted).await;
    assert_eq!(stream.hear().await["params"]["notifications"], json!({}));
    assert!(!fake.trace().contains(&"resources/subscribe".to_owned()));
}

#[tokio::test]
async fn s069_two_listeners_are_one_subscription_of_a_legacy_server() {
    let voice = Voice::default();
    let fake = legacy_server(&voice).await;
    let endpoint = over(&[("u", &fake)]).await;
    let wanted = json!({"resourceSubscriptions":[URI]});
    let count = |method: &str| fake.trace().iter().filter(|seen| *seen == method).count();
    let mut streams = Vec::new();
    for id in ["1", "2"] {
        let mut stream = Stream::listen(&endpoint, id, &wanted).await;
        assert_eq!(stream.hear().await["params"]["notifications"], wanted);
        streams.push(stream);
    }
    assert_eq!(count("resources/subscribe"), 1);
    voice.updated(URI);
    for (stream, id) in streams.iter_mut().zip([1, 2]) {
        let mut meta = tag(json!(id));
        meta["a.b/c"] = json!(1.0);
        assert_eq!(stream.hear().await["params"], json!({"uri":URI,"_meta":meta}), "what the server said of it is kept");
    }
    drop(streams.remove(0));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(count("resources/unsubscribe"), 0, "somebody still listens");
    voice.updated("test://a/part");
    assert_eq!(streams[0].hear().await["params"]["uri"], "test://a/part");
    voice.updated("test://ab");
    streams[0].is_quiet().await;
    drop(streams);
    eventually("it is unsubscribed from", || count("resources/unsubscribe") == 1).await;
    assert_eq!(count("resources/subscribe"), 1);
}

#[tokio::test]
async fn s081_a_legacy_client_is_answered_once_a_modern_server_has_agreed() {
    let voice = Voice::default();
    let fake = modern_server(&voice, "test://b").await;
    let endpoint = over(&[("u", &fake)]).await;
    let session = endpoint.initialize("2025-11-25").await;
    let mut stream = Stream::of_session(&endpoint, &session).await;
    let ask = |method: &str, uri: &str| format!(r#"{{"jsonrpc":"2.0","id":"s","method":"resources/{method}","params":{{"uri":"{uri}"}}}}"#);
    let refused = endpoint.legacy(&session, &ask("subscribe", "test://b")).await.json();
    assert_eq!(refused["error"]["data"]["reason"], "not_told", "{refused}");
    let unknown = endpoint.legacy(&session, &ask("subscribe", "test://c")).await.json();
    assert_eq!(unknown["error"]["code"], -32002, "{unknown}");
    let agreed = endpoint.legacy(&session, &ask("subscribe", URI)).await.json();
    assert_eq!(agreed["result"], json!({}), "{agreed}");
    let last = voice.asked.lock().unwrap().last().cloned().expect("a subscription");
    assert_eq!(last["resourceSubscriptions"], json!([URI]), "asked for before the client was answered");
    eventually("the subscriptions before it are closed", || voice.open() == 1).await;
    voice.updated(URI);
    let told = stream.hear().await;
    assert_eq!(told, json!({"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":URI,"_meta":{"a.b/c":1.0}}}));
    voice.changed("tools");
    assert_eq!(stream.hear().await, json!({"jsonrpc":"2.0","method":"notifications/tools/list_changed"}));
    assert_eq!(endpoint.legacy(&session, &ask("unsubscribe", URI)).await.json()["result"], json!({}));
    voice.updated(URI);
    stream.is_quiet().await;
}

#[tokio::test]
async fn capabilities_say_what_the_servers_say() {
    let voice = Voice::default();
    let fake = legacy_server(&voice).await;
    let endpoint = over(&[("u", &fake)]).await;
    let legacy = endpoint.post(&[], &initialize("2025-11-25")).await.json();
    assert_eq!(legacy["result"]["capabilities"], everything());
    assert_eq!(endpoint.result("server/discover", "").await["capabilities"], everything());
    let tools_only = Fake::start(legacy_with_tools_only()).await;
    let plain = over(&[("u", &tools_only)]).await;
    assert_eq!(plain.result("server/discover", "").await["capabilities"], json!({"tools":{}}));
}

fn legacy_with_tools_only() -> impl Fn(&Seen) -> Acts + Send + Sync {
    legacy(json!({"tools":{}}), |seen| if seen.verb == "GET" { respond(405, "", "") } else { offered(seen) })
}

#[tokio::test]
async fn s109_a_server_that_drops_its_stream_is_listened_to_again_and_one_change_is_told() {
    let (voice, other) = (Voice::default(), Voice::default());
    let (fake, steady) = (modern_server(&voice, "").await, modern_server(&other, "").await);
    let endpoint = over(&[("u", &fake), ("v", &steady)]).await;
    let mut stream = Stream::listen(&endpoint, "1", &json!({"toolsListChanged":true,"resourceSubscriptions":[URI]})).await;
    stream.hear().await;
    let before = voice.asked.lock().unwrap().len();
    voice.hang_up();
    let mut told = vec![stream.hear().await["method"].clone(), stream.hear().await["method"].clone()];
    told.sort_by_key(Value::to_string);
    assert_eq!(told, ["notifications/resources/updated", "notifications/tools/list_changed"]);
    stream.is_quiet().await;
    let asked = voice.asked.lock().unwrap().clone();
    assert_eq!((asked.len(), asked.last()), (before + 1, asked.first()), "and for the same");
    voice.changed("tools");
    assert_eq!(stream.hear().await["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn s111_a_server_that_forgets_one_of_several_sessions_is_subscribed_to_again() {
    let (voice, other) = (Voice::default(), Voice::default());
    let steady = legacy_server(&other).await;
    let forgets = Arc::new(AtomicBool::new(false));
    let (own, is_gone) = (voice.clone(), forgets.clone());
    let fake = Fake::start(legacy(everything(), move |seen| match (seen.verb.as_str(), seen.method()) {
        _ if is_gone.load(SeqCst) && seen.header("mcp-session-id") == "s1" => respond(404, "", ""),
        ("GET", _) => own.stream(&[]),
        (_, "resources/subscribe") => result(seen, json!({})),
        (_, "resources/list") => result(seen, json!({"resources":[{"uri":"dead://a","name":"a"}]})),
        _ => offered(seen),
    }))
    .await;
    let endpoint = over(&[("u", &fake), ("v", &steady)]).await;
    let session = endpoint.initialize("2025-11-25").await;
    let mut stream = Stream::of_session(&endpoint, &session).await;
    let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"dead://a"}}"#;
    assert_eq!(endpoint.legacy(&session, subscribe).await.json()["result"], json!({}));
    forgets.store(true, SeqCst);
    voice.hang_up();
    let mut told = Vec::new();
    while !told.contains(&json!("notifications/resources/updated")) {
        told.push(stream.hear().await["method"].clone());
    }
    eventually("a new session has a stream", || voice.open() > 0).await;
    let again = fake
        .seen()
        .iter()
        .filter(|seen| seen.method() == "resources/subscribe")
        .map(|seen| seen.header("mcp-session-id").to_owned())
        .collect::<Vec<_>>();
    assert_eq!(again, ["s1", "s2"]);
    assert_eq!(endpoint.legacy(&session, r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#).await.status, 200, "the client never noticed");
}

#[tokio::test]
async fn t34_a_flood_of_notifications_is_a_few_facts_and_harms_nobody() {
    const SAID: usize = 20_000;
    let (log, _guard) = Log::start();
    let (voice, other) = (Voice::default(), Voice::default());
    let (fake, steady) = (legacy_server(&voice).await, modern_server(&other, "").await);
    let endpoint = over(&[("loud", &fake), ("v", &steady)]).await;
    let mut stream = Stream::listen(&endpoint, "1", &json!({"toolsListChanged":true,"resourceSubscriptions":[URI]})).await;
    stream.hear().await;
    let lists = || fake.trace().iter().filter(|seen| *seen == "tools/list").count();
    eventually("the server is listened to", || voice.open() > 0).await;
    // The control: said once, each word is worth a list or a notification. So many would be so many.
    let before = lists();
    voice.changed("tools");
    assert_eq!(stream.hear().await["method"], "notifications/tools/list_changed");
    assert!(lists() > before);
    voice.updated(&format!("{URI}/once"));
    assert_eq!(stream.hear().await["params"]["uri"], format!("{URI}/once"));
    let before = lists();
    // So long that the sockets in between do not hold them all, while the client does not read.
    let long = "x".repeat(700);
    for n in 0..SAID / 2 {
        voice.changed("tools");
        // Most of them below the resource that is followed.
        voice.updated(&format!("{URI}/{n}/{long}"));
        if n % 1_000 == 0 {
            endpoint.is_well_with("t").await;
        }
    }
    voice.updated("test://a/last");
    let mut heard = Vec::new();
    while let Ok(message) = timeout(Duration::from_millis(1_500), stream.hear()).await {
        heard.push(message);
    }
    let of = |method: &str| heard.iter().filter(|message| message["method"] == method).count();
    assert!(of("notifications/tools/list_changed") >= 1);
    assert!(of("notifications/resources/updated") >= 1);
    // What is told depends on what the sockets hold, never on how much was said: it is not kept.
    assert!(of("notifications/resources/updated") < SAID / 2 * 3 / 4, "{}", of("notifications/resources/updated"));
    assert!(of("notifications/tools/list_changed") <= 30, "{}", of("notifications/tools/list_changed"));
    assert!(lists() - before <= 30, "{} lists for {SAID} notifications", lists() - before);
    assert!(!log.lines(&["WARN", "flood of notifications", "loud"]).is_empty(), "it is named in the log");
    endpoint.is_well_with("t").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_told_everything_once_when_it_does() {
    let voice = Voice::default();
    let fake = legacy_server(&voice).await;
    let endpoint = over(&[("u", &fake)]).await;
    let session = endpoint.initialize("2025-11-25").await;
    let subscribe = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{{"uri":"{URI}"}}}}"#);
    assert_eq!(endpoint.legacy(&session, &subscribe).await.json()["result"], json!({}));
    eventually("the server is listened to", || voice.open() > 0).await;
    (0..500).for_each(|_| voice.updated(URI));
    (0..500).for_each(|n| voice.updated(&format!("{URI}/{n}")));
    // Reads only now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut stream = Stream::of_session(&endpoint, &session).await;
    let mut heard = Vec::new();
    while let Ok(message) = timeout(Duration::from_millis(400), stream.hear()).await {
        heard.push(message["params"]["uri"].as_str().expect("a URI").to_owned());
    }
    assert!((1..=16).contains(&heard.len()), "{heard:?}");
    assert!(heard.contains(&URI.to_owned()), "what there was too much of is told as the whole: {heard:?}");
}

#[tokio::test]
async fn a_drain_ends_a_subscription_with_its_result() {
    let voice = Voice::default();
    let fake = modern_server(&voice, "").await;
    let endpoint = over(&[("u", &fake)]).await;
    let mut stream = Stream::listen(&endpoint, r#""x""#, &json!({"toolsListChanged":true})).await;
    stream.hear().await;
    endpoint.drain.cancel();
    let end = stream.hear().await;
    assert_eq!(end, json!({"jsonrpc":"2.0","id":"x","result":{"resultType":"complete","_meta":tag(json!("x"))}}));
    assert!(stream.next().await.is_none());
    timeout(Duration::from_secs(5), endpoint.serving).await.expect("it does not wait for the grace time").expect("served");
}

#[tokio::test]
async fn a_client_that_leaves_ends_it_and_makes_room() {
    let voice = Voice::default();
    let fake = modern_server(&voice, "").await;
    let endpoint = rig_over(&[("u", &fake)], |rig| rig.listening = Listening { own_max: 1, all_max: 10 }).await;
    let filter = json!({"toolsListChanged":true});
    let mut stream = Stream::listen(&endpoint, "1", &filter).await;
    stream.hear().await;
    let params = format!(r#""notifications":{filter}"#);
    let refused = endpoint.modern("2", "subscriptions/listen", &params).await.json();
    assert_eq!(refused["error"]["data"]["reason"], "too_many_subscriptions");
    drop(stream);
    eventually("the server is not listened to any more", || voice.open() == 0 && endpoint.host.running() == 0).await;
    Stream::listen(&endpoint, "3", &filter).await.hear().await;
    for (params, text) in [("", "missing"), (r#""notifications":[]"#, "object"), (r#""notifications":{"toolsListChanged":1}"#, "boolean")] {
        let refused = endpoint.modern("4", "subscriptions/listen", params).await.json();
        assert_eq!(refused["error"]["code"], -32602, "{text}: {refused}");
    }
}

#[tokio::test]
async fn what_the_chain_hides_is_neither_acknowledged_nor_told_and_a_swap_tells_whose_list_changed() {
    let voice = Voice::default();
    let fake = legacy_server(&voice).await;
    let endpoint = over(&[("u", &fake)]).await;
    let hides = |hidden: &'static str| {
        let shape = move |_: &str, entry: &sluice_chain::catalogue::Entry| if *entry.name == *hidden { Change::Hide } else { Change::Keep };
        Tailor {
            shape: Some(Box::new(shape)),
            credential: Box::new(|_| sluice_chain::filter::Authentication::Abstain),
            ..Tailor::default()
        }
        .chain(Policy::default())
    };
    let wanted = json!({"resourcesListChanged":true,"toolsListChanged":true,"resourceSubscriptions":[URI, "test://b", "test://nowhere"]});
    let mut stream = Stream::listen(&endpoint, "1", &wanted).await;
    let granted = json!({"toolsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":[URI, "test://b"]});
    assert_eq!(stream.hear().await["params"]["notifications"], granted);
    endpoint.host.swap(hides(URI));
    assert_eq!(stream.hear().await["method"], "notifications/resources/list_changed");
    stream.is_quiet().await;
    voice.updated(URI);
    voice.updated("test://b");
    assert_eq!(stream.hear().await["params"]["uri"], "test://b", "the other is hidden now");
    stream.is_quiet().await;
}

#[tokio::test]
async fn a_listener_hears_of_servers_that_come_and_go_and_of_no_others() {
    let (first, second) = (Voice::default(), Voice::default());
    let (old, new) = (legacy_server(&first).await, modern_server(&second, "").await);
    let ear = Arc::<Ear>::default();
    let (old, new) = (upstream("old", &old, &ear), upstream("new", &new, &ear));
    let endpoint = Rig::over(vec![old.clone()]).start().await;
    ear.attach(&endpoint.host);
    let named = || {
        let shape = |_: &str, entry: &sluice_chain::catalogue::Entry| Change::Rename(format!("{}_{}", entry.owner, entry.name));
        Tailor { shape: Some(Box::new(shape)), ..Tailor::default() }.chain(Policy::default())
    };
    endpoint.host.swap(named());
    let mut stream = Stream::listen(&endpoint, "1", &json!({"toolsListChanged":true})).await;
    assert_eq!(stream.hear().await["params"]["notifications"], json!({"toolsListChanged":true}));
    let told = "notifications/tools/list_changed";

    assert!(endpoint.host.replace(vec![old.clone(), new.clone()], Vec::new(), named()).is_empty());
    assert_eq!(stream.hear().await["method"], told, "it sees a tool more");
    stream.is_quiet().await;
    second.changed("tools");
    assert_eq!(stream.hear().await["method"], told, "the server that came is listened to");
    stream.is_quiet().await;

    let gone = endpoint.host.replace(vec![new], Vec::new(), named());
    assert!(gone.len() == 1 && Arc::ptr_eq(&gone[0].1, &old));
    assert_eq!(stream.hear().await["method"], told, "it sees a tool less");
    gone[0].1.close().await;
    eventually("nobody listens to the server that is gone", || first.open() == 0).await;
    stream.is_quiet().await;
}

#[tokio::test]
async fn f108_only_those_hear_of_a_change_in_whose_group_it_is() {
    let voices: [Voice; 3] = Default::default();
    let mut fakes = Vec::new();
    for voice in &voices {
        fakes.push(legacy_server(voice).await);
    }
    let ear = Arc::<Ear>::default();
    let all: Vec<_> = ["git", "mail", "wiki"].into_iter().zip(&fakes).map(|(name, fake)| upstream(name, fake, &ear)).collect();
    let endpoint = Rig::over(all[..2].to_vec()).start().await;
    ear.attach(&endpoint.host);
    let named = || {
        let shape = |_: &str, entry: &sluice_chain::catalogue::Entry| Change::Rename(format!("{}_{}", entry.owner, entry.name));
        Tailor { shape: Some(Box::new(shape)), ..Tailor::default() }.chain(Policy::default())
    };
    let groups = || vec![Group::of_all(named()), Group { name: Some("ops".into()), upstreams: Some(vec!["mail".into()]), links: named() }];
    endpoint.host.swap(groups());
    let body = modern_body("1", "subscriptions/listen", r#""notifications":{"toolsListChanged":true}"#);
    let (mut whole, mut ops) = (Stream::listen_at(&endpoint, "/mcp", &body).await, Stream::listen_at(&endpoint, "/mcp/ops", &body).await);
    for stream in [&mut whole, &mut ops] {
        assert_eq!(stream.hear().await["params"]["notifications"], json!({"toolsListChanged":true}));
    }
    let told = "notifications/tools/list_changed";
    endpoint.host.replace(all, Vec::new(), groups());
    assert_eq!(whole.hear().await["method"], told, "it sees a tool more");
    ops.is_quiet().await;
    for place in [0, 2] {
        voices[place].changed("tools");
        assert_eq!(whole.hear().await["method"], told);
        ops.is_quiet().await;
    }
    voices[1].changed("tools");
    assert_eq!((whole.hear().await["method"].as_str(), ops.hear().await["method"].as_str()), (Some(told), Some(told)));
}

#[tokio::test]
async fn a_renamed_resource_is_told_of_under_the_clients_name_for_it() {
    let voice = Voice::default();
    let fake = legacy_server(&voice).await;
    let endpoint = over(&[("u", &fake)]).await;
    let shape = |_: &str, entry: &sluice_chain::catalogue::Entry| {
        if *entry.name == *URI { Change::Rename("u+test://a".into()) } else { Change::Keep }
    };
    let credential = |_: &_| sluice_chain::filter::Authentication::Identified(sluice_chain::principal::Principal::local(), Duration::ZERO);
    let tailor = Tailor { shape: Some(Box::new(shape)), credential: Box::new(credential), ..Tailor::default() };
    endpoint.host.swap(tailor.chain(Policy::default()));
    let wanted = json!({"resourceSubscriptions":["u+test://a"]});
    let mut stream = Stream::listen(&endpoint, "1", &wanted).await;
    assert_eq!(stream.hear().await["params"]["notifications"], wanted);
    assert_eq!(fake.last("resources/subscribe").body["params"]["uri"], URI);
    voice.updated(URI);
    assert_eq!(stream.hear().await["params"]["uri"], "u+test://a");
}

#[tokio::test]
async fn a_legacy_server_that_refuses_is_heard_in_its_own_words() {
    let voice = Voice::default();
    let own = voice.clone();
    let calls = AtomicUsize::new(0);
    let fake = Fake::start(legacy(everything(), move |seen| match (seen.verb.as_str(), seen.method()) {
        ("GET", _) => own.stream(&[]),
        (_, "resources/subscribe") if calls.fetch_add(1, SeqCst) == 0 => {
            json_body(200, &json!({"jsonrpc":"2.0","id":seen.id(),"error":{"code":-32099,"message":"not today"}}))
        }
        (_, "resources/subscribe") => result(seen, json!({})),
        _ => offered(seen),
    }))
    .await;
    let endpoint = over(&[("u", &fake)]).await;
    let session = endpoint.initialize("2025-11-25").await;
    let subscribe = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{{"uri":"{URI}"}}}}"#);
    let refused = endpoint.legacy(&session, &subscribe).await.json();
    assert_eq!((&refused["error"]["code"], &refused["error"]["message"]), (&json!(-32099), &json!("not today")));
    assert_eq!(endpoint.legacy(&session, &subscribe).await.json()["result"], json!({}), "and asked again");
}

/// A session's claims are those its client shows with each request, and what it hears is what they let it see.
#[tokio::test]
async fn a_session_hears_under_the_claims_that_its_client_has_now() {
    let voice = Voice::default();
    let fake = legacy_server(&voice).await;
    let endpoint = over(&[("u", &fake)]).await;
    let tailor = Tailor {
        shape: Some(Box::new(|scopes, entry| if *entry.name == *URI && scopes != "full" { Change::Hide } else { Change::Keep })),
        shape_by: "principal.scopes",
        credential: Box::new(|credential| {
            let mut principal = sluice_chain::principal::Principal::new("tailor", "alice", None);
            principal.scopes = vec![credential.value.as_str().into()];
            sluice_chain::filter::Authentication::Identified(principal, Duration::ZERO)
        }),
        ..Tailor::default()
    };
    endpoint.host.swap(tailor.chain(Policy::default()));
    let with = |key: &'static str| [("authorization", ""), ("x-api-key", key)];
    let opened = endpoint.post(&with("full"), &initialize("2025-11-25")).await;
    let session = opened.header("mcp-session-id").expect("a session").to_owned();
    let of_session = |key: &'static str| [&with(key)[..], &[("mcp-session-id", &*session)]].concat();
    let headers = [&of_session("full")[..], &[("accept", "text/event-stream")]].concat();
    let mut stream = Stream::open(&endpoint, &request("GET", "/mcp", &headers, b"")).await;
    let subscribe = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{{"uri":"{URI}"}}}}"#);
    assert_eq!(endpoint.post(&of_session("full"), &subscribe).await.json()["result"], json!({}));
    eventually("the server is listened to", || voice.open() > 0).await;
    voice.updated(URI);
    assert_eq!(stream.hear().await["params"]["uri"], URI);
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"resources/list"}"#;
    let listed = endpoint.post(&of_session("less"), list).await.json();
    assert_eq!(listed["result"]["resources"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(stream.hear().await["method"], "notifications/resources/list_changed", "its list is another");
    voice.updated(URI);
    stream.is_quiet().await;
}

#[tokio::test]
async fn an_acknowledgement_does_not_wait_for_a_server_that_is_silent() {
    let voice = Voice::default();
    let (fake, silent) = (legacy_server(&voice).await, Fake::start(|_| vec![Act::Hold]).await);
    let endpoint = over(&[("u", &fake), ("silent", &silent)]).await;
    let began = std::time::Instant::now();
    let mut stream = Stream::listen(&endpoint, "1", &json!({"toolsListChanged":true})).await;
    let acknowledged = stream.hear().await;
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    assert_eq!(acknowledged["params"]["notifications"], json!({"toolsListChanged":true}), "the other has agreed");
}

#[tokio::test]
async fn what_is_behind_a_template_is_hidden_with_it() {
    let voice = Voice::default();
    let own = voice.clone();
    let fake = Fake::start(legacy(everything(), move |seen| match (seen.verb.as_str(), seen.method()) {
        ("GET", _) => own.stream(&[]),
        (_, "resources/subscribe") => result(seen, json!({})),
        (_, "resources/templates/list") => result(seen, json!({"resourceTemplates":[{"name":"t","uriTemplate":"tpl://{x}"}]})),
        _ => offered(seen),
    }))
    .await;
    let endpoint = over(&[("u", &fake)]).await;
    let shaped = |hidden: &'static str| {
        let shape = move |_: &str, entry: &sluice_chain::catalogue::Entry| if *entry.name == *hidden { Change::Hide } else { Change::Keep };
        let credential = |_: &_| sluice_chain::filter::Authentication::Abstain;
        Tailor { shape: Some(Box::new(shape)), credential: Box::new(credential), ..Tailor::default() }.chain(Policy::default())
    };
    let wanted = json!({"resourceSubscriptions":["tpl://1", URI]});
    let mut stream = Stream::listen(&endpoint, "1", &wanted).await;
    assert_eq!(stream.hear().await["params"]["notifications"], wanted);
    eventually("the server is listened to", || voice.open() > 0).await;
    voice.updated("tpl://1");
    assert_eq!(stream.hear().await["params"]["uri"], "tpl://1");
    endpoint.host.swap(shaped("tpl://{x}"));
    voice.updated("tpl://1");
    voice.updated(URI);
    assert_eq!(stream.hear().await["params"]["uri"], URI, "the other is hidden now");
    stream.is_quiet().await;
    endpoint.host.swap(shaped("nothing"));
    voice.updated("tpl://1");
    assert_eq!(stream.hear().await["params"]["uri"], "tpl://1", "and is to be seen again");
}

#[tokio::test]
async fn a_subscription_that_is_cancelled_takes_none_away_that_was_asked_for_beside_it() {
    let voice = Voice::default();
    let own = voice.clone();
    let fake = Fake::start(legacy(everything(), move |seen| match (seen.verb.as_str(), seen.method()) {
        ("GET", _) => own.stream(&[]),
        (_, "resources/subscribe") => {
            let mut acts = vec![Act::Pause(Duration::from_millis(600))];
            acts.extend(result(seen, json!({})));
            acts
        }
        _ => offered(seen),
    }))
    .await;
    let endpoint = over(&[("u", &fake)]).await;
    let session = endpoint.initialize("2025-11-25").await;
    let mut stream = Stream::of_session(&endpoint, &session).await;
    let subscribe = |id: u8| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/subscribe","params":{{"uri":"{URI}"}}}}"#);
    let mut first = endpoint.connect().await;
    first.send(&request("POST", "/mcp", &[("mcp-session-id", &session)], subscribe(1).as_bytes())).await;
    eventually("the server is asked", || fake.trace().contains(&"resources/subscribe".to_owned())).await;
    let (text, cancel) = (subscribe(2), r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(endpoint.legacy(&session, cancel).await.status, 202);
    };
    let (second, ()) = tokio::join!(endpoint.legacy(&session, &text), cancelling);
    assert_eq!(second.json()["result"], json!({}));
    voice.updated(URI);
    assert_eq!(stream.hear().await["params"]["uri"], URI);
}
