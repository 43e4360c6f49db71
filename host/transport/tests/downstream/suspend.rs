//! A filter asks a person before a call goes on.

use crate::support::{Endpoint, Reply, Rig};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sluice_chain::{
    attributes::Attributes,
    catalogue::Offer,
    fault::Fault,
    filter::{Authentication, Credential, Filter, Hook, Identity, Interest, NotificationVerdict, Pass, Selector, Verdict},
    generation::{Link, Policy},
    record::Ended,
    verdict::{Ask, Suspension},
};
use sluice_wire::revision::Era;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// Lets calls of `echo` pass once somebody has said yes to it; says what it was told.
struct Asks {
    identity: Arc<Identity>,
    interest: Interest,
    ttl: Option<Duration>,
    entered: Arc<AtomicUsize>,
}

fn asks(name: &str, ttl: Option<Duration>, entered: &Arc<AtomicUsize>) -> Link {
    let interest = Interest {
        hooks: vec![(Hook::OnRequest, Selector { methods: vec!["tools/call".into()], names: vec!["echo".into()] })],
        ..Interest::default()
    };
    let identity = Arc::new(Identity::new(name.into(), "1.0.0", "0"));
    Link::new(Arc::new(Asks { identity, interest, ttl, entered: entered.clone() }), Policy::default())
}

impl Filter for Asks {
    fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn authenticate<'a>(&'a self, _: &'a Credential, _: &'a mut Attributes) -> BoxFuture<'a, Result<Authentication, Fault>> {
        Box::pin(async { Ok(Authentication::Abstain) })
    }

    fn on_request<'a>(&'a self, pass: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        self.entered.fetch_add(1, Relaxed);
        let name = &self.identity.name;
        let said = |key: &str| pass.attributes.find(&format!("{name}.answer.{key}")).map(str::to_owned);
        let verdict = match said("action").as_deref() {
            Some("accept") => Verdict::Next(None),
            Some(other) => Verdict::Reply(format!(r#"{{"content":[],"said":"{other}"}}"#).into()),
            None => Verdict::Suspend(Suspension {
                message: format!("{name} asks"),
                ask: Ask::Form(r#"{"type":"object","properties":{"why":{"type":"string"}},"required":["why"]}"#.into()),
                ttl: self.ttl,
            }),
        };
        Box::pin(async { Ok(verdict) })
    }

    fn on_response<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        Box::pin(async { Ok(Verdict::Next(None)) })
    }

    fn on_notification<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<NotificationVerdict, Fault>> {
        Box::pin(async { Ok(NotificationVerdict::Next(None)) })
    }

    fn on_catalog<'a>(&'a self, _: &'a mut Offer) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn on_done<'a>(&'a self, _: &'a Ended) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
}

async fn start(ttl: Option<Duration>) -> (Endpoint, Arc<AtomicUsize>) {
    let (endpoint, entered) = (Rig::era(Era::Modern).start().await, Arc::default());
    endpoint.host.swap(vec![asks("first", ttl, &entered), asks("second", ttl, &entered)]);
    (endpoint, entered)
}

/// One round of a call of `echo` by a client that can be asked.
async fn round(endpoint: &Endpoint, arguments: &Value, state: Option<&Value>, inputs: Value) -> Reply {
    let mut params = json!({"name": "echo", "arguments": arguments, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}});
    if let Some(state) = state {
        params["requestState"] = state.clone();
        params["inputResponses"] = inputs;
    }
    let body = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": params}).to_string();
    endpoint.post(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")], &body).await
}

fn yes() -> Value {
    json!({"action": "accept", "content": {"why": "because"}})
}

