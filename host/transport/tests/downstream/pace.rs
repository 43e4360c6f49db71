//! T21: clients that take their time lose their connection, and nobody else anything.

use crate::support::{Rig, modern_body, modern_headers, request};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

fn quick() -> Rig {
    Rig::default().settings(|settings| {
        settings.limits.header_wait = Duration::from_millis(300);
        settings.limits.body_wait = Duration::from_millis(300);
        settings.limits.idle_wait = Duration::from_millis(900);
        settings.limits.write_stall = Duration::from_millis(300);
    })
}

#[tokio::test]
async fn slow_header_blocks_are_cut_while_others_are_served() {
    let endpoint = quick().start().await;
    let bytes = request("POST", "/mcp", &[], b"{}");
    let mut slow = Vec::new();
    for _ in 0..200 {
        slow.push(endpoint.connect().await);
    }
    let began = Instant::now();
    // One byte now and then, on all of them.
    for at in 0..20 {
        for connection in &mut slow {
            let _ = connection.tcp.write_all(&bytes[at..=at]).await;
        }
        endpoint.is_well().await;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    for mut connection in slow {
        if let Some(reply) = connection.reply().await {
            assert_eq!(reply.status, 408);
        }
        assert!(connection.closes().await);
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    endpoint.is_well().await;
}

#[tokio::test]
async fn silent_connections_are_closed_and_kept_ones_may_rest_longer() {
    let endpoint = quick().start().await;
    let mut silent = endpoint.connect().await;
    let mut kept = endpoint.connect().await;
    let params = r#""name":"echo""#;
    let bytes = request("POST", "/mcp", &modern_headers("tools/call", params), modern_body("1", "tools/call", params).as_bytes());
    assert_eq!(kept.ask(&bytes).await.status, 200);
    let began = Instant::now();
    silent.closes().await;
    assert!((250..800).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    tokio::time::sleep(Duration::from_millis(600).saturating_sub(began.elapsed())).await;
    assert_eq!(kept.ask(&bytes).await.status, 200, "longer than a header block may take");
    let began = Instant::now();
    kept.closes().await;
    assert!((800..2500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_slow_call_is_not_a_slow_client() {
    let endpoint = quick().start().await;
    let params = r#""name":"held""#;
    let mut connection = endpoint.connect().await;
    connection
        .send(&request("POST", "/mcp", &modern_headers("tools/call", params), modern_body("1", "tools/call", params).as_bytes()))
        .await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    endpoint.fake.release.notify_one();
    assert_eq!(connection.reply().await.map(|reply| reply.status), Some(200));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let endpoint = quick().start().await;
    let params = format!(r#""name":"echo","arguments":{{"a":"{}"}}"#, "x".repeat(1_000_000));
    let bytes = request("POST", "/mcp", &modern_headers("tools/call", &params), modern_body("1", "tools/call", &params).as_bytes());
    let mut connection = endpoint.connect().await;
    // Megabytes of answers that nobody takes.
    let sending = async {
        for _ in 0..40 {
            if connection.tcp.write_all(&bytes).await.is_err() {
                return true;
            }
        }
        false
    };
    let was_cut = tokio::time::timeout(Duration::from_secs(10), sending).await.expect("the endpoint gives up");
    assert!(was_cut);
    endpoint.is_well().await;
}

#[tokio::test]
async fn s035_a_quiet_exchange_becomes_a_stream_with_comments() {
    let rig = Rig::default().settings(|settings| {
        settings.limits.commit_after = Duration::from_millis(100);
        settings.limits.comment_after = Duration::from_millis(100);
    });
    let endpoint = rig.start().await;
    let params = r#""name":"held""#;
    let mut connection = endpoint.connect().await;
    connection
        .send(&request("POST", "/mcp", &modern_headers("tools/call", params), modern_body("1", "tools/call", params).as_bytes()))
        .await;
    let (status, headers) = connection.head().await.expect("a head");
    assert_eq!(status, 200);
    assert!(headers.contains(&("x-accel-buffering".into(), "no".into())));
    for _ in 0..3 {
        assert_eq!(connection.chunk().await.as_deref(), Some(&b":\n\n"[..]));
    }
    endpoint.fake.release.notify_one();
    let answer = loop {
        let chunk = connection.chunk().await.expect("the answer");
        if chunk.starts_with(b"data: ") {
            break chunk;
        }
    };
    assert!(String::from_utf8_lossy(&answer).contains("\"id\" : 1,"));
    assert_eq!(connection.chunk().await, None);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let endpoint = Rig::default().settings(|settings| settings.limits.connections_max = 2).start().await;
    let (first, second) = (endpoint.connect().await, endpoint.connect().await);
    let waiting = tokio::spawn({
        let address = endpoint.address;
        async move {
            let params = r#""name":"echo""#;
            let bytes = request("POST", "/mcp", &modern_headers("tools/call", params), modern_body("1", "tools/call", params).as_bytes());
            crate::support::Connection::open(address).await.ask(&bytes).await.status
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    drop((first, second));
    assert_eq!(waiting.await.expect("served"), 200);
}
