//! What an operator decides about a server behind a URL.

use crate::{
    hop::Hop,
    tls::ClientTls,
    upstream::{CallLimits, EraChoice, Sharing},
};
use http::{HeaderName, HeaderValue, Uri};
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// One server behind a URL.
#[derive(Clone)]
pub struct HttpSettings {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// Its endpoint.
    pub url: Uri,
    /// The socket in the file system that it listens on, instead of the host of the URL.
    pub socket: Option<PathBuf>,
    /// Whom to trust; without it there is no `https`.
    pub tls: Option<ClientTls>,
    /// What every request carries besides the protocol's own headers. Values may be secret.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Who we are to gateways behind it.
    pub hop: Hop,
    /// It speaks HTTP+SSE (2024-11-05), says the operator; else that is tried when it takes no POST.
    pub sse: bool,
    /// Which era to speak.
    pub era: EraChoice,
    /// Who shares a legacy session.
    pub sharing: Sharing,
    /// Bounds on a call.
    pub call: CallLimits,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long an opening (`server/discover`, `initialize`) may take.
    pub opening: Duration,
    /// How long a stream may be silent before it is opened anew.
    pub stream_idle: Duration,
    /// How long a legacy session without work is kept.
    pub session_idle: Duration,
    /// Legacy sessions at most; the one idle longest makes room.
    pub sessions_max: usize,
    /// Connections at most.
    pub connections_max: usize,
    /// All headers of a response together, in bytes.
    pub header_bytes_max: usize,
    /// How many headers a response may have.
    pub headers_max: usize,
}

impl HttpSettings {
    /// A server at `url`, with the defaults of the limits table.
    pub fn new(name: impl Into<Arc<str>>, url: Uri) -> Self {
        Self {
            name: name.into(),
            url,
            socket: None,
            tls: None,
            headers: Vec::new(),
            hop: Hop::default(),
            sse: false,
            era: EraChoice::default(),
            sharing: Sharing::default(),
            call: CallLimits::default(),
            connect: Duration::from_secs(5),
            opening: Duration::from_secs(10),
            stream_idle: Duration::from_secs(300),
            session_idle: Duration::from_secs(1800),
            sessions_max: 4096,
            connections_max: 4096,
            header_bytes_max: 32 * 1024,
            headers_max: 100,
        }
    }
}

impl fmt::Debug for HttpSettings {
    /// Headers, path and query may hold secrets and are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings").field("name", &self.name).field("authority", &self.url.authority()).finish_non_exhaustive()
    }
}

/// A URL that cannot be an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// `https`, and nobody said whom to trust.
    #[error("an https URL needs to know whom to trust")]
    Untrusted,
    /// Neither `http` nor `https`.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// No host.
    #[error("the URL names no host")]
    Host,
}
