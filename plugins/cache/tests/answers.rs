//! The plugin on whole exchanges, with the SDK's fake store and clock.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_cache::Cache;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeBatch, FakeExchange};

/// Attributes of a caller.
type Who<'a> = &'a [(&'a str, &'a str)];

const ADA: Who = &[("principal.id", "4:auth/4:acme/ada"), ("principal.tenant", "acme"), ("principal.scopes", "read")];
const BOB: Who = &[("principal.id", "4:auth/4:acme/bob"), ("principal.tenant", "acme"), ("principal.scopes", "read")];
const EVE: Who = &[("principal.id", "4:auth/5:umbra/eve"), ("principal.tenant", "umbra")];
const NOBODY: Who = &[("principal.id", "14:host-anonymous/-/1"), ("principal.authority", "host-anonymous")];

fn plugin(config: Value) -> Cache {
    testing::reset();
    testing::plugin(&config.to_string()).unwrap()
}

fn tools(share: &str) -> Value {
    json!({"rules": [{"tools": ["get_*"], "ttl_s": 60, "share": share}]})
}

fn resources(share: &str, without_hint_s: u32) -> Value {
    json!({"rules": [{"resources": ["doc:*"], "ttl_s": 60, "without_hint_s": without_hint_s, "share": share}]})
}

/// One request: who, where, and what.
#[derive(Debug, Clone)]
struct Asks<'a> {
    who: Who<'a>,
    upstream: &'a str,
    method: &'a str,
    name: &'a str,
    params: Value,
    round: u32,
}

fn call<'a>(who: Who<'a>, tool: &'a str, arguments: Value) -> Asks<'a> {
    let params =
        json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": 1, "io.modelcontextprotocol/clientInfo": {"name": "c"}}});
    Asks { who, upstream: "docs", method: "tools/call", name: tool, params, round: 0 }
}

fn read<'a>(who: Who<'a>, uri: &'a str) -> Asks<'a> {
    Asks { who, upstream: "docs", method: "resources/read", name: uri, params: json!({"uri": uri}), round: 0 }
}

fn said(text: &str) -> Value {
    json!({"result": {"content": [{"type": "text", "text": text}]}})
}

impl Asks<'_> {
    fn head(&self) -> Head {
        testing::head(self.method).name(self.name).round(self.round)
    }

    fn exchange(&self, message: &Value) -> FakeExchange {
        let x = FakeExchange::new(&message.to_string()).with_upstream(self.upstream);
        self.who.iter().fold(x, |x, (key, value)| x.with_attr(key, value))
    }

    fn request(&self) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": self.method, "params": self.params})
    }

    /// The kept answer with its labels, or the labels with which the request goes on.
    fn goes(&self, cache: &Cache) -> (Option<Value>, Vec<(String, String)>) {
        let x = self.exchange(&self.request());
        let verdict = cache.on_request(&self.head(), &x);
        let labels = x.set_attrs().into_iter().collect();
        match verdict {
            Verdict::Reply(result) => (Some(serde_json::from_str(&result).unwrap()), labels),
            Verdict::Next => (None, labels),
            other => panic!("{other:?}"),
        }
    }

    /// The answer comes; with further labels. What is left of it as a label.
    fn comes(&self, cache: &Cache, labels: &[(String, String)], further: Who, answer: &Value) -> Option<String> {
        let x = self.exchange(answer).answering(&self.request().to_string());
        let x = labels.iter().fold(x, |x, (key, value)| x.with_attr(&format!("cache.{key}"), value));
        let x = further.iter().fold(x, |x, (key, value)| x.with_attr(key, value));
        let mut head = self.head().answered();
        head.body_bytes = answer.to_string().len() as u32;
        assert_eq!(cache.on_response(&head, &x), Verdict::Next, "the answer itself goes on as it is");
        assert!(x.staged().is_empty());
        x.set_attrs().remove("kept-s")
    }

    /// From end to end: the kept answer, or none, and then this one comes.
    fn asked(&self, cache: &Cache, answer: &Value) -> Option<Value> {
        let (kept, labels) = self.goes(cache);
        if kept.is_none() {
            self.comes(cache, &labels, &[], answer);
        }
        kept
    }

    /// Whether an answer is kept and given again.
    fn is_kept(&self, cache: &Cache, answer: &Value) -> bool {
        assert_eq!(self.asked(cache, answer), None);
        self.asked(cache, answer).is_some()
    }
}

