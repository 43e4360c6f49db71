//! TLS of our own: who gets in, and what changes while connections live.

use crate::support::{Authority, Certificates, Connection, Endpoint, Rig, modern_body, modern_headers, request, tls};
use sluice_chain::gate::Access;
use sluice_transport::tls::{ClientCertificates, ServerFiles, ServerTls, TlsError};
use std::{sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

fn files(certificates: &Certificates) -> ServerFiles {
    ServerFiles { cert: certificates.path("server.pem"), key: certificates.path("server.key"), clients: None }
}

fn mutual(certificates: &Certificates, required: bool) -> ServerFiles {
    ServerFiles { clients: Some(ClientCertificates { ca: certificates.path("ca.pem"), required }), ..files(certificates) }
}

async fn start(files: ServerFiles) -> (Endpoint, Arc<ServerTls>) {
    start_with(files, Access::Token(crate::support::TOKEN.into())).await
}

async fn start_with(files: ServerFiles, access: Access) -> (Endpoint, Arc<ServerTls>) {
    let tls = Arc::new(ServerTls::open(files).expect("good files"));
    let mut rig = Rig { access, ..Rig::default() };
    rig.settings.tls = Some(tls.clone());
    rig.settings.limits.handshake_wait = Duration::from_millis(400);
    (rig.start().await, tls)
}

const ECHO: &str = r#""name":"echo","arguments":{"a":1}"#;

/// A call; `authorization` as in the header, empty for none.
async fn call<S: AsyncRead + AsyncWrite + Unpin>(connection: &mut Connection<S>, authorization: &str) -> u16 {
    let mut headers = modern_headers("tools/call", ECHO);
    headers.push(("authorization", authorization));
    let bytes = request("POST", "/mcp", &headers, modern_body("1", "tools/call", ECHO).as_bytes());
    connection.ask(&bytes).await.status
}

const TOKEN: &str = "Bearer let-me-in";

#[tokio::test]
async fn calls_go_through_tls_and_nothing_else_does() {
    let certificates = Certificates::new();
    let (endpoint, _) = start(files(&certificates)).await;
    let mut connection = tls::http(endpoint.address, &certificates, None).await.expect("a handshake");
    assert_eq!(call(&mut connection, TOKEN).await, 200);
    assert_eq!(call(&mut connection, "").await, 401);
    let facts = endpoint.fake.clients();
    let facts: Vec<_> = facts.iter().flat_map(|client| client.facts.iter()).map(|(k, v)| format!("{k}={v}")).collect();
    assert!(facts.contains(&"transport.proto=https".to_owned()), "{facts:?}");
    assert!(!facts.iter().any(|fact| fact.starts_with("transport.tls.")), "{facts:?}");

    let mut plain = endpoint.connect().await;
    let _ = plain.send(&request("POST", "/mcp", &[], b"{}")).await;
    assert!(plain.closes().await);
    // Says nothing: the handshake has its limit too.
    let mut silent = endpoint.connect().await;
    assert!(silent.closes().await);
    assert!(endpoint.seen.turned_away.lock().unwrap().iter().filter(|reason| **reason == "tls").count() >= 2);
}

#[tokio::test]
async fn versions_before_tls_1_2_do_not_exist() {
    let certificates = Certificates::new();
    let (endpoint, _) = start(files(&certificates)).await;
    let mut old = endpoint.connect().await;
    // A client hello of TLS 1.1 without the extension that would offer more.
    let hello = [&[1, 0, 0, 41, 3, 2][..], &[7; 32], &[0, 0, 2, 0xc0, 0x13, 1, 0]].concat();
    old.send(&[&[22, 3, 1, 0, hello.len() as u8][..], &hello].concat()).await;
    let mut answer = Vec::new();
    let _ = old.tcp.read_to_end(&mut answer).await;
    assert_eq!((answer[0], answer[5]), (21, 2), "a fatal alert: {answer:?}");
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_a_bad_file_for_none() {
    let certificates = Certificates::new();
    let (endpoint, server) = start(files(&certificates)).await;
    let first = tls::in_file(&certificates.path("server.pem"));
    let mut old = tls::http(endpoint.address, &certificates, None).await.expect("a handshake");
    assert_eq!(tls::shown(&old.tcp), first);
    assert!(!server.has_news());

    certificates.issue("server", |_| {});
    let second = tls::in_file(&certificates.path("server.pem"));
    assert!(server.has_news() && first != second);
    server.reload().expect("good files");
    assert!(!server.has_news());
    let new = tls::http(endpoint.address, &certificates, None).await.expect("a handshake");
    assert_eq!(tls::shown(&new.tcp), second);
    assert_eq!(call(&mut old, TOKEN).await, 200, "the old connection works on");

    let key = std::fs::read_to_string(certificates.path("server.key")).expect("a key");
    for (name, garbage) in [("server.pem", "garbage"), ("server.pem", ""), ("server.key", "garbage"), ("server.key", "")] {
        let good = std::fs::read_to_string(certificates.path(name)).expect("a file");
        certificates.put(name, garbage);
        assert!(server.has_news());
        assert!(matches!(server.reload(), Err(TlsError::Missing { .. })), "{name} {garbage:?}");
        assert!(!server.has_news(), "said once");
        certificates.put(name, &good);
    }
    certificates.issue("other", |_| {});
    std::fs::copy(certificates.path("other.key"), certificates.path("server.key")).expect("a copy");
    assert!(matches!(server.reload(), Err(TlsError::Mismatch { .. })));
    std::fs::remove_file(certificates.path("server.key")).expect("it is there");
    assert!(matches!(server.reload(), Err(TlsError::Read { .. })));
    let mut new = tls::http(endpoint.address, &certificates, None).await.expect("a handshake");
    assert_eq!(tls::shown(&new.tcp), second);
    assert_eq!(call(&mut new, TOKEN).await, 200);
    certificates.put("server.key", &key);
    server.reload().expect("good again");
}

/// With TLS 1.3 a client learns only with its first read that its certificate was refused.
async fn is_refused(endpoint: &Endpoint, certificates: &Certificates, who: Option<&str>) -> bool {
    let Ok(mut connection) = tls::http(endpoint.address, certificates, who).await else { return true };
    let sent = request("POST", "/mcp", &modern_headers("tools/call", ECHO), modern_body("1", "tools/call", ECHO).as_bytes());
    let _ = tokio::io::AsyncWriteExt::write_all(&mut connection.tcp, &sent).await;
    connection.reply().await.is_none()
}

#[tokio::test]
async fn with_mutual_tls_only_the_right_certificate_comes_in() {
    let certificates = Certificates::new();
    certificates.person("ada");
    certificates.expired("old");
    certificates.issue_by(&Authority::new("another CA"), "stranger", |_| {});
    let (endpoint, _) = start(mutual(&certificates, true)).await;
    for who in [None, Some("stranger"), Some("old")] {
        assert!(is_refused(&endpoint, &certificates, who).await, "{who:?}");
    }
    let mut ada = tls::http(endpoint.address, &certificates, Some("ada")).await.expect("a handshake");
    assert_eq!(call(&mut ada, "").await, 200, "the certificate says who it is");
    assert_eq!(call(&mut ada, "Bearer wrong").await, 401, "a wrong credential is not made good by it");
    let clients = endpoint.fake.clients();
    let fact = |key: &str| clients[0].facts.iter().find(|(k, _)| **k == *key).map(|(_, v)| v.to_string());
    let digest = tls::in_file(&certificates.path("ada.pem"));
    let fingerprint = fact("transport.tls.fingerprint").expect("a fingerprint");
    assert_eq!(fingerprint, format!("sha256:{}", hex(&digest)));
    assert_eq!(fact("transport.tls.subject").as_deref(), Some("CN=ada"));
    assert_eq!(fact("transport.tls.san").as_deref(), Some("DNS:localhost IP:127.0.0.1 URI:spiffe://test/ada"));
    assert_eq!(fact("principal.subject").as_deref(), Some("CN=ada"));
    assert_eq!(fact("principal.authority").as_deref(), Some("host-certificate"));
}

fn hex(certificate: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn where_certificates_are_optional_a_credential_will_do_but_a_bad_certificate_will_not() {
    let certificates = Certificates::new();
    certificates.person("ada");
    certificates.issue_by(&Authority::new("another CA"), "stranger", |_| {});
    let (endpoint, _) = start(mutual(&certificates, false)).await;
    let mut nobody = tls::http(endpoint.address, &certificates, None).await.expect("a handshake");
    assert_eq!(call(&mut nobody, TOKEN).await, 200);
    assert_eq!(call(&mut nobody, "").await, 401);
    let mut ada = tls::http(endpoint.address, &certificates, Some("ada")).await.expect("a handshake");
    assert_eq!(call(&mut ada, "").await, 200);
    assert!(is_refused(&endpoint, &certificates, Some("stranger")).await);
}

#[tokio::test]
async fn two_certificates_are_two_principals() {
    let certificates = Certificates::new();
    certificates.person("ada");
    certificates.person("bob");
    let (endpoint, _) = start_with(mutual(&certificates, true), Access::Anonymous).await;
    for who in ["ada", "bob"] {
        let mut connection = tls::http(endpoint.address, &certificates, Some(who)).await.expect("a handshake");
        assert_eq!(call(&mut connection, "").await, 200);
    }
    let clients = endpoint.fake.clients();
    let subjects: Vec<_> =
        clients.iter().filter_map(|c| c.facts.iter().find(|(k, _)| **k == *"principal.subject")).map(|(_, v)| &**v).collect();
    assert_eq!(subjects, ["CN=ada", "CN=bob"]);
}

/// A name that would read as two parts of a subject stays one.
#[tokio::test]
async fn a_subject_cannot_pretend_to_have_more_parts() {
    let certificates = Certificates::new();
    certificates.person("eve,O=admins");
    let (endpoint, _) = start(mutual(&certificates, true)).await;
    let mut eve = tls::http(endpoint.address, &certificates, Some("eve,O=admins")).await.expect("a handshake");
    assert_eq!(call(&mut eve, "").await, 200);
    let clients = endpoint.fake.clients();
    assert!(clients[0].facts.iter().any(|(k, v)| **k == *"transport.tls.subject" && **v == *"CN=eve\\,O=admins"));
}

#[test]
fn files_are_judged_before_anything_depends_on_them() {
    let certificates = Certificates::new();
    let open = |files: ServerFiles| ServerTls::open(files).map(|tls| tls.concerns()).map_err(|error| error.to_string());
    assert_eq!(
        open(files(&certificates)),
        Ok(vec![format!("everybody on this machine can read the key in {}: chmod o-r it", certificates.path("server.key").display())])
    );
    certificates.expired("old");
    let old = ServerFiles { cert: certificates.path("old.pem"), key: certificates.path("old.key"), clients: None };
    let concerns = open(old.clone()).expect("it works, to whoever accepts it");
    assert!(concerns[0].contains("expired") && concerns[0].contains("days ago"), "{concerns:?}");
    let crossed = ServerFiles { key: certificates.path("server.key"), ..old };
    assert!(open(crossed).expect_err("two pairs").contains("is not the key of the certificate"));
    let missing = ServerFiles { cert: certificates.folder().join("nothing"), ..files(&certificates) };
    assert!(open(missing).expect_err("no file").contains("cannot be read"));
    let swapped = ServerFiles { cert: certificates.path("server.key"), ..files(&certificates) };
    assert!(open(swapped).expect_err("a key").contains("holds no certificate"));
}
