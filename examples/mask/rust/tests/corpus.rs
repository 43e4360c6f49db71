//! The filter in the SDK's fake host, on the corpus that all languages share.

use serde_json::{Value, json};
use sluice_example_mask::Mask;
use sluice_sdk::{
    prelude::*,
    testing::{self, FakeExchange},
};

fn mask(config: &Value) -> Mask {
    let mut all = json!({"detectors": ["email", "card", "token", "private-key"], "hooks": ["on-request", "on-response"], "mark": "masked"});
    for (key, value) in config.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    testing::plugin(&all.to_string()).unwrap()
}

#[test]
fn requests_of_the_corpus() {
    let corpus: Vec<Value> = serde_json::from_str(include_str!("../../corpus.json")).unwrap();
    assert!(corpus.len() > 20);
    for line in &corpus {
        let arguments = line["raw"].as_str().map_or_else(|| line["arguments"].to_string(), str::to_owned);
        let x = FakeExchange::new(&format!(r#"{{"method":"tools/call","params":{{"name":"t","arguments":{arguments}}}}}"#));
        match mask(&line["config"]).on_request(&testing::head("tools/call").name("t"), &x) {
            Verdict::Reject(no) => assert_eq!(line["refused"], no.code, "{line}"),
            verdict => {
                assert_eq!(verdict, Verdict::Next, "{line}");
                assert_eq!(x.edited().unwrap()["params"]["arguments"], line["becomes"], "{line}");
                assert_eq!(x.set_attrs().get("hits").map(String::as_str), line["hits"].as_str(), "{line}");
            }
        }
    }
}

#[test]
fn answers_are_masked_too() {
    let x = FakeExchange::new(r#"{"result":{"content":[{"type":"text","text":"ada@example.com"}]}}"#);
    assert_eq!(mask(&Value::Null).on_response(&testing::head("tools/call").answered(), &x), Verdict::Next);
    assert_eq!(x.edited().unwrap()["result"]["content"][0]["text"], "[masked:email]");
}

#[test]
fn what_cannot_be_examined_does_not_pass() {
    let x = FakeExchange::new(&json!({"params": {"arguments": {"message": "a@b.de ".repeat(10_001)}}}).to_string());
    let Verdict::Reject(no) = mask(&Value::Null).on_request(&testing::head("tools/call"), &x) else { panic!("it passed") };
    assert_eq!(no.code, 4033);
}
