//! Declared tools, as they run.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_compose::Compose;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};
use sluice_sdk::upstream::Error;

/// Reads an issue, notes each of its labels unless told not to, and says what it did.
fn triage() -> Value {
    json!({
        "name": "triage",
        "title": "Triage",
        "description": "Reads an issue and notes its labels",
        "annotations": {"destructiveHint": false},
        "input_schema": {"type": "object", "properties": {"number": {"type": "integer"}, "quiet": {"type": "boolean"}},
            "required": ["number"], "additionalProperties": false},
        "output_schema": {"type": "object", "properties": {"title": {"type": "string"}}},
        "steps": [
            {"id": "issue", "upstream": "github", "tool": "get_issue", "arguments": {"number": {"$from": "/input/number"}}},
            {"id": "note", "upstream": "notes", "tool": "add", "for_each": "/steps/issue/structured/labels", "items_max": 3,
                "when": [{"value": "/input/quiet", "differs": true}, {"value": "/item", "one_of": ["bug", "ui"]}],
                "arguments": {"text": {"$text": "{/index}: {/item} of {/steps/issue/structured/title}"}}},
        ],
        "output": {"title": {"$from": "/steps/issue/structured/title"}, "notes": {"$from": "/steps/note/results", "$each": "/structured/id"}},
    })
}

fn plugin(tools: Value, more: Value) -> Result<Compose, String> {
    let mut config = json!({"tools": tools});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    testing::plugin(&config.to_string())
}

fn one(tool: Value) -> Compose {
    plugin(json!([tool]), json!({})).unwrap()
}

fn call(plugin: &Compose, name: &str, arguments: &Value) -> (Verdict, FakeExchange) {
    let x = FakeExchange::new(&json!({"params": {"name": name, "arguments": arguments}}).to_string());
    (plugin.on_request(&testing::head("tools/call").name(name), &x), x)
}

fn result(plugin: &Compose, name: &str, arguments: Value) -> Value {
    let (Verdict::Reply(result), _) = call(plugin, name, &arguments) else { panic!("{arguments}") };
    serde_json::from_str(&result).unwrap()
}

/// What was called, in order.
type Calls = Rc<RefCell<Vec<String>>>;

fn servers(answer: impl Fn(&str, &Value) -> Result<Value, Error> + 'static) -> Calls {
    let calls = Calls::default();
    let kept = calls.clone();
    testing::answer_calls(move |upstream, tool, arguments| {
        kept.borrow_mut().push(format!("{upstream} {tool} {arguments}"));
        answer(tool, &serde_json::from_str(arguments).unwrap()).map(|result| result.to_string())
    });
    calls
}

fn usual(tool: &str, arguments: &Value) -> Result<Value, Error> {
    match tool {
        "get_issue" => Ok(json!({"structuredContent": {"title": "Broken", "labels": ["bug", "later", "ui"]}, "content": []})),
        "add" => Ok(json!({"content": [{"type": "text", "text": json!({"id": arguments["text"]}).to_string()}], "resultType": "complete"})),
        other => panic!("{other}"),
    }
}

fn text(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().unwrap()
}

