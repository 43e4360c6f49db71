//! Signatures that AWS has published.
//!
//! `SUITE` is from the Signature Version 4 test suite (AWS General Reference, "Signature Version 4 test suite"; today
//! `tests/aws-signing-test-suite/v4` of awslabs/aws-c-auth), by the names of its cases. Its paths are written before they are encoded.
//! `S3` is from the Amazon S3 API Reference, "Examples: signature calculations in AWS Signature Version 4".

use serde_json::{Value, json};
use sluice_plugin_sigv4::Sigv4;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeDeparture, FakeExchange};

const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const S3_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// 2015-08-30T12:36:00Z
const AT: u64 = 1_440_938_160;
/// 2013-05-24T00:00:00Z
const S3_AT: u64 = 1_369_353_600;

/// Case, method, path, query, signature.
const SUITE: &[(&str, &str, &str, &str, &str)] = &[
    ("get-vanilla", "GET", "/", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("get-vanilla-empty-query-key", "GET", "/", "Param1=value1", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    (
        "get-vanilla-query-order-key-case",
        "GET",
        "/",
        "Param2=value2&Param1=value1",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    ("get-utf8", "GET", "/ሴ", "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    ("get-space-normalized", "GET", "/example space/", "", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    ("get-slash-normalized", "GET", "//", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("get-slash-dot-slash-normalized", "GET", "/./", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("get-slash-pointless-dot-normalized", "GET", "/./example", "", "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
    ("get-slashes-normalized", "GET", "//example//", "", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    ("get-relative-normalized", "GET", "/example/..", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("post-vanilla", "POST", "/", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("post-vanilla-query", "POST", "/", "Param1=value1", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
];

const S3: &[(&str, &str, &str)] = &[
    ("GET Bucket Lifecycle", "lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ("Get Bucket (List Objects)", "max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
];

fn plugin(more: &Value) -> Sigv4 {
    let mut signer = json!({
        "upstreams": ["aws"], "service": "service", "region": "us-east-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "key",
    });
    for (name, value) in more.as_object().unwrap() {
        signer[name] = value.clone();
    }
    testing::plugin(&json!({"signers": [signer]}).to_string()).unwrap()
}

fn at(unix_seconds: u64, key: &str) {
    testing::reset();
    testing::set_clock_ms(unix_seconds * 1000);
    testing::set_secret("key", key.as_bytes());
}

fn leaves(plugin: &Sigv4, departure: &FakeDeparture) -> Vec<(String, String)> {
    let verdict = plugin.on_outbound(departure, &FakeExchange::default());
    assert!(matches!(verdict, OutboundVerdict::Next(_)), "{verdict:?}");
    testing::sent(&verdict)
}

fn header<'a>(sent: &'a [(String, String)], name: &str) -> &'a str {
    sent.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

#[test]
fn the_suite_of_aws_is_signed_as_aws_signs_it() {
    for (case, method, path, query, signature) in SUITE {
        at(AT, KEY);
        let departure = FakeDeparture::new("aws", &format!("https://example.amazonaws.com{path}")).with_method(method);
        let sent = leaves(&plugin(&json!({"query": query})), &departure);
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        assert_eq!(header(&sent, "authorization"), expected, "{case}");
        assert_eq!((header(&sent, "x-amz-date"), sent.len()), ("20150830T123600Z", 2), "{case}");
    }
}

/// `post-x-www-form-urlencoded` of the General Reference. Newer copies of the suite sign `Content-Length`, too, which belongs to the connection.
#[test]
fn a_body_and_its_type_are_signed() {
    at(AT, KEY);
    let departure = FakeDeparture::new("aws", "https://example.amazonaws.com/")
        .with_header("content-type", "application/x-www-form-urlencoded")
        .with_header("mcp-method", "tools/call")
        .with_body(b"Param1=value1");
    let sent = leaves(&plugin(&json!({})), &departure);
    let signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
    assert!(
        header(&sent, "authorization").ends_with(&format!("SignedHeaders=content-type;host;x-amz-date, Signature={signature}")),
        "{sent:?}"
    );
    // The control: another body, another signature.
    let other = leaves(&plugin(&json!({})), &departure.with_body(b"Param1=value2"));
    assert_ne!(header(&sent, "authorization"), header(&other, "authorization"));
}

/// `post-sts-header-before`: the token is part of what is signed.
#[test]
fn the_token_of_credentials_that_end_is_signed_and_stays_a_secret() {
    let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
    at(AT, KEY);
    testing::set_secret("token", token.as_bytes());
    testing::grant_reveal("token");
    let departure = FakeDeparture::new("aws", "https://example.amazonaws.com/");
    let verdict = plugin(&json!({"session_token": "token"})).on_outbound(&departure, &FakeExchange::default());
    let sent = testing::sent(&verdict);
    let signature = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead";
    let expected = format!("SignedHeaders=host;x-amz-date;x-amz-security-token, Signature={signature}");
    assert!(header(&sent, "authorization").ends_with(&expected), "{sent:?}");
    assert_eq!(header(&sent, "x-amz-security-token"), token);
    let shown = format!("{verdict:?}");
    let OutboundVerdict::Next(headers) = verdict else { unreachable!() };
    let by_handle =
        headers.0.iter().any(|(name, value)| name == "x-amz-security-token" && matches!(value, sluice_sdk::outbound::Value::Secret(..)));
    assert!(by_handle, "the host withholds what it knows as a secret: {shown}");
}

#[test]
fn s3_signs_the_path_as_it_is_and_says_what_the_body_is() {
    for (case, query, signature) in S3 {
        at(S3_AT, S3_KEY);
        let plugin = plugin(&json!({"service": "s3", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "query": query}));
        let departure = FakeDeparture::new("aws", "https://examplebucket.s3.amazonaws.com/").with_method("GET");
        let sent = leaves(&plugin, &departure);
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
        );
        assert_eq!(header(&sent, "authorization"), expected, "{case}");
        assert_eq!(header(&sent, "x-amz-content-sha256"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
