//! The floor: a reverse proxy that reads each body once, whole, passes it on, and does nothing else.
//!
//! It is built from what Sluice is built from, a hyper HTTP/1 connection in front and hyper-util's pooled client
//! behind, on a runtime of the same shape, so that what Sluice costs above it is Sluice's own.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::flags::{Flags, Known};

/// The command's flags.
pub const FLAGS: Known = &[
    ("upstream", "HOST:PORT to pass everything to (required)"),
    ("listen", "HOST:PORT, 127.0.0.1:0 by default; the ready line has the chosen port"),
    ("workers", "runtime threads, 2 by default"),
];

/// Runtime threads, unless told otherwise: what a tokio runtime takes by itself on the two cores that bars are for.
pub const WORKERS: usize = 2;

type Upstream = Client<HttpConnector, Full<Bytes>>;

/// Serves until the process is told to stop.
pub fn serve(flags: &Flags) -> Result<()> {
    let upstream: Authority = flags.text("upstream").context("--upstream HOST:PORT is missing")?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(flags.or("workers", WORKERS)?).enable_all().build()?;
    // Returns when it is told to stop, as Sluice does: a build that notes its profile writes it down on the way out.
    runtime.block_on(async {
        let mut stop = signal(SignalKind::terminate())?;
        tokio::select! {
            ended = accept(flags.text("listen").unwrap_or("127.0.0.1:0"), upstream) => ended,
            _ = stop.recv() => Ok(()),
        }
    })
}

async fn accept(listen: &str, upstream: Authority) -> Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    let listener = TcpListener::bind(listen).await?;
    println!("proxy ready http://{}/mcp", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        stream.set_nodelay(true)?;
        let (client, upstream) = (client.clone(), upstream.clone());
        let pass = service_fn(move |request| pass(request, client.clone(), upstream.clone()));
        tokio::spawn(async move {
            // A caller that hangs up ends its connection; that is no error here.
            let _ = hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), pass).await;
        });
    }
}

/// One exchange. An upstream that cannot be reached is a 502; a body that stops half-way ends the connection.
async fn pass(request: Request<Incoming>, client: Upstream, upstream: Authority) -> Result<Response<Full<Bytes>>> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut uri = parts.uri.into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(upstream);
    parts.uri = Uri::from_parts(uri)?;
    end_to_end(&mut parts.headers);
    parts.headers.remove(header::HOST);
    let Ok(reply) = client.request(Request::from_parts(parts, Full::new(body))).await else {
        let mut reply = Response::new(Full::default());
        *reply.status_mut() = StatusCode::BAD_GATEWAY;
        return Ok(reply);
    };
    let (mut parts, body) = reply.into_parts();
    let body = body.collect().await?.to_bytes();
    end_to_end(&mut parts.headers);
    Ok(Response::from_parts(parts, Full::new(body)))
}

/// Drops what belongs to one hop.
fn end_to_end(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::TE, header::TRAILER, header::UPGRADE] {
        headers.remove(name);
    }
}
