//! The plugin on whole answers and lists.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_shape::{Shape, TOO_LONG};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};

fn plugin(rules: &Value) -> Shape {
    testing::plugin(&json!({"rules": rules}).to_string()).unwrap()
}

fn answered(tool: &str, bytes: usize) -> Head {
    Head { body_bytes: bytes as u32, ..testing::head("tools/call").name(tool).answered() }
}

fn exchange(result: &Value) -> (FakeExchange, usize) {
    let message = json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string();
    (FakeExchange::new(&message).with_upstream("db"), message.len())
}

/// A result after the plugin; it passes.
fn shaped(rules: &Value, result: &Value) -> Value {
    let (x, bytes) = exchange(result);
    assert_eq!(plugin(rules).on_response(&answered("query", bytes), &x), Verdict::Next, "{rules} {result}");
    x.edited().unwrap()["result"].clone()
}

#[track_caller]
fn check(rules: Value, result: Value, expected: Value) {
    assert_eq!(shaped(&rules, &result), expected, "{rules}");
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn texts_are_cut_wherever_they_stand_and_say_so() {
    let rules = json!([{"text_bytes_max": 4}]);
    let resource = |text: &str| json!({"type": "resource", "resource": {"uri": "test://a", "text": text}});
    let image = json!({"type": "image", "data": "aaaaaaaa", "mimeType": "image/png"});
    check(
        rules,
        json!({"content": [text("abcdefgh"), text("abcd"), resource("ééé"), image], "isError": true, "_meta": {"x": "longer than four"}}),
        json!({
            "content": [text("abcd[… 4 of 8 bytes left out]"), text("abcd"), resource("éé[… 2 of 6 bytes left out]"), image],
            "isError": true,
            "_meta": {"x": "longer than four"},
        }),
    );
}

#[test]
fn data_is_selected_and_its_arrays_shortened_and_the_model_hears_of_it() {
    let rules = json!([{"select": ["/rows/*/id", "/total"], "items_max": 2}]);
    let data = json!({"rows": [{"id": 1, "x": 1}, {"id": 2}, {"id": 3}], "total": 3, "took": 1});
    let note = text("[left out of this result: 1 of 3 items of /rows; members that are not needed here]");
    let expected = json!({"content": [note], "structuredContent": {"rows": [{"id": 1}, {"id": 2}], "total": 3}});
    check(rules.clone(), json!({"content": [], "structuredContent": data}), expected.clone());
    check(rules, json!({"structuredContent": data}), expected);
}

#[test]
fn a_text_that_says_what_the_data_says_goes_on_saying_it() {
    let rules = json!([{"items_max": 1, "text_bytes_max": 6}]);
    let data = json!({"a": [1, 2], "b": "long enough"});
    let result = shaped(&rules, &json!({"content": [text(&data.to_string()), text("and so on")], "structuredContent": data}));
    assert_eq!(result["structuredContent"], json!({"a": [1], "b": "long e[… 5 of 11 bytes left out]"}));
    let said: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(said, result["structuredContent"], "and is not cut itself");
    assert_eq!(result["content"][1]["text"], "and so[… 3 of 9 bytes left out]");
    // Another order and other spaces are the same said otherwise.
    let spaced = text("{ \"b\": \"long enough\",\n \"a\": [1, 2] }");
    let result = shaped(&rules, &json!({"content": [spaced], "structuredContent": data}));
    assert_eq!(serde_json::from_str::<Value>(result["content"][0]["text"].as_str().unwrap()).unwrap(), result["structuredContent"]);
    // What says something else is a text like any other.
    let other = shaped(&rules, &json!({"content": [text(r#"{"a":[1,2]}"#)], "structuredContent": data}));
    assert_eq!(other["content"][0]["text"], r#"{"a":[[… 5 of 11 bytes left out]"#);
}

#[test]
fn data_that_is_a_text_only_is_shaped_as_data() {
    let rules = json!([{"select": ["/*/id"], "items_max": 2}]);
    let rows = r#"[{"id": 1.10, "x": 0}, {"id": 2}, {"id": 3}]"#;
    let note = text("[left out of this result: 1 of 3 items of the list; members that are not needed here]");
    check(rules.clone(), json!({"content": [text(rows)]}), json!({"content": [text(r#"[{"id":1.10},{"id":2}]"#), note]}));
    // No data, or none that changes: as it is, spaces and all.
    for same in ["[not json", "plain", "[ {\"id\": 1} ]", "{"] {
        check(rules.clone(), json!({"content": [text(same)]}), json!({"content": [text(same)]}));
    }
}

#[test]
fn blocks_beyond_the_bound_go_and_are_counted() {
    let content: Vec<Value> = (0..5).map(|n| text(&n.to_string())).collect();
    let note = text("[left out of this result: 3 of 5 blocks of this content]");
    check(json!([{"blocks_max": 2}]), json!({"content": content}), json!({"content": [text("0"), text("1"), note]}));
}

#[test]
fn what_is_still_too_long_is_refused_in_a_way_that_a_model_can_read() {
    let result = json!({"content": [text(&"x".repeat(300))]});
    let (x, bytes) = exchange(&result);
    let Verdict::Reject(no) = plugin(&json!([{"result_bytes_max": 200}])).on_response(&answered("query", bytes), &x) else { panic!() };
    assert_eq!((no.code, no.as_tool_result), (TOO_LONG, true));
    assert!(no.message.contains("the call ran") && no.message.contains("at most 200"), "{}", no.message);
    let cut = shaped(&json!([{"result_bytes_max": 200, "text_bytes_max": 50}]), &result);
    assert!(cut.to_string().len() < 200, "what was cut first may fit: {cut}");
}

#[test]
fn the_first_rule_that_is_about_a_tool_counts() {
    let rules = json!([
        {"tools": ["export_*"]},
        {"upstreams": ["db"], "tools": ["query"], "text_bytes_max": 2},
        {"upstreams": ["mail"], "text_bytes_max": 1},
    ]);
    let plugin = plugin(&rules);
    for (tool, upstream, is_cut) in
        [("query", "db", true), ("export_query", "db", false), ("query", "web", false), ("x", "mail", true), ("x", "db", false)]
    {
        let (x, bytes) = exchange(&json!({"content": [text("abcdef")]}));
        let x = x.with_upstream(upstream);
        assert_eq!(plugin.on_response(&answered(tool, bytes), &x), Verdict::Next);
        assert_eq!(!x.staged().is_empty(), is_cut, "{tool} {upstream}");
        assert_eq!(x.set_attrs().get("left-out").is_some(), is_cut);
    }
}

#[test]
fn what_is_no_result_of_a_tool_passes_and_what_cannot_be_seen_does_not() {
    let plugin = plugin(&json!([{"text_bytes_max": 1}]));
    let error = FakeExchange::new(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"longer than one"}}"#);
    assert_eq!(plugin.on_response(&answered("query", 90), &error), Verdict::Next);
    assert!(error.staged().is_empty());
    // As the host answers a plugin whose `payload` is taken away: with nothing.
    let denied = FakeExchange::default();
    assert!(matches!(plugin.on_response(&answered("query", 90), &denied), Verdict::Reject(no) if no.as_tool_result));
    let question = Head { kind: Kind::InputRequest, ..answered("query", 90) };
    assert_eq!(plugin.on_response(&question, &denied), Verdict::Next);
}

/// What `on_catalog` does with tools that promise, by name.
fn promises(rules: &Value, names: &[&str]) -> Vec<bool> {
    let definitions: Vec<String> = names
        .iter()
        .map(|name| match *name {
            "plain" => json!({"name": name}).to_string(),
            name => json!({"name": name, "outputSchema": {"type": "object"}}).to_string(),
        })
        .collect();
    let viewer = FakeViewer::of(1).with_definitions(&definitions.iter().map(String::as_str).collect::<Vec<_>>());
    let entries: Vec<_> = names.iter().map(|name| Entry::new("db", name, "")).collect();
    let answer = plugin(rules).on_catalog(&viewer, ListKind::Tools, &entries);
    let is_kept = |change: &Change| match change {
        Change::Keep => true,
        Change::Patch(patch) => {
            assert_eq!(serde_json::from_str::<Value>(patch).unwrap(), json!({"outputSchema": null}));
            false
        }
        other => panic!("{other:?}"),
    };
    answer.changes.iter().map(is_kept).collect()
}

#[test]
fn a_tool_whose_results_are_changed_promises_no_schema_any_more() {
    let names = ["query", "get", "plain"];
    for (rules, kept) in [
        (json!([{"tools": ["query"], "select": ["/a"]}]), [false, true, true]),
        (json!([{"tools": ["db_query"], "items_max": 1}]), [false, true, true]),
        (json!([{"tools": ["db_*"], "text_bytes_max": 1}]), [false, false, true]),
        (json!([{"upstreams": ["mail"], "items_max": 1}]), [true, true, true]),
        (json!([{"items_max": 1, "output_schema": "keep"}]), [true, true, true]),
        (json!([{"blocks_max": 1, "result_bytes_max": 9}]), [true, true, true]),
        (json!([{"tools": ["get"], "items_max": 1, "output_schema": "keep"}, {"items_max": 2}]), [false, false, true]),
    ] {
        assert_eq!(promises(&rules, &names), kept, "{rules}");
    }
}

fn data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,24}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec(("[ab*/~]{0,2}", inner), 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Nothing in it is longer than the rule lets it be.
fn fits(value: &Value, items: usize, bytes: usize) -> bool {
    match value {
        Value::String(text) => text.len() <= bytes || text.ends_with(" bytes left out]") && text.find("[…").is_some_and(|at| at <= bytes),
        Value::Array(all) => all.len() <= items && all.iter().all(|value| fits(value, items, bytes)),
        Value::Object(all) => all.values().all(|value| fits(value, items, bytes)),
        _ => true,
    }
}

proptest! {
    /// Whatever a server answers: what passes is within the bounds, its text says what its data says, and what was within them is untouched.
    #[test]
    fn what_passes_is_within_its_bounds(data in data(), items in 1usize..4, bytes in 1usize..12) {
        let rules = json!([{"items_max": items, "text_bytes_max": bytes}]);
        let before = json!({"content": [text(&data.to_string())], "structuredContent": data});
        let after = shaped(&rules, &before);
        prop_assert!(fits(&after["structuredContent"], items, bytes), "{after}");
        let said = after["content"][0]["text"].as_str().unwrap();
        prop_assert_eq!(&serde_json::from_str::<Value>(said).unwrap(), &after["structuredContent"]);
        if fits(&data, items, bytes) && !data.to_string().contains("left out]") {
            prop_assert_eq!(&after, &before);
        }
    }

    /// What is selected was there, and a second look selects the same.
    #[test]
    fn selecting_is_choosing(data in data(), pointers in proptest::sample::subsequence(vec!["/a", "/*/b", "/0", "/*/*/a", "/ab"], 1..4)) {
        let rules = json!([{"select": pointers}]);
        let once = shaped(&rules, &json!({"content": [], "structuredContent": data}));
        let twice = shaped(&rules, &json!({"content": [], "structuredContent": once["structuredContent"]}));
        if !data.to_string().contains('[') {
            prop_assert_eq!(&twice["structuredContent"], &once["structuredContent"]);
        }
        let text = data.to_string();
        prop_assert!(once["structuredContent"].to_string().len() <= text.len());
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    testing::plugin::<Shape>(&serde_json::to_string(&sidecar["config"]).unwrap()).map(|_| ()).unwrap();
}
