//! Encrypted servers, and servers behind a socket in the file system.

#[path = "../downstream/support/certificates.rs"]
mod certificates;

use crate::support::{
    Asker, Ear,
    server::{Fake, modern, result},
};
use certificates::{Authority, Certificates};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde_json::json;
use sluice_chain::upstream::UpstreamError;
use sluice_transport::{
    tls::{ClientTls, TlsError},
    upstream::http::{Http, HttpSettings, HttpUpstream},
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixListener},
};
use tokio_rustls::TlsAcceptor;

fn chain(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Ends TLS in front of a server, with the pair `who`; its port.
async fn encrypt(fake: &Fake, certificates: &Certificates, who: &str, asks_clients: bool) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(chain(&certificates.path("ca.pem")).remove(0)).unwrap();
    let builder = match asks_clients {
        true => builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap()),
        false => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(certificates.path(&format!("{who}.key"))).unwrap();
    let config = builder.with_single_cert(chain(&certificates.path(&format!("{who}.pem"))), key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = fake.url.authority().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                let mut plain = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut tls, &mut plain).await;
            });
        }
    });
    port
}

fn upstream(url: String, tls: ClientTls) -> HttpUpstream {
    let settings = HttpSettings { tls: Some(tls), connect: Duration::from_secs(5), ..HttpSettings::new("fake", url.parse().unwrap()) };
    Http::upstream(settings, Arc::new(Ear::default())).unwrap()
}

async fn fake() -> Fake {
    Fake::start(modern(|seen| result(seen, json!({"resultType":"complete","content":[]})))).await
}

/// Why a call fails, or that it does not.
async fn call(upstream: &HttpUpstream) -> Result<(), String> {
    match Asker::modern().tool("echo", json!({})).send(upstream).await.0 {
        Ok(_) => Ok(()),
        Err(UpstreamError::Unreachable { reason }) => Err(reason),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_encrypted_server_is_reached_if_its_certificate_is_trusted_and_names_it() {
    let certificates = Certificates::new();
    let fake = fake().await;
    let port = encrypt(&fake, &certificates, "server", false).await;
    let ours = ClientTls::new(Some(&certificates.path("ca.pem")), None).unwrap();
    let trusted = upstream(format!("https://localhost:{port}/mcp"), ours.clone());
    assert_eq!(call(&trusted).await, Ok(()));
    assert_eq!(call(&trusted).await, Ok(()));
    assert_eq!(fake.last("tools/call").header("host"), format!("localhost:{port}"));
    // In certificates an address is a name, too.
    assert_eq!(call(&upstream(format!("https://127.0.0.1:{port}/mcp"), ours.clone())).await, Ok(()));

    certificates.put("other.pem", Authority::new("another CA").pem());
    let strange = ClientTls::new(Some(&certificates.path("other.pem")), None).unwrap();
    let refused = call(&upstream(format!("https://localhost:{port}/mcp"), strange)).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    certificates.issue("elsewhere", |params| params.subject_alt_names.clear());
    certificates.expired("old");
    for (who, why) in [("elsewhere", "not valid for"), ("old", "expired")] {
        let port = encrypt(&fake, &certificates, who, false).await;
        let refused = call(&upstream(format!("https://localhost:{port}/mcp"), ours.clone())).await.unwrap_err();
        assert!(refused.contains(why), "{who}: {refused}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_ours() {
    let certificates = Certificates::new();
    certificates.person("sluice");
    let fake = fake().await;
    let port = encrypt(&fake, &certificates, "server", true).await;
    let (ca, cert, key) = (certificates.path("ca.pem"), certificates.path("sluice.pem"), certificates.path("sluice.key"));
    let with = ClientTls::new(Some(&ca), Some((&cert, &key))).unwrap();
    assert_eq!(call(&upstream(format!("https://localhost:{port}/mcp"), with)).await, Ok(()));
    let without = upstream(format!("https://localhost:{port}/mcp"), ClientTls::new(Some(&ca), None).unwrap());
    assert!(Asker::modern().tool("echo", json!({})).send(&without).await.0.is_err());
    let crossed = ClientTls::new(Some(&ca), Some((&cert, &certificates.path("server.key"))));
    assert!(matches!(crossed, Err(TlsError::Mismatch { .. })));
    assert!(certificates.folder().exists());
}

#[tokio::test]
async fn a_server_may_sit_behind_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let fake = fake().await;
    let behind = fake.url.authority().unwrap().to_string();
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut unix, _)) = listener.accept().await {
            let behind = behind.clone();
            tokio::spawn(async move {
                let mut plain = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut unix, &mut plain).await;
            });
        }
    });
    let settings = HttpSettings { socket: Some(path), ..HttpSettings::new("fake", "http://localhost/mcp".parse().unwrap()) };
    let upstream = Http::upstream(settings, Arc::new(Ear::default())).unwrap();
    assert_eq!(call(&upstream).await, Ok(()));
    assert_eq!(fake.last("tools/call").header("host"), "localhost");
}
