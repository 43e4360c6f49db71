//! One client's connection, from its first byte to its last.

use http::{HeaderMap, HeaderValue, Request, header::CONNECTION};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, io, pin::pin, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    Shared, endpoint,
    headers::HeaderFacts,
    http2,
    listener::{Peer, Stream},
    pace::Pace,
    socket::Socket,
};
use crate::{
    downstream::client::{Facts, LastSeen},
    tls::{self, ServerTls},
};

/// What the requests of one connection share.
#[derive(Clone)]
pub(super) struct Connection {
    pub shared: Arc<Shared>,
    /// Of the connection; with HTTP/2, of one stream.
    pub pace: Arc<Pace>,
    pub peer: Peer,
    /// `transport.*` of a request without headers of interest.
    pub transport: Facts,
    /// The same with what the headers add.
    pub header_facts: Arc<HeaderFacts>,
    /// The last modern client.
    pub last_seen: Arc<LastSeen>,
}

impl Connection {
    fn new(shared: Arc<Shared>, peer: Peer, tls: Option<Facts>) -> Connection {
        let transport = tls.unwrap_or_else(|| Arc::new(way(peer)));
        Connection { shared, pace: Arc::default(), peer, transport, header_facts: Arc::default(), last_seen: Arc::default() }
    }

    /// `transport.*` and `http.header.*` of one request.
    pub fn facts(&self, headers: &HeaderMap, via: Option<String>) -> Facts {
        self.header_facts.of(headers, &self.shared.settings, self.peer, via, &self.transport)
    }
}

/// Room for what arrives at once: header block and a body of ordinary size.
const READ_BYTES_MAX: usize = 128 * 1024;

/// Serves one connection. Returns when it has closed, or after a drain when its exchanges have ended.
pub(super) async fn run(stream: Stream, peer: Peer, shared: Arc<Shared>) {
    let ended = match stream {
        Stream::Unix(unix) => clear(unix, Connection::new(shared, peer, None)).await,
        Stream::Tcp(tcp) => {
            // An answer is written whole, so waiting for more to send would only cost time.
            let _ = tcp.set_nodelay(true);
            match shared.settings.tls.clone() {
                None => clear(tcp, Connection::new(shared, peer, None)).await,
                // In a box: connections without TLS do not carry its room along.
                Some(tls) => Box::pin(encrypted(&tls, tcp, peer, shared)).await,
            }
        }
    };
    if let Err(error) = ended {
        // The client left or broke HTTP; it was told what there was to tell.
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

/// Without TLS the first bytes tell the version.
async fn clear<S>(io: S, connection: Connection) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut socket = Socket::new(io, connection.pace.clone(), &connection.shared.settings.limits);
    let is_http2 = socket.begins_as_http2().await?;
    speak(socket, is_http2, connection).await
}

/// With TLS the handshake tells the version, and maybe who the client is.
async fn encrypted(tls: &ServerTls, tcp: TcpStream, peer: Peer, shared: Arc<Shared>) -> Result<(), Broken> {
    let stream = match tls.accept(tcp, shared.settings.limits.handshake_wait).await {
        Ok(stream) => stream,
        Err(error) => {
            shared.host.turned_away("tls");
            return Err(error.into());
        }
    };
    let (_, session) = stream.get_ref();
    let is_http2 = session.alpn_protocol() == Some(tls::H2);
    let mut facts = way(peer);
    facts.push(("transport.proto".into(), "https".into()));
    if let Some(certificate) = session.peer_certificates().and_then(<[_]>::first) {
        facts.extend(tls::facts(certificate));
    }
    let connection = Connection::new(shared, peer, Some(Arc::new(facts)));
    let socket = Socket::new(stream, connection.pace.clone(), &connection.shared.settings.limits);
    speak(socket, is_http2, connection).await
}

async fn speak<S>(mut socket: Socket<S>, is_http2: bool, connection: Connection) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if is_http2 {
        socket.speak_http2();
        return Box::pin(http2::run(socket, connection)).await;
    }
    let header_bytes_max = connection.shared.settings.limits.header_bytes_max;
    let (drain, linger) = (connection.shared.drain.clone(), connection.shared.settings.limits.drain_linger);
    let connection = Arc::new(connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let connection = connection.clone();
        async move {
            let mut response = endpoint::answer(connection.clone(), request).await;
            if connection.shared.drain.is_cancelled() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let http = http1::Builder::new()
        .max_header_size(header_bytes_max)
        .max_buf_size(READ_BYTES_MAX.max(header_bytes_max))
        .serve_connection(TokioIo::new(socket), service);
    let mut http = pin!(http);
    tokio::select! {
        biased;
        ended = http.as_mut() => return Ok(ended?),
        () = drain.cancelled() => {}
    }
    tokio::select! {
        biased;
        ended = http.as_mut() => return Ok(ended?),
        () = tokio::time::sleep(linger) => http.as_mut().graceful_shutdown(),
    }
    Ok(http.await?)
}

/// The facts of the way itself.
fn way(peer: Peer) -> Vec<(Box<str>, Box<str>)> {
    vec![("transport.kind".into(), "http".into()), ("transport.peer".into(), peer.to_string().into())]
}