#[test]
fn f109_a_tool_is_made_of_calls_of_others() {
    let plugin = one(triage());
    let calls = servers(usual);
    let said = result(&plugin, "triage", json!({"number": 7}));
    let expected = json!({"title": "Broken", "notes": ["0: bug of Broken", null, "2: ui of Broken"]});
    assert_eq!((&said["structuredContent"], &said["resultType"]), (&expected, &json!("complete")));
    assert_eq!(serde_json::from_str::<Value>(said["content"][0]["text"].as_str().unwrap()).unwrap(), expected);
    assert_eq!(
        *calls.borrow(),
        [r#"github get_issue {"number":7}"#, r#"notes add {"text":"0: bug of Broken"}"#, r#"notes add {"text":"2: ui of Broken"}"#]
    );
    let quiet = result(&plugin, "compose_triage", json!({"number": 7, "quiet": true}));
    assert_eq!(quiet["structuredContent"]["notes"], json!([null, null, null]), "behind a prefix, and passed over");
}

#[test]
fn it_is_listed_as_it_is_declared() {
    let plugin = one(triage());
    let entries = [Entry::new("a", "triage", ""), Entry::new("a", "other", "")];
    let answer = plugin.on_catalog(&FakeViewer::of(1), ListKind::Tools, &entries);
    assert_eq!(answer.changes, [Change::Hide, Change::Keep], "nobody takes its place");
    let definition: Value = serde_json::from_str(&answer.added[0]).unwrap();
    assert_eq!(definition["inputSchema"], triage()["input_schema"]);
    assert_eq!(definition["outputSchema"], triage()["output_schema"]);
    assert_eq!((&definition["name"], &definition["title"]), (&json!("triage"), &json!("Triage")));
    assert_eq!(definition["annotations"], json!({"destructiveHint": false}));
    assert!(plugin.on_catalog(&FakeViewer::of(1), ListKind::Prompts, &entries).changes.is_empty());
}

#[test]
fn arguments_are_checked_first() {
    let plugin = one(triage());
    let calls = servers(usual);
    for (arguments, says) in [
        (json!({}), "\"number\" is missing"),
        (json!({"number": "7"}), "/number: this has to be of type integer"),
        (json!({"number": 7, "x": 1}), "/x: there is no such member"),
        (json!([]), "of type object"),
    ] {
        let (Verdict::Reject(no), _) = call(&plugin, "triage", &arguments) else { panic!("{arguments}") };
        assert!(no.code == 4000 && no.as_tool_result && no.message.contains(says), "{arguments}: {no:?}");
    }
    assert!(calls.borrow().is_empty());
    assert!(matches!(call(&plugin, "other", &json!({})).0, Verdict::Next));
    let of_a_server = FakeExchange::new(r#"{"params":{"name":"triage"}}"#).with_upstream("github");
    assert!(matches!(plugin.on_request(&testing::head("tools/call").name("triage"), &of_a_server), Verdict::Next));
}

#[test]
fn a_failure_says_in_which_step_and_what_is_done() {
    let plugin = one(triage());
    for (error, says) in [
        (Error::Unknown, "there is no such tool"),
        (Error::Failed((4030, "not for you.".into())), "not for you. What"),
        (Error::Timeout, "may have run"),
        (Error::TooLarge, "more than can be handed on"),
        (Error::Denied("canary".into()), "cannot be called just now"),
    ] {
        servers(move |tool, arguments| if tool == "add" { Err(error.clone()) } else { usual(tool, arguments) });
        let (verdict, x) = call(&plugin, "triage", &json!({"number": 7}));
        let Verdict::Reply(said) = verdict else { panic!() };
        let said: Value = serde_json::from_str(&said).unwrap();
        let why = text(&said);
        assert!(why.starts_with("Step note (add of notes), item 0: ") && why.contains(says) && !why.contains("canary"), "{why}");
        assert!(why.ends_with("What came before is done and stays so: issue (2 calls in all)."), "{why}");
        assert_eq!(x.set_attrs()["failed_step"], "note");
    }
    servers(|_, _| Ok(json!({"content": [{"type": "text", "text": "no such issue"}], "isError": true})));
    let said = result(&plugin, "triage", json!({"number": 7}));
    assert_eq!(text(&said), "Step issue (get_issue of github): no such issue. 1 calls were made.");
    servers(|_, _| Ok(json!({"resultType": "input_required", "inputRequests": {}})));
    assert!(text(&result(&plugin, "triage", json!({"number": 7}))).contains("asks a person"));
    servers(|_, _| Ok(json!({"structuredContent": {"labels": ["bug"]}})));
    assert!(text(&result(&plugin, "triage", json!({"number": 7}))).contains("there is nothing at /steps/issue/structured/title"));
    servers(|_, _| Ok(json!({"structuredContent": {"labels": "bug"}})));
    assert!(text(&result(&plugin, "triage", json!({"number": 7}))).contains("no list"));
    servers(|_, _| Ok(json!({"structuredContent": {"title": "", "labels": [1, 2, 3, 4]}})));
    assert!(text(&result(&plugin, "triage", json!({"number": 7}))).contains("the list has 4 items, and 3 are the most"));
}

#[test]
fn a_step_may_fail_and_the_tool_go_on() {
    let tool = json!({"name": "t", "description": "d", "steps": [
        {"id": "a", "upstream": "u", "tool": "bad", "on_error": "continue"},
        {"id": "b", "upstream": "u", "tool": "good", "when": [{"value": "/steps/a/error", "exists": true}]},
        {"id": "c", "upstream": "u", "tool": "never", "when": [{"value": "/steps/a/error", "exists": false}]},
    ], "output": {"why": {"$from": "/steps/a/error"}, "b": {"$from": "/steps/b/text"}, "skipped": {"$from": "/steps/c/skipped"},
        "c": {"$from": "/steps/c/text", "$default": "none"}}});
    servers(|tool, _| match tool {
        "bad" => Err(Error::Timeout),
        "good" => Ok(json!({"content": [{"type": "text", "text": "x"}, {"type": "image"}, {"type": "text", "text": "y"}]})),
        other => panic!("{other}"),
    });
    let said = result(&one(tool), "t", json!({}));
    assert_eq!(said["structuredContent"], json!({"why": "it took too long; it may have run", "b": "x\ny", "skipped": true, "c": "none"}));
}

#[test]
fn without_an_output_the_last_result_is_the_answer() {
    let tool = json!({"name": "t", "description": "d", "steps": [
        {"id": "a", "upstream": "u", "tool": "first"}, {"id": "b", "upstream": "u", "tool": "second"}]});
    let plugin = one(tool);
    servers(|tool, _| Ok(json!({"content": [{"type": "text", "text": tool}]})));
    assert_eq!(result(&plugin, "t", json!({})), json!({"content": [{"type": "text", "text": "second"}], "resultType": "complete"}));
    servers(|_, _| Ok(json!({})));
    assert_eq!(result(&plugin, "t", json!({})), json!({"resultType": "complete"}));
    let said = json!({"content": [], "resultType": "complete", "_meta": {"a": 1}});
    let same = said.clone();
    servers(move |_, _| Ok(same.clone()));
    assert_eq!(result(&plugin, "t", json!({})), said);
}

#[test]
fn what_is_no_object_is_a_text() {
    let with =
        |output: Value| json!({"name": "t", "description": "d", "steps": [{"id": "a", "upstream": "u", "tool": "x"}], "output": output});
    servers(|_, _| Ok(json!({"structuredContent": [1, 2]})));
    for (output, expected) in
        [(json!({"$text": "all: {/steps/a/structured}"}), "all: [1,2]"), (json!({"$from": "/steps/a/structured/1"}), "2")]
    {
        let said = result(&one(with(output)), "t", json!({}));
        assert_eq!(said, json!({"content": [{"type": "text", "text": expected}], "resultType": "complete"}));
    }
}

#[test]
fn calls_and_bytes_are_bounded_whatever_a_step_says() {
    let tool = json!({"name": "t", "description": "d",
        "input_schema": {"type": "object", "properties": {"all": {"type": "array"}}},
        "steps": [{"id": "a", "upstream": "u", "tool": "x", "for_each": "/input/all", "items_max": 100, "on_error": "continue"}],
        "output": {"$from": "/steps/a/results", "$each": "/text"}});
    let plugin = plugin(json!([tool]), json!({"calls_max": 3, "bytes_max": 2000})).unwrap();
    let calls = servers(|_, _| Err(Error::Unknown));
    let said = result(&plugin, "t", json!({"all": [1, 2, 3, 4, 5]}));
    assert!(text(&said).contains("item 3: more than 3 calls would be made") && calls.borrow().len() == 3, "{said}");
    servers(|_, _| Ok(json!({"content": [{"type": "text", "text": "x".repeat(1200)}]})));
    assert!(text(&result(&plugin, "t", json!({"all": [1, 2]}))).contains("item 1: results come to more than 2000 bytes"));

    let big = |template: Value| {
        let tool = json!({"name": "t", "description": "d", "input_schema": {"type": "object"},
            "steps": [{"id": "a", "upstream": "u", "tool": "x"}], "output": template});
        self::plugin(json!([tool]), json!({"bytes_max": 2000})).unwrap()
    };
    servers(|_, _| Ok(json!({})));
    let twice = big(json!([{"$from": "/input/x"}, {"$from": "/input/x"}]));
    let said = result(&twice, "t", json!({"x": "y".repeat(1500)}));
    assert!(text(&said).starts_with("every step ran, and the answer could not be made: it comes to more than 2000 bytes"), "{said}");
    let deep = (0..54).fold(json!(1), |value, _| json!([value]));
    let nested = big(json!({"a": {"b": {"c": {"d": [{"$from": "/input/x"}]}}}}));
    assert!(text(&result(&nested, "t", json!({"x": deep}))).contains("nested too deep"));
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_place() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut tool = triage();
        change(&mut tool);
        plugin(json!([tool]), json!({})).err().unwrap_or_default()
    };
    for (change, says) in [
        (&(|_: &mut Value| {}) as &dyn Fn(&mut Value), ""),
        (&|tool| tool["steps"][1]["id"] = json!("issue"), "tools.triage.steps: two are called \"issue\""),
        (
            &|tool| tool["steps"][0]["arguments"]["number"]["$from"] = json!("/input/nr"),
            "tools.triage.steps.issue: arguments: \"/input/nr\"",
        ),
        (&|tool| tool["steps"][0]["arguments"] = json!({"x": {"$from": "/steps/note/results"}}), "has not run by then"),
        (&|tool| tool["steps"][1]["for_each"] = json!("/item"), "tools.triage.steps.note: for_each: "),
        (&|tool| tool["steps"][0]["arguments"] = json!({"$text": "x"}), "arguments: they are an object"),
        (&|tool| tool["steps"][1]["when"] = json!([{"value": "/item"}]), "tools.triage.steps.note: when: a condition has value and one of"),
        (&|tool| tool["steps"][1]["when"] = json!([{"value": "/item", "exists": true, "equals": 1}]), "one of exists"),
        (&|tool| tool["output"] = json!({"$text": "x"}), "tools.triage.output_schema: it promises an object"),
        (&|tool| tool["output"] = json!({"x": {"$from": "/item"}}), "tools.triage.output: \"/item\""),
        (&|tool| drop(tool.as_object_mut().unwrap().remove("output")), "tools.triage.output: it is needed"),
        (&|tool| tool["input_schema"] = json!({"type": "array"}), "tools.triage.input_schema: its type has to be object"),
        (
            &|tool| tool["input_schema"]["properties"]["number"]["pattern"] = json!("x"),
            "tools.triage.input_schema: properties.number: \"pattern\"",
        ),
        (&|tool| tool["output_schema"] = json!({"type": "string"}), "tools.triage.output_schema: its type has to be object"),
        (&|tool| tool["steps"][0]["on_error"] = json!("ignore"), "ignore"),
        (&|tool| tool["steps"] = json!([]), "there is none"),
    ] {
        let problem = with(change);
        assert!(if says.is_empty() { problem.is_empty() } else { problem.contains(says) }, "{says:?}: {problem:?}");
    }
    let mut other = triage();
    assert!(plugin(json!([triage(), other]), json!({})).err().unwrap().contains("two are called \"triage\""));
    other["name"] = json!("compose_triage");
    assert!(plugin(json!([triage(), other]), json!({})).err().unwrap().contains("what another could be called"));
}

proptest! {
    /// Whatever servers and callers say, it is a result or a refusal, and what looks like a template is none.
    #[test]
    fn no_result_is_a_panic(result in "\\{(\"[a-zA-Z$]{0,18}\":(1|\"\\PC{0,8}\"|\\[\\{\"text\":\"\\PC{0,8}\"\\}\\]|\\{\"\\$from\":\"/input\"\\})){0,1}\\}",
        input in "\\PC{0,12}") {
        testing::reset();
        let mut tool = triage();
        tool["input_schema"] = json!({"type": "object"});
        tool["output"] = json!({"said": {"$from": "/input/said"}, "all": {"$from": "/steps/issue/structured", "$default": 0}});
        tool["steps"][1] = json!({"id": "note", "upstream": "n", "tool": "add", "arguments": {"x": {"$text": "{/input/said}"}}});
        let plugin = one(tool);
        let seen = Rc::new(RefCell::new(String::new()));
        let keep = seen.clone();
        testing::answer_calls(move |_, tool, arguments| {
            if tool == "add" { *keep.borrow_mut() = arguments.to_string(); }
            Ok(result.clone())
        });
        let (verdict, _) = call(&plugin, "triage", &json!({"number": 1, "said": input}));
        let Verdict::Reply(said) = verdict else { return Ok(()) };
        let said: Value = serde_json::from_str(&said).unwrap();
        if said.get("isError").is_none() {
            prop_assert_eq!(&said["structuredContent"]["said"], &json!(input));
            prop_assert_eq!(serde_json::from_str::<Value>(&seen.borrow()).unwrap(), json!({"x": input}));
        }
    }
}

/// The page's example is a setting that is taken.
#[test]
fn the_page_says_what_works() {
    let page = include_str!("../README.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let sidecar: toml::Table = toml::from_str(example).unwrap();
    let config = serde_json::to_value(&sidecar["config"]).unwrap();
    testing::plugin::<Compose>(&config.to_string()).unwrap_or_else(|problem| panic!("{problem}"));
}
