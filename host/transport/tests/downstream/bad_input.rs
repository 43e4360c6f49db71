//! Input that is wrong in one way: its own status and code, and nobody else notices.

use crate::support::{META, Rig, modern_body, modern_headers, request, start};
use std::time::Duration;

#[tokio::test]
async fn texts_that_are_not_strict_json() {
    let endpoint = start().await;
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}}"#, "[".repeat(100_000) + &"]".repeat(100_000));
    let depth_65 = format!(r#"{{"a":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    let wide = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"a":[{}0]}}}}"#, "0,".repeat(200_000));
    let duplicate = modern_body("1", "tools/list", "").replacen(r#""id":1"#, r#""id":1,"id":2"#, 1);
    let hidden = modern_body("1", "tools/list", "").replacen(r#""id":1"#, r#""id":1,"\u0069d":2"#, 1);
    let nested = modern_body("1", "tools/call", r#""name":"echo","arguments":{"a":{"b":1,"b":2}}"#);
    let folded = modern_body("1", "tools/list", "").replacen(r#""method""#, r#""Method":"x","method""#, 1);
    let truncated = modern_body("1", "tools/list", "");
    for (what, text) in [
        ("nothing", ""),
        ("blanks", "  \r\n "),
        ("truncated", &truncated[..truncated.len() - 1]),
        ("not JSON", "hello"),
        ("two values", "{}{}"),
        ("a trailing comma", r#"{"a":1,}"#),
        ("a comment", "{/**/}"),
        ("single quotes", "{'a':1}"),
        ("NaN", r#"{"a":NaN}"#),
        ("a leading zero", r#"{"a":01}"#),
        ("a control byte", "{\"a\":\"\u{1}\"}"),
        ("a lone surrogate", r#"{"a":"\ud800"}"#),
        ("a byte order mark", "\u{feff}{}"),
        ("too deep", &deep),
        ("one level too deep", &depth_65),
        ("too wide", &wide),
        ("a duplicate key", &duplicate),
        ("a duplicate key in disguise", &hidden),
        ("a duplicate key far down", &nested),
        ("a key that folds to another", &folded),
    ] {
        let reply = endpoint.post(&modern_headers("tools/list", ""), text).await;
        assert_eq!(reply.status, 400, "{what}");
        let json = reply.is_error(400, -32700);
        assert!(json.get("id").is_none(), "{what}");
    }
    let reply = endpoint.connect().await.ask(&request("POST", "/mcp", &[], b"{\"a\":\"\xff\xfe\"}")).await;
    reply.is_error(400, -32700);
    endpoint.is_well().await;
}

#[tokio::test]
async fn texts_that_are_not_messages() {
    let endpoint = start().await;
    for (text, code) in [
        ("{}", -32600),
        ("1", -32600),
        ("null", -32600),
        (r#""initialize""#, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, -32600),
        (r#"{"id":1,"method":"m"}"#, -32600),
        (r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"m"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#, -32602),
    ] {
        let json = endpoint.post(&[], text).await.is_error(400, code);
        let has_id = text.contains(r#""id":1"#);
        assert_eq!(json.get("id"), has_id.then_some(&1.into()), "{text}");
    }
    endpoint.is_well().await;
}

#[tokio::test]
async fn t05_ids_are_echoed_to_the_letter_or_refused() {
    let endpoint = start().await;
    let params = r#""name":"echo""#;
    for id in [
        "0",
        "1",
        "-1",
        "-0",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        r#""1""#,
        r#""""#,
        r#""\u0000""#,
        r#""\ud83d\ude00""#,
        r#""😀""#,
        r#""a\/b""#,
        &format!("\"{}\"", "x".repeat(10_000)),
    ] {
        let reply = endpoint.modern(id, "tools/call", params).await;
        assert!(reply.text().contains(&format!("\"id\" : {id},")), "{id}");
        let reply = endpoint.modern(id, "unknown/method", "").await;
        assert!(reply.text().contains(&format!("\"id\":{id},")), "{id} {}", reply.text());
    }
    for id in ["1.0", "1e0", "1.5", "null", "true", "[]", "{}", "18446744073709551616", "-9223372036854775809", "1e400"] {
        let json = endpoint.post(&modern_headers("tools/call", params), &modern_body(id, "tools/call", params)).await.is_error(400, -32600);
        assert!(json.get("id").is_none(), "{id}");
    }
}

#[tokio::test]
async fn media_types_are_checked_before_the_body_is_read() {
    let endpoint = start().await;
    for content_type in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin1",
        "application/jsonp",
        "",
    ] {
        let mut connection = endpoint.connect().await;
        // The body never comes, and is not waited for.
        connection.send(&request("POST", "/mcp", &[("content-type", content_type), ("content-length", "1000")], b"")).await;
        connection.reply().await.expect("an answer").is_error(415, 4150);
    }
    endpoint.post(&[("content-encoding", "gzip")], "{}").await.is_error(415, 4150);
    for accept in ["application/json", "text/event-stream", "text/html", "application/json, text/event-stream;q=0"] {
        endpoint.post(&[("accept", accept)], "{}").await.is_error(406, 4060);
    }
    let reply = endpoint.connect().await.ask(&request("GET", "/mcp", &[("accept", "application/json")], b"")).await;
    reply.is_error(406, 4060);
    for method in ["PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO"] {
        let mut connection = endpoint.connect().await;
        connection.send(&request(method, "/mcp", &[], b"")).await;
        let (status, headers) = connection.head().await.expect("an answer");
        assert_eq!(status, 405, "{method}");
        assert!(headers.contains(&("allow".into(), "POST, GET, DELETE".into())));
    }
    endpoint.is_well().await;
}

#[tokio::test]
async fn t16_a_body_over_the_limit_is_refused_before_it_is_kept() {
    let endpoint = start().await;
    // Announced: refused without reading.
    let mut connection = endpoint.connect().await;
    connection.send(&request("POST", "/mcp", &[("content-length", "4194305")], b"{")).await;
    connection.reply().await.expect("an answer").is_error(413, 4130);
    // Announced and sent at once: the client still gets to read the answer.
    let body = vec![b' '; 6 * 1024 * 1024];
    let reply = endpoint.connect().await.ask(&request("POST", "/mcp", &[], &body)).await;
    reply.is_error(413, 4130);
    // Not announced: refused when it has grown too long.
    let mut connection = endpoint.connect().await;
    connection.send(&request("POST", "/mcp", &[("content-length", ""), ("transfer-encoding", "chunked")], b"")).await;
    let chunk = [b"10000\r\n", vec![b' '; 0x10000].as_slice(), b"\r\n"].concat();
    for _ in 0..80 {
        if tokio::io::AsyncWriteExt::write_all(&mut connection.tcp, &chunk).await.is_err() {
            break;
        }
    }
    connection.reply().await.expect("an answer").is_error(413, 4130);
    // As long as it may be.
    let filler = 4 * 1024 * 1024 - modern_body("1", "tools/call", r#""name":"echo","arguments":{"a":""}"#).len();
    let params = format!(r#""name":"echo","arguments":{{"a":"{}"}}"#, "x".repeat(filler));
    assert_eq!(endpoint.modern("1", "tools/call", &params).await.status, 200);
    endpoint.is_well().await;
}

#[tokio::test]
async fn t22_ambiguous_framing_never_makes_two_requests_of_one() {
    let endpoint = start().await;
    let params = r#""name":"echo""#;
    let body = modern_body("1", "tools/call", params);
    let smuggled = String::from_utf8(request("POST", "/mcp", &modern_headers("tools/call", params), body.as_bytes())).expect("ASCII");
    let length = smuggled.len().to_string();
    let long = [("content-length", length.as_str()), ("transfer-encoding", "chunked")];
    for headers in [
        &long[..],
        &[("transfer-encoding", "chunked"), ("content-length", "5")],
        &[("content-length", "5"), ("content-length", "6")],
        &[("content-length", "+5")],
        &[("content-length", "5,5")],
        &[("content-length", "0x5")],
        &[("content-length", "-1")],
        &[("content-length", ""), ("transfer-encoding", "xchunked")],
        &[("content-length", ""), ("transfer-encoding", "chunked, identity")],
        &[("content-length", ""), ("transfer-encoding", "identity")],
    ] {
        let mut connection = endpoint.connect().await;
        connection.send(&request("POST", "/mcp", headers, format!("0\r\n\r\n{smuggled}").as_bytes())).await;
        let first = connection.reply().await;
        assert!(first.as_ref().is_none_or(|reply| reply.status >= 400), "{headers:?} {first:?}");
        assert!(connection.closes().await);
    }
    for head in [
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\n folded: x\r\n\r\n",
        "POST /mcp HTTP/1.1\rhost: localhost\r\r",
        "POST /mcp\r\n\r\n",
        "POST /mcp HTTP/2.0\r\nhost: localhost\r\n\r\n",
        "POST  /mcp HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "PO ST /mcp HTTP/1.1\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nhost : localhost\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n",
    ] {
        let mut connection = endpoint.connect().await;
        connection.send(head.as_bytes()).await;
        let reply = connection.reply().await;
        assert!(reply.as_ref().is_none_or(|reply| reply.status >= 400), "{head:?} {reply:?}");
    }
    assert_eq!(endpoint.fake.called(), Vec::<String>::new());
    endpoint.is_well().await;
}

#[tokio::test]
async fn header_blocks_are_bounded() {
    let endpoint = start().await;
    let long = "x".repeat(40 * 1024);
    let reply = endpoint.post(&[("x-long", &long)], "{}").await;
    assert_eq!(reply.status, 431);
    let many: Vec<(String, String)> = (0..120).map(|at| (format!("x-{at}"), "1".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(endpoint.post(&many, "{}").await.status, 431);
    let fine = "x".repeat(20 * 1024);
    assert_eq!(endpoint.post(&[("x-long", &fine)], &crate::support::initialize("2025-11-25")).await.status, 200);
}

#[tokio::test]
async fn a_body_that_stops_half_way_is_given_up() {
    let endpoint = Rig::default().settings(|settings| settings.limits.body_wait = Duration::from_millis(300)).start().await;
    let mut connection = endpoint.connect().await;
    connection.send(&request("POST", "/mcp", &[("content-length", "100")], b"{\"jsonrpc\"")).await;
    endpoint.is_well().await;
    connection.reply().await.expect("an answer").is_error(408, 4080);
    assert!(connection.closes().await);
    // The client closes its half: it can still read what it did wrong.
    let mut connection = endpoint.connect().await;
    connection.send(&request("POST", "/mcp", &[("content-length", "100")], b"{\"jsonrpc\"")).await;
    tokio::io::AsyncWriteExt::shutdown(&mut connection.tcp).await.expect("half closed");
    if let Some(reply) = connection.reply().await {
        reply.is_error(400, -32700);
    }
    assert_eq!(*endpoint.fake.calls.lock().unwrap(), ["tools/list ", "tools/call echo"]);
}

#[tokio::test]
async fn nothing_a_client_sent_is_echoed_in_an_error() {
    let endpoint = start().await;
    let secret = "hunter2-hunter2";
    for (headers, body) in [
        (vec![("mcp-name", secret)], modern_body("1", "tools/call", r#""name":"echo""#)),
        (vec![("host", secret)], String::new()),
        (vec![("authorization", secret)], String::new()),
        (vec![("mcp-session-id", secret)], "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}".into()),
        (vec![], format!("{{\"{secret}\":")),
        (vec![], format!("{{\"jsonrpc\":\"{secret}\",{META}}}")),
    ] {
        let headers = [modern_headers("tools/call", ""), headers].concat();
        let reply = endpoint.post(&headers, &body).await;
        assert!(reply.status >= 400 && !reply.text().contains(secret), "{}", reply.text());
    }
}

#[tokio::test]
async fn how_much_json_is_too_much_is_the_operators_word() {
    let endpoint = Rig::default()
        .settings(|settings| {
            settings.limits.json.depth_max = 8;
            settings.limits.json.nodes_max = 50;
        })
        .start()
        .await;
    let ask = async |inside: String| {
        let params = format!(r#""name":"echo","arguments":{{"a":{inside}}}"#);
        endpoint.post(&modern_headers("tools/call", &params), &modern_body("1", "tools/call", &params)).await.status
    };
    let (deep, wide) = (|levels| "[".repeat(levels) + &"]".repeat(levels), |many| format!("[{}0]", "0,".repeat(many)));
    assert_eq!((ask(deep(4)).await, ask(deep(9)).await), (200, 400));
    assert_eq!((ask(wide(5)).await, ask(wide(60)).await), (200, 400));
}
