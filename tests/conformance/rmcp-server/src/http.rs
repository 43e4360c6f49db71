//! One loopback listener, with the SDK's service on `/mcp` and 404 elsewhere.

use std::{convert::Infallible, net::Ipv4Addr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager};
use tokio::net::{TcpListener, TcpStream};

use crate::server::Fixture;

type Service = StreamableHttpService<Fixture, LocalSessionManager>;

/// Serves until the process is ended.
pub async fn serve(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    let origins = ["http://127.0.0.1:*", "http://localhost:*"];
    let config = StreamableHttpServerConfig::default().with_allowed_origins(origins);
    let fixture = Fixture::new();
    let service: Service =
        StreamableHttpService::new(move || Ok(fixture.for_new_session()), Arc::new(LocalSessionManager::default()), config);
    println!("http://{address}/mcp");
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(converse(socket, service.clone()));
    }
}

/// One connection. A client that hangs up is not worth a word.
async fn converse(socket: TcpStream, service: Service) {
    let answer = service_fn(move |request| respond(service.clone(), request));
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), answer).await;
}

async fn respond(service: Service, request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    if request.uri().path() == "/mcp" {
        return Ok(service.handle(request).await);
    }
    let mut response = Response::new(Empty::new().boxed());
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}
