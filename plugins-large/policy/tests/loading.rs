//! What is refused at load, and with which words.

use serde_json::{Value, json};
use sluice_plugin_policy::Policy;
use sluice_sdk::testing;

fn refused(config: &Value) -> String {
    testing::plugin::<Policy>(&config.to_string()).err().unwrap_or_else(|| panic!("accepted: {config}"))
}

#[track_caller]
fn check(config: &Value, words: &[&str]) {
    let said = refused(config);
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

const ARGUMENTS: &str = "type Arguments = { amount?: Long, path?: String };";

#[test]
fn what_cannot_be_read_is_told_by_text_and_line() {
    check(&json!({"policies": "permit(principal, action, resource);\n\nallow(principal, action, resource);"}), &["policies, line 3: "]);
    check(&json!({"policies": {"base": "", "team": "permit(principal, action, resource)\nwhen { 1 + };"}}), &["team, line 2: "]);
    check(&json!({"policies": "permit(principal == ?principal, action, resource);"}), &["policies", "template"]);
    let twice = r#"@id("a") permit(principal, action, resource);"#;
    check(&json!({"policies": {"one": twice, "two": twice}}), &["two", "`a`", "policy 1"]);
    check(&json!({"policies": r#"@id("") permit(principal, action, resource);"#}), &["@id of policy 1"]);
    check(&json!({"policies": format!("@id(\"{}\") permit(principal, action, resource);", "x".repeat(129))}), &["@id of policy 1"]);
    check(&json!({"policies": "permit(principal, action, resource) when { lookup(context.x) };"}), &["policies, line 1", "lookup"]);
    check(&json!({"policies": "", "polices": ""}), &["polices"]);
    check(&json!({"schema": ARGUMENTS}), &["policies"]);
}

/// In a component it would be a trap in the middle of a call.
#[test]
fn what_goes_deeper_than_is_evaluated_is_refused() {
    let policy =
        |condition: String| json!({"policies": format!("@id(\"p\") permit(principal, action, resource)\nwhen {{ {condition} }};")});
    let chain = |links: usize| policy(vec!["context has a"; links].join(" && "));
    assert!(testing::plugin::<Policy>(&chain(100).to_string()).is_ok());
    check(&chain(130), &["policy `p`", "deeper", "split"]);
    check(&policy(format!("{}true{}", "(".repeat(60), ")".repeat(60))), &["policies, line 2", "brackets"]);
}

#[test]
fn what_does_not_fit_the_schema_is_told_by_policy_and_line() {
    let with = |policies: &str| json!({"policies": policies, "schema": ARGUMENTS});
    let about =
        |condition: &str| format!("@id(\"p\")\npermit(principal, action == Action::\"tools/call\", resource)\nwhen {{ {condition} }};");
    for (condition, word) in [
        ("context.arguments.amont > 1", "amont"),
        ("context.arguments.amount > 1", "amount"),
        ("context.arguments has amount && context.arguments.amount == \"1\"", "type"),
        ("principal.tenant == \"acme\"", "tenant"),
        ("principal.role == \"dev\"", "role"),
        ("resource in Tool::\"a\" && resource in Server::\"b\"", "Server"),
    ] {
        check(&with(&about(condition)), &["policy `p`, line ", word]);
    }
    check(&with("permit(principal, action == Action::\"tools/cal\", resource);"), &["policy `policies#1`, line 1", "tools/call"]);
    let good = about(
        "context.arguments has amount && context.arguments.amount > 1 && principal.hasTag(\"g\") && principal.getTag(\"g\").contains(\"x\")",
    );
    assert!(testing::plugin::<Policy>(&with(&good).to_string()).is_ok());
    // The same without a schema is only read.
    assert!(testing::plugin::<Policy>(&json!({"policies": about("principal.role == \"dev\"")}).to_string()).is_ok());
}

#[test]
fn a_schema_that_is_none_is_refused() {
    for (schema, words) in [
        ("entity {", &["`schema`, line 1"][..]),
        ("", &["`schema`", "type Arguments"]),
        ("type Arguments = { a: Nothing };", &["`schema`", "Nothing"]),
        ("type Arguments = {};\nentity Tool;", &["`schema`", "Tool"]),
        ("type Arguments = String;", &["`schema`", "must be a record"]),
    ] {
        check(&json!({"policies": "", "schema": schema}), words);
    }
    let another_name = json!({"policies": "", "schema": "type Arguments = Ours; type Ours = { a?: Long };"});
    assert!(testing::plugin::<Policy>(&another_name.to_string()).is_ok());
}

/// What the page shows can be pasted.
#[test]
fn the_examples_of_the_page_are_accepted() {
    let page = include_str!("../README.md");
    let examples: Vec<_> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let sidecar: toml::Value = toml::from_str(example).unwrap();
        testing::plugin::<Policy>(&serde_json::to_string(&sidecar["config"]).unwrap()).map(|_| ()).unwrap();
    }
}
