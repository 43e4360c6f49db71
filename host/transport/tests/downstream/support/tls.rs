//! A TLS client that trusts one CA.

use super::{Certificates, Connection};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{io, net::SocketAddr, path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

pub type Encrypted = TlsStream<TcpStream>;

/// Connects; `who` is the certificate to show, by its name in the folder.
pub async fn connect(address: SocketAddr, certificates: &Certificates, who: Option<&str>, alpn: &[&[u8]]) -> io::Result<Encrypted> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(&certificates.path("ca.pem")) {
        roots.add(certificate).expect("a CA");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
    let mut config = match who {
        None => builder.with_no_client_auth(),
        Some(who) => {
            let key = PrivateKeyDer::from_pem_file(certificates.path(&format!("{who}.key"))).expect("a key");
            builder.with_client_auth_cert(chain(&certificates.path(&format!("{who}.pem"))), key).expect("a pair")
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

fn chain(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).expect("a file").collect::<Result<_, _>>().expect("certificates")
}

/// The bytes of the certificate that the endpoint showed.
pub fn shown(stream: &Encrypted) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

/// The certificate in a file.
pub fn in_file(path: &Path) -> Vec<u8> {
    chain(path)[0].to_vec()
}

/// HTTP/1.1 by hand over TLS.
pub async fn http(address: SocketAddr, certificates: &Certificates, who: Option<&str>) -> io::Result<Connection<Encrypted>> {
    connect(address, certificates, who, &[b"http/1.1"]).await.map(Connection::over)
}