#[test]
fn f078_an_answer_is_given_again_until_its_time_is_over() {
    let cache = plugin(tools("principal"));
    let asks = call(ADA, "get_page", json!({"id": 1, "deep": {"a": 1, "b": [1.10]}}));
    assert_eq!(asks.asked(&cache, &said("one")), None);
    testing::advance_ms(59_000);
    let (kept, labels) = asks.goes(&cache);
    let kept = kept.unwrap();
    assert_eq!(kept["content"][0]["text"], "one");
    assert_eq!(kept["_meta"], json!({"io.github.sluice-mcp/cache": {"ageMs": 59000}}));
    assert_eq!(labels, [("age-s".to_string(), "59".to_string()), ("hit".to_string(), "own".to_string())]);
    testing::advance_ms(1000);
    assert_eq!(asks.asked(&cache, &said("two")), None);
    assert_eq!(asks.asked(&cache, &said("three")).unwrap()["content"][0]["text"], "two");
}

#[test]
fn the_order_of_arguments_and_what_stands_beside_them_say_nothing() {
    let cache = plugin(tools("principal"));
    assert_eq!(call(ADA, "get_page", json!({"a": 1, "b": {"c": 2, "d": 3}})).asked(&cache, &said("x")), None);
    let mut same = call(ADA, "get_page", json!({}));
    same.params = json!({"_meta": {"progressToken": "other", "traceparent": "00-1"}, "arguments": {"b": {"d": 3, "c": 2}, "a": 1}, "name": "get_page"});
    assert!(same.asked(&cache, &said("y")).is_some());
    // No arguments are none.
    assert_eq!(call(ADA, "get_all", json!({})).asked(&cache, &said("x")), None);
    let mut none = call(ADA, "get_all", json!({}));
    none.params = json!({"name": "get_all"});
    assert!(none.asked(&cache, &said("y")).is_some());
}

/// The same requests once with entries of their own and once, as the control, with shared ones: the test would see a leak.
#[test]
fn nobody_gets_what_was_answered_to_another() {
    let seen = |share: &str| {
        let cache = plugin(tools(share));
        for who in [ADA, BOB, EVE] {
            call(who, "get_mail", json!({})).asked(&cache, &said(who[0].1));
        }
        let leaked = |who: &&Who| {
            let kept = call(who, "get_mail", json!({})).asked(&cache, &said("x")).unwrap();
            kept["content"][0]["text"] != who[0].1
        };
        [ADA, BOB, EVE].iter().filter(leaked).count()
    };
    assert_eq!(seen("principal"), 0);
    assert_eq!(seen("tenant"), 1, "control: bob reads what ada was told");
    assert_eq!(seen("all"), 2, "control: bob and eve read what ada was told");
}

#[test]
fn somebody_with_other_scopes_or_claims_is_answered_anew() {
    let cache = plugin(tools("principal"));
    assert_eq!(call(ADA, "get_page", json!({})).asked(&cache, &said("x")), None);
    for who in [
        &[ADA[0], ADA[1], ("principal.scopes", "read write")][..],
        &[ADA[0], ADA[1]][..],
        &[ADA[0], ADA[1], ADA[2], ("principal.claim.role", "ops")][..],
    ] {
        assert_eq!(call(who, "get_page", json!({})).goes(&cache).0, None, "{who:?}");
    }
    assert!(call(ADA, "get_page", json!({})).goes(&cache).0.is_some());
}

#[test]
fn those_without_a_name_have_nothing_of_their_own() {
    let cache = plugin(tools("principal"));
    assert!(!call(NOBODY, "get_page", json!({})).is_kept(&cache, &said("x")));
    assert!(!call(&[], "get_page", json!({})).is_kept(&cache, &said("x")));
    let cache = plugin(tools("tenant"));
    assert!(!call(NOBODY, "get_page", json!({})).is_kept(&cache, &said("x")), "no tenant either");
    let cache = plugin(tools("all"));
    assert!(call(NOBODY, "get_page", json!({})).is_kept(&cache, &said("x")));
    assert!(call(ADA, "get_page", json!({})).goes(&cache).0.is_some());
}

