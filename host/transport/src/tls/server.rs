//! Our own certificate, toward clients, and what their certificates must be.

use super::{H2, HTTP_11, TlsError, certificate::validity, pem, provider};
use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use std::{
    fmt,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{io, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Whose certificate we show, and whose we ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// Our certificate and those that lead to its CA, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Clients are asked for a certificate.
    pub clients: Option<ClientCertificates>,
}

/// Mutual TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The CAs whose certificates are good, PEM.
    pub ca: PathBuf,
    /// Whether a client may come without one.
    pub required: bool,
}

impl ServerFiles {
    /// All of them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        [self.cert.as_path(), &self.key].into_iter().chain(self.clients.iter().map(|clients| clients.ca.as_path()))
    }

    fn load(&self) -> Result<ServerConfig, TlsError> {
        let verifier = self.clients.as_ref().map(ClientCertificates::verifier).transpose()?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|source| TlsError::Unusable { path: self.cert.clone(), source })?;
        let is_mutual = verifier.is_some();
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let chain = pem::chain(&self.cert)?;
        validity(&chain[0]).ok_or(TlsError::Malformed { path: self.cert.clone() })?;
        let built = builder.with_single_cert(chain, pem::key(&self.key)?);
        let mut config = built.map_err(|source| TlsError::of_pair(&self.cert, &self.key, source))?;
        config.alpn_protocols = vec![H2.to_vec(), HTTP_11.to_vec()];
        if is_mutual {
            // A resumed session would vouch for a certificate that may have expired since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

impl ClientCertificates {
    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let roots = Arc::new(pem::roots(&self.ca)?);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let builder = if self.required { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|error| TlsError::Unusable { path: self.ca.clone(), source: rustls::Error::General(error.to_string()) })
    }
}

/// TLS toward clients. What is in force changes as a whole; connections keep what they began with.
pub struct ServerTls {
    files: ServerFiles,
    current: ArcSwap<ServerConfig>,
    /// The files as they were when last looked at, good or bad.
    seen: Mutex<Seen>,
}

/// Of each file: length, time of change, device and inode; none when it is not there.
type Seen = Vec<Option<(u64, i64, i64, u64, u64)>>;

/// A certificate that ends within this time deserves a word.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

impl ServerTls {
    /// Reads and judges the files.
    ///
    /// # Errors
    /// [`TlsError`]: which file, and what is wrong with it.
    pub fn open(files: ServerFiles) -> Result<ServerTls, TlsError> {
        let seen = Mutex::new(look(&files));
        Ok(ServerTls { current: ArcSwap::from_pointee(files.load()?), seen, files })
    }

    /// Where the files are.
    pub fn files(&self) -> &ServerFiles {
        &self.files
    }

    /// Whether no client comes in without a certificate.
    pub fn requires_client_certificate(&self) -> bool {
        self.files.clients.as_ref().is_some_and(|clients| clients.required)
    }

    /// Reads the files again; connections made from now on see what they hold.
    ///
    /// # Errors
    /// [`TlsError`]; then all stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        *self.seen() = look(&self.files);
        self.current.store(Arc::new(self.files.load()?));
        Ok(())
    }

    /// Whether a file is another than at the last look. A file that could not be used is not new again
    /// until it changes.
    pub fn has_news(&self) -> bool {
        *self.seen() != look(&self.files)
    }

    /// What an operator should know of files that work: a certificate that has ended or soon will, a
    /// key that everybody can read.
    pub fn concerns(&self) -> Vec<String> {
        let mut concerns = Vec::new();
        let cert = self.files.cert.display();
        let now = SystemTime::now();
        if let Some((from, until)) = pem::chain(&self.files.cert).ok().and_then(|chain| validity(&chain[0])) {
            let days = |span: Duration| span.as_secs() / (24 * 3600);
            match until.duration_since(now) {
                Err(past) => concerns.push(format!("the certificate in {cert} expired {} days ago", days(past.duration()))),
                Ok(left) if left < SOON => concerns.push(format!("the certificate in {cert} expires in {} days", days(left))),
                Ok(_) if from > now => concerns.push(format!("the certificate in {cert} is not valid yet")),
                Ok(_) => {}
            }
        }
        if std::fs::metadata(&self.files.key).is_ok_and(|facts| facts.mode() & 0o004 != 0) {
            concerns.push(format!("everybody on this machine can read the key in {}: chmod o-r it", self.files.key.display()));
        }
        concerns
    }

    /// A connection's handshake.
    ///
    /// # Errors
    /// The client broke TLS, has no good certificate, or took longer than `wait`.
    pub(crate) async fn accept<S>(&self, stream: S, wait: Duration) -> io::Result<TlsStream<S>>
    where
        S: io::AsyncRead + io::AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        // A handshake runs no guest and holds nothing: it may be dropped.
        timeout(wait, acceptor.accept(stream)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows links: a mounted secret changes by a link that points elsewhere.
fn look(files: &ServerFiles) -> Seen {
    let facts = |path: &Path| std::fs::metadata(path).ok().map(|f| (f.len(), f.mtime(), f.mtime_nsec(), f.dev(), f.ino()));
    files.paths().map(facts).collect()
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}
