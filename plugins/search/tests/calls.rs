//! Both tools, as a model uses them and as it should not.

use serde_json::{Value, json};
use sluice_plugin_search::Search;
use sluice_sdk::fetch::{self, Response};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};
use sluice_sdk::upstream::Error;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

fn exchange(tool: &str, arguments: &Value) -> FakeExchange {
    FakeExchange::new(&json!({"params": {"name": tool, "arguments": arguments}}).to_string())
}

const TOOLS: [(&str, &str, &str); 4] = [
    ("bank_transfer", "bank", "Moves money to another account"),
    ("bank_balance", "bank", "Says how much there is"),
    ("clock_now", "clock", "Tells the time"),
    ("zoo_feed", "zoo", "Gives the lions their meat"),
];

/// With a list of this name.
fn listing(x: FakeExchange, list: &str, tools: &[(&str, &str, &str)]) -> FakeExchange {
    tools.iter().fold(x.with_attr("host.tools", list), |x, (name, upstream, about)| {
        let own = name.split_once('_').unwrap().1;
        let definition = json!({"name": name, "description": about, "inputSchema": {"type": "object"}});
        x.with_attr(&format!("host.tool.{name}"), &json!({"upstream": upstream, "tool": own, "definition": definition}).to_string())
    })
}

fn ask(search: &Search, tool: &str, arguments: &Value) -> Verdict {
    search.on_request(&testing::head("tools/call").name(tool), &listing(exchange(tool, arguments), "a", &TOOLS))
}