#[test]
fn only_what_a_rule_names_is_kept() {
    let cache = plugin(json!({"rules": [
        {"tools": ["get_*"], "upstreams": ["docs"], "ttl_s": 60},
        {"tools": ["*_slow"], "ttl_s": 5},
    ]}));
    assert!(call(ADA, "get_page", json!({})).is_kept(&cache, &said("x")));
    assert!(call(ADA, "very_slow", json!({})).is_kept(&cache, &said("x")));
    assert!(!call(ADA, "send", json!({})).is_kept(&cache, &said("x")));
    assert!(!Asks { upstream: "mail", ..call(ADA, "get_page", json!({})) }.is_kept(&cache, &said("x")));
    assert!(!read(ADA, "get_page").is_kept(&cache, &json!({"result": {"contents": [], "ttlMs": 9000}})));
    testing::advance_ms(5000);
    assert_eq!(call(ADA, "very_slow", json!({})).goes(&cache).0, None, "the first rule that is about it counts");
}

#[test]
fn what_is_no_plain_answer_is_never_kept() {
    for answer in [
        json!({"error": {"code": -32603, "message": "no"}}),
        json!({"result": {"content": [], "isError": true}}),
        json!({"result": {"resultType": "input_required", "inputRequests": {}, "requestState": "s"}}),
        json!({"result": {"resultType": "task", "taskId": "t"}}),
        json!({"result": {"content": [], "ttlMs": 0}}),
        said(&"x".repeat(40_000)),
    ] {
        let cache = plugin(tools("all"));
        assert!(!call(ADA, "get_page", json!({})).is_kept(&cache, &answer), "{}", &answer.to_string()[..60.min(answer.to_string().len())]);
    }
}

#[test]
fn a_round_with_answers_is_a_question_of_its_own() {
    let cache = plugin(tools("all"));
    let first = call(ADA, "get_page", json!({}));
    let (_, labels) = first.goes(&cache);
    let second = Asks { round: 1, ..first.clone() };
    assert_eq!(second.goes(&cache), (None, Vec::new()));
    assert_eq!(second.comes(&cache, &labels, &[], &said("x")), None, "somebody was asked on the way");
    for beside in ["inputResponses", "requestState", "task", "other"] {
        let mut asks = call(ADA, "get_page", json!({}));
        asks.params[beside] = json!({});
        assert!(!asks.is_kept(&cache, &said("x")), "{beside}");
    }
    assert!(first.is_kept(&cache, &said("x")));
}

#[test]
fn a_label_may_say_no() {
    for (label, is_kept) in [
        (("billing.no-store", "1"), false),
        (("guard.instructions", "2"), false),
        (("bypassed.redact", "trap"), false),
        (("redact.hits", "3"), true),
    ] {
        let cache = plugin(tools("principal"));
        let asks = call(ADA, "get_page", json!({}));
        let (_, labels) = asks.goes(&cache);
        assert_eq!(asks.comes(&cache, &labels, &[label], &said("x")).is_some(), is_kept, "{label:?}");
    }
    let cache = plugin(json!({"rules": [{"tools": ["*"], "ttl_s": 60}], "unless_labels": ["redact.*"]}));
    let asks = call(ADA, "get_page", json!({}));
    let (_, labels) = asks.goes(&cache);
    assert_eq!(asks.comes(&cache, &labels, &[("redact.hits", "1")], &said("x")), None);
    assert_eq!(asks.comes(&cache, &labels, &[("guard.x", "1")], &said("x")).as_deref(), Some("60"));
}