#[tokio::test]
async fn two_filters_ask_in_turn_and_a_yes_is_good_once_for_one_call() {
    let (endpoint, entered) = start(None).await;
    let arguments = json!({"n": 1});
    let first = round(&endpoint, &arguments, None, Value::Null).await.json()["result"].clone();
    let question = &first["inputRequests"]["first-1"];
    assert_eq!((&first["resultType"], &question["method"]), (&"input_required".into(), &"elicitation/create".into()), "{first}");
    assert_eq!(question["params"]["message"], "first asks");
    assert!(endpoint.fake.called().is_empty(), "nothing runs before the answer");

    let other = round(&endpoint, &json!({"n": 2}), Some(&first["requestState"]), json!({"first-1": yes()})).await.is_error(200, -32602);
    assert_eq!(other["error"]["data"]["reason"], "round_other", "other arguments are another call");
    let empty = json!({"first-1": {"action": "accept"}});
    let again = round(&endpoint, &arguments, Some(&first["requestState"]), empty).await.json()["result"].clone();
    assert_eq!(again["inputRequests"]["first-1"], *question, "an answer that does not fit the form is none");

    let second = round(&endpoint, &arguments, Some(&again["requestState"]), json!({"first-1": yes()})).await.json()["result"].clone();
    assert_eq!(second["inputRequests"]["second-3"]["params"]["message"], "second asks", "{second}");
    let last = round(&endpoint, &arguments, Some(&second["requestState"]), json!({"second-3": yes()})).await.json();
    assert_eq!(last["result"]["structuredContent"]["got"], arguments, "{last}");
    assert_eq!((endpoint.fake.called().len(), entered.load(Relaxed)), (1, 5), "every round ran the whole chain");

    for state in [&first, &again, &second] {
        let used = round(&endpoint, &arguments, Some(&state["requestState"]), json!({"second-3": yes()})).await.is_error(200, -32602);
        assert_eq!(used["error"]["data"]["reason"], "round_used");
    }
    let anew = round(&endpoint, &arguments, None, Value::Null).await.json();
    assert_eq!(anew["result"]["resultType"], "input_required", "the next call is asked about anew");
    assert_eq!(endpoint.fake.called().len(), 1);
    let exchanges: Vec<_> = endpoint.seen.ended.lock().unwrap().iter().map(|ended| (ended.outcome.as_str(), ended.head.round)).collect();
    assert_eq!(exchanges[..1], [("asked", 0)]);
}

#[tokio::test]
async fn a_no_is_told_to_the_filter_that_asked() {
    let (endpoint, _) = start(None).await;
    for action in ["decline", "cancel"] {
        let first = round(&endpoint, &json!({}), None, Value::Null).await.json()["result"].clone();
        let answer = json!({"first-1": {"action": action}});
        let last = round(&endpoint, &json!({}), Some(&first["requestState"]), answer).await.json();
        assert_eq!(last["result"]["said"], action, "{last}");
    }
    assert!(endpoint.fake.called().is_empty());
}

#[tokio::test]
async fn a_yes_that_comes_too_late_is_none() {
    let (endpoint, _) = start(Some(Duration::from_millis(50))).await;
    let first = round(&endpoint, &json!({}), None, Value::Null).await.json()["result"].clone();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let late = round(&endpoint, &json!({}), Some(&first["requestState"]), json!({"first-1": yes()})).await.is_error(200, -32602);
    assert_eq!(late["error"]["data"]["reason"], "round_expired");
    assert!(endpoint.fake.called().is_empty() && endpoint.seen.abandoned.lock().unwrap().len() == 1);
}

#[tokio::test]
async fn whoever_cannot_be_asked_is_refused_and_told_why() {
    let (endpoint, _) = start(None).await;
    let modern = endpoint.modern("1", "tools/call", r#""name":"echo""#).await.is_error(400, -32021);
    assert_eq!(modern["error"]["data"]["reason"], "approval_unavailable");
    assert_eq!(modern["error"]["data"]["requiredCapabilities"], json!({"elicitation": {"form": {}}}));
    let session = endpoint.initialize("2025-11-25").await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
    let legacy = endpoint.legacy(&session, call).await.is_error(200, -32602);
    assert_eq!(legacy["error"]["data"]["reason"], "approval_unavailable");
    assert!(endpoint.fake.called().is_empty());
}
