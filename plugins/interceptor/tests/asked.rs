//! The plugin in the SDK's fake host, in front of an interceptor server that is a function.

use serde_json::{Value, json};
use sluice_plugin_interceptor::{
    Interceptors,
    policy::{NOT_ASKED, REFUSED},
};
use sluice_sdk::{
    fetch::{Error, Response},
    prelude::*,
    testing::{self, FakeExchange},
};
use std::{cell::RefCell, rc::Rc};

fn plugin(interceptors: Value, more: Value) -> Interceptors {
    let mut config = json!({"url": "https://guard.example.com/mcp", "interceptors": interceptors});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    testing::plugin(&config.to_string()).unwrap()
}

fn call(arguments: Value) -> FakeExchange {
    FakeExchange::new(
        &json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "send", "arguments": arguments}}).to_string(),
    )
}

fn answered(result: Value) -> FakeExchange {
    FakeExchange::new(&json!({"jsonrpc": "2.0", "id": 7, "result": result}).to_string())
}

/// What the server is asked, in order.
type Asked = Rc<RefCell<Vec<Value>>>;

/// A server that says this about each interceptor, by name.
fn server(says: impl Fn(&str, &Value) -> Value + 'static) -> Asked {
    let asked = Asked::default();
    let seen = asked.clone();
    testing::answer_fetches(move |sent| {
        let question: Value = serde_json::from_slice(&sent.request.body).unwrap();
        let params = question["params"].clone();
        let result = says(params["name"].as_str().unwrap(), &params["payload"]);
        seen.borrow_mut().push(params);
        if result == json!("timeout") {
            return Err(Error::Timeout);
        }
        let body = json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string().into_bytes();
        Ok(Response { status: 200, headers: vec![("content-type".into(), "application/json".into())], body, captured: vec![] })
    });
    asked
}

fn head() -> Head {
    testing::head("tools/call").name("send")
}

fn names(asked: &Asked) -> Vec<String> {
    asked.borrow().iter().map(|params| params["name"].as_str().unwrap().to_owned()).collect()
}

fn no(verdict: Verdict) -> (i32, String) {
    match verdict {
        Verdict::Reject(no) => (no.code, no.message),
        verdict => panic!("{verdict:?}"),
    }
}

/// What mutations make of a text: their name behind it.
fn marks(name: &str, payload: &Value) -> Value {
    let mut payload = payload.clone();
    let text = payload["params"]["arguments"]["text"].as_str().unwrap_or_default().to_owned();
    payload["params"]["arguments"]["text"] = format!("{text}+{name}").into();
    json!({"type": "mutation", "modified": true, "payload": payload})
}