#[test]
fn a_server_says_how_long_and_for_whom() {
    let contents = |more: Value| {
        let mut result = json!({"contents": [{"uri": "doc:a", "text": "t"}], "resultType": "complete"});
        result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"result": result})
    };
    // How long.
    for (more, without_hint_s, expected) in [
        (json!({"ttlMs": 5000, "cacheScope": "private"}), 0, Some("5")),
        (json!({"ttlMs": 500_000, "cacheScope": "private"}), 0, Some("60")),
        (json!({"ttlMs": 0, "cacheScope": "private"}), 30, None),
        (json!({"ttlMs": -1}), 30, None),
        (json!({}), 0, None),
        (json!({}), 30, Some("30")),
    ] {
        let cache = plugin(resources("principal", without_hint_s));
        let asks = read(ADA, "doc:a");
        let (_, labels) = asks.goes(&cache);
        assert_eq!(asks.comes(&cache, &labels, &[], &contents(more.clone())).as_deref(), expected, "{more}");
    }
    // What is left of it.
    let cache = plugin(resources("principal", 0));
    read(ADA, "doc:a").asked(&cache, &contents(json!({"ttlMs": 50_000, "cacheScope": "private"})));
    testing::advance_ms(20_000);
    let kept = read(ADA, "doc:a").goes(&cache).0.unwrap();
    assert_eq!((&kept["ttlMs"], &kept["cacheScope"], &kept["resultType"]), (&json!(30_000), &json!("private"), &json!("complete")));
    // For whom.
    for (scope, share, others) in [
        ("private", "all", [false, false]),
        ("private", "tenant", [false, false]),
        ("public", "principal", [false, false]),
        ("public", "tenant", [true, false]),
        ("public", "all", [true, true]),
    ] {
        let cache = plugin(resources(share, 0));
        read(ADA, "doc:a").asked(&cache, &contents(json!({"ttlMs": 50_000, "cacheScope": scope})));
        assert!(read(ADA, "doc:a").goes(&cache).0.is_some(), "{scope} {share}");
        let got = [BOB, EVE].map(|who| read(who, "doc:a").goes(&cache).0.is_some());
        assert_eq!(got, others, "{scope} {share}");
    }
    let cache = plugin(resources("all", 30));
    read(ADA, "doc:a").asked(&cache, &contents(json!({})));
    assert!(read(BOB, "doc:a").goes(&cache).0.is_none(), "who says nothing has not said that it is public");
}

fn told(cache: &Cache, method: &str, params: Value, upstream: Option<&str>) {
    let x = FakeExchange::new(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string());
    let x = upstream.into_iter().fold(x, FakeExchange::with_upstream);
    let mut head = testing::head(method);
    (head.kind, head.direction) = (Kind::Notification, Direction::ToClient);
    assert_eq!(cache.on_notification(&head, &x), NotificationVerdict::Next);
}

/// Which of a tool of `docs`, one of `mail` and three resources are still kept after this.
fn left_after(happens: impl Fn(&Cache)) -> Vec<&'static str> {
    let cache = plugin(json!({
        "rules": [{"tools": ["get_*"], "resources": ["*"], "ttl_s": 600, "without_hint_s": 600}],
        "writes": [{"tools": ["set_*", "get_*"], "upstreams": ["docs"]}],
    }));
    let mail = Asks { upstream: "mail", ..call(ADA, "get_mail", json!({})) };
    let all = [
        ("docs", call(ADA, "get_page", json!({}))),
        ("mail", mail),
        ("a", read(ADA, "file:///a")),
        ("a/b", read(ADA, "file:///a/b")),
        ("c", read(ADA, "file:///c")),
    ];
    for (name, asks) in &all {
        assert!(asks.is_kept(&cache, &json!({"result": {"contents": []}})), "{name}");
    }
    happens(&cache);
    all.iter().filter(|(_, asks)| asks.goes(&cache).0.is_some()).map(|(name, _)| *name).collect()
}

#[test]
fn what_changed_is_asked_for_anew() {
    let updated = |uri: &'static str| move |cache: &Cache| told(cache, "notifications/resources/updated", json!({"uri": uri}), None);
    assert_eq!(left_after(|_| {}), ["docs", "mail", "a", "a/b", "c"]);
    assert_eq!(left_after(updated("file:///c")), ["docs", "mail", "a", "a/b"]);
    assert_eq!(left_after(updated("file:///a/b")), ["docs", "mail", "c"], "what it is a part of may have changed with it");
    assert_eq!(left_after(updated("file:///a/")), ["docs", "mail", "a/b", "c"]);
    assert_eq!(left_after(|cache| told(cache, "notifications/resources/updated", json!({}), None)), ["docs", "mail"]);
    let deep = format!("file:///{}", "x/".repeat(40));
    assert_eq!(left_after(|cache| told(cache, "notifications/resources/updated", json!({"uri": deep}), None)), ["docs", "mail"]);
    let list = |kind: &'static str, upstream: Option<&'static str>| {
        move |cache: &Cache| told(cache, &format!("notifications/{kind}/list_changed"), json!({}), upstream)
    };
    assert_eq!(left_after(list("tools", None)), ["a", "a/b", "c"]);
    assert_eq!(left_after(list("tools", Some("mail"))), ["docs", "a", "a/b", "c"]);
    assert_eq!(left_after(list("resources", None)), ["docs", "mail"]);
    assert_eq!(left_after(list("prompts", None)).len(), 5);
}