fn names(verdict: Verdict) -> Vec<String> {
    let Verdict::Reply(result) = verdict else { panic!("{verdict:?}") };
    let result: Value = serde_json::from_str(&result).unwrap();
    let said: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    said["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// Code and words of a no that a model can read.
fn refused(verdict: Verdict) -> (i32, String) {
    let Verdict::Reject(no) = verdict else { panic!("{verdict:?}") };
    assert!(no.as_tool_result);
    (no.code, no.message)
}

#[test]
fn tools_are_found_by_what_they_do() {
    let search: Search = testing::plugin("{}").unwrap();
    let find = |query: &str| names(ask(&search, "search_tools", &json!({"query": query})));
    assert_eq!(find("move some money")[0], "bank_transfer");
    assert_eq!(find("feeding lions"), ["zoo_feed"]);
    assert!(find("quantum chromodynamics").is_empty());
    let limited = ask(&search, "search_tools", &json!({"query": "bank", "limit": 1}));
    assert_eq!(names(limited).len(), 1);
    assert_eq!(names(ask(&search, "search_search_tools", &json!({"query": "bank"}))).len(), 2, "behind a prefix");
    for wrong in [json!({}), json!({"query": 1}), json!([]), json!("x"), json!({"query": "x", "limit": -1})] {
        assert_eq!(refused(ask(&search, "search_tools", &wrong)).0, 4000, "{wrong}");
    }
}

#[test]
fn another_list_is_another_index() {
    let search: Search = testing::plugin("{}").unwrap();
    let find = |list: &str, tools: &[_]| {
        let x = listing(exchange("search_tools", &json!({"query": "lions, money"})), list, tools);
        names(search.on_request(&testing::head("tools/call").name("search_tools"), &x))
    };
    assert_eq!(find("a", &TOOLS).len(), 2);
    assert_eq!(find("b", &TOOLS[..3]), ["bank_transfer"], "what is not there any more is not found");
    let gone = exchange("search_tools", &json!({"query": "lions"}));
    assert_eq!(refused(search.on_request(&testing::head("tools/call").name("search_tools"), &gone)).0, 4030, "no list, no answer");
}

#[test]
fn what_was_found_is_called_by_its_servers_name() {
    let search: Search = testing::plugin("{}").unwrap();
    testing::answer_calls(|upstream, tool, arguments| match (upstream, tool) {
        ("bank", "transfer") => Ok(json!({"structuredContent": {"given": arguments}}).to_string()),
        ("bank", "balance") => Err(Error::Failed((4030, "you may not use this here".into()))),
        ("clock", "now") => Err(Error::Timeout),
        ("zoo", "feed") => Ok(r#"{"resultType":"input_required","inputRequests":{}}"#.into()),
        other => panic!("{other:?}"),
    });
    let call = |arguments: Value| ask(&search, "call_tool", &arguments);
    let Verdict::Reply(result) = call(json!({"name": "bank_transfer", "arguments": {"a": [1]}})) else { panic!() };
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result, json!({"structuredContent": {"given": "{\"a\":[1]}"}, "resultType": "complete"}));
    assert!(matches!(call(json!({"name": "bank_transfer"})), Verdict::Reply(result) if result.contains("{}")));
    assert_eq!(refused(call(json!({"name": "bank_balance"}))), (4030, "you may not use this here".into()));
    assert!(refused(call(json!({"name": "clock_now"}))).1.contains("may have run"));
    assert!(refused(call(json!({"name": "zoo_feed"}))).1.contains("asks a person"));
    for (wrong, code) in [
        (json!({"name": "transfer"}), 4040),
        (json!({"name": ""}), 4040),
        (json!({"name": "x".repeat(100_000)}), 4040),
        (json!({"name": "bank_transfer", "arguments": [1]}), 4000),
        (json!({"name": "bank_transfer", "arguments": "{}"}), 4000),
        (json!({"arguments": {}}), 4000),
    ] {
        let (said, why) = refused(call(wrong.clone()));
        assert!(said == code && why.len() < 400, "{wrong}: {said} {why}");
    }
}

#[test]
fn what_is_not_asked_of_this_plugin_passes() {
    let search: Search = testing::plugin("{}").unwrap();
    let pass =
        |name: &str, x: FakeExchange| assert!(matches!(search.on_request(&testing::head("tools/call").name(name), &x), Verdict::Next));
    pass("bank_transfer", exchange("bank_transfer", &json!({})));
    pass("call_tool", exchange("call_tool", &json!({})).with_upstream("bank"));
    assert!(testing::plugin::<Search>(r#"{"search_tool":"x","call_tool":"x"}"#).err().unwrap().contains("two names"));
}

/// A service for which texts about animals look one way, and all others another.
fn service(fails: Rc<Cell<bool>>, asked: Rc<RefCell<Vec<Value>>>) {
    testing::answer_fetches(move |sent| {
        let body: Value = serde_json::from_slice(&sent.request.body).unwrap();
        asked.borrow_mut().push(body.clone());
        if fails.get() {
            return Err(fetch::Error::Timeout);
        }
        let vector = |(index, text): (usize, &Value)| {
            let text = text.as_str().unwrap();
            let is_animal = ["lions", "cats"].iter().any(|word| text.contains(word));
            json!({"index": index, "embedding": if is_animal { [0.9, 0.1] } else { [-0.2, 0.8] }})
        };
        let data: Vec<Value> = body["input"].as_array().unwrap().iter().enumerate().map(vector).collect();
        Ok(Response { status: 200, headers: vec![], body: json!({"data": data}).to_string().into_bytes(), captured: vec![] })
    });
}

const WITH_SERVICE: &str = r#"{"embeddings":{"url":"https://e.example/v1/embeddings","model":"m","secret":"key","texts_max":3}}"#;

#[test]
fn meanings_are_asked_for_kept_and_done_without() {
    testing::set_secret("key", b"s");
    let (fails, asked) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(Vec::new())));
    service(fails.clone(), asked.clone());
    let inputs = || asked.borrow().iter().map(|body| body["input"].as_array().unwrap().len()).collect::<Vec<_>>();
    let fresh = || testing::plugin::<Search>(WITH_SERVICE).unwrap();
    let search = fresh();
    let find = |search: &Search, query: &str| names(ask(search, "search_tools", &json!({"query": query})));

    // No word of it is anywhere; the fourth tool gets its vector with the second question.
    find(&search, "cats");
    assert_eq!(find(&search, "big cats")[0], "zoo_feed");
    assert_eq!(inputs(), [4, 2], "each with texts that have no vector yet");
    assert_eq!(asked.borrow()[0]["model"], "m");

    // Another instance finds the vectors in the store, of the question too.
    assert_eq!(find(&fresh(), "big cats")[0], "zoo_feed");
    assert_eq!(find(&fresh(), "some cats")[0], "zoo_feed");
    assert_eq!(inputs(), [4, 2, 1]);

    // Words alone while it does not answer, and it is left alone for a while.
    fails.set(true);
    assert!(find(&search, "cats of mine").is_empty());
    assert_eq!(find(&search, "lions")[0], "zoo_feed");
    assert_eq!(inputs().len(), 4, "asked once, then left alone");
    assert!(testing::log_lines().iter().any(|line| format!("{line:?}").contains("by words alone")));
    testing::advance_ms(31_000);
    fails.set(false);
    assert_eq!(find(&search, "cats of mine")[0], "zoo_feed");
}

#[test]
fn answers_of_the_service_are_not_trusted() {
    testing::set_secret("key", b"s");
    for body in [
        "",
        "[]",
        "{}",
        r#"{"data":[]}"#,
        r#"{"data":[{"index":9,"embedding":[1]}]}"#,
        r#"{"data":[{"index":0,"embedding":[0,0]}]}"#,
        r#"{"data":[{"index":0,"embedding":["x"]}]}"#,
    ] {
        testing::reset();
        testing::set_secret("key", b"s");
        testing::answer_fetches(move |_| Ok(Response { status: 200, headers: vec![], body: body.as_bytes().to_vec(), captured: vec![] }));
        let search: Search = testing::plugin(WITH_SERVICE).unwrap();
        assert_eq!(names(ask(&search, "search_tools", &json!({"query": "lions"}))), ["zoo_feed"], "{body}");
    }
}

mod any {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever servers write and models ask, an answer names tools that are there, each once, and no more than are wanted.
        #[test]
        fn what_is_found_is_there(about in prop::collection::vec("\\PC{0,60}", 0..20), query in "\\PC{0,80}", limit in 1usize..30) {
            let search: Search = testing::plugin("{}").unwrap();
            let tools: Vec<(String, String)> = about.into_iter().enumerate().map(|(at, about)| (format!("s_{at}"), about)).collect();
            let tools: Vec<(&str, &str, &str)> = tools.iter().map(|(name, about)| (&**name, "s", &**about)).collect();
            let x = listing(exchange("search_tools", &json!({"query": query, "limit": limit})), "p", &tools);
            let mut found = names(search.on_request(&testing::head("tools/call").name("search_tools"), &x));
            let many = found.len();
            prop_assert!(many <= limit.min(20) && found.iter().all(|name| tools.iter().any(|tool| tool.0 == name)));
            found.sort();
            found.dedup();
            prop_assert_eq!(found.len(), many);
        }
    }
}
