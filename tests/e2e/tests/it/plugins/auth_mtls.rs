//! `auth-mtls`: who a client's certificate says it is.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::Folder,
    gateway::Gateway,
    turn::beside,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use serde_json::json;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key, PEM.
    fn issue(&self, names: Vec<SanType>) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.subject_alt_names.extend(names);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }
}

/// The whole answer to one request, over TLS with this certificate.
async fn answer(address: &str, ca: &str, (cert, key): &(String, String), request: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate")).expect("a CA");
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
    let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).expect("a certificate")];
    let config = builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key")).expect("a pair");
    let tcp = TcpStream::connect(address).await.expect("the listener");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("a handshake");
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut whole = Vec::new();
    // Whoever closes without a word of TLS has said all the same.
    let _ = stream.read_to_end(&mut whole).await;
    String::from_utf8_lossy(&whole).into_owned()
}

#[test]
fn f046_a_client_is_who_its_certificate_names() {
    beside("auth-mtls", 90, async {
        let backend = Backend::recording(&["echo"]).await;
        let folder = Folder::new();
        let authority = Authority::new();
        let (cert, key) = authority.issue(Vec::new());
        let tls = json!({
            "cert": folder.write("server.pem", cert), "key": folder.write("server.key", key), "client_ca": folder.write("ca.pem", &authority.pem),
        });
        let rules = json!([{"name": "spiffe://prod.example/ns/*/sa/*", "subject": "{2}", "tenant": "{1}"}]);
        let settings = json!({"auth-mtls": {"config": {"rules": rules}}});
        let own = json!({"tls": tls, "chain": ["builtin:auth-mtls"], "plugins": {"settings": settings}});
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        let caller = Caller::silent(&gateway.address, Era::Modern, "");
        let body = caller.text("1", "tools/call", r#""name":"echo","arguments":{}"#);
        let request = caller.head("POST", "tools/call", Some("echo"), body.len(), "connection: close\r\n") + &body;
        let uri = |text: &str| SanType::URI(text.try_into().expect("a URI"));
        for (names, says) in [
            (vec![uri("spiffe://prod.example/ns/acme/sa/ada")], "\"result\""),
            (vec![uri("spiffe://prod.example/ns/acme/sa/ada"), uri("spiffe://prod.example/ns/acme/sa/root")], "4015"),
            (vec![uri("spiffe://other.example/ns/acme/sa/ada")], "4015"),
            (Vec::new(), "4015"),
        ] {
            let said = answer(&gateway.address, &authority.pem, &authority.issue(names.clone()), &request).await;
            assert!(said.contains(says), "{names:?}: {said}");
            assert_eq!(said.starts_with("HTTP/1.1 403"), says == "4015", "{said}");
        }
        assert_eq!(backend.asked("tools/call"), 1);
        folder.audited(&[r#""principal":"ada","tenant":"acme""#]).await;
    });
}