#[test]
fn after_a_write_nothing_of_its_upstream_is_kept() {
    let write = |name: &'static str, upstream: &'static str| Asks { upstream, ..call(BOB, name, json!({})) };
    let gone = |asks: Asks<'static>| left_after(move |cache| drop(asks.asked(cache, &said("done"))));
    assert_eq!(gone(write("set_page", "docs")), ["mail"]);
    assert_eq!(gone(write("set_page", "mail")).len(), 5, "not one of these writes");
    assert_eq!(gone(write("get_other", "docs")).len(), 5, "what a rule names is no write");
    // The answer never comes, is an error, or is too long to be held.
    assert_eq!(left_after(|cache| drop(write("set_page", "docs").goes(cache))), ["mail"]);
    let failed = json!({"error": {"code": -32603, "message": "maybe it ran"}});
    assert_eq!(left_after(|cache| drop(write("set_page", "docs").comes(cache, &[], &[], &failed))), ["mail"]);
    let streamed = |cache: &Cache| {
        let asks = write("set_page", "docs");
        let head = asks.head().answered();
        assert_eq!(cache.on_chunk(&head, &FakeBatch::new().ending(), &asks.exchange(&json!({}))), ChunkVerdict::Next);
    };
    assert_eq!(left_after(streamed), ["mail"]);
}

#[test]
fn an_answer_that_was_under_way_when_something_changed_is_not_given() {
    let cache = plugin(json!({"rules": [{"tools": ["get_*"], "ttl_s": 600}], "writes": [{"tools": ["set_*"]}]}));
    let slow = call(ADA, "get_page", json!({}));
    for _ in 0..3 {
        let (kept, labels) = slow.goes(&cache);
        assert_eq!(kept, None);
        call(BOB, "set_page", json!({})).asked(&cache, &said("done"));
        // Somebody else asks meanwhile, so that there is a new token.
        call(BOB, "get_page", json!({})).asked(&cache, &said("new"));
        slow.comes(&cache, &labels, &[], &said("old"));
    }
    assert_eq!(slow.asked(&cache, &said("new")), None);
    assert_eq!(slow.asked(&cache, &said("x")).unwrap()["content"][0]["text"], "new");
}

#[test]
fn a_caller_takes_room_from_nobody_but_itself() {
    let cache = plugin(json!({"rules": [{"tools": ["get_*"], "ttl_s": 600}], "entries_max": 4}));
    assert!(call(BOB, "get_page", json!({"of": "bob"})).is_kept(&cache, &said("bob")));
    for n in 0..200 {
        call(ADA, "get_page", json!({"n": n})).asked(&cache, &said("x"));
    }
    let left = (0..200).filter(|n| call(ADA, "get_page", json!({"n": n})).goes(&cache).0.is_some()).count();
    assert_eq!(left, 4);
    assert!(call(BOB, "get_page", json!({"of": "bob"})).goes(&cache).0.is_some());
}

#[test]
fn without_a_store_everything_is_asked_for() {
    let cache = plugin(json!({"rules": [{"tools": ["get_*"], "ttl_s": 600}], "writes": [{"tools": ["set_*"]}]}));
    let asks = call(ADA, "get_page", json!({}));
    testing::break_kv("no route");
    assert!(!asks.is_kept(&cache, &said("x")));
    assert!(testing::log_lines().is_empty());
    call(ADA, "set_page", json!({})).asked(&cache, &said("x"));
    assert!(testing::log_lines().iter().all(|line| line.message.starts_with("a change could not be noted")));
    assert_eq!(testing::log_lines().len(), 2);
    testing::heal_kv();
    assert!(asks.is_kept(&cache, &said("x")));
    testing::break_kv("no route");
    assert_eq!(asks.goes(&cache), (None, Vec::new()));
}

