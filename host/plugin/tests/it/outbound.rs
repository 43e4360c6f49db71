//! What requests toward upstreams leave with: what is granted, what a guest is shown, and what it may set.

use crate::support::{guests, settings};
use bytes::Bytes;
use serde_json::{Value, json};
use sluice_chain::{
    attributes::Attributes,
    departures::{Challenge, Departure, Header, Leaving, OutboundVerdict},
    fault::Fault,
    filter::Filter,
    principal::Principal,
    verdict::Ask,
};
use sluice_plugin::{Engine, LoadError, Secret, Settings, Setup, WasmFilter};
use sluice_state::memory::MemoryStore;
use std::{path::Path, sync::Arc, time::Instant};

const TOKEN: &str = "s3cret-of-the-operator";

async fn try_load(config: Value, grants: &[&str]) -> Result<Arc<WasmFilter>, LoadError> {
    let secret = |(name, value): (&str, &[u8])| (name.to_owned(), Secret::new(value.to_vec()));
    let secrets = [("token", TOKEN.as_bytes()), ("other", b"0ther"), ("broken", b"a\r\nx: y")].map(secret).into();
    // Compiling is most of what loading takes.
    let cache = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-guests"));
    let engine = Engine::start(Setup { instances_max: 16, secrets, cache, ..Setup::new(Arc::new(MemoryStore::new())) }).unwrap();
    let grants = grants.iter().map(|grant| (*grant).to_owned()).collect();
    engine.load(guests::bytes("sets-headers"), Settings { grants, ..settings("sets-headers", config) }).await
}

async fn load(config: Value, grants: &[&str]) -> Arc<WasmFilter> {
    try_load(config, grants).await.unwrap_or_else(|error| panic!("{error}"))
}

fn departure(upstream: &str) -> Departure {
    Departure {
        upstream: upstream.into(),
        url: "https://api.example.com/mcp?x=1".into(),
        method: "POST",
        headers: vec![("x-key".into(), None), ("accept".into(), Some("application/json".into()))],
        fixed: vec!["x-key".into()],
        body: Bytes::from_static(b"{}"),
        challenge: None,
        refused: Vec::new(),
    }
}

async fn asked(filter: &WasmFilter, departure: &Departure) -> Result<OutboundVerdict, Fault> {
    let facts = vec![("principal.id".into(), "ada".into()), ("principal.subject".into(), "ada".into())];
    let (principal, attributes) = (Principal::new("test", "ada", None), Attributes::new(Arc::new(facts)));
    let leaving = Leaving { departure, exchange: 1, protocol: None, principal: &principal, attributes: &attributes, began: Instant::now() };
    filter.on_outbound(&leaving).await
}

async fn given(filter: &WasmFilter, departure: &Departure) -> Vec<(String, String)> {
    let Ok(OutboundVerdict::Next(headers)) = asked(filter, departure).await else { panic!("it lets it go") };
    headers.into_iter().map(|Header { name, value, .. }| (name.into(), String::from_utf8(value.to_vec()).unwrap())).collect()
}

fn one(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.into(), value.into())]
}

