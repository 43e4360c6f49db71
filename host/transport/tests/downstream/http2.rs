//! HTTP/2: one connection, many exchanges, and the limits of each.

use crate::support::{Certificates, Endpoint, Rig, eventually, modern_body, modern_headers, tls};
use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{Request, Response, Version};
use sluice_transport::tls::{ServerFiles, ServerTls};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

/// A client of one connection.
struct Client {
    send: SendRequest<Bytes>,
    ended: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: S) -> Client {
        Client::with(io, &h2::client::Builder::new()).await
    }

    async fn with<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: S, builder: &h2::client::Builder) -> Client {
        let (send, connection) = builder.handshake(io).await.expect("a handshake");
        Client { send, ended: tokio::spawn(connection) }
    }

    /// By prior knowledge.
    async fn clear(endpoint: &Endpoint) -> Client {
        Client::over(TcpStream::connect(endpoint.address).await.expect("a connection")).await
    }

    /// Begins a call; the body is still to be sent.
    async fn begin(&mut self, authority: &str, headers: &[(&str, &str)]) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::post(format!("http://{authority}/mcp")).version(Version::HTTP_2);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = self.send.clone().ready().await.expect("room for a stream");
        send.send_request(request.body(()).expect("a request"), false).expect("a stream")
    }

    async fn ask(&mut self, tool: &str, arguments: &str) -> ResponseFuture {
        let params = format!(r#""name":"{tool}","arguments":{arguments}"#);
        let (response, mut body) = self.begin("localhost", &headers(&params)).await;
        body.send_data(modern_body("1", "tools/call", &params).into(), true).expect("room");
        response
    }

    async fn call(&mut self, tool: &str, arguments: &str) -> (u16, String) {
        read(self.ask(tool, arguments).await.await.expect("a response")).await
    }

    /// Whether the endpoint says goodbye within a while, and why.
    async fn goodbye(self) -> Option<Reason> {
        drop(self.send);
        let ended = timeout(Duration::from_secs(20), self.ended).await.expect("it ends").expect("no panic");
        ended.err().and_then(|error| error.reason())
    }
}

fn headers(params: &str) -> Vec<(&str, &str)> {
    let mut headers = modern_headers("tools/call", params);
    headers.extend([
        ("authorization", "Bearer let-me-in"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ]);
    headers
}

async fn read(response: Response<RecvStream>) -> (u16, String) {
    let (head, mut body) = response.into_parts();
    let mut whole = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.expect("a whole body");
        let _ = body.flow_control().release_capacity(data.len());
        whole.extend_from_slice(&data);
    }
    (head.status.as_u16(), String::from_utf8(whole).expect("UTF-8"))
}

