//! TLS for both sides: whose certificate, whom to trust, and what a certificate says.
//!
//! One library (rustls) with one set of algorithms (ring, which a C compiler builds), TLS 1.2 and
//! 1.3, no early data. Files are read whole, bounded, and judged before anything depends on them.
//!
//! Reading order: [`pem`] (files), [`server`] (ours, toward clients), `certificate` (a peer's),
//! [`client`] (toward upstreams).

mod certificate;
mod client;
mod pem;
mod server;

pub use client::ClientTls;
pub use pem::TlsError;
pub use server::{ClientCertificates, ServerFiles, ServerTls};

pub(crate) use certificate::facts;

use rustls::crypto::CryptoProvider;
use std::sync::{Arc, LazyLock};

/// Protocols by their ALPN names.
pub(crate) const H2: &[u8] = b"h2";
pub(crate) const HTTP_11: &[u8] = b"http/1.1";

/// The algorithms, chosen here and not by whichever crate came first.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    PROVIDER.clone()
}
