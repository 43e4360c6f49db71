//! `namespace`: every tool of every server under one name that it can be called by.

use super::with;
use crate::{
    backend::{Backend, Call, Offer, tool},
    caller::Era,
    folder::Folder,
    gateway::Gateway,
    turn::beside,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Says who it is.
async fn server(name: &'static str, tools: &[&str], prompts: &[&str]) -> Backend {
    let prompts = prompts.iter().map(|name| json!({"name": name, "description": "of the tests"})).collect();
    let offer = Offer { legacy: true, modern: true, tools: tools.iter().map(|name| tool(name)).collect(), prompts, ..Offer::default() };
    Backend::start(offer, move |call: Call| async move {
        let said = format!("{name}/{}", call.name);
        match call.method.as_str() {
            "prompts/get" => call.members(&format!(r#""messages":[{{"role":"user","content":{{"type":"text","text":"{said}"}}}}]"#)),
            _ => call.members(&format!(r#""content":[{{"type":"text","text":"{said}"}}]"#)),
        }
    })
    .await
}

/// Every name of the list, and that a call of it reaches the tool it stands for.
async fn names(gateway: &Gateway, expected: &[(&str, &str)]) {
    for era in Era::BOTH {
        let mut caller = gateway.caller(era).await;
        let listed = caller.names("tools").await;
        assert_eq!(listed, expected.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{era:?}");
        for (name, target) in expected {
            assert_eq!(caller.result(name, "{}").await["content"][0]["text"], *target, "{name}");
        }
    }
}

async fn refused(gateway: &Gateway, name: &str) {
    let answer = gateway.caller(Era::Modern).await.call(name, "{}").await.expect("an answer").json();
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["data"]["reason"]),
        (&json!(-32602), &json!("unknown_name")),
        "{name}: {answer}"
    );
}

#[test]
fn names_are_prefixed_as_the_settings_say() {
    beside("namespace", 120, async {
        let (one, two) = (server("one", &["add", "find"], &["greet"]).await, server("two", &["find", "sum"], &["greet"]).await);
        let both = json!({"one": {"url": one.url}, "two": {"url": two.url}});
        let single = json!({"one": {"url": one.url}});
        let folder = Folder::new();

        let gateway = with(&folder, "namespace", json!({}), both.clone()).await;
        names(&gateway, &[("one_add", "one/add"), ("one_find", "one/find"), ("two_find", "two/find"), ("two_sum", "two/sum")]).await;
        refused(&gateway, "find").await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            assert_eq!(caller.names("prompts").await, ["one_greet", "two_greet"]);
            let prompt = caller.ask("prompts/get", Some("two_greet"), r#""name":"two_greet""#).await.expect("an answer").json();
            assert_eq!(prompt["result"]["messages"][0]["content"]["text"], "two/greet", "{prompt}");
        }

        let gateway = with(&folder, "namespace", json!({}), single.clone()).await;
        names(&gateway, &[("add", "one/add"), ("find", "one/find")]).await;

        let gateway = with(&folder, "namespace", json!({"prefix": "always", "separator": "."}), single).await;
        names(&gateway, &[("one.add", "one/add"), ("one.find", "one/find")]).await;

        let gateway = with(&folder, "namespace", json!({"prefix": "on-conflict"}), both.clone()).await;
        names(&gateway, &[("add", "one/add"), ("one_find", "one/find"), ("two_find", "two/find"), ("sum", "two/sum")]).await;

        let gateway = with(&folder, "namespace", json!({"prefix": "always", "template": "x-{name}-at-{upstream}"}), both).await;
        names(
            &gateway,
            &[("x-add-at-one", "one/add"), ("x-find-at-one", "one/find"), ("x-find-at-two", "two/find"), ("x-sum-at-two", "two/sum")],
        )
        .await;
    });
}

/// One name of two servers, two ways to write one name, and names too long for model APIs: each stays callable, under the
/// same name in another process.
#[test]
fn s100_names_stay_apart_valid_and_stable_and_each_leads_home() {
    beside("namespace, collisions", 120, async {
        let long: Vec<String> = (0..3).map(|at| format!("{}{at}", "a_rather_long_name_of_a_tool_".repeat(4))).collect();
        let mut of_a: Vec<&str> = vec!["search", "b_c", "weird name/with:signs", "ünïcode"];
        of_a.extend(long.iter().map(String::as_str));
        let (a, a_b) = (server("a", &of_a, &[]).await, server("a_b", &["search", "c"], &[]).await);
        let servers = json!({"a": {"url": a.url}, "a_b": {"url": a_b.url}});
        let folder = Folder::new();
        let mut before: Option<Vec<String>> = None;
        for _ in 0..2 {
            let gateway = with(&folder, "namespace", json!({}), servers.clone()).await;
            let mut caller = gateway.caller(Era::Legacy).await;
            let names = caller.names("tools").await;
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 9, "{names:#?}");
            let plain = |name: &String| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
            assert!(names.iter().all(plain), "{names:#?}");
            assert_eq!(&names[..2], ["a_search", "a_b_c"], "the earlier one keeps it");
            let mut reached = BTreeSet::new();
            for name in &names {
                let said = caller.result(name, "{}").await["content"][0]["text"].take();
                reached.insert(said.as_str().expect("text").to_owned());
            }
            let expected: BTreeSet<String> =
                of_a.iter().map(|name| format!("a/{name}")).chain(["a_b/search", "a_b/c"].map(str::to_owned)).collect();
            assert_eq!(reached, expected, "each name reaches its own tool");
            assert!(before.is_none_or(|before| before == names), "the same names after a restart");
            before = Some(names);
        }
    });
}

/// A server that is down takes nobody else's tools along, and its own are "unavailable", not "unknown".
#[test]
fn a_dead_server_removes_nobody_elses_tools() {
    beside("namespace, dead server", 60, async {
        let good = server("good", &["t"], &[]).await;
        let folder = Folder::new();
        let gateway =
            with(&folder, "namespace", json!({}), json!({"dead": {"url": "http://127.0.0.1:9/mcp"}, "good": {"url": good.url}})).await;
        for era in Era::BOTH {
            let mut caller = gateway.caller(era).await;
            assert_eq!(caller.names("tools").await, ["good_t"]);
            assert_eq!(caller.result("good_t", "{}").await["content"][0]["text"], "good/t");
            let answer: Value = caller.call("dead_t", "{}").await.expect("an answer").json();
            assert_eq!(
                (&answer["error"]["code"], &answer["error"]["data"]["reason"]),
                (&json!(-32603), &json!("upstream_unavailable")),
                "{answer}"
            );
            assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("dead")), "{answer}");
        }
    });
}