#[test]
fn a_rule_that_allows_less_counts_at_once() {
    let cache = plugin(tools("principal"));
    let asks = call(ADA, "get_page", json!({}));
    asks.asked(&cache, &said("x"));
    testing::advance_ms(10_000);
    let shorter: Cache = testing::plugin(&json!({"rules": [{"tools": ["get_*"], "ttl_s": 10}]}).to_string()).unwrap();
    assert!(asks.goes(&cache).0.is_some() && asks.goes(&shorter).0.is_none());
}

#[test]
fn the_mark_can_be_left_out() {
    let cache = plugin(json!({"rules": [{"tools": ["get_*"], "ttl_s": 60}], "mark": false}));
    let asks = call(ADA, "get_page", json!({}));
    asks.asked(&cache, &said("x"));
    let kept = asks.goes(&cache).0.unwrap();
    assert!(kept.get("_meta").is_none(), "{kept}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (rules, says) in [
        (json!([{"ttl_s": 1}]), "rule 1 names neither"),
        (json!([{"tools": ["a"], "ttl_s": 1}, {"tools": ["a"], "ttl_s": 9, "without_hint_s": 1}]), "rule 2 has without_hint_s and no"),
        (json!([{"resources": ["a"], "ttl_s": 1, "without_hint_s": 2}]), "rule 1 has a without_hint_s beyond"),
    ] {
        let error = testing::plugin::<Cache>(&json!({"rules": rules}).to_string()).err().unwrap();
        assert!(error.starts_with(says), "{error}");
    }
}

prop_compose! {
    /// Parts of a request, each from few that run into each other when they are put together without care.
    fn parts()(at in proptest::collection::vec(0..4usize, 6)) -> [&'static str; 6] {
        let few = ["a", "ab", "b", "a\u{0}b"];
        [few[at[0]], few[at[1]], few[at[2]], few[at[3]], few[at[4]], few[at[5]]]
    }
}

fn made<'a>(parts: &'a [&'a str; 6], who: Who<'a>) -> Asks<'a> {
    let [_, _, upstream, name, key, value] = *parts;
    let params = json!({"name": name, "arguments": {key: value}});
    Asks { who, upstream, method: "tools/call", name, params, round: 0 }
}

proptest! {
    /// Two requests share an entry only if nothing differs between them.
    #[test]
    fn whatever_differs_is_another_entry(one in parts(), another in parts(), differs in 0..7usize) {
        // In one part, or in many.
        let mut other = another;
        if let Some(part) = one.get(differs) {
            let part = if *part == another[differs] { one[differs] } else { another[differs] };
            other = one;
            other[differs] = part;
        }
        let cache = plugin(json!({"rules": [{"tools": ["*"], "ttl_s": 60}], "entries_max": 65536}));
        let who = |parts: &[&'static str; 6]| [("principal.id", parts[0]), ("principal.claim.role", parts[1])];
        let (who_one, who_other) = (who(&one), who(&other));
        prop_assert_eq!(made(&one, &who_one).asked(&cache, &said("one")), None);
        let is_same = one == other;
        prop_assert_eq!(made(&other, &who_other).goes(&cache).0.is_some(), is_same);
    }

    /// Whatever a server answers, what is given again is JSON and no panic.
    #[test]
    fn any_result_is_given_as_it_was_or_not_at_all(text in ".{0,40}", number in any::<i64>(), ttl in any::<i64>()) {
        let cache = plugin(resources("principal", 10));
        let result = json!({"contents": [{"text": text, "n": number}], "ttlMs": ttl, "_meta": {"x": text}});
        let asks = read(ADA, "doc:a");
        prop_assert_eq!(asks.asked(&cache, &json!({"result": result})), None);
        if let Some(kept) = asks.goes(&cache).0 {
            prop_assert_eq!(&kept["contents"], &result["contents"]);
            prop_assert_eq!(&kept["_meta"]["x"], &result["_meta"]["x"]);
        }
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    testing::plugin::<Cache>(&config).map(|_| ()).unwrap();
}