async fn fault(config: Value, grants: &[&str], upstream: &str) -> String {
    match asked(&*load(config, grants).await, &departure(upstream)).await {
        Err(fault @ Fault::BadReply(_)) => fault.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_hook_needs_its_grant_and_says_which_upstreams_it_covers() {
    let error = try_load(json!({}), &[]).await.err().unwrap().to_string();
    let line = "needs `outbound` (to give its requests what they leave with), which is not granted; add to sets-headers.toml: grants = [\"outbound:<upstream>\"]";
    assert!(error.contains(line), "{error}");
    let filter = load(json!({}), &["outbound:one", "outbound:two"]).await;
    assert_eq!(filter.interest().outbound, ["one", "two"]);
    assert_eq!(load(json!({}), &["outbound:*"]).await.interest().outbound, ["*"]);
}

#[tokio::test]
async fn a_secret_stands_behind_its_text_and_is_marked() {
    let filter = load(json!({"secret": ["Authorization", "Bearer ", "token"]}), &["outbound:*", "secret:token"]).await;
    let Ok(OutboundVerdict::Next(headers)) = asked(&filter, &departure("one")).await else { panic!("it lets it go") };
    assert_eq!((&*headers[0].name, &headers[0].value[..]), ("authorization", format!("Bearer {TOKEN}").as_bytes()));
    assert_eq!(headers[0].secret().unwrap(), TOKEN.as_bytes());
    assert!(!format!("{headers:?}").contains(TOKEN), "nothing shows it");
}

#[tokio::test]
async fn a_secret_goes_to_the_upstreams_its_grant_names() {
    let config = json!({"secret": ["authorization", "Bearer ", "token"]});
    let bound = ["outbound:*", "secret:token outbound:one"];
    let filter = load(config.clone(), &bound).await;
    assert_eq!(given(&filter, &departure("one")).await, one("authorization", &format!("Bearer {TOKEN}")));
    let why = fault(config.clone(), &bound, "two").await;
    assert!(why.contains("sends a secret to two, which the grant for that secret does not name") && !why.contains(TOKEN), "{why}");
    let why = fault(config.clone(), &["outbound:*", "secret:token fetch:https://api.example.com"], "one").await;
    assert!(why.contains("does not name"), "{why}");
    // The control: a grant without places.
    let filter = load(config, &["outbound:*", "secret:token"]).await;
    assert_eq!(given(&filter, &departure("two")).await.len(), 1);
}

#[tokio::test]
async fn a_guest_is_shown_what_leaves_and_no_secret() {
    let filter = load(json!({"saw": "x-saw", "subject": "x-user"}), &["outbound:*"]).await;
    let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let saw = |challenge: &str| format!("POST https://api.example.com/mcp?x=1 [{challenge}] {digest} x-key=,accept=application/json");
    assert_eq!(given(&filter, &departure("one")).await, [one("x-user", "ada"), one("x-saw", &saw("none"))].concat());
    let challenge = Some(Challenge { status: 401, www_authenticate: vec!["Bearer a=b".into(), "Basic".into()] });
    let said = given(&filter, &Departure { challenge, ..departure("one") }).await;
    assert_eq!(said[1].1, saw("401 Bearer a=b | Basic"));
}

/// Somebody may have got another credential since the request was sent: that one is used then, and not got anew.
#[tokio::test]
async fn a_guest_learns_whether_a_secret_was_refused() {
    let filter = load(json!({"tells_refused": ["x-refused", "token"]}), &["outbound:*", "secret:token"]).await;
    let challenge = Some(Challenge { status: 401, www_authenticate: vec!["Bearer".into()] });
    let sent = |value: &str, secret_at| Header { name: "authorization".into(), value: Bytes::from(value.to_owned()), secret_at };
    for (refused, said) in [
        (vec![sent(&format!("Bearer {TOKEN}"), Some(7))], "true"),
        (vec![sent("Bearer another", Some(7))], "false"),
        // What only looks like it was text.
        (vec![sent(TOKEN, None)], "false"),
        (vec![], "false"),
    ] {
        let departure = Departure { challenge: challenge.clone(), refused, ..departure("one") };
        assert_eq!(given(&filter, &departure).await, one("x-refused", said));
    }
}

#[tokio::test]
async fn what_is_not_a_plugins_to_set_is_a_fault() {
    let set = |name: &str, value: &str| json!({"headers": [[name, value]]});
    for (name, value, why) in [
        ("X-Key", "mine", "which the operator configured for one"),
        ("host", "evil.example", "which is the host's own"),
        ("Content-Length", "0", "which is the host's own"),
        ("transfer-encoding", "chunked", "which is the host's own"),
        ("X-Forwarded-For", "127.0.0.1", "which is the host's own"),
        ("x-original-url", "/admin", "which is the host's own"),
        ("x_user", "root", "which is the host's own"),
        ("connection", "authorization", "which is the host's own"),
        ("mcp-session-id", "stolen", "which is the host's own"),
        ("Mcp-Param-Region", "x", "which is the host's own"),
        ("proxy-authorization", "Basic x", "which is the host's own"),
        ("", "x", "HTTP does not allow"),
        ("a b", "x", "HTTP does not allow"),
        ("a:b", "x", "HTTP does not allow"),
        ("x-a", "1\r\nx-b: 2", "none that HTTP allows"),
        ("x-a", "é", "none that HTTP allows"),
        ("x-a", &"x".repeat(16385), "none that HTTP allows"),
        (&"x".repeat(129), "1", "HTTP does not allow"),
    ] {
        let said = fault(set(name, value), &["outbound:*"], "one").await;
        assert!(said.contains(why), "{name}: {said}");
    }
    let many: Vec<[String; 2]> = (0..33).map(|n| [format!("x-{n}"), "1".into()]).collect();
    assert!(fault(json!({"headers": many}), &["outbound:*"], "one").await.contains("more than 32 headers"));
    let broken = json!({"secret": ["authorization", "", "broken"]});
    assert!(fault(broken, &["outbound:*", "secret:broken"], "one").await.contains("none that HTTP allows"));
    // The control, and what looks like a handle is a text.
    let filter = load(json!({"headers": [["x-a", "1"], ["Cookie", "a=b"]]}), &["outbound:*"]).await;
    assert_eq!(given(&filter, &departure("one")).await, [one("x-a", "1"), one("cookie", "a=b")].concat());
}

#[tokio::test]
async fn a_secret_that_is_not_granted_is_not_sent() {
    let filter = load(json!({"secret": ["authorization", "", "other"]}), &["outbound:*", "secret:token"]).await;
    let said = given(&filter, &departure("one")).await;
    assert!(said.len() == 1 && said[0].0 == "x-error" && said[0].1.contains("secret:other is not granted"), "{said:?}");
}

#[tokio::test]
async fn the_other_verdicts_and_faults_are_as_elsewhere() {
    let filter = load(json!({"reject": "not you"}), &["outbound:*"]).await;
    let said = asked(&filter, &departure("one")).await;
    assert!(matches!(said, Ok(OutboundVerdict::Reject(no)) if no.message == "not you" && no.as_tool_result));
    let filter = load(json!({"link": "https://x.example/connect"}), &["outbound:*"]).await;
    let said = asked(&filter, &departure("one")).await;
    assert!(matches!(said, Ok(OutboundVerdict::Suspend(asks)) if matches!(&asks.ask, Ask::Url(url) if url == "https://x.example/connect")));
    let filter = load(json!({"link": "javascript:alert(1)"}), &["outbound:*"]).await;
    assert!(matches!(asked(&filter, &departure("one")).await, Err(Fault::BadReply(_))));
    let filter = load(json!({"trap": true}), &["outbound:*"]).await;
    assert!(matches!(asked(&filter, &departure("one")).await, Err(Fault::Trap(_))));
}
