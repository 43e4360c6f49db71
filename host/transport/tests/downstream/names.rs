//! T01: every route and method, forty spellings of a name.

use crate::support::{Endpoint, request, start};

const ROUTES: [(&str, &str); 7] = [
    ("POST", "/mcp"),
    ("GET", "/mcp"),
    ("DELETE", "/mcp"),
    ("OPTIONS", "/mcp"),
    ("GET", "/"),
    ("GET", "/metrics"),
    ("POST", "/mcp/../sse"),
];

const STRANGERS: [&str; 44] = [
    "evil.example.com",
    "evil.example.com:80",
    "localhost.evil.com",
    "evil-localhost",
    "localhost.",
    "localhost.:80",
    "localhost:",
    "localhost:abc",
    "localhost:99999",
    "localhost:-1",
    "localhost:80:80",
    "localhost@evil.com",
    "user@localhost",
    "user:pass@localhost",
    "127.0.0.1.nip.io",
    "127.0.0.1.evil.com",
    "127.0.0.2",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "[::]",
    "[::]:80",
    "::1",
    "[::1",
    "::1]",
    "[::1]x",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::1%25lo]",
    "localhost/",
    "localhost?x",
    "localhost#",
    "localhost,localhost",
    "%6cocalhost",
];

async fn status(endpoint: &Endpoint, method: &str, target: &str, headers: &[(&str, &str)]) -> u16 {
    endpoint.connect().await.ask(&request(method, target, headers, b"")).await.status
}

#[tokio::test]
async fn t01_no_route_answers_to_a_strange_name() {
    let endpoint = start().await;
    for (method, target) in ROUTES {
        for name in STRANGERS {
            assert_eq!(status(&endpoint, method, target, &[("host", name)]).await, 403, "{method} {target} {name}");
            let origin = format!("http://{name}");
            assert_eq!(status(&endpoint, method, target, &[("origin", &origin)]).await, 403, "{method} {target} {origin}");
        }
        for origin in ["null", "file://", "https://evil.example.com", "ws://localhost", "localhost", "chrome-extension://x"] {
            assert_eq!(status(&endpoint, method, target, &[("origin", origin)]).await, 403, "{method} {target} {origin}");
        }
        for twice in ["host", "origin"] {
            let value = if twice == "host" { "localhost" } else { "http://localhost" };
            assert_eq!(status(&endpoint, method, target, &[(twice, value), (twice, value)]).await, 403, "{method} {target} two of {twice}");
        }
        assert_eq!(status(&endpoint, method, target, &[("host", "")]).await, 403, "{method} {target} without a host");
    }
    let reasons = endpoint.seen.turned_away.lock().unwrap().clone();
    assert!(reasons.iter().all(|reason| ["host", "origin"].contains(reason)), "nobody was asked for a credential before");
    assert_eq!(*endpoint.fake.calls.lock().unwrap(), Vec::<String>::new());
    endpoint.is_well().await;
}

#[tokio::test]
async fn t01_an_absolute_target_is_checked_like_a_host() {
    let endpoint = start().await;
    for name in ["evil.example.com", "localhost.evil.com", "127.0.0.2", "user@localhost", "[::]"] {
        assert_eq!(status(&endpoint, "POST", &format!("http://{name}/mcp"), &[]).await, 403, "{name}");
        assert_eq!(status(&endpoint, "POST", "http://localhost/mcp", &[("host", name)]).await, 403, "{name}");
    }
    assert_eq!(status(&endpoint, "POST", "http://localhost/mcp", &[]).await, 400, "the empty body is what is wrong here");
}

#[tokio::test]
async fn our_own_names_are_served_on_any_port() {
    let endpoint = start().await;
    for name in ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8080", &endpoint.address.to_string()] {
        for scheme in ["http", "https"] {
            let origin = format!("{scheme}://{name}");
            for headers in [&[("host", name)][..], &[("host", name), ("origin", &origin)]] {
                let reply = endpoint.post(headers, &crate::support::initialize("2025-11-25")).await;
                assert_eq!(reply.status, 200, "{headers:?}");
                assert!(!reply.headers.iter().any(|(name, _)| name.starts_with("access-control")));
            }
        }
    }
}

#[tokio::test]
async fn s122_strangers_are_refused_by_origin_and_host_and_no_origin_is_fine() {
    let endpoint = start().await;
    let opening = crate::support::initialize("2025-11-25");
    let own = endpoint.address.to_string();
    for (host, origin, expected) in [
        (&*own, "http://evil.example.com", 403),
        ("evil.example.com", "", 403),
        ("evil.example.com", "http://evil.example.com", 403),
        (&*own, "", 200),
        (&*own, "http://localhost:6274", 200),
    ] {
        let reply = endpoint.post(&[("host", host), ("origin", origin)], &opening).await;
        assert_eq!(reply.status, expected, "{host} {origin}");
    }
}

#[tokio::test]
async fn t32_without_a_credential_no_route_says_more_than_who_are_you() {
    let endpoint = start().await;
    for (method, target) in ROUTES {
        for credential in ["", "Bearer wrong", "Basic bGV0LW1lLWlu", "bearer", "Bearer  "] {
            for more in [
                &[][..],
                &[("x-forwarded-for", "127.0.0.1")],
                &[("x-api-key", "")],
                &[("mcp-session-id", "x")],
                &[("x-sluice-internal", "1")],
            ] {
                let headers = [&[("authorization", credential)], more].concat();
                let status = status(&endpoint, method, target, &headers).await;
                let expected: &[u16] = if target == "/mcp" { &[400, 401] } else { &[404] };
                assert!(expected.contains(&status), "{method} {target} {headers:?} {status}");
            }
        }
    }
    let reply = endpoint.post(&[("authorization", "")], "").await;
    assert_eq!((reply.status, reply.header("www-authenticate").is_some()), (401, true));
    reply.is_error(401, 4010);
}
