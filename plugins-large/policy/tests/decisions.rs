//! The plugin on whole lists and requests.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_policy::Policy;
use sluice_plugin_policy::answer::{FORBIDDEN, UNCLEAR};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};

/// Attributes of a caller.
type Who<'a> = &'a [(&'a str, &'a str)];

const ADA: Who = &[
    ("principal.subject", "ada"),
    ("principal.authority", "auth-api-key"),
    ("principal.tenant", "acme"),
    ("principal.scopes", "read write"),
    ("principal.claim.role", "team admin\ndev"),
    ("principal.claim.groups", "g1\ng2"),
];
const BOB: Who = &[("principal.subject", "bob"), ("principal.authority", "auth-jwt"), ("principal.claim.role", "admin")];

fn plugin(config: &Value) -> Policy {
    testing::plugin(&config.to_string()).unwrap_or_else(|error| panic!("{error}"))
}

fn with(policies: &str) -> Value {
    json!({ "policies": policies })
}

fn exchange(who: Who, upstream: Option<&str>, params: Value) -> FakeExchange {
    let x = FakeExchange::new(&json!({"method": "x", "params": params}).to_string());
    let x = who.iter().fold(x, |x, (key, value)| x.with_attr(key, value));
    upstream.into_iter().fold(x, FakeExchange::with_upstream)
}

/// What a call of a tool comes to: nothing if it passes, else the code, the message and the policies named.
fn called(config: &Value, who: Who, tool: &str, arguments: Value) -> Option<(i32, String, Value)> {
    let x = exchange(who, Some("git"), json!({"name": tool, "arguments": arguments}));
    said(plugin(config).on_request(&testing::head("tools/call").name(tool), &x))
}

fn said(verdict: Verdict) -> Option<(i32, String, Value)> {
    match verdict {
        Verdict::Next => None,
        Verdict::Reject(no) => {
            assert_eq!(no.http_status, Some(403));
            let data = no.data.map_or(Value::Null, |data| serde_json::from_str(&data).unwrap());
            Some((no.code, no.message, data["policies"].clone()))
        }
        other => panic!("{other:?}"),
    }
}

fn shown(config: &Value, who: Who, kind: ListKind, entries: &[(&str, &str)]) -> Vec<String> {
    let viewer = who.iter().fold(FakeViewer::of(2), |viewer, (key, value)| viewer.with_attr(key, value));
    let entries: Vec<_> = entries.iter().map(|(upstream, name)| Entry::new(upstream, name, "")).collect();
    let answer = plugin(config).on_catalog(&viewer, kind, &entries);
    let seen = answer.changes.iter().zip(&entries).filter(|(change, _)| matches!(change, Change::Keep));
    seen.map(|(_, entry)| format!("{}/{}", entry.upstream, entry.name)).collect()
}

#[test]
fn nothing_passes_that_no_policy_permits_and_a_forbid_wins() {
    assert_eq!(called(&with(""), ADA, "push", json!({})), Some((FORBIDDEN, "no policy permits this".into(), json!([]))));
    let yes = "permit(principal, action, resource);";
    assert_eq!(called(&with(yes), ADA, "push", json!({})), None);
    let no = r#"@id("no-push") forbid(principal, action, resource == Tool::"push");"#;
    for policies in [format!("{yes}{no}"), format!("{no}{yes}")] {
        assert_eq!(called(&with(&policies), ADA, "pull", json!({})), None);
        let expected = (FORBIDDEN, "forbidden by policy `no-push`".into(), json!(["no-push"]));
        assert_eq!(called(&with(&policies), ADA, "push", json!({})), Some(expected));
    }
    let named =
        json!({"policies": {"b": no, "a": format!("{yes} forbid(principal, action, resource) when {{ resource.name == \"push\" }};")}});
    let expected = (FORBIDDEN, "forbidden by policies `a#2`, `no-push`".into(), json!(["a#2", "no-push"]));
    assert_eq!(called(&named, ADA, "push", json!({})), Some(expected));
}

