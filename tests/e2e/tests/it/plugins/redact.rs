//! `redact`: personal data and secrets pass in no part of a message, in neither direction and neither era.

use super::with;
use crate::{
    backend::{Backend, Call, Offer, tool},
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    server::Response,
    turn::beside,
};
use serde_json::{Value, json};
use std::time::Duration;

const MAIL: &str = "canary.person@example.com";
const CARD: &str = "4111 1111 1111 1111";
/// Built of two parts, so that no scanner takes this file for a leak.
const TOKEN: &str = concat!("ghp_", "16C7e42F292c6912E7710c838347Ae178B4a");

/// Every place of a message that a server fills with what it likes.
async fn leaky() -> Backend {
    let offer = Offer {
        legacy: true,
        modern: true,
        keeps: true,
        guard: None,
        tools: vec![
            tool("content"),
            tool("structured"),
            tool("keys"),
            tool("error"),
            tool("is_error"),
            tool("notes"),
            tool("resource"),
            tool("escaped"),
        ],
        prompts: vec![json!({"name": "p", "description": "of the tests"})],
        resources: vec![json!({"uri": "test://a", "name": "a"})],
    };
    Backend::start(offer, |call: Call| async move { leak(&call) }).await
}

fn leak(call: &Call) -> Response {
    let said = format!("see {MAIL}, {CARD} and {TOKEN} there");
    let text = json!(said).to_string();
    match (call.method.as_str(), call.name.as_str()) {
        ("prompts/get", _) => call.members(&format!(r#""description":{text},"messages":[{{"role":"user","content":{{"type":"text","text":{text}}}}}]"#)),
        ("resources/read", _) => call.members(&format!(r#""contents":[{{"uri":"test://a","text":{text}}}]"#)),
        (_, "structured") => call.members(&format!(r#""content":[],"structuredContent":{{"deep":[{{"er":{text}}}],"n":1.10}}"#)),
        (_, "keys") => call.members(&format!(r#""content":[],"structuredContent":{{"{MAIL}":1,"of {TOKEN}":{{"x":2}}}}"#)),
        (_, "error") => call.error(-32050, &said, &format!(r#"{{"why":{text},"{MAIL}":[{text}]}}"#)),
        (_, "is_error") => call.members(&format!(r#""content":[{{"type":"text","text":{text}}}],"isError":true"#)),
        (_, "resource") => call.members(&format!(r#""content":[{{"type":"resource","resource":{{"uri":"test://x","text":{text}}}}},{{"type":"resource_link","uri":"test://y","name":"y","description":{text}}}]"#)),
        (_, "escaped") => call.members(r#""content":[{"type":"text","text":"\u0063anary.person\u0040example\u002ecom \u0067hp_16C7e42F292c6912E7710c838347Ae178B4a"}]"#),
        (_, "notes") => {
            let token = call.progress_token.clone().unwrap_or_default();
            let progress = format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1,"message":{text}}}}}"#);
            let log = format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{{"x":{text}}}}}}}"#);
            call.members(r#""content":[]"#).behind([progress, log].map(|note| (Duration::ZERO, note)).into())
        }
        _ => call.members(&format!(r#""content":[{{"type":"text","text":{text}}}]"#)),
    }
}

fn is_clean(what: &str, text: &str) {
    let decoded: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
    let decoded = decoded.to_string();
    for secret in [MAIL, CARD, TOKEN] {
        assert!(!decoded.contains(secret), "{what}: {secret} passed: {decoded}");
    }
}

#[test]
fn nothing_of_it_comes_back_in_any_part_of_an_answer() {
    beside("redact, answers", 90, async {
        let backend = leaky().await;
        let folder = Folder::new();
        let gateway = with(&folder, "redact", json!({}), json!({"only": {"url": backend.url}})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            if era == Era::Legacy {
                caller.ask("logging/setLevel", None, r#""level":"debug""#).await.expect("an answer");
            }
            for tool in ["content", "structured", "keys", "error", "is_error", "resource", "escaped"] {
                let answer = caller.call(tool, "{}").await.expect("an answer").answer();
                is_clean(&format!("{era:?} {tool}"), &answer);
                assert!(answer.contains("[REDACTED:email]"), "{era:?} {tool}: {answer}");
                assert!(answer.contains("[REDACTED:github-token]"), "{era:?} {tool}: {answer}");
            }
            let answer = caller.call("structured", "{}").await.expect("an answer").answer();
            assert!(answer.contains(r#""n":1.10"#), "what is no secret keeps its spelling: {answer}");
            for (method, name, members) in [("prompts/get", "p", r#""name":"p""#), ("resources/read", "test://a", r#""uri":"test://a""#)] {
                let answer = caller.ask(method, Some(name), members).await.expect("an answer").answer();
                is_clean(&format!("{era:?} {method}"), &answer);
                assert!(answer.contains("[REDACTED:email]"), "{era:?} {method}: {answer}");
            }
            notes(&mut caller).await;
        }
    });
}

async fn notes(caller: &mut Caller) {
    let more = if caller.era == Era::Modern {
        format!(r#",{},"io.modelcontextprotocol/logLevel":"debug""#, crate::caller::stamp())
    } else {
        String::new()
    };
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{{"name":"notes","arguments":{{}},"_meta":{{"progressToken":"t"{more}}}}}}}"#
    );
    let messages = caller.post("tools/call", Some("notes"), &body).await.expect("an answer").messages();
    assert_eq!(messages.len(), 3, "{messages:#?}");
    for message in &messages {
        is_clean("a notification", message);
    }
    assert!(messages[..2].iter().all(|message| message.contains("[REDACTED:email]")), "{messages:#?}");
}

#[test]
fn nothing_of_it_reaches_a_server() {
    beside("redact, requests", 60, async {
        let backend = leaky().await;
        let folder = Folder::new();
        let gateway = with(&folder, "redact", json!({}), json!({"only": {"url": backend.url}})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            let arguments = format!(
                r#"{{"a":"to {MAIL}","{MAIL}":{{"deep":["{CARD}",1.10]}},"b":"\u0063anary.person\u0040example.com","c":"{TOKEN}"}}"#
            );
            caller.call("content", &arguments).await.expect("an answer");
            let seen = backend.server.seen().last().expect("a request").body.clone();
            let seen = String::from_utf8(seen).expect("UTF-8");
            is_clean(&format!("{era:?} request"), &seen);
            assert!(seen.contains(r#","b":"[REDACTED:email]","c":"[REDACTED:github-token]"}"#) && seen.contains("1.10"), "{seen}");
        }
    });
}

#[test]
fn each_action_does_what_it_says() {
    beside("redact, actions", 60, async {
        let backend = leaky().await;
        let folder = Folder::new();
        let config = json!({"action": "mask", "actions": {"email": "hash", "github-token": "refuse"}, "salt": "0123456789abcdef", "directions": "request"});
        let gateway = with(&folder, "redact", config, json!({"only": {"url": backend.url}})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            let before = backend.asked("tools/call");
            // Answers are not looked at under these settings.
            let answer = caller.call("content", &format!(r#"{{"a":"{CARD}","b":"{MAIL}"}}"#)).await.expect("an answer").answer();
            assert!(answer.contains(MAIL), "{answer}");
            let seen = String::from_utf8(backend.server.seen().last().expect("a request").body.clone()).expect("UTF-8");
            assert!(seen.contains(r#""a":"****1111""#) && seen.contains(r#""b":"[email:"#), "{seen}");
            let no = caller.result("content", &format!(r#"{{"a":"{TOKEN}"}}"#)).await;
            assert_eq!(no["isError"], true, "{no}");
            assert!(no.to_string().contains("github-token") && !no.to_string().contains(TOKEN), "{no}");
            assert_eq!(backend.asked("tools/call"), before + 1, "the refused one did not reach the server");
        }
    });
}

/// A server that says what it was told.
async fn echo() -> Backend {
    Backend::start(Offer::tools(&["echo"]).keeping(), |call: Call| async move {
        let text = json!(format!("sent {}", call.arguments)).to_string();
        call.members(&format!(r#""content":[{{"type":"text","text":{text}}}]"#))
    })
    .await
}

async fn told(caller: &mut Caller, what: &str) -> String {
    let result = caller.result("echo", &json!({"to": what}).to_string()).await;
    result["content"][0]["text"].as_str().expect("a text").to_owned()
}

#[test]
fn f067_a_server_has_a_token_and_the_caller_has_the_data() {
    beside("redact, tokens", 60, async {
        let backend = echo().await;
        let folder = Folder::new();
        let keys = json!([{"id": "ada", "hash": key_hash("key-ada")}, {"id": "bob", "hash": key_hash("key-bob")}]);
        let config = json!({"actions": {"email": "token"}, "salt": "0123456789abcdef", "directions": "request"});
        let settings = json!({"auth-api-key": {"config": {"keys": keys}}, "redact": {"config": config}});
        let sluice = json!({"chain": ["builtin:auth-api-key", "builtin:redact"], "plugins": {"settings": settings}});
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": sluice})).await;
        let mut tokens = Vec::new();
        for era in Era::BOTH {
            let mut ada = Caller::new(&gateway.address, era, "key-ada").await;
            let mut bob = Caller::new(&gateway.address, era, "key-bob").await;
            assert!(told(&mut ada, MAIL).await.contains(MAIL), "{era:?}: it comes back");
            let seen = String::from_utf8(backend.server.seen().last().expect("a request").body.clone()).expect("UTF-8");
            assert!(!seen.contains(MAIL), "{era:?}: the server has not seen it: {seen}");
            let at = seen.find("[email:").expect("a token");
            let token = seen[at..at + "[email:]".len() + 26].to_owned();
            let of_bob = told(&mut bob, &token).await;
            assert!(of_bob.contains(&token) && !of_bob.contains(MAIL), "{era:?}: not to another: {of_bob}");
            let again = told(&mut ada, &token).await;
            assert!(again.contains(MAIL), "{era:?}: another call of hers: {again}");
            tokens.push(token);
        }
        assert_eq!(tokens[0], tokens[1], "the same in both eras");
    });
}
