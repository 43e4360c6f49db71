//! A drain: nothing new, what runs may end, and then it is over.

use crate::support::{eventually, modern_body, modern_headers, request, start};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[tokio::test]
async fn what_is_in_flight_ends_and_idle_connections_close() {
    let endpoint = start().await;
    let session = endpoint.initialize("2025-11-25").await;
    let mut idle = endpoint.connect().await;
    let echo = request(
        "POST",
        "/mcp",
        &modern_headers("tools/call", r#""name":"echo""#),
        modern_body("1", "tools/call", r#""name":"echo""#).as_bytes(),
    );
    assert_eq!(idle.ask(&echo).await.status, 200);
    let mut stream = endpoint.connect().await;
    stream.send(&request("GET", "/mcp", &[("mcp-session-id", &session), ("accept", "text/event-stream")], b"")).await;
    assert_eq!(stream.head().await.map(|(status, _)| status), Some(200));
    assert!(stream.chunk().await.is_some_and(|primer| primer.starts_with(b"id: ")));
    let mut busy = endpoint.connect().await;
    let params = r#""name":"held""#;
    busy.send(&request("POST", "/mcp", &modern_headers("tools/call", params), modern_body("9", "tools/call", params).as_bytes())).await;
    eventually("it runs", || endpoint.host.running() == 1).await;

    endpoint.drain.cancel();
    assert_eq!(stream.chunk().await, None, "streams end");
    let reply = idle.ask(&echo).await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "who sends just then is answered");
    assert!(idle.closes().await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(TcpStream::connect(endpoint.address).await.is_err(), "nobody listens any more");
    assert!(!endpoint.serving.is_finished());
    endpoint.fake.release.notify_one();
    let reply = busy.reply().await.expect("the answer");
    assert_eq!((reply.status, reply.json()["id"].clone()), (200, 9.into()));
    assert!(busy.closes().await);
    endpoint.serving.await.expect("served to the end");
}

#[tokio::test]
async fn what_does_not_end_is_cut_after_the_grace_time() {
    let endpoint = start().await;
    let mut busy = endpoint.connect().await;
    let params = r#""name":"held""#;
    busy.send(&request("POST", "/mcp", &modern_headers("tools/call", params), modern_body("9", "tools/call", params).as_bytes())).await;
    eventually("it runs", || endpoint.host.running() == 1).await;
    let began = Instant::now();
    endpoint.drain.cancel();
    endpoint.serving.await.expect("served to the end");
    assert!((1900..4000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert!(busy.reply().await.is_none());
    eventually("a modern call whose client was cut is cancelled", || endpoint.host.running() == 0).await;
}