#[test]
fn who_asks_is_what_the_host_says() {
    let passes = |who: Who, condition: &str| {
        let policies = format!("permit(principal, action, resource) when {{ {condition} }};");
        called(&with(&policies), who, "push", json!({})).is_none()
    };
    for (condition, ada, bob) in [
        (r#"principal == Principal::"ada""#, true, false),
        (r#"principal.subject == "ada""#, true, false),
        (r#"principal in Role::"dev""#, true, false),
        (r#"principal in Role::"team admin""#, true, false),
        (r#"principal in Role::"admin""#, false, true),
        (r#"principal in [Role::"admin", Role::"dev"]"#, true, true),
        (r#"principal.roles.containsAll(["dev", "team admin"])"#, true, false),
        (r#"principal in Tenant::"acme""#, true, false),
        (r#"principal has tenant && principal.tenant == "acme""#, true, false),
        (r#"principal.scopes.contains("write")"#, true, false),
        (r#"principal.authority == "auth-jwt""#, false, true),
        (r#"principal.hasTag("groups") && principal.getTag("groups").contains("g2")"#, true, false),
        // Of somebody without a tenant nothing can be said about it, and what cannot be evaluated permits nothing.
        (r#"principal.tenant != "other""#, true, false),
    ] {
        assert_eq!((passes(ADA, condition), passes(BOB, condition)), (ada, bob), "{condition}");
    }
    let config = json!({"policies": "permit(principal in Role::\"g1\", action, resource);", "role_claim": "groups"});
    assert_eq!((called(&config, ADA, "a", json!({})), called(&config, BOB, "a", json!({})).is_some()), (None, true));
}

#[test]
fn what_is_asked_for_is_what_the_request_says() {
    let passes = |policy: &str, method: &str, name: Option<&str>, upstream: Option<&str>, params: Value| {
        let head = name.into_iter().fold(testing::head(method), Head::name);
        said(plugin(&with(policy)).on_request(&head, &exchange(ADA, upstream, params))).is_none()
    };
    let read = r#"permit(principal, action == Action::"resources/read", resource in Upstream::"git") when { resource.name like "file:///src/*" };"#;
    assert!(passes(read, "resources/read", Some("file:///src/a"), Some("git"), json!({})));
    assert!(!passes(read, "resources/read", Some("file:///etc/passwd"), Some("git"), json!({})));
    assert!(!passes(read, "resources/read", Some("file:///src/a"), Some("mail"), json!({})));
    assert!(!passes(read, "resources/subscribe", Some("file:///src/a"), Some("git"), json!({})));
    assert!(!passes(read, "resources/read", None, Some("git"), json!({})), "it is about something, and nobody knows what");
    let prompt = r#"permit(principal, action in [Action::"prompts/get", Action::"completion/complete"], resource is Prompt) when { context.arguments.lang == "rust" };"#;
    assert!(passes(prompt, "prompts/get", Some("p"), Some("git"), json!({"name": "p", "arguments": {"lang": "rust"}})));
    let complete = |kind: &str, value: &str| json!({"ref": {"type": kind, "name": "p"}, "argument": {"name": "lang", "value": value}});
    assert!(passes(prompt, "completion/complete", Some("p"), Some("git"), complete("ref/prompt", "rust")));
    assert!(!passes(prompt, "completion/complete", Some("p"), Some("git"), complete("ref/prompt", "go")));
    assert!(!passes(prompt, "completion/complete", Some("p"), Some("git"), complete("ref/resource", "rust")));
    let open = "permit(principal, action, resource);";
    assert!(!passes(open, "completion/complete", Some("p"), Some("git"), complete("ref/else", "rust")));
    assert!(!passes(open, "completion/complete", Some("p"), Some("git"), json!({})));
    let tasks = r#"permit(principal, action == Action::"tasks/get", resource == Upstream::"git");"#;
    assert!(passes(tasks, "tasks/get", None, Some("git"), json!({})) && !passes(tasks, "tasks/get", None, Some("mail"), json!({})));
    let listen = r#"permit(principal, action == Action::"subscriptions/listen", resource == Gateway::"sluice");"#;
    assert!(passes(listen, "subscriptions/listen", None, None, json!({})) && !passes(listen, "x/new", None, None, json!({})));
    for always in ["tools/list", "resources/templates/list", "ping", "logging/setLevel"] {
        assert!(passes("", always, None, None, json!({})), "{always}");
    }
}

/// A server's question is not a caller's request.
#[test]
fn questions_of_servers_are_nobodys_calls() {
    let head = Head { kind: Kind::InputRequest, ..testing::head("elicitation/create") };
    assert!(matches!(plugin(&with("")).on_request(&head, &FakeExchange::default()), Verdict::Next));
}

const SPEND: &str = r#"
permit(principal, action == Action::"tools/call", resource);
@id("too-much")
forbid(principal, action, resource == Tool::"pay") when { context.arguments.amount > 100 };
@id("no-force")
forbid(principal, action, resource) when { context.arguments has force && context.arguments.force == true };
"#;

#[test]
fn arguments_decide() {
    assert_eq!(called(&with(SPEND), ADA, "pay", json!({"amount": 100})), None);
    assert_eq!(called(&with(SPEND), ADA, "pay", json!({"amount": 1e2})), None);
    assert_eq!(called(&with(SPEND), ADA, "look", json!({"amount": 1000})), None);
    let no = |policy: &str| Some((FORBIDDEN, format!("forbidden by policy `{policy}`"), json!([policy])));
    assert_eq!(called(&with(SPEND), ADA, "pay", json!({"amount": 101})), no("too-much"));
    assert_eq!(called(&with(SPEND), ADA, "pay", json!({"amount": 1, "force": true})), no("no-force"));
    let wild =
        r#"permit(principal, action, resource) when { context.arguments.path like "/tmp/*" && !(context.arguments.path like "*..*") };"#;
    assert_eq!(called(&with(wild), ADA, "rm", json!({"path": "/tmp/x"})), None);
    assert!(called(&with(wild), ADA, "rm", json!({"path": "/tmp/../etc"})).is_some());
}

/// Cedar passes over what it cannot evaluate; for a no that would be a yes.
#[test]
fn a_forbid_that_cannot_be_evaluated_forbids() {
    let no = Some((FORBIDDEN, "forbidden by policy `too-much`".to_string(), json!(["too-much"])));
    for amount in [json!("101"), json!(100.5), json!(1e30), json!(18_446_744_073_709_551_615u64), json!(null), json!([1]), json!({"a": 1})]
    {
        assert_eq!(called(&with(SPEND), ADA, "pay", json!({ "amount": amount })), no, "{amount}");
    }
    assert_eq!(called(&with(SPEND), ADA, "pay", json!({})), no);
    let x = exchange(ADA, Some("git"), json!({"name": "pay"}));
    assert_eq!(said(plugin(&with(SPEND)).on_request(&testing::head("tools/call").name("pay"), &x)), no, "no arguments at all");
    let yes = r#"@id("little") permit(principal, action, resource) when { context.arguments.amount < 100 };"#;
    let unsure = |who| called(&with(yes), who, "pay", json!({"amount": 1.5}));
    assert_eq!(unsure(ADA), Some((FORBIDDEN, "no policy permits this; policy `little` could not be evaluated".into(), json!(["little"]))));
}

#[test]
fn what_is_no_argument_of_cedars_can_be_named() {
    let policies =
        r#"permit(principal, action, resource) when { context.arguments.x == Json::"null" || context.arguments.x == Json::"0.5" };"#;
    for (x, passes) in
        [(json!(null), true), (json!(0.5), true), (json!(0), false), (json!("null"), false), (json!({"type": "Json", "id": "null"}), false)]
    {
        assert_eq!(called(&with(policies), ADA, "t", json!({ "x": x })).is_none(), passes, "{x}");
    }
}

#[test]
fn arguments_without_end_do_not_pass_a_policy_that_looks_at_them() {
    let many = json!({"x": vec![0; 10_000]});
    let deep = json!({"x": (0..40).fold(json!(0), |inner, _| json!([inner]))});
    let open = "permit(principal, action, resource);";
    let looks = format!("{open} forbid(principal, action, resource) when {{ context.arguments has y }};");
    for arguments in [many, deep] {
        assert_eq!(called(&with(open), ADA, "t", arguments.clone()), None, "nobody looks");
        assert_eq!(called(&with(&looks), ADA, "t", arguments).unwrap().0, UNCLEAR);
    }
}

const TOOLS: &[(&str, &str)] = &[("git", "log"), ("git", "push"), ("mail", "send")];

#[test]
fn lists_show_what_some_arguments_would_be_let_through_with() {
    assert_eq!(shown(&with(""), ADA, ListKind::Tools, TOOLS), [""; 0]);
    let policies = r#"
        permit(principal in Role::"dev", action, resource in Upstream::"git") when { resource.name != "push" || context.arguments has branch };
        permit(principal, action, resource == Tool::"send") when { principal in Role::"admin" && context.arguments.to like "*@acme.com" };
        forbid(principal, action, resource == Tool::"log") when { context.arguments has all };
    "#;
    assert_eq!(shown(&with(policies), ADA, ListKind::Tools, TOOLS), ["git/log", "git/push"]);
    assert_eq!(shown(&with(policies), BOB, ListKind::Tools, TOOLS), ["mail/send"]);
    let hidden = format!("{policies} forbid(principal, action, resource == Tool::\"push\");");
    assert_eq!(shown(&with(&hidden), ADA, ListKind::Tools, TOOLS), ["git/log"]);
    let read = r#"permit(principal, action == Action::"resources/read", resource) when { resource.name like "file:///*" };"#;
    assert_eq!(shown(&with(read), ADA, ListKind::Resources, &[("a", "file:///x"), ("a", "db:///x")]), ["a/file:///x"]);
    assert_eq!(shown(&with(read), ADA, ListKind::ResourceTemplates, &[("a", "file:///{x}"), ("a", "db:///{x}")]), ["a/file:///{x}"]);
    assert_eq!(shown(&with(read), ADA, ListKind::Prompts, &[("a", "file:///x")]), [""; 0]);
}

fn clause() -> impl Strategy<Value = String> {
    let atom = proptest::sample::select(vec![
        r#"principal in Role::"dev""#,
        r#"principal.tenant == "acme""#,
        r#"resource.name == "push""#,
        "context.arguments has x",
        "context.arguments.x == 1",
        r#"context.arguments.x like "a*""#,
        "!(context.arguments has y)",
    ]);
    (atom.clone(), atom, proptest::bool::ANY).prop_map(|(a, b, both)| format!("({a} {} {b})", if both { "&&" } else { "||" }))
}

prop_compose! {
    fn policy()(permit: bool, scope in proptest::sample::select(vec!["principal", r#"principal in Role::"admin""#]), when in proptest::option::of(clause()), unless in proptest::option::of(clause())) -> String {
        let kind = if permit { "permit" } else { "forbid" };
        let when = when.map_or_else(String::new, |c| format!("when {{ {c} && {c} }}"));
        let unless = unless.map_or_else(String::new, |c| format!("unless {{ {c} || {c} }}"));
        format!("{kind}({scope}, action, resource) {when} {unless};")
    }
}

proptest! {
    /// Nothing can be called that is not shown, whatever the policies and the arguments are.
    #[test]
    fn what_can_be_called_is_shown(policies in proptest::collection::vec(policy(), 1..5), ada: bool, arguments in proptest::sample::select(vec![
        json!({}), json!({"x": 1}), json!({"x": "ab"}), json!({"y": null}), json!({"x": 0.5, "y": 2}),
    ])) {
        let (config, who) = (with(&policies.join("\n")), if ada { ADA } else { BOB });
        for tool in ["push", "log"] {
            let is_shown = !shown(&config, who, ListKind::Tools, &[("git", tool)]).is_empty();
            prop_assert!(is_shown || called(&config, who, tool, arguments.clone()).is_some(), "{tool}");
        }
    }
}

/// What is asked of a viewer decides who shares a list.
#[test]
fn nothing_is_read_that_no_policy_mentions() {
    let by_argument =
        r#"permit(principal, action, resource) when { principal in Role::"dev" || context.arguments.owner == principal.subject };"#;
    let lists = sluice_plugin_policy::policies::Policies::new(&serde_json::from_value(with(by_argument)).unwrap()).unwrap();
    assert!(lists.calls.mentions.subject && lists.calls.mentions.arguments && lists.calls.mentions.roles);
    assert_eq!(lists.lists.mentions, sluice_plugin_policy::mentions::Mentions::default(), "what is left is about nobody in particular");
}