#[test]
fn the_question_is_the_drafts() {
    let asked = server(|_, _| json!({"type": "validation", "valid": true}));
    let plugin = plugin(json!([{"name": "scan", "type": "validation", "timeout_ms": 250, "config": {"strict": true}}]), json!({}));
    assert_eq!(plugin.on_request(&head(), &call(json!({"text": "hi"}))), Verdict::Next);
    let asked = asked.borrow();
    let params = &asked[0];
    assert_eq!((&params["event"], &params["phase"], &params["timeoutMs"]), (&json!("tools/call"), &json!("request"), &json!(250)));
    assert_eq!(params["payload"], json!({"method": "tools/call", "params": {"name": "send", "arguments": {"text": "hi"}}}));
    assert_eq!(params["config"], json!({"strict": true}));
    assert_eq!(params["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
}

#[test]
fn toward_the_server_what_leaves_is_judged_and_on_the_way_back_what_came() {
    let all = json!([{"name": "v", "type": "validation"}, {"name": "m1", "type": "mutation"}, {"name": "m2", "type": "mutation"}]);
    let asked = server(|name, payload| if name == "v" { json!({"valid": true}) } else { marks(name, payload) });
    let gate = plugin(all, json!({}));
    let x = call(json!({"text": "a", "n": 1}));
    assert_eq!(gate.on_request(&head(), &x), Verdict::Next);
    assert_eq!(names(&asked), ["m1", "m2", "v"]);
    assert_eq!(asked.borrow()[2]["payload"]["params"]["arguments"]["text"], "a+m1+m2");
    assert_eq!(x.staged(), [Edit::set("/params/arguments/text", r#""a+m1+m2""#.into())]);
    asked.borrow_mut().clear();
    let x = answered(json!({"content": []}));
    assert_eq!(gate.on_response(&head().answered(), &x), Verdict::Next);
    assert_eq!(names(&asked), ["v", "m1", "m2"]);
    assert_eq!(asked.borrow()[0]["payload"], json!({"result": {"content": []}}));
}

#[test]
fn an_error_refuses_and_a_warning_does_not() {
    let says = |severity: &'static str| move |_: &str, _: &Value| json!({"valid": false, "severity": severity, "messages": [{"message": "a card number", "severity": severity}], "info": {"code": 4031}});
    let only = json!([{"name": "v", "type": "validation"}]);
    server(says("warn"));
    assert_eq!(plugin(only.clone(), json!({})).on_request(&head(), &call(json!({}))), Verdict::Next);
    server(says("error"));
    let refused = plugin(only.clone(), json!({})).on_request(&head(), &call(json!({})));
    assert_eq!(no(refused), (REFUSED, "v does not let this pass".into()), "its words may hold what it found");
    let refused = plugin(only.clone(), json!({"tell": "messages"})).on_request(&head(), &call(json!({})));
    assert_eq!(no(refused), (4031, "a card number".into()));
    let refused = plugin(only, json!({"answer": "tool-result"})).on_request(&head(), &call(json!({})));
    assert!(matches!(refused, Verdict::Reject(no) if no.as_tool_result));
}

#[test]
fn all_that_decide_are_asked_and_nothing_is_changed_by_half() {
    let all = json!([{"name": "m", "type": "mutation"}, {"name": "a", "type": "validation"}, {"name": "b", "type": "validation"}]);
    let asked = server(|name, payload| if name == "m" { marks(name, payload) } else { json!({"valid": false}) });
    let x = call(json!({"text": "x"}));
    assert_eq!(no(plugin(all, json!({})).on_request(&head(), &x)).0, REFUSED);
    assert_eq!((names(&asked), x.staged().len()), (vec!["m".into(), "a".into(), "b".into()], 0));
}

#[test]
fn audit_is_never_in_the_way() {
    let all = json!([
        {"name": "no", "type": "validation", "mode": "audit"}, {"name": "dead", "type": "validation", "mode": "audit"}, {"name": "m", "type": "mutation", "mode": "audit"}
    ]);
    server(|name, payload| match name {
        "no" => json!({"valid": false, "severity": "error"}),
        "dead" => json!("timeout"),
        _ => marks(name, payload),
    });
    let x = call(json!({"text": "x"}));
    assert_eq!(plugin(all, json!({})).on_request(&head(), &x), Verdict::Next);
    assert_eq!(x.staged(), []);
    let labels: Vec<_> = x.set_attrs().into_iter().collect();
    let expected = [("dead.request", "audit:failed"), ("m.request", "audit:change"), ("no.request", "audit:refuse")];
    assert_eq!(labels, expected.map(|(key, value)| (key.to_string(), value.to_string())));
}

#[test]
fn who_cannot_be_asked_refuses_unless_the_operator_says_otherwise() {
    for broken in [json!("timeout"), json!({}), json!({"type": "mutation", "modified": false}), json!([])] {
        let said = broken.clone();
        server(move |_, _| said.clone());
        let closed = plugin(json!([{"name": "v", "type": "validation"}]), json!({})).on_request(&head(), &call(json!({})));
        assert_eq!(no(closed), (NOT_ASKED, "v cannot be asked just now".into()), "{broken}");
        let open = plugin(json!([{"name": "v", "type": "validation", "fail_open": true}]), json!({})).on_request(&head(), &call(json!({})));
        assert_eq!(open, Verdict::Next, "{broken}");
    }
}

#[test]
fn only_what_is_configured_is_asked_about() {
    let asked = server(|_, _| json!({"valid": true}));
    let gate = plugin(json!([{"name": "v", "type": "validation", "events": ["prompts/*"], "phases": ["response"]}]), json!({}));
    assert_eq!(gate.on_request(&testing::head("prompts/get"), &call(json!({}))), Verdict::Next);
    assert_eq!(gate.on_response(&head().answered(), &answered(json!({}))), Verdict::Next);
    assert_eq!(asked.borrow().len(), 0);
    assert_eq!(gate.on_response(&testing::head("prompts/get").answered(), &answered(json!({}))), Verdict::Next);
    assert_eq!(asked.borrow().len(), 1);
}

#[test]
fn the_token_goes_along_unseen() {
    testing::set_secret("guard", b"hush");
    testing::answer_fetches(|sent| {
        assert_eq!(sent.secrets.len(), 1);
        assert_eq!(sent.secrets[0].1, b"hush");
        Err(Error::Timeout)
    });
    let gate = plugin(json!([{"name": "v", "type": "validation"}]), json!({"token": "guard"}));
    assert_eq!(no(gate.on_request(&head(), &call(json!({})))).0, NOT_ASKED);
}
