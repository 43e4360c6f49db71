//! What a guest may fetch, and what it sees of secrets on the way. The sockets are the transport's to test.

use crate::support::{call, guests, settings};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sluice_chain::{
    fault::Fault,
    fetch::{Fetch, FetchError, Request, Response},
    filter::Verdict,
};
use sluice_plugin::{Engine, Limits, LoadError, Secret, Settings, Setup, WasmFilter};
use sluice_state::memory::MemoryStore;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Keeps every request, and answers them all alike.
struct Network {
    seen: Mutex<Vec<Request>>,
    answer: fn() -> Result<Response, FetchError>,
    hangs: bool,
}

impl Fetch for Network {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        self.seen.lock().unwrap().push(request);
        Box::pin(async {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            (self.answer)()
        })
    }
}

fn network(answer: fn() -> Result<Response, FetchError>) -> Arc<Network> {
    Arc::new(Network { seen: Mutex::default(), answer, hangs: false })
}

fn ok(body: &'static str) -> Result<Response, FetchError> {
    Ok(Response { status: 200, headers: vec![("x-a".into(), "b".into())], body: Bytes::from_static(body.as_bytes()) })
}

async fn try_load(network: &Arc<Network>, grants: &[&str], limits: Limits) -> Result<Arc<WasmFilter>, LoadError> {
    let secrets = [("api".to_owned(), Secret::new(b"s3cret-of-the-operator".to_vec()))].into();
    let fetch: Option<Arc<dyn Fetch>> = Some(network.clone());
    let engine = Engine::start(Setup { instances_max: 16, secrets, fetch, ..Setup::new(Arc::new(MemoryStore::new())) }).unwrap();
    let grants = grants.iter().map(|grant| (*grant).to_owned()).collect();
    engine.load(guests::bytes("fetches"), Settings { grants, limits, ..settings("fetches", json!({})) }).await
}

async fn load(network: &Arc<Network>, grants: &[&str]) -> Arc<WasmFilter> {
    try_load(network, grants, Limits { cpu: Duration::from_secs(5), ..Limits::default() }).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn fetched(filter: &WasmFilter, wanted: Value) -> Value {
    let Ok(Verdict::Reply(result)) = call("fetch", wanted).request(filter).await else { panic!("it always answers") };
    serde_json::from_slice::<Value>(&result).unwrap()["structuredContent"].take()
}

const API: &str = "fetch:https://api.example.com GET,POST";

#[tokio::test]
async fn a_plugin_that_needs_the_network_is_refused_without_a_grant() {
    let error = try_load(&network(|| ok("")), &[], Limits::default()).await.err().unwrap().to_string();
    let line = "needs `fetch` (to fetch), which is not granted; add to fetches.toml: grants = [\"fetch:https://<host> GET\"]";
    assert!(error.contains(line), "{error}");
}

/// W12. The control is the first request, which leaves.
#[tokio::test]
async fn what_is_not_granted_does_not_leave() {
    let network = network(|| ok("hello"));
    let filter = load(&network, &[API]).await;
    let said = fetched(&filter, json!({"url": "https://API.example.com:443/a?b", "headers": [["x-y", "z"]]})).await;
    assert_eq!((&said["status"], &said["body"], &said["headers"]), (&json!(200), &json!("hello"), &json!([["x-a", "b"]])));
    let urls = [
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://evil.example/",
        "https://api.example.com.evil.example/",
        "https://api.example.com@evil.example/",
        "https://evil.example\\@api.example.com/",
        "https://evil.example#api.example.com/",
        "https://xapi.example.com/",
        "https://sub.api.example.com/",
        "https://api.example.com./",
        "https://api.example.com%2eevil.example/",
        "https://user:pw@api.example.com/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://localhost/",
        "file:///etc/passwd",
        "gopher://api.example.com/",
        "//api.example.com/",
        "api.example.com",
        "",
        "https://",
        "https://api.example.com/\r\nhost: evil.example",
        "https://api.example.com\r\n.evil.example/",
        "https://аpi.example.com/",
    ];
    for url in urls {
        let said = fetched(&filter, json!({"url": url})).await;
        assert_eq!(said["error"], "denied", "{url}: {said}");
    }
    for method in ["PUT", "get", "CONNECT", "GET HTTP/1.1\r\nx: y", ""] {
        let said = fetched(&filter, json!({"url": "https://api.example.com/", "method": method})).await;
        assert_eq!(said["error"], "denied", "{method}: {said}");
    }
    let seen = network.seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].url.origin.to_string().as_str(), &*seen[0].url.target), ("https://api.example.com", "/a?b"));
    assert!(!seen[0].is_private && seen[0].exchange == Some(1) && &*seen[0].plugin == "fetches");
}

