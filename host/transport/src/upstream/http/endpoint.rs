//! Where requests go, and the headers that all of them share.

use super::{
    io::Io,
    settings::{HttpSettings, UrlError},
};
use crate::{hop::Hop, tls::ClientTls};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT, VIA},
    uri::Scheme,
};
use sluice_chain::exchange::Client;
use sluice_wire::header;
use std::{io, path::PathBuf};
use tokio::net::{TcpStream, UnixStream};

pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);
pub(super) const METHOD: HeaderName = HeaderName::from_static(header::METHOD);
pub(super) const NAME: HeaderName = HeaderName::from_static(header::NAME);
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static(header::SESSION_ID);
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static(header::LAST_EVENT_ID);

const JSON_OR_EVENTS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: HeaderValue = HeaderValue::from_static(header::EVENT_STREAM);
const JSON: HeaderValue = HeaderValue::from_static(header::JSON);
const AGENT: HeaderValue = HeaderValue::from_static(concat!("sluice/", env!("CARGO_PKG_VERSION")));

/// A server's address in the parts that requests need.
pub(super) struct Endpoint {
    pub(super) way: Way,
    /// Path and query: the request target.
    pub(super) target: Uri,
    /// For a POST: content negotiation, host, the operator's headers.
    headers: HeaderMap,
    hop: Hop,
}

/// How a server is connected to.
pub(super) enum Way {
    /// The host as the resolver takes it, without brackets; with what TLS needs, if it is encrypted.
    Tcp { host: String, port: u16, tls: Option<ClientTls> },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Way {
    pub(super) async fn open(&self) -> io::Result<Io> {
        let (host, port, tls) = match self {
            Way::Unix(path) => return UnixStream::connect(path).await.map(Io::Unix),
            Way::Tcp { host, port, tls } => (host.as_str(), *port, tls),
        };
        let tcp = TcpStream::connect((host, port)).await?;
        // Answers are small and waited for; failing to say so only makes them slower.
        let _ = tcp.set_nodelay(true);
        match tls {
            None => Ok(Io::Plain(tcp)),
            Some(tls) => Ok(Io::Tls(Box::new(tls.connect(host, tcp).await?))),
        }
    }
}

impl Endpoint {
    pub(super) fn new(settings: &HttpSettings) -> Result<Self, UrlError> {
        let url = &settings.url;
        let (port, tls) = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => (80, None),
            Some(scheme) if *scheme == Scheme::HTTPS => (443, Some(settings.tls.clone().ok_or(UrlError::Untrusted)?)),
            _ => return Err(UrlError::Scheme),
        };
        let authority = url.authority().ok_or(UrlError::Host)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let named = authority.port().map_or_else(|| authority.host().to_owned(), |port| format!("{}:{port}", authority.host()));
        let way = match &settings.socket {
            Some(path) => Way::Unix(path.clone()),
            None => Way::Tcp { host, port: authority.port_u16().unwrap_or(port), tls },
        };
        let target = url.path_and_query().and_then(|path| Uri::builder().path_and_query(path.clone()).build().ok());
        let mut headers = HeaderMap::with_capacity(16);
        for (name, value) in &settings.headers {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(HOST, HeaderValue::try_from(named).map_err(|_| UrlError::Host)?);
        headers.insert(ACCEPT, JSON_OR_EVENTS);
        headers.insert(CONTENT_TYPE, JSON);
        headers.entry(USER_AGENT).or_insert(AGENT);
        headers.insert(VIA, settings.hop.first());
        Ok(Self { way, target: target.unwrap_or_default(), headers, hop: settings.hop.clone() })
    }
}

impl Endpoint {
    /// The shared headers, for a POST on behalf of this client: with the way that its request has come.
    pub(super) fn headers(&self, client: &Client) -> HeaderMap {
        self.on_behalf(client, self.headers.clone())
    }

    /// The same with room for those of one request: growing a map costs more than making one.
    pub(super) fn roomy_headers(&self, client: &Client) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + ROOM);
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        self.on_behalf(client, headers)
    }

    fn on_behalf(&self, client: &Client, mut headers: HeaderMap) -> HeaderMap {
        if let Some(passed) = client.via() {
            self.hop.follow(passed, &mut headers);
        }
        headers
    }
}

/// Headers of the protocol on one modern request, and the length that is added on the way.
const ROOM: usize = 4;

/// The headers of a POST made into those of a GET.
pub(super) fn for_get(post: &HeaderMap) -> HeaderMap {
    let mut headers = post.clone();
    headers.remove(CONTENT_TYPE);
    headers.insert(ACCEPT, EVENTS);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &'static str) -> Result<Endpoint, UrlError> {
        Endpoint::new(&HttpSettings::new("x", Uri::from_static(url)))
    }

    #[test]
    fn takes_a_url_apart() {
        let endpoint = endpoint("http://[::1]:8080/mcp?key=1").unwrap();
        assert!(matches!(endpoint.way, Way::Tcp { ref host, port: 8080, tls: None } if host == "::1"));
        assert_eq!(endpoint.target, "/mcp?key=1");
        assert_eq!(endpoint.headers[HOST], "[::1]:8080");
    }

    #[test]
    fn says_what_is_wrong_with_a_url() {
        assert_eq!(endpoint("https://example.com/").err(), Some(UrlError::Untrusted));
        assert_eq!(endpoint("/mcp").err(), Some(UrlError::Scheme));
        assert_eq!(endpoint("ftp://example.com/").err(), Some(UrlError::Scheme));
    }
}