#[tokio::test]
async fn calls_cross_by_prior_knowledge_and_by_alpn() {
    let certificates = Certificates::new();
    let files = ServerFiles { cert: certificates.path("server.pem"), key: certificates.path("server.key"), clients: None };
    let tls = Arc::new(ServerTls::open(files).expect("good files"));
    let encrypted = Rig::default().settings(|settings| settings.tls = Some(tls)).start().await;
    let stream = tls::connect(encrypted.address, &certificates, None, &[b"h2", b"http/1.1"]).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let clear = crate::support::start().await;
    for mut client in [Client::over(stream).await, Client::clear(&clear).await] {
        let (status, body) = client.call("echo", r#"{"a":1.0}"#).await;
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(r#""got":{"a":1.0}"#), "{body}");
        let (status, body) = client.call("progress", "{}").await;
        assert_eq!((status, body.matches("data: ").count()), (200, 1 + 3), "{body}");
    }
    clear.is_well().await;
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let endpoint = crate::support::start().await;
    let mut client = Client::clear(&endpoint).await;
    let text = "x".repeat(3_000_000);
    let (status, body) = client.call("echo", &format!(r#"{{"a":"{text}"}}"#)).await;
    assert!(status == 200 && body.contains(&text), "{} bytes", body.len());
}

#[tokio::test]
async fn one_stream_that_is_taken_back_cancels_its_own_exchange_and_no_other() {
    let endpoint = crate::support::start().await;
    let mut client = Client::clear(&endpoint).await;
    let staying = client.ask("held", "{}").await;
    eventually("the first call waits", || endpoint.fake.called().len() == 1).await;
    let params = r#""name":"slow","arguments":{}"#;
    let (leaving, mut body) = client.begin("localhost", &headers(params)).await;
    body.send_data(modern_body("2", "tools/call", params).into(), true).expect("room");
    eventually("both calls wait", || endpoint.fake.called().len() == 2).await;
    assert_eq!(client.call("echo", "{}").await.0, 200, "others pass meanwhile");
    body.send_reset(Reason::CANCEL);
    drop(leaving);
    eventually("the second is cancelled", || *endpoint.fake.cancelled.lock().unwrap() == ["slow"]).await;
    endpoint.fake.release.notify_one();
    assert_eq!(read(staying.await.expect("a response")).await.0, 200);
    assert_eq!(*endpoint.fake.cancelled.lock().unwrap(), ["slow"]);
}

#[tokio::test]
async fn hosts_are_checked_in_both_of_their_places() {
    let endpoint = crate::support::start().await;
    let mut client = Client::clear(&endpoint).await;
    let params = r#""name":"echo","arguments":{}"#;
    for (authority, host, expected) in [
        ("localhost", None, 200),
        ("localhost", Some("localhost"), 200),
        ("localhost", Some("LOCALHOST"), 200),
        ("evil.example.com", None, 403),
        ("evil.example.com", Some("localhost"), 403),
        ("localhost", Some("evil.example.com"), 403),
        ("localhost", Some("127.0.0.1"), 403),
    ] {
        let mut headers = headers(params);
        headers.extend(host.map(|host| ("host", host)));
        let (response, mut body) = client.begin(authority, &headers).await;
        let _ = body.send_data(modern_body("1", "tools/call", params).into(), true);
        assert_eq!(response.await.expect("a response").status(), expected, "{authority} {host:?}");
    }
    let mut evil = headers(params);
    evil.push(("origin", "https://evil.example.com"));
    let (response, _body) = client.begin("localhost", &evil).await;
    assert_eq!(response.await.expect("a response").status(), 403);
}

fn quick() -> Rig {
    Rig::default().settings(|settings| {
        settings.limits.body_wait = Duration::from_millis(300);
        settings.limits.idle_wait = Duration::from_millis(900);
        settings.limits.write_stall = Duration::from_millis(500);
        settings.limits.commit_after = Duration::from_millis(200);
    })
}

#[tokio::test]
async fn t21_a_slow_body_and_a_slow_reader_cost_their_stream_and_no_other() {
    let endpoint = quick().start().await;
    // Takes nothing of an answer beyond the first 64 KiB unless it says so.
    let mut client = Client::clear(&endpoint).await;
    let params = r#""name":"echo","arguments":{}"#;
    let (slow_body, mut body) = client.begin("localhost", &headers(params)).await;
    body.send_data("{".into(), false).expect("room");
    let text = "x".repeat(400_000);
    let unread = client.ask("echo", &format!(r#"{{"a":"{text}"}}"#)).await.await.expect("a response");
    let began = Instant::now();
    assert_eq!(slow_body.await.expect("a response").status(), 408);
    let mut unread = unread.into_body();
    let reset = loop {
        match timeout(Duration::from_secs(10), unread.data()).await.expect("in time") {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error.reason(),
            None => panic!("it cannot have come whole"),
        }
    };
    assert_eq!(reset, Some(Reason::CANCEL));
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(unread);
    assert_eq!(client.call("echo", "{}").await.0, 200, "the connection serves on");
}

#[tokio::test]
async fn a_quiet_exchange_shows_that_it_lives_and_a_connection_without_any_is_closed() {
    let endpoint = quick().start().await;
    let mut client = Client::clear(&endpoint).await;
    let response = timeout(Duration::from_secs(5), client.ask("held", "{}").await).await.expect("in time").expect("a response");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    endpoint.fake.release.notify_one();
    assert!(read(response).await.1.contains("data: "), "longer than an idle connection may last");
    let began = Instant::now();
    client.goodbye().await;
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_drain_lets_streams_end() {
    let endpoint = crate::support::start().await;
    let mut client = Client::clear(&endpoint).await;
    let waiting = client.ask("held", "{}").await;
    eventually("the call waits", || endpoint.fake.called().len() == 1).await;
    endpoint.drain.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    endpoint.fake.release.notify_one();
    assert_eq!(read(waiting.await.expect("a response")).await.0, 200);
    timeout(Duration::from_secs(5), endpoint.serving).await.expect("in time").expect("no panic");
}

#[tokio::test]
async fn t23_streams_and_header_lists_are_bounded() {
    let endpoint = crate::support::start().await;
    let mut client = Client::clear(&endpoint).await;
    assert_eq!(client.call("echo", "{}").await.0, 200);
    assert_eq!(client.send.current_max_send_streams(), 100);
    let long = "x".repeat(40_000);
    let mut headers = headers(r#""name":"echo""#);
    headers.push(("x-long", &long));
    let (response, _body) = client.begin("localhost", &headers).await;
    match response.await {
        Ok(response) => assert_eq!(response.status(), 431),
        Err(error) => assert!(error.reason().is_some(), "{error}"),
    }
    endpoint.is_well().await;
}

#[tokio::test]
async fn t23_who_keeps_taking_streams_back_has_to_connect_anew() {
    let endpoint = crate::support::start().await;
    let mut client = Client::clear(&endpoint).await;
    let mut taken_back = 0;
    while taken_back < 2000 && !client.ended.is_finished() {
        let Ok(mut send) = timeout(Duration::from_secs(5), client.send.clone().ready()).await.expect("in time") else { break };
        let request = Request::post("http://localhost/mcp").header("authorization", "Bearer let-me-in");
        let request = request.header("content-type", "application/json").header("accept", "application/json, text/event-stream");
        let Ok((response, mut body)) = send.send_request(request.body(()).expect("a request"), false) else { break };
        // Its body is awaited before it is taken back, so that it is no reset of the fast kind.
        tokio::time::sleep(Duration::from_millis(1)).await;
        body.send_reset(Reason::CANCEL);
        drop(response);
        taken_back += 1;
    }
    assert!(taken_back < 2000, "the connection should have ended");
    endpoint.is_well().await;
    client.ended.abort();
    client.send = Client::clear(&endpoint).await.send;
    assert_eq!(client.call("echo", "{}").await.0, 200);
}

/// A connection that writes the frames it is told.
struct Frames(TcpStream);

impl Frames {
    async fn open(endpoint: &Endpoint) -> Frames {
        let mut tcp = TcpStream::connect(endpoint.address).await.expect("a connection");
        tcp.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("room");
        let mut frames = Frames(tcp);
        frames.write(4, 0, 0, b"").await;
        frames
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.0.write_all(&frame).await.is_ok()
    }

    /// What comes until the end, or for a while.
    async fn read(mut self) -> Vec<u8> {
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(10), self.0.read_to_end(&mut answer)).await;
        answer
    }
}

/// GOAWAY with this code among frames.
fn says_goodbye(mut frames: &[u8], code: u32) -> bool {
    while frames.len() >= 9 {
        let length = u32::from_be_bytes([0, frames[0], frames[1], frames[2]]) as usize;
        let Some(payload) = frames.get(9..9 + length) else { return false };
        if frames[3] == 7 && payload[4..8] == code.to_be_bytes() {
            return true;
        }
        frames = &frames[9 + length..];
    }
    false
}

const ENHANCE_YOUR_CALM: u32 = 11;
/// `:method: POST`, `:scheme: http`, `:path: /`, and `:authority: x`.
const HEADER_BLOCK: &[u8] = &[0x83, 0x86, 0x84, 0x01, 0x01, b'x'];

/// CVE-2023-44487.
#[tokio::test]
async fn t23_a_rapid_reset_ends_the_connection() {
    let endpoint = crate::support::start().await;
    let mut frames = Frames::open(&endpoint).await;
    let mut flood = Vec::new();
    for stream in (1..20_000u32).step_by(2) {
        flood.extend([0, 0, HEADER_BLOCK.len() as u8, 1, 4]);
        flood.extend(stream.to_be_bytes());
        flood.extend_from_slice(HEADER_BLOCK);
        flood.extend([0, 0, 4, 3, 0]);
        flood.extend(stream.to_be_bytes());
        flood.extend(8u32.to_be_bytes());
    }
    let _ = frames.0.write_all(&flood).await;
    assert!(says_goodbye(&frames.read().await, ENHANCE_YOUR_CALM));
    endpoint.is_well().await;
}

/// CVE-2025-8671: the peer makes us take streams back.
#[tokio::test]
async fn t23_streams_that_we_are_made_to_take_back_are_counted_too() {
    let endpoint = crate::support::start().await;
    let mut frames = Frames::open(&endpoint).await;
    for stream in (1..2_000u32).step_by(2) {
        frames.write(1, 4, stream, HEADER_BLOCK).await;
        // A window that grows beyond what there can be is an error of the stream.
        if !frames.write(8, 0, stream, &(u32::MAX >> 1).to_be_bytes()).await {
            break;
        }
    }
    let answer = frames.read().await;
    assert!(says_goodbye(&answer, ENHANCE_YOUR_CALM), "{} {:?}", answer.len(), &answer[..answer.len().min(400)]);
    endpoint.is_well().await;
}

/// Headers that never end, of any length.
#[tokio::test]
async fn t23_an_endless_header_block_ends_the_connection() {
    let endpoint = crate::support::start().await;
    let mut frames = Frames::open(&endpoint).await;
    frames.write(1, 0, 1, HEADER_BLOCK).await;
    // A literal header of 4 KiB, never indexed.
    let mut field = vec![0x00, 0x01, b'a', 0x7f, 0x81, 0x1f];
    field.resize(6 + 4096, b'b');
    let mut is_cut = false;
    for _ in 0..4_000 {
        if !frames.write(9, 0, 1, &field).await {
            is_cut = true;
            break;
        }
    }
    assert!(is_cut, "16 MiB of one header block were taken");
    endpoint.is_well().await;
}

/// Pings and settings are answered, one at a time, to whoever takes the answers.
#[tokio::test]
async fn t23_floods_of_pings_and_settings_are_not_hoarded() {
    let endpoint = quick().start().await;
    for (kind, payload) in [(6u8, &[0u8; 8][..]), (4, &[0, 4, 0, 1, 0, 0]), (2, &[0, 0, 0, 0, 16])] {
        let mut frames = Frames::open(&endpoint).await;
        let stream = u32::from(kind == 2);
        let began = Instant::now();
        // Reads nothing: when the answers no longer fit on their way, nothing more is read, and then it is cut.
        let flood = async {
            for _ in 0..3_000_000u32 {
                if !frames.write(kind, 0, stream, payload).await {
                    return true;
                }
            }
            false
        };
        let is_cut = timeout(Duration::from_secs(30), flood).await.expect("it ends");
        assert!(is_cut || kind == 2, "frames of kind {kind}");
        assert!(began.elapsed() < Duration::from_secs(30));
        endpoint.is_well().await;
    }
}