#[tokio::test]
async fn a_secret_is_put_in_and_an_answer_that_repeats_it_is_held_back() {
    let network = network(|| ok("fine"));
    let filter = load(&network, &["fetch:https://api.example.com POST", "secret:api"]).await;
    let wanted = json!({"url": "https://api.example.com/", "method": "POST", "body": "a=b", "secrets": [
        ["header", "x-key", "Bearer ", "api"], ["basic", "me", "", "api"], ["form", "client secret", "", "api"]]});
    assert_eq!(fetched(&filter, wanted.clone()).await["status"], 200);
    {
        let seen = network.seen.lock().unwrap();
        let header = |name: &str| seen[0].headers.iter().find(|header| header.name == name).map(|header| header.value.clone()).unwrap();
        assert_eq!(header("x-key"), b"Bearer s3cret-of-the-operator");
        // base64("me:s3cret-of-the-operator")
        assert_eq!(header("authorization"), b"Basic bWU6czNjcmV0LW9mLXRoZS1vcGVyYXRvcg==");
        assert_eq!(&seen[0].body[..], b"a=b&client+secret=s3cret-of-the-operator");
    }
    let echo = self::network(|| ok("you sent s3cret-of-the-operator"));
    let filter = load(&echo, &["fetch:https://api.example.com POST", "secret:api"]).await;
    let said = fetched(&filter, wanted).await;
    assert_eq!(said["error"], "denied");
    assert!(!said.to_string().contains("s3cret"), "{said}");
}

