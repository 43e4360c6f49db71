//! 2026-07-28 over HTTP: one endpoint, no state.

use crate::support::{Endpoint, META, Reply, Rig, modern_body, modern_headers, request, start};
use sluice_wire::revision::Era;

#[tokio::test]
async fn c01_a_modern_call_is_answered_without_a_session() {
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
async fn c02_eras_may_alternate_on_one_connection() {
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
async fn c03_a_version_that_is_not_served_names_those_that_are() {
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
async fn c04_meta_without_version_or_capabilities_is_malformed() {
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
async fn c05_client_info_is_optional_and_discover_tells_what_is_carried() {
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
async fn c06_a_modern_only_endpoint_says_what_it_speaks() {
    let endpoint = Rig::default().settings(|settings| settings.eras.legacy = false).start().await;
    let reply = endpoint.post(&[], &crate::support::initialize("2025-11-25")).await;
    let json = reply.is_error(400, -32022);
    assert_eq!(json["error"]["data"]["supported"], serde_json::json!(["2026-07-28"]));
    for method in ["GET", "DELETE"] {
        let reply = endpoint.connect().await.ask(&request(method, "/mcp", &[("accept", "text/event-stream")], b"")).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "c29");
    }
    endpoint.is_well().await;
}

#[tokio::test]
async fn c15_c16_c17_headers_must_agree_with_the_body() {
    let endpoint = start().await;
    let params = r#""name":"echo""#;
    let body = modern_body("7", "tools/call", params);
    let right = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")];
    let with = |name: &'static str, value: &'static str| {
        let mut headers = right.to_vec();
        headers.retain(|(known, _)| *known != name);
        headers.extend((!value.is_empty()).then_some((name, value)));
        headers
    };
    let mut twice: Vec<_> = right.iter().map(|header| [right.to_vec(), vec![*header]].concat()).collect();
    let mut wrong = vec![
        with("mcp-protocol-version", ""),
        with("mcp-method", ""),
        with("mcp-name", ""),
        with("mcp-protocol-version", "2025-11-25"),
        with("mcp-protocol-version", "v999.0.0"),
        with("mcp-method", "tools/list"),
        with("mcp-method", "TOOLS/CALL"),
        with("mcp-name", "foo"),
        with("mcp-name", "Echo"),
        with("mcp-name", "=?base64?!!!?="),
        with("mcp-name", "=?base64?ZWNobw?="),
    ];
    wrong.append(&mut twice);
    for headers in wrong {
        let reply = endpoint.post(&headers, &body).await;
        assert_eq!(reply.is_error(400, -32020)["id"], 7, "{headers:?}");
    }
    assert_eq!(endpoint.fake.called(), Vec::<String>::new(), "the upstream is untouched");
    for headers in [
        with("mcp-name", "  echo  "),
        with("mcp-name", "=?base64?ZWNobw==?="),
        vec![("MCP-PROTOCOL-VERSION", "2026-07-28"), ("Mcp-METHOD", "tools/call"), ("mCp-nAmE", "echo")],
    ] {
        let reply = endpoint.post(&headers, &body).await;
        assert!(reply.json()["result"].is_object(), "{headers:?} {}", reply.text());
    }
}

#[tokio::test]
async fn a_mismatch_is_told_before_an_unknown_version_and_meta_before_both() {
    let endpoint = start().await;
    let body = modern_body("302", "tools/list", "").replace("2026-07-28", "v999.0.0");
    let reply = endpoint.post(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")], &body).await;
    assert_eq!(reply.is_error(400, -32020)["id"], 302);
}

#[tokio::test]
async fn c18_c19_c20_c21_names_and_arguments_are_decoded_before_they_are_compared() {
    let endpoint = start().await;
    let body = modern_body("7", "tools/call", r#""name":"héllo""#);
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "=?base64?aMOpbGxv?=")];
    assert!(endpoint.post(&headers, &body).await.json()["result"].is_object());
    let params = r#""name":"mirror","arguments":{"a":"Hello"}"#;
    let body = modern_body("7", "tools/call", params);
    let right = modern_headers("tools/call", params);
    for (value, fine) in [
        (Some("Hello"), true),
        (Some("=?base64?SGVsbG8=?="), true),
        (Some("=?base64?SGVsbG8?="), false),
        (Some("=?base64?SGVs!!!bG8=?="), false),
        (Some("hello"), false),
        (None, false),
    ] {
        let mut headers = right.clone();
        headers.extend(value.map(|value| ("mcp-param-a", value)));
        let reply = endpoint.post(&headers, &body).await;
        if fine {
            assert!(reply.json()["result"].is_object(), "{value:?} {}", reply.text());
        } else {
            assert_eq!(reply.is_error(400, -32020)["id"], 7, "{value:?}");
        }
    }
    let mut headers = right.clone();
    headers.extend([("mcp-param-a", "Hello"), ("mcp-param-a", "Hello")]);
    endpoint.post(&headers, &body).await.is_error(400, -32020);
    let mut headers = right;
    headers.extend([("mcp-param-a", "Hello"), ("mcp-param-other", "x")]);
    assert!(endpoint.post(&headers, &body).await.json()["result"].is_object(), "c23");
}

#[tokio::test]
async fn c27_c28_unknown_and_removed_methods_are_not_found() {
    let endpoint = start().await;
    for method in [
        "unknown/method",
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/result",
        "tasks/get",
        "subscriptions/listen",
        "notifications/cancelled",
        "sampling/createMessage",
        "Tools/call",
    ] {
        let reply = endpoint.modern("\"601\"", method, r#""taskId":"x""#).await;
        let reply = if reply.status == 400 {
            endpoint
                .post(
                    &[("mcp-protocol-version", "2026-07-28"), ("mcp-method", method), ("mcp-name", "x")],
                    &modern_body("\"601\"", method, r#""taskId":"x""#),
                )
                .await
        } else {
            reply
        };
        assert_eq!(reply.is_error(404, -32601)["id"], "601", "{method}");
    }
    assert_eq!(endpoint.fake.called(), Vec::<String>::new());
}

#[tokio::test]
async fn c30_c33_c34_only_requests_and_notifications_are_messages_of_a_client() {
    let endpoint = start().await;
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
    let request = modern_body("1", "tools/list", "");
    for body in [
        format!("[{request}]"),
        "[]".into(),
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.into(),
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}"#.into(),
    ] {
        endpoint.post(&headers, &body).await.is_error(400, -32600);
    }
    let notification = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":1,{META}}}}}"#);
    for headers in [&headers[..], &headers[..1], &[]] {
        let reply = endpoint.post(headers, &notification).await;
        assert_eq!((reply.status, reply.body.len()), (202, 0));
    }
}

#[tokio::test]
async fn c31_legacy_headers_mean_nothing_on_a_modern_request() {
    let endpoint = start().await;
    let params = r#""name":"echo""#;
    let mut headers = modern_headers("tools/call", params);
    headers.extend([("mcp-session-id", "00000000000000000000000000000000"), ("last-event-id", "5")]);
    let reply = endpoint.post(&headers, &modern_body("1", "tools/call", params)).await;
    assert_eq!((reply.status, reply.header("mcp-session-id")), (200, None));
}

#[tokio::test]
async fn c32_an_unknown_tool_is_an_answer_and_not_an_http_error() {
    let endpoint = start().await;
    let reply = endpoint.modern("1", "tools/call", r#""name":"nothing""#).await;
    reply.is_error(200, -32602);
}

#[tokio::test]
async fn c36_one_id_may_be_in_flight_from_many_clients() {
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
async fn c44_a_client_that_leaves_cancels() {
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
async fn c45_c65_an_answer_becomes_a_stream_at_its_first_notification() {
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
async fn c61_c63_a_legacy_upstream_answers_in_modern_form() {
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
    assert_eq!(lost["error"]["data"]["reason"], "round_lost", "a state is used once");

    let second =
        ask_round(&endpoint, &round_of(&again["requestState"], r#"{"1-1":{"action":"accept","x":1.0}}"#)).await.json()["result"].clone();
    assert_eq!(second["inputRequests"]["3-1"]["method"], "roots/list", "{second}");
    let other =
        ask_round(&endpoint, &format!(r#""arguments":{{"n":2}},"requestState":{},"#, second["requestState"])).await.is_error(200, -32602);
    assert_eq!(other["error"]["data"]["reason"], "round_lost", "another request is another call");

    let last = ask_round(&endpoint, &round_of(&second["requestState"], r#"{"3-1":{"roots":[]}}"#)).await.json()["result"].clone();
    assert_eq!((&last["resultType"], &last["answers"][0]["result"]["x"]), (&"complete".into(), &1.0.into()));
    assert_eq!(last["answers"][1]["result"], serde_json::json!({"roots":[]}));
    assert_eq!(endpoint.fake.calls.lock().unwrap().iter().filter(|call| call.contains("ask")).count(), 1, "it ran once");

    let foreign = ask_round(&endpoint, r#""arguments":{"n":1},"requestState":"theirs","#).await.is_error(200, -32602);
    assert_eq!(foreign["error"]["data"]["reason"], "round_lost", "a legacy server has no states, and nothing is begun anew");
}

#[tokio::test]
async fn a_client_that_declares_nothing_is_asked_nothing() {
    let endpoint = Rig::era(Era::Legacy).start().await;
    let answer = endpoint.modern("1", "tools/call", r#""name":"ask""#).await.json();
    assert_eq!(answer["result"]["answers"], serde_json::json!([null, null]));
}
