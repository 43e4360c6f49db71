//! 2026-07-28 over HTTP: one endpoint, no state.

use crate::support::{Endpoint, META, Reply, Rig, modern_body, modern_headers, request, start};
use sluice_wire::revision::Era;

#[tokio::test]
async fn s001_a_modern_call_is_answered_without_a_session() {
    let endpoint = start().await;
    let reply = endpoint.modern("\"a\\u0041\"", "tools/call", r#""name":"echo","arguments":{"n":9007199254740993}"#).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.header("mcp-session-id"), None);
    assert_eq!(
        reply.text(),
        r#"{ "id" : "a\u0041","jsonrpc":"2.0","result":{"z":1.10,"content":[],"structuredContent":{"got":{"n":9007199254740993}},"resultType":"complete"}}"#
    );
}

#[tokio::test]
async fn s002_eras_may_alternate_on_one_connection() {
    let endpoint = start().await;
    let mut connection = endpoint.connect().await;
    let params = r#""name":"echo""#;
    for id in ["1", "2"] {
        let body = modern_body(id, "tools/call", params);
        let reply = connection.ask(&request("POST", "/mcp", &modern_headers("tools/call", params), body.as_bytes())).await;
        assert_eq!((reply.status, reply.json()["id"].to_string().as_str()), (200, id));
        let reply = connection.ask(&request("POST", "/mcp", &[], crate::support::initialize("2025-06-18").as_bytes())).await;
        assert_eq!(reply.json()["result"]["protocolVersion"], "2025-06-18");
    }
}

#[tokio::test]
async fn s003_a_version_that_is_not_served_names_those_that_are() {
    let endpoint = start().await;
    let discover = endpoint.modern("1", "server/discover", "").await.json();
    for version in ["1999-01-01", "v999.0.0", "2025-11-25"] {
        let body = modern_body("301", "tools/list", "").replace("2026-07-28", version);
        let reply = endpoint.post(&[("mcp-protocol-version", version), ("mcp-method", "tools/list")], &body).await;
        let json = reply.is_error(400, -32022);
        assert_eq!((&json["id"], &json["error"]["data"]["requested"]), (&301.into(), &version.into()));
        assert_eq!(json["error"]["data"]["supported"], discover["result"]["supportedVersions"]);
    }
    assert_eq!(endpoint.fake.called().len(), 0);
}

#[tokio::test]
async fn s004_meta_without_version_or_capabilities_is_malformed() {
    let endpoint = start().await;
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    for params in [
        "{}".to_owned(),
        format!(r#"{{"_meta":{{{version}}}}}"#),
        format!(r#"{{"_meta":{{{capabilities}}}}}"#),
        format!(r#"{{"_meta":{{{version},"io.modelcontextprotocol/clientCapabilities":null}}}}"#),
        r#"{"_meta":[]}"#.to_owned(),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":101,"method":"server/discover","params":{params}}}"#);
        let reply = endpoint.post(&modern_headers("server/discover", ""), &body).await;
        assert_eq!(reply.is_error(400, -32602)["id"], 101, "{params}");
    }
}

#[tokio::test]
async fn s005_client_info_is_optional_and_discover_tells_what_is_carried() {
    let endpoint = start().await;
    let body =
        modern_body("105", "server/discover", "").replace(r#","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}"#, "");
    let reply = endpoint.post(&modern_headers("server/discover", ""), &body).await;
    assert_eq!(reply.status, 200);
    let result = &reply.json()["result"];
    assert_eq!(result["supportedVersions"], serde_json::json!(["2026-07-28"]));
    assert_eq!(result["capabilities"]["tools"], serde_json::json!({}));
    assert_eq!((&result["resultType"], &result["ttlMs"], &result["cacheScope"]), (&"complete".into(), &0.into(), &"private".into()));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "fake");
    assert_eq!(result["instructions"], "be \"nice\"");
}

#[tokio::test]
async fn s006_a_modern_only_endpoint_says_what_it_speaks() {
    let endpoint = Rig::default().settings(|settings| settings.eras.legacy = false).start().await;
    let reply = endpoint.post(&[], &crate::support::initialize("2025-11-25")).await;
    let json = reply.is_error(400, -32022);
    assert_eq!(json["error"]["data"]["supported"], serde_json::json!(["2026-07-28"]));
    endpoint.is_well().await;
}

#[tokio::test]
async fn s029_get_and_delete_are_no_methods_of_a_modern_only_endpoint() {
    let endpoint = Rig::default().settings(|settings| settings.eras.legacy = false).start().await;
    for method in ["GET", "DELETE"] {
        let reply = endpoint.connect().await.ask(&request(method, "/mcp", &[("accept", "text/event-stream")], b"")).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    }
    endpoint.is_well().await;
}

/// A call of `echo` with its right headers, but for one: another value, or none when that is empty.
async fn echo_with(endpoint: &Endpoint, name: &'static str, value: &'static str) -> Reply {
    let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")];
    headers.retain(|(known, _)| *known != name);
    headers.extend((!value.is_empty()).then_some((name, value)));
    endpoint.post(&headers, &modern_body("7", "tools/call", r#""name":"echo""#)).await
}

/// Each of these is a mismatch, told under the request's id, and reaches nobody.
async fn mismatch(endpoint: &Endpoint, cases: &[(&'static str, &'static str)]) {
    for (name, value) in cases {
        assert_eq!(echo_with(endpoint, name, value).await.is_error(400, -32020)["id"], 7, "{name}: {value}");
    }
    assert_eq!(endpoint.fake.called(), Vec::<String>::new(), "the upstream is untouched");
}

#[tokio::test]
async fn s015_a_header_that_is_missing_is_a_mismatch() {
    mismatch(&start().await, &[("mcp-protocol-version", ""), ("mcp-method", ""), ("mcp-name", "")]).await;
}

#[tokio::test]
async fn s016_a_name_must_be_that_of_the_body() {
    let cases = ["foo", "Echo", "=?base64?!!!?=", "=?base64?ZWNobw?=", "=?BASE64?ZWNobw==?="].map(|value| ("mcp-name", value));
    let endpoint = start().await;
    mismatch(&endpoint, &cases).await;
    for value in ["  echo  ", "=?base64?ZWNobw==?="] {
        assert!(echo_with(&endpoint, "mcp-name", value).await.json()["result"].is_object(), "{value}");
    }
}

#[tokio::test]
async fn s017_values_are_case_sensitive_and_names_are_not() {
    let endpoint = start().await;
    mismatch(&endpoint, &[("mcp-method", "TOOLS/CALL"), ("mcp-method", "tools/list")]).await;
    let headers = [("MCP-PROTOCOL-VERSION", "2026-07-28"), ("Mcp-METHOD", "tools/call"), ("mCp-nAmE", "echo")];
    let reply = endpoint.post(&headers, &modern_body("7", "tools/call", r#""name":"echo""#)).await;
    assert!(reply.json()["result"].is_object(), "{}", reply.text());
}

#[tokio::test]
async fn a_version_header_must_be_that_of_the_body_and_no_header_is_there_twice() {
    let endpoint = start().await;
    mismatch(&endpoint, &["2025-11-25", "v999.0.0"].map(|value| ("mcp-protocol-version", value))).await;
    let right = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")];
    for header in right {
        let reply = endpoint.post(&[&right[..], &[header]].concat(), &modern_body("7", "tools/call", r#""name":"echo""#)).await;
        assert_eq!(reply.is_error(400, -32020)["id"], 7, "{header:?}");
    }
    assert_eq!(endpoint.fake.called(), Vec::<String>::new(), "the upstream is untouched");
}

#[tokio::test]
async fn a_mismatch_is_told_before_an_unknown_version_and_meta_before_both() {
    let endpoint = start().await;
    let body = modern_body("302", "tools/list", "").replace("2026-07-28", "v999.0.0");
    let reply = endpoint.post(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")], &body).await;
    assert_eq!(reply.is_error(400, -32020)["id"], 302);
}

#[tokio::test]
async fn s018_a_name_in_base64_is_decoded_before_it_is_compared_and_routed() {
    let endpoint = start().await;
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "=?base64?aMOpbGxv?=")];
    let reply = endpoint.post(&headers, &modern_body("7", "tools/call", r#""name":"héllo""#)).await;
    assert!(reply.json()["result"].is_object(), "{}", reply.text());
    assert_eq!(endpoint.fake.called(), ["tools/call héllo"]);
}

/// A call of `mirror` with these arguments and these headers more.
async fn mirrored(endpoint: &Endpoint, arguments: &str, more: &[(&str, &str)]) -> Reply {
    let params = format!(r#""name":"mirror","arguments":{arguments}"#);
    let headers = [&modern_headers("tools/call", &params)[..], more].concat();
    endpoint.post(&headers, &modern_body("7", "tools/call", &params)).await
}

/// Whether a string argument may be mirrored so.
async fn agrees(endpoint: &Endpoint, value: &str) -> bool {
    let reply = mirrored(endpoint, r#"{"a":"Hello"}"#, &[("mcp-param-a", value)]).await;
    if reply.status == 400 {
        assert_eq!(reply.is_error(400, -32020)["id"], 7, "{value}");
    }
    reply.status == 200
}

#[tokio::test]
async fn s019_a_value_that_is_badly_encoded_is_a_mismatch() {
    let endpoint = start().await;
    for bad in ["=?base64?!!!?=", "=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?=", "hello"] {
        assert!(!agrees(&endpoint, bad).await, "{bad}");
    }
    assert_eq!(endpoint.fake.called(), Vec::<String>::new());
    for good in ["Hello", "=?base64?SGVsbG8=?="] {
        assert!(agrees(&endpoint, good).await, "{good}");
    }
    mirrored(&endpoint, r#"{"a":"Hello"}"#, &[("mcp-param-a", "Hello"), ("mcp-param-a", "Hello")]).await.is_error(400, -32020);
}

#[tokio::test]
async fn s020_integers_are_compared_as_numbers() {
    let endpoint = start().await;
    for (argument, header, is_fine) in
        [("42", "42", true), ("42", "42.0", true), ("42.0", "42", true), ("42", "43", false), ("42", "4.2", false), ("42", "\"42\"", false)]
    {
        let reply = mirrored(&endpoint, &format!(r#"{{"n":{argument}}}"#), &[("mcp-param-n", header)]).await;
        assert_eq!(reply.status == 200, is_fine, "{argument} {header} {}", reply.text());
    }
}

#[tokio::test]
async fn s021_a_mirrored_argument_without_its_header_is_a_mismatch() {
    let endpoint = start().await;
    assert_eq!(mirrored(&endpoint, r#"{"a":"Hello"}"#, &[]).await.is_error(400, -32020)["id"], 7);
    assert_eq!(endpoint.fake.called(), Vec::<String>::new());
    for arguments in ["{}", r#"{"a":null}"#] {
        assert_eq!(mirrored(&endpoint, arguments, &[]).await.status, 200, "{arguments}");
        mirrored(&endpoint, arguments, &[("mcp-param-a", "Hello")]).await.is_error(400, -32020);
    }
}

#[tokio::test]
async fn s023_a_header_that_mirrors_nothing_known_is_passed_on() {
    let endpoint = start().await;
    let reply = mirrored(&endpoint, r#"{"a":"Hello"}"#, &[("mcp-param-a", "Hello"), ("mcp-param-foo", "x")]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(*endpoint.fake.unknown_params.lock().unwrap(), [("foo".to_owned(), "x".to_owned())]);
}

/// None of these methods is there: 404 with the request's id, and nobody upstream hears of it.
async fn not_found(methods: &[&str]) {
    let endpoint = start().await;
    for method in methods {
        // With a name for those whose name is mirrored.
        let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", *method), ("mcp-name", "x")];
        let reply = endpoint.post(&headers, &modern_body("\"601\"", method, r#""taskId":"x""#)).await;
        assert_eq!(reply.is_error(404, -32601)["id"], "601", "{method}");
    }
    assert_eq!(endpoint.fake.called(), Vec::<String>::new());
}

#[tokio::test]
async fn s027_an_unknown_method_is_not_found() {
    not_found(&["unknown/method", "Tools/call", "notifications/cancelled", "sampling/createMessage"]).await;
}

#[tokio::test]
async fn s028_methods_of_the_legacy_era_are_not_found_in_modern_form() {
    not_found(&["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/result"]).await;
}

const LISTING: [(&str, &str); 2] = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];

#[tokio::test]
async fn s030_an_array_is_no_modern_message() {
    let endpoint = start().await;
    for body in [format!("[{}]", modern_body("1", "tools/list", "")), "[]".into()] {
        endpoint.post(&LISTING, &body).await.is_error(400, -32600);
    }
}

#[tokio::test]
async fn s033_a_notification_is_accepted_without_a_body() {
    let endpoint = start().await;
    let notification = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":1,{META}}}}}"#);
    for headers in [&LISTING[..], &LISTING[..1], &[]] {
        let reply = endpoint.post(headers, &notification).await;
        assert_eq!((reply.status, reply.body.len()), (202, 0));
    }
}

#[tokio::test]
async fn s034_a_response_is_no_message_of_a_modern_client() {
    let endpoint = start().await;
    for answer in [r#""result":{}"#, r#""error":{"code":1,"message":"x"}"#] {
        endpoint.post(&LISTING, &format!(r#"{{"jsonrpc":"2.0","id":1,{answer}}}"#)).await.is_error(400, -32600);
    }
}

#[tokio::test]
async fn s031_legacy_headers_mean_nothing_on_a_modern_request() {
    let endpoint = start().await;
    let params = r#""name":"echo""#;
    let mut headers = modern_headers("tools/call", params);
    headers.extend([("mcp-session-id", "00000000000000000000000000000000"), ("last-event-id", "5")]);
    let reply = endpoint.post(&headers, &modern_body("1", "tools/call", params)).await;
    assert_eq!((reply.status, reply.header("mcp-session-id")), (200, None));
}

#[tokio::test]
async fn s032_an_unknown_tool_is_an_answer_and_not_an_http_error() {
    let endpoint = start().await;
    let reply = endpoint.modern("1", "tools/call", r#""name":"nothing""#).await;
    reply.is_error(200, -32602);
}

#[tokio::test]
async fn one_id_may_be_in_flight_from_many_clients() {
    let endpoint = start().await;
    let replies = futures_util::future::join_all((0..64).map(|client| {
        let endpoint = &endpoint;
        async move {
            let params = format!(r#""name":"echo","arguments":{{"canary":{client}}}"#);
            for _ in 0..10 {
                let reply = endpoint.modern("0", "tools/call", &params).await.json();
                assert_eq!((&reply["id"], &reply["result"]["structuredContent"]["got"]["canary"]), (&0.into(), &client.into()));
            }
        }
    }));
    replies.await;
}

#[tokio::test]
async fn s044_a_client_that_leaves_cancels() {
    let endpoint = start().await;
    for tool in ["slow", "held"] {
        let params = format!(r#""name":"{tool}""#);
        let mut connection = endpoint.connect().await;
        connection
            .send(&request("POST", "/mcp", &modern_headers("tools/call", &params), modern_body("1", "tools/call", &params).as_bytes()))
            .await;
        crate::support::eventually("the call arrives", || endpoint.fake.called().contains(&format!("tools/call {tool}"))).await;
        drop(connection);
        crate::support::eventually("the call is cancelled", || endpoint.fake.cancelled.lock().unwrap().contains(&tool.to_owned())).await;
    }
    endpoint.is_well().await;
}

#[tokio::test]
async fn s045_an_answer_becomes_a_stream_at_its_first_notification() {
    for era in [Era::Modern, Era::Legacy] {
        let endpoint = Rig::era(era).start().await;
        let params = r#""name":"progress""#;
        let body = modern_body("5", "tools/call", params).replace(r#""_meta":{"#, r#""_meta":{"progressToken":"p-1","#);
        let reply = endpoint.post(&modern_headers("tools/call", params), &body).await;
        assert_eq!(
            (reply.status, reply.header("content-type"), reply.header("x-accel-buffering")),
            (200, Some("text/event-stream"), Some("no"))
        );
        let events = reply.events();
        let progress: Vec<_> =
            events[..3].iter().map(|event| (event["params"]["progressToken"].clone(), event["params"]["progress"].clone())).collect();
        assert_eq!(progress, [("p-1".into(), 1.into()), ("p-1".into(), 2.into()), ("p-1".into(), 3.into())]);
        assert_eq!((events.len(), &events[3]["id"], &events[3]["result"]["resultType"]), (4, &5.into(), &"complete".into()));
    }
}

#[tokio::test]
async fn a_legacy_upstream_answers_in_modern_form() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let result = endpoint.modern("1", "tools/call", r#""name":"echo""#).await.json();
    assert_eq!(result["result"]["resultType"], "complete");
    let list = endpoint.modern("1", "tools/list", "").await.json();
    assert_eq!((&list["result"]["ttlMs"], &list["result"]["cacheScope"]), (&0.into(), &"private".into()));
}

#[tokio::test]
async fn a_missing_resource_is_named_in_the_error() {
    let endpoint = start().await;
    let reply = endpoint.modern("1", "resources/read", r#""uri":"test://missing""#).await;
    assert_eq!(reply.status, 200);
    assert_eq!((&reply.json()["error"]["code"], &reply.json()["error"]["data"]["uri"]), (&(-32602).into(), &"test://missing".into()));
}

#[tokio::test]
async fn h10_http_1_0_clients_and_kept_connections_work() {
    let endpoint = start().await;
    let params = r#""name":"echo""#;
    let bytes = request("POST", "/mcp", &modern_headers("tools/call", params), modern_body("1", "tools/call", params).as_bytes());
    let old = String::from_utf8(bytes.clone()).expect("ASCII").replacen("HTTP/1.1", "HTTP/1.0", 1);
    let reply = endpoint.connect().await.ask(old.as_bytes()).await;
    assert_eq!(reply.status, 200);
    let mut connection = endpoint.connect().await;
    for _ in 0..50 {
        assert_eq!(connection.ask(&bytes).await.status, 200);
    }
    // Several in one write: answered one after the other.
    connection.send(&bytes.repeat(5)).await;
    for _ in 0..5 {
        assert_eq!(connection.reply().await.map(|reply| reply.status), Some(200));
    }
}

const ASKABLE: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"roots":{}}}"#;

/// One round of a call of the tool that asks, with this besides its name.
async fn ask_round(endpoint: &Endpoint, more: &str) -> Reply {
    let body = format!(r#"{{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{{"name":"ask",{more}{ASKABLE}}}}}"#);
    endpoint.post(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "ask")], &body).await
}

fn round_of(state: &serde_json::Value, inputs: &str) -> String {
    format!(r#""arguments":{{"n":1}},"requestState":{state},"inputResponses":{inputs},"#)
}

#[tokio::test]
async fn what_a_legacy_server_asks_is_a_round_of_a_modern_call() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let first = ask_round(&endpoint, r#""arguments":{"n":1},"#).await.json()["result"].clone();
    assert_eq!(
        (&first["resultType"], &first["inputRequests"]["1-1"]),
        (&"input_required".into(), &serde_json::json!({"method":"elicitation/create","params":{"n":1.0}}))
    );

    // No answer, or one in no form it could have: the same question again.
    let again =
        ask_round(&endpoint, &round_of(&first["requestState"], r#"{"1-1":{"action":"maybe"},"x":{}}"#)).await.json()["result"].clone();
    assert_eq!(again["inputRequests"], first["inputRequests"]);
    let lost = ask_round(&endpoint, &round_of(&first["requestState"], r#"{"1-1":{"action":"accept"}}"#)).await.is_error(200, -32602);
    assert_eq!(lost["error"]["data"]["reason"], "round_used", "a state is used once");

    let second =
        ask_round(&endpoint, &round_of(&again["requestState"], r#"{"1-1":{"action":"accept","x":1.0}}"#)).await.json()["result"].clone();
    assert_eq!(second["inputRequests"]["3-1"]["method"], "roots/list", "{second}");
    let other =
        ask_round(&endpoint, &format!(r#""arguments":{{"n":2}},"requestState":{},"#, second["requestState"])).await.is_error(200, -32602);
    assert_eq!(other["error"]["data"]["reason"], "round_other", "another request is another call");

    let last = ask_round(&endpoint, &round_of(&second["requestState"], r#"{"3-1":{"roots":[]}}"#)).await.json()["result"].clone();
    assert_eq!((&last["resultType"], &last["answers"][0]["result"]["x"]), (&"complete".into(), &1.0.into()));
    assert_eq!(last["answers"][1]["result"], serde_json::json!({"roots":[]}));
    assert_eq!(endpoint.fake.calls.lock().unwrap().iter().filter(|call| call.contains("ask")).count(), 1, "it ran once");

    let foreign = ask_round(&endpoint, r#""arguments":{"n":1},"requestState":"theirs","#).await.is_error(200, -32602);
    assert_eq!(foreign["error"]["data"]["reason"], "round_unknown", "a legacy server has no states, and nothing is begun anew");
}

#[tokio::test]
async fn a_client_that_declares_nothing_is_asked_nothing() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let answer = endpoint.modern("1", "tools/call", r#""name":"ask""#).await.json();
    assert_eq!(answer["result"]["answers"], serde_json::json!([null, null]));
}