/// A token goes from the answer to the host's memory, and the guest can use it and not see it.
#[tokio::test]
async fn what_is_captured_is_not_seen() {
    let network = network(|| ok(r#"{"access_token": "tok\u0065n-1", "n": {"x": 7}, "list": [1, "t2"]}"#));
    let filter = load(&network, &[API, "secret:api"]).await;
    let captures = json!([["/access_token", "token"], ["/n", "n"], ["/n/x", "x"], ["/list/1", "two"], ["/absent", "absent"]]);
    let said = fetched(&filter, json!({"url": "https://api.example.com/", "captures": captures})).await;
    assert_eq!(said["body"], r#"{"access_token": null, "n": null, "list": [1, null]}"#);
    assert_eq!(said["captured"], json!([true, true, true, true, false]));
    // hmac.new(b"token-1", b"", "sha256")
    assert_eq!(said["kept"][0], "9923346b0fc79836ef2d8c050910266d12219f5d5516ff1248764bf7d3a1d99e");
    assert_eq!(said["kept"][4], "");
    let send = json!({"url": "https://api.example.com/", "secrets": [["header", "authorization", "Bearer ", "token"]]});
    // The answer has it spelled with an escape, so it does not count as repeated.
    assert_eq!(fetched(&filter, send).await["status"], 200);
    let last = network.seen.lock().unwrap().pop().unwrap();
    assert_eq!(last.headers[0].value, b"Bearer token-1");
    let control = fetched(&filter, json!({"url": "https://api.example.com/"})).await;
    assert!(control["body"].as_str().unwrap().contains("access_token\": \"tok"), "without a capture it is seen");
}

/// RFC 6749 section 6: a server that does not rotate refresh tokens may answer with the one it was sent.
#[tokio::test]
async fn an_answer_may_repeat_what_is_captured_from_it() {
    let network = network(|| ok(r#"{"refresh_token":"refresh-token-1"}"#));
    let filter = load(&network, &[API, "secret:api"]).await;
    let url = "https://api.example.com/token";
    let captures = json!([["/refresh_token", "refresh"]]);
    assert_eq!(fetched(&filter, json!({"url": url, "captures": captures})).await["captured"], json!([true]));
    let sent = json!([["form", "refresh_token", "", "refresh"]]);
    let said = fetched(&filter, json!({"url": url, "method": "POST", "secrets": sent, "captures": captures})).await;
    assert_eq!((&said["captured"], &said["body"]), (&json!([true]), &json!(r#"{"refresh_token":null}"#)));
    let control = fetched(&filter, json!({"url": url, "method": "POST", "secrets": sent})).await;
    assert_eq!(control["error"], "denied", "not captured, it would be seen: {control}");
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_held_back_from_a_capture() {
    let network = network(|| ok("access_token=tok"));
    let filter = load(&network, &[API]).await;
    let said = fetched(&filter, json!({"url": "https://api.example.com/", "captures": [["/access_token", "token"]]})).await;
    assert_eq!((&said["body"], &said["captured"], &said["kept"]), (&json!(""), &json!([false]), &json!([""])));
}

#[tokio::test]
async fn what_the_network_says_is_the_guests_to_judge() {
    for (answer, said) in [
        ((|| Err(FetchError::Timeout)) as fn() -> _, "timeout"),
        (|| Err(FetchError::TooLarge), "too-large"),
        (|| Err(FetchError::Unreachable("gone".into())), "unreachable"),
        (|| Err(FetchError::Refused("not public".into())), "denied"),
    ] {
        let filter = load(&network(answer), &[API]).await;
        assert_eq!(fetched(&filter, json!({"url": "https://api.example.com/"})).await["error"], said);
    }
}

/// W11: the wait is the call's, and ends with it; the limit is the one for plugins that wait for others.
#[tokio::test]
async fn a_network_that_hangs_costs_the_waiting_wall_time() {
    let network = Arc::new(Network { seen: Mutex::default(), answer: || ok(""), hangs: true });
    let limits = Limits { wall: Duration::from_millis(10), wall_waiting: Duration::from_millis(300), ..Limits::default() };
    let filter = try_load(&network, &[API], limits).await.unwrap();
    let began = Instant::now();
    let verdict = call("fetch", json!({"url": "https://api.example.com/", "timeout_ms": 60_000})).request(&filter).await;
    let Err(Fault::Deadline { clock: "wall time", limit }) = verdict else { panic!("{verdict:?}") };
    assert_eq!(limit, Duration::from_millis(300));
    assert!(began.elapsed() >= limit);
    let told = network.seen.lock().unwrap()[0].timeout;
    assert!(told <= Duration::from_millis(270), "the client is to give up before: {told:?}");
}

#[tokio::test]
async fn only_so_many_requests_leave_at_once() {
    let network = Arc::new(Network { seen: Mutex::default(), answer: || ok(""), hangs: true });
    let limits = Limits { wall_waiting: Duration::from_millis(500), fetches_max: 2, ..Limits::default() };
    let filter = try_load(&network, &[API], limits).await.unwrap();
    let ask = |i: usize| {
        let filter = filter.clone();
        tokio::spawn(async move { call("fetch", json!({"url": "https://api.example.com/"})).by(&i.to_string()).request(&filter).await })
    };
    let mut refused = 0;
    for task in (0..5).map(ask).collect::<Vec<_>>() {
        if let Ok(Verdict::Reply(said)) = task.await.unwrap() {
            assert!(String::from_utf8_lossy(&said).contains("too many requests"), "{said:?}");
            refused += 1;
        }
    }
    assert_eq!((refused, network.seen.lock().unwrap().len()), (3, 2));
}
