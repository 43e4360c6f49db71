//! The plugin on lists, calls and answers.

use serde_json::{Value, json};
use sluice_plugin_schema::SchemaCheck;
use sluice_plugin_schema::answer::{BAD_ARGUMENTS, BAD_RESULT, UNCHECKED};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};

fn plugin(config: &Value) -> SchemaCheck {
    testing::plugin(&config.to_string()).unwrap_or_else(|error| panic!("{error}"))
}

fn pay() -> Value {
    json!({
        "name": "pay",
        "description": "pasted with the rest",
        "inputSchema": {"type": "object", "properties": {"amount": {"type": "integer", "maximum": 100}}, "required": ["amount"]},
        "outputSchema": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    })
}

fn look() -> Value {
    json!({"name": "look", "inputSchema": {"type": "object"}})
}

/// Code, message, whether a model reads it, and status.
type Said = (i32, String, bool, Option<u16>);

fn said(verdict: Verdict) -> Option<Said> {
    match verdict {
        Verdict::Next => None,
        Verdict::Reject(no) => Some((no.code, no.message, no.as_tool_result, no.http_status)),
        other => panic!("{other:?}"),
    }
}

fn call(config: &Value, tool: &str, params: Value) -> Option<Said> {
    let x = FakeExchange::new(&json!({ "params": params }).to_string());
    said(plugin(config).on_request(&testing::head("tools/call").name(tool), &x))
}

fn answered(config: &Value, tool: &str, message: Value) -> Option<Said> {
    let x = FakeExchange::new(&message.to_string());
    said(plugin(config).on_response(&testing::head("tools/call").name(tool).answered(), &x))
}

fn shown(config: &Value, kind: ListKind, listed: &[Value]) -> Vec<String> {
    let texts: Vec<_> = listed.iter().map(Value::to_string).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let entries: Vec<_> = listed.iter().map(|tool| Entry::new("bank", tool["name"].as_str().unwrap(), "")).collect();
    let answer = plugin(config).on_catalog(&FakeViewer::of(1).with_definitions(&texts), kind, &entries);
    if answer.changes.is_empty() {
        return entries.into_iter().map(|entry| entry.name).collect();
    }
    let kept = answer.changes.iter().zip(entries).filter(|(change, _)| matches!(change, Change::Keep));
    kept.map(|(_, entry)| entry.name).collect()
}

#[test]
fn arguments_are_held_against_their_schema() {
    let config = json!({"tools": [pay(), look()]});
    assert_eq!(call(&config, "pay", json!({"arguments": {"amount": 7}})), None);
    assert_eq!(call(&config, "look", json!({"arguments": {"anything": 1}})), None);
    let words = "The arguments of pay do not fit its input schema. Mend these and call again:\n- /amount: must be at most 100";
    assert_eq!(call(&config, "pay", json!({"arguments": {"amount": 700}})), Some((BAD_ARGUMENTS, words.to_string(), true, None)));
    // Without arguments, there is an empty object of them.
    let no = call(&config, "pay", json!({})).unwrap();
    assert!(no.0 == BAD_ARGUMENTS && no.1.ends_with("- /amount: is missing"), "{no:?}");
    let off = json!({"tools": [pay()], "arguments": false});
    assert_eq!(call(&off, "pay", json!({})), None);
}

/// A server's question is not a call.
#[test]
fn questions_have_no_arguments() {
    let head = Head { kind: Kind::InputRequest, ..testing::head("tools/call").name("pay") };
    assert_eq!(said(plugin(&json!({"tools": [pay()]})).on_request(&head, &FakeExchange::default())), None);
}

#[test]
fn results_are_held_against_theirs() {
    let config = json!({"tools": [pay(), look()]});
    let result = |result: Value| answered(&config, "pay", json!({ "result": result }));
    assert_eq!(result(json!({"content": [], "structuredContent": {"id": "x"}})), None);
    assert_eq!(result(json!({"content": [], "structuredContent": {"id": "x"}, "resultType": "complete", "isError": false})), None);
    let words =
        "pay answered with what does not fit its output schema. That is its server's mistake:\n- /id: must be a string, not this number";
    assert_eq!(result(json!({"content": [], "structuredContent": {"id": 7}})), Some((BAD_RESULT, words.to_string(), true, None)));
    let no = result(json!({"content": []})).unwrap();
    assert!(no.0 == BAD_RESULT && no.1.ends_with("- (as a whole): is missing"), "{no:?}");
    // It failed, it became a task, it asks first, or it is an error: there is no result to check.
    for other in [json!({"content": [], "isError": true}), json!({"task": {"taskId": "1"}}), json!({"resultType": "input_required"})] {
        assert_eq!(result(other.clone()), None, "{other}");
    }
    assert_eq!(answered(&config, "pay", json!({"error": {"code": 1, "message": "x"}})), None);
    assert_eq!(
        answered(&config, "look", json!({"result": {"content": [], "structuredContent": {"a": 1}}})),
        None,
        "it has no output schema"
    );
    let off = json!({"tools": [pay()], "results": false});
    assert_eq!(answered(&off, "pay", json!({"result": {"content": []}})), None);
}

