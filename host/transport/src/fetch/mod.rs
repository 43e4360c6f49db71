//! Requests of plugins: to public addresses, or to hosts that the operator named as private, and nowhere else.
//!
//! A name is resolved once. Every address it has must be permitted, and the connection goes to one of those, so what was checked is what
//! is talked to. Redirects are handed back, not followed; no proxy is asked for; a connection serves one request. The plugin's right to
//! the URL and method was checked before; what headers may be is checked here.

mod guard;

use crate::{
    tls::{ClientTls, TlsError},
    upstream::http::{
        connection::{Connection, SendError},
        io::Io,
    },
};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request as HttpRequest, Response as HttpResponse,
    header::{HOST, USER_AGENT},
};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use sluice_chain::{
    fetch::{Fetch, FetchError, Header, Request, Response},
    withheld,
};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};

/// Requests of all plugins at once.
const REQUESTS_MAX: usize = 256;
/// Headers of one request or answer.
const HEADERS_MAX: usize = 100;
const HEADER_BYTES_MAX: usize = 32 << 10;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("sluice/", env!("CARGO_PKG_VERSION")));

/// Name and port to addresses.
type Resolver = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The client of all plugins.
pub struct Client {
    resolver: Resolver,
    /// Whom the machine trusts; read when it is first needed.
    tls: OnceLock<Result<ClientTls, String>>,
    places: Arc<Semaphore>,
}

impl Client {
    /// A client that asks the machine's resolver.
    pub fn new() -> Self {
        Self::resolving(Arc::new(|host, port| Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) })))
    }

    fn resolving(resolver: Resolver) -> Self {
        Self { resolver, tls: OnceLock::new(), places: Arc::new(Semaphore::new(REQUESTS_MAX)) }
    }

    async fn run(&self, request: &Request) -> Result<Response, FetchError> {
        let http = head(request)?;
        let addresses = self.addresses(request).await?;
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(FetchError::Unreachable("too many requests of plugins are under way".into()));
        };
        let io = self.connect(request, &addresses).await?;
        let mut connection = Connection::over(io, HEADERS_MAX, place).await.map_err(|error| broken(&error))?;
        match connection.send(http).await {
            Ok(response) => answer(&mut connection, response, request.bytes_max).await,
            Err(SendError::NotSent(_)) => Err(FetchError::Unreachable("it closes new connections at once".into())),
            Err(SendError::MaybeSent(error)) => Err(broken(&error)),
        }
    }

    /// All addresses of the host, each of them permitted.
    async fn addresses(&self, request: &Request) -> Result<Vec<SocketAddr>, FetchError> {
        let origin = &request.url.origin;
        let found = (self.resolver)(origin.host.to_string(), origin.port).await;
        let found = found.map_err(|error| FetchError::Unreachable(format!("{} is not found: {error}", origin.host)))?;
        if found.is_empty() {
            return Err(FetchError::Unreachable(format!("{} has no address", origin.host)));
        }
        match found.iter().find(|address| !guard::permits(&origin.host, request.is_private, address.ip())) {
            Some(_) if request.is_private => Err(FetchError::Refused(format!("{} has an address that no grant reaches", origin.host))),
            Some(_) => Err(FetchError::Refused(format!(
                "{} has an address that is not public; if that is meant, the grant says so: \"fetch:{origin} {} private\"",
                origin.host, request.method
            ))),
            None => Ok(found),
        }
    }

    async fn connect(&self, request: &Request, addresses: &[SocketAddr]) -> Result<Io, FetchError> {
        let origin = &request.url.origin;
        let tls = origin.is_encrypted.then(|| self.tls()).transpose()?;
        let mut last = None;
        for address in addresses {
            let tcp = match TcpStream::connect(address).await {
                Ok(tcp) => tcp,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            let Some(tls) = &tls else { return Ok(Io::Plain(tcp)) };
            let encrypted = tls.connect(&origin.host, tcp).await;
            return encrypted.map(|tls| Io::Tls(Box::new(tls))).map_err(|error| FetchError::Unreachable(format!("{origin}: {error}")));
        }
        let why = last.map_or_else(String::new, |error| format!(": {error}"));
        Err(FetchError::Unreachable(format!("{origin} cannot be reached{why}")))
    }

    fn tls(&self) -> Result<ClientTls, FetchError> {
        let made = self.tls.get_or_init(|| ClientTls::new(None, None).map_err(|error: TlsError| error.to_string()));
        made.clone().map_err(FetchError::Unreachable)
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Fetch for Client {
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>> {
        Box::pin(async move { timeout(request.timeout, self.run(&request)).await.unwrap_or(Err(FetchError::Timeout)) })
    }
}

fn broken(error: &hyper::Error) -> FetchError {
    FetchError::Unreachable(error.to_string())
}

/// The request as it goes out, or why it does not.
fn head(request: &Request) -> Result<HttpRequest<Full<Bytes>>, FetchError> {
    let refused = |why: String| FetchError::Refused(why);
    let header_bytes: usize = request.headers.iter().map(|header| header.name.len() + header.value.len() + 4).sum();
    if request.headers.len() > HEADERS_MAX || header_bytes > HEADER_BYTES_MAX {
        return Err(refused(format!("it has more than {HEADERS_MAX} headers, or more than {HEADER_BYTES_MAX} bytes of them")));
    }
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
    for Header { name, value } in &request.headers {
        let shown: String = name.chars().take(64).flat_map(char::escape_default).collect();
        let name = HeaderName::try_from(name).map_err(|_| refused(format!("{shown} is no name of a header")))?;
        if withheld::is_the_hosts(name.as_str()) {
            return Err(refused(format!("the header {shown} is the host's own")));
        }
        let mut value = HeaderValue::from_bytes(value).map_err(|_| refused(format!("the value of {shown} fits no header")))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    let origin = request.url.origin.to_string();
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    headers.insert(HOST, HeaderValue::try_from(authority).map_err(|_| refused("its host fits no header".into()))?);
    headers.entry(USER_AGENT).or_insert(AGENT);
    let mut http = HttpRequest::new(Full::new(request.body.clone()));
    *http.method_mut() = Method::from_bytes(request.method.as_bytes()).map_err(|_| refused("its method is none".into()))?;
    *http.uri_mut() = request.url.target.parse().map_err(|_| refused("its path is none".into()))?;
    *http.headers_mut() = headers;
    Ok(http)
}

async fn answer(connection: &mut Connection, response: HttpResponse<Incoming>, bytes_max: usize) -> Result<Response, FetchError> {
    let (head, mut body) = response.into_parts();
    let header_bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if header_bytes > HEADER_BYTES_MAX.min(bytes_max) || body.size_hint().lower() > bytes_max as u64 {
        return Err(FetchError::TooLarge);
    }
    let mut whole = BytesMut::new();
    while !body.is_end_stream() {
        let Some(data) = connection.data(&mut body).await else { break };
        let data = data.map_err(|error| broken(&error))?;
        if whole.len() + data.len() > bytes_max {
            return Err(FetchError::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    let text = |(name, value): (&HeaderName, &HeaderValue)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()));
    Ok(Response { status: head.status.as_u16(), headers: head.headers.iter().filter_map(text).collect(), body: whole.freeze() })
}

#[cfg(test)]
mod tests;
