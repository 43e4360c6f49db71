//! TLS toward upstreams: whom to trust, and who we are.

use super::{HTTP_11, TlsError, pem, provider};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{fmt, path::Path, sync::Arc};
use tokio::{io, net::TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// TLS toward one upstream. Cloning is a pointer copy.
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// Trusts the CAs in `ca`, or without it those that the machine trusts. `identity` is the
    /// certificate that we show when we are asked for one, and its key.
    ///
    /// # Errors
    /// [`TlsError`]: which file, and what is wrong with it.
    pub fn new(ca: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<ClientTls, TlsError> {
        let roots = match ca {
            Some(ca) => pem::roots(ca)?,
            None => roots_of_machine()?,
        };
        let unusable = |source| TlsError::Unusable { path: ca.unwrap_or(Path::new("TLS")).to_owned(), source };
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                builder.with_client_auth_cert(pem::chain(cert)?, pem::key(key)?).map_err(|source| TlsError::of_pair(cert, key, source))?
            }
        };
        config.alpn_protocols = vec![HTTP_11.to_vec()];
        Ok(ClientTls(Arc::new(config)))
    }

    /// A connection's handshake; `host` is the name that the certificate must have.
    pub(crate) async fn connect(&self, host: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| io::Error::other("its host is no name that a certificate can have"))?;
        TlsConnector::from(self.0.clone()).connect(name, tcp).await
    }
}

fn roots_of_machine() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // One strange certificate among hundreds is no reason to trust none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}
