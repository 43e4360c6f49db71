//! A socket in the file system instead of a port.

use crate::support::{Connection, Rig, modern_body, modern_headers, request};
use sluice_transport::downstream::{Listener, UnixEndpoint, serve};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_unix_socket_serves_like_a_port_and_tells_the_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.sock");
    let rig = Rig::default();
    let (host, fake, _) = rig.host();
    let drain = CancellationToken::new();
    let listener = Listener::Unix(UnixEndpoint::bind(&path, 0o600).expect("a socket"));
    let serving = tokio::spawn(serve(vec![listener], host, rig.settings, drain.clone()));

    let mut connection = Connection::over(UnixStream::connect(&path).await.expect("a connection"));
    let params = r#""name":"echo","arguments":{"a":1}"#;
    let ask = |extra: &[(&str, &str)]| {
        let headers = [modern_headers("tools/call", params), extra.to_vec()].concat();
        request("POST", "/mcp", &headers, modern_body("1", "tools/call", params).as_bytes())
    };
    assert_eq!(connection.ask(&ask(&[])).await.status, 200);
    assert_eq!(connection.ask(&ask(&[("authorization", "")])).await.status, 401, "the token is asked for here too");
    assert_eq!(connection.ask(&ask(&[("host", "evil.example.com")])).await.status, 403, "names are checked here too");
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(folder.path()).expect("a folder"));
    let clients = fake.clients();
    assert!(clients[0].facts.iter().any(|(k, v)| **k == *"transport.peer" && **v == *format!("uid:{uid}")), "{:?}", clients[0].facts);

    drain.cancel();
    serving.await.expect("no panic").expect("a safe address");
    assert!(!path.exists(), "the socket goes with the listener");
}