#[test]
fn a_tool_without_a_schema_is_neither_shown_nor_called() {
    let config = json!({"tools": [pay()]});
    assert_eq!(shown(&config, ListKind::Tools, &[pay(), look()]), ["pay"]);
    let no = call(&config, "look", json!({})).unwrap();
    assert_eq!((no.0, no.2, no.3), (UNCHECKED, false, Some(403)));
    let open = json!({"tools": [pay()], "on_new": "keep"});
    assert_eq!(shown(&open, ListKind::Tools, &[pay(), look()]), ["pay", "look"]);
    assert_eq!((call(&open, "look", json!({})), answered(&open, "look", json!({"result": {}}))), (None, None));
    assert_eq!(shown(&config, ListKind::Prompts, &[look()]), ["look"], "no tool");
}

#[test]
fn a_tool_that_is_listed_with_another_schema_is_hidden() {
    let config = json!({"tools": [pay()]});
    let changed = |member: &str, value: Value| {
        let mut tool = pay();
        tool[member] = value;
        tool
    };
    let described = changed("description", json!("other words"));
    assert_eq!(shown(&config, ListKind::Tools, &[described]), ["pay"], "words are not what is checked");
    for other in [
        changed("inputSchema", json!({"type": "object"})),
        changed("outputSchema", json!({"type": "object"})),
        json!({"name": "pay", "inputSchema": pay()["inputSchema"]}),
        json!({"name": "pay"}),
    ] {
        testing::reset();
        assert_eq!(shown(&config, ListKind::Tools, std::slice::from_ref(&other)), [""; 0], "{other}");
        let lines = testing::log_lines();
        assert!(lines.len() == 1 && lines[0].message.starts_with("hidden: ") && lines[0].fields[1].1 == "pay", "{lines:?}");
        let keep = json!({"tools": [pay()], "on_change": "keep"});
        assert_eq!(shown(&keep, ListKind::Tools, &[other]), ["pay"]);
        assert_eq!(call(&keep, "pay", json!({})).unwrap().0, BAD_ARGUMENTS, "by the settings' schema");
    }
    // The order of members means nothing.
    let turned = r#"{"name":"pay","outputSchema":{"required":["id"],"properties":{"id":{"type":"string"}},"type":"object"},
        "inputSchema":{"required":["amount"],"type":"object","properties":{"amount":{"maximum":100,"type":"integer"}}}}"#;
    assert_eq!(shown(&config, ListKind::Tools, &[serde_json::from_str(turned).unwrap()]), ["pay"]);
}

#[test]
fn values_that_take_too_long_do_not_pass() {
    let cubes = json!({"additionalProperties": {"items": {"items": {"items": true}}}});
    let config = json!({"tools": [{"name": "t", "inputSchema": cubes, "outputSchema": cubes}]});
    let cube = |side: usize| json!({"x": vec![vec![vec![0; side]; side]; side]});
    assert_eq!(call(&config, "t", json!({"arguments": cube(10)})), None);
    let no = call(&config, "t", json!({"arguments": cube(40)})).unwrap();
    assert_eq!((no.0, no.2, no.3), (UNCHECKED, false, Some(403)));
    assert_eq!(answered(&config, "t", json!({"result": {"structuredContent": cube(40)}})).unwrap().0, UNCHECKED);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |tools: Value| testing::plugin::<SchemaCheck>(&json!({ "tools": tools }).to_string()).err().expect("accepted");
    let defined = |schema: Value| json!([look(), {"name": "t", "inputSchema": schema}]);
    for (tools, words) in [
        (defined(json!({"$ref": "https://example.com/s.json"})), "inputSchema of tool `t` cannot be used: it refers to"),
        (defined(json!({"$ref": "#"})), "without end"),
        (defined(json!({"pattern": "(?<=a)b"})), "cannot be read"),
        (defined(json!({"type": "strin"})), "cannot be read"),
        (defined(json!(7)), "no object"),
        (json!([{"name": "t", "inputSchema": {}, "outputSchema": {"$ref": "#/none"}}]), "outputSchema of tool `t`"),
        (json!([pay(), pay()]), "two tools `pay`"),
        (json!([{"name": "t"}]), "inputSchema"),
    ] {
        let said = refused(tools);
        assert!(said.contains(words), "{said}");
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    testing::plugin::<SchemaCheck>(&serde_json::to_string(&sidecar["config"]).unwrap()).map(|_| ()).unwrap();
}
