//! One client's connection, from its first byte to its last.

use http::{HeaderMap, Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
};
use tokio::net::TcpStream;

use super::{Shared, endpoint, headers::HeaderFacts, pace::Pace, socket::Socket};
use crate::downstream::client::{Facts, LastSeen};

/// What the requests of one connection share.
pub(super) struct Connection {
    pub shared: Arc<Shared>,
    pub pace: Arc<Pace>,
    /// Who holds the other end; behind a trusted proxy, not the client itself.
    pub peer: IpAddr,
    /// `transport.*` of a request without headers of interest.
    pub transport: Facts,
    /// The same with what the headers add.
    pub header_facts: HeaderFacts,
    /// The last modern client.
    pub last_seen: LastSeen,
}

impl Connection {
    /// `transport.*` and `http.header.*` of one request.
    pub fn facts(&self, headers: &HeaderMap) -> Facts {
        self.header_facts.of(headers, &self.shared.settings, self.peer, &self.transport)
    }
}

/// Room for what arrives at once: header block and a body of ordinary size.
const READ_BYTES_MAX: usize = 128 * 1024;

/// Serves one connection. Returns when it has closed, or after a drain when its exchange has ended.
pub(super) async fn run(tcp: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    // An answer is written whole, so waiting for more to send would only cost time.
    let _ = tcp.set_nodelay(true);
    let pace = Arc::new(Pace::default());
    let socket = Socket::new(tcp, pace.clone(), &shared.settings.limits);
    let header_bytes_max = shared.settings.limits.header_bytes_max;
    let drain = shared.drain.clone();
    let peer = peer.ip().to_canonical();
    let transport = transport_facts(peer);
    let connection =
        Arc::new(Connection { shared, pace, peer, transport, header_facts: HeaderFacts::default(), last_seen: LastSeen::default() });
    let service = service_fn(move |request: Request<Incoming>| {
        let connection = connection.clone();
        async move { Ok::<_, Infallible>(endpoint::answer(connection, request).await) }
    });
    let http = http1::Builder::new()
        .max_header_size(header_bytes_max)
        .max_buf_size(READ_BYTES_MAX.max(header_bytes_max))
        .serve_connection(TokioIo::new(socket), service);
    let mut http = pin!(http);
    let ended = tokio::select! {
        biased;
        ended = http.as_mut() => ended,
        () = drain.cancelled() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        // The client left or broke HTTP; it was told what there was to tell.
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// The facts of the way itself.
pub(super) fn transport_facts(peer: IpAddr) -> Facts {
    Arc::new(vec![("transport.kind".into(), "http".into()), ("transport.peer".into(), peer.to_string().into())])
}
