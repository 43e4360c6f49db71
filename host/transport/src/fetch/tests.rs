//! The guarded client against real sockets, with a resolver that lies.

use super::*;
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A server that counts connections and answers each with these bytes once it has read a head.
async fn server(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>, Arc<std::sync::Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connects, heard) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)), Arc::default());
    let (counted, hears): (_, Arc<std::sync::Mutex<Vec<u8>>>) = (connects.clone(), Arc::clone(&heard));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Relaxed);
            let mut read = Vec::new();
            while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            *hears.lock().unwrap() = read;
            let _ = stream.write_all(answer).await;
            if answer.is_empty() {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
        }
    });
    (address, connects, heard)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n\r\nhi";

fn request(url: &str) -> Request {
    Request {
        plugin: "p".into(),
        exchange: None,
        method: "GET".into(),
        url: url.parse().unwrap(),
        is_private: false,
        headers: Vec::new(),
        body: Bytes::new(),
        timeout: Duration::from_secs(5),
        bytes_max: 1024,
    }
}

/// One answer a question, the last one over and over.
fn lying(answers: Vec<Vec<SocketAddr>>) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolver: Resolver = Arc::new(move |_, _| {
        let turn = count.fetch_add(1, Relaxed).min(answers.len() - 1);
        Box::pin(std::future::ready(Ok(answers[turn].clone())))
    });
    (Client::resolving(resolver), asked)
}

#[tokio::test]
async fn what_is_private_is_reached_only_when_it_is_named_so() {
    let (address, connects, heard) = server(OK).await;
    let client = Client::new();
    let url = format!("http://127.0.0.1:{}/a?b", address.port());
    for url in [url.clone(), format!("http://localhost:{}/", address.port())] {
        let refused = client.fetch(request(&url)).await.unwrap_err();
        assert!(matches!(&refused, FetchError::Refused(why) if why.contains("private\"")), "{refused}");
    }
    assert_eq!(connects.load(Relaxed), 0, "nothing was sent");
    let answer = client.fetch(Request { is_private: true, ..request(&url) }).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"hi"[..]));
    assert!(answer.headers.contains(&("x-a".into(), "b".into())));
    let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
    assert!(heard.starts_with("GET /a?b HTTP/1.1\r\n") && heard.contains(&format!("host: 127.0.0.1:{}\r\n", address.port())), "{heard}");
}

/// T12: a name that has another address when it is dialled than when it was looked at. Its control is the same name without the flip.
#[tokio::test]
async fn a_name_is_resolved_once_and_all_its_addresses_count() {
    let (address, connects, _) = server(OK).await;
    let public: SocketAddr = "93.184.216.34:80".parse().unwrap();
    let (client, asked) = lying(vec![vec![address], vec![address]]);
    let named = |client: Client, is_private| async move {
        let url = format!("http://flips.example:{}/", address.port());
        client.fetch(Request { is_private, timeout: Duration::from_millis(300), ..request(&url) }).await
    };
    assert!(named(client, true).await.is_ok());
    assert_eq!((asked.load(Relaxed), connects.load(Relaxed)), (1, 1));
    // Nobody listens at the address that was checked; the one that comes next is never asked for.
    let nobody = SocketAddr::from(([127, 0, 0, 2], address.port()));
    let (client, asked) = lying(vec![vec![nobody], vec![address]]);
    assert!(matches!(named(client, true).await, Err(FetchError::Unreachable(_))));
    assert_eq!((asked.load(Relaxed), connects.load(Relaxed)), (1, 1));
    let (client, _) = lying(vec![vec![public, address]]);
    assert!(matches!(named(client, false).await, Err(FetchError::Refused(_))));
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", address.port()).parse().unwrap();
    let (client, _) = lying(vec![vec![mapped]]);
    assert!(matches!(named(client, true).await, Err(FetchError::Refused(_))));
    assert_eq!(connects.load(Relaxed), 1, "nothing was sent");
}

#[tokio::test]
async fn a_redirect_is_handed_back() {
    let (inner, reached, _) = server(OK).await;
    let moved = format!("HTTP/1.1 302 Found\r\nlocation: http://{inner}/\r\ncontent-length: 0\r\n\r\n");
    let (address, ..) = server(moved.leak().as_bytes()).await;
    let answer = Client::new().fetch(Request { is_private: true, ..request(&format!("http://{address}/")) }).await.unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(reached.load(Relaxed), 0);
}

#[tokio::test]
async fn headers_that_are_not_the_plugins_do_not_leave() {
    let (address, connects, heard) = server(OK).await;
    let (client, url) = (Client::new(), format!("http://{address}/"));
    let with = |name: &str, value: &str| Request {
        is_private: true,
        headers: vec![Header { name: name.into(), value: value.into() }],
        ..request(&url)
    };
    for (name, value) in [
        ("Host", "evil"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "upgrade"),
        ("upgrade", "h2c"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("proxy-authorization", "x"),
        ("proxy-foo", "x"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "a"),
        ("x_forwarded_for", "127.0.0.1"),
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x a", "b"),
        ("x:a", "b"),
        ("", "b"),
        ("x-a", "b\r\nevil: c"),
        ("x-a", "b\n"),
        ("x-a", "b\0"),
        ("x-a\r\nevil", "b"),
    ] {
        let refused = client.fetch(with(name, value)).await;
        assert!(matches!(refused, Err(FetchError::Refused(_))), "{name:?}: {value:?}");
    }
    let many = |count: usize, bytes: usize| {
        let header = |n| Header { name: format!("x-{n}"), value: vec![b'v'; bytes] };
        Request { is_private: true, headers: (0..count).map(header).collect(), ..request(&url) }
    };
    for (count, bytes) in [(101, 1), (30_000, 1), (1, 32 << 10)] {
        assert!(matches!(client.fetch(many(count, bytes)).await, Err(FetchError::Refused(_))), "{count} of {bytes} bytes");
    }
    assert_eq!(connects.load(Relaxed), 0, "nothing was sent");
    client.fetch(many(100, 1)).await.unwrap();
    client.fetch(with("x-a", "b")).await.unwrap();
    assert!(String::from_utf8_lossy(&heard.lock().unwrap()).contains("x-a: b\r\n"));
}

#[tokio::test]
async fn an_answer_ends_at_its_bounds() {
    let client = Client::new();
    for (answer, control) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n01234567890123456789"[..], true),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n0\r\n\r\n", true),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", false),
    ] {
        let (address, ..) = server(answer).await;
        let url = format!("http://{address}/");
        let bounded = |bytes_max| Request { is_private: true, bytes_max, ..request(&url) };
        assert_eq!(client.fetch(bounded(19)).await.unwrap_err(), FetchError::TooLarge);
        assert_eq!(client.fetch(bounded(1000)).await.is_ok(), control);
    }
    let (address, ..) = server(b"").await;
    let slow = Request { is_private: true, timeout: Duration::from_millis(100), ..request(&format!("http://{address}/")) };
    assert_eq!(client.fetch(slow).await.unwrap_err(), FetchError::Timeout);
}
