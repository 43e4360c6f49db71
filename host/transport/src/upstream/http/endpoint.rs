//! Where requests go, and the headers that all of them share.

use super::settings::{HttpSettings, UrlError};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT},
    uri::Scheme,
};
use sluice_wire::header;

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
    /// For the resolver: without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query: the request target.
    pub(super) target: Uri,
    /// For a POST: content negotiation, host, the operator's headers.
    pub(super) headers: HeaderMap,
}

impl Endpoint {
    pub(super) fn new(settings: &HttpSettings) -> Result<Self, UrlError> {
        let url = &settings.url;
        match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => return Err(UrlError::Https),
            _ => return Err(UrlError::Scheme),
        }
        let authority = url.authority().ok_or(UrlError::Host)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let named = authority.port().map_or_else(|| authority.host().to_owned(), |port| format!("{}:{port}", authority.host()));
        let target = url.path_and_query().and_then(|path| Uri::builder().path_and_query(path.clone()).build().ok());
        let mut headers = HeaderMap::with_capacity(16);
        for (name, value) in &settings.headers {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(HOST, HeaderValue::try_from(named).map_err(|_| UrlError::Host)?);
        headers.insert(ACCEPT, JSON_OR_EVENTS);
        headers.insert(CONTENT_TYPE, JSON);
        headers.entry(USER_AGENT).or_insert(AGENT);
        Ok(Self { host, port: authority.port_u16().unwrap_or(80), target: target.unwrap_or_default(), headers })
    }
}

impl Endpoint {
    /// The shared headers with room for those of one request: growing a map costs more than making one.
    pub(super) fn roomy_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + ROOM);
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
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
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 8080));
        assert_eq!(endpoint.target, "/mcp?key=1");
        assert_eq!(endpoint.headers[HOST], "[::1]:8080");
    }

    #[test]
    fn says_what_is_wrong_with_a_url() {
        assert_eq!(endpoint("https://example.com/").err(), Some(UrlError::Https));
        assert_eq!(endpoint("/mcp").err(), Some(UrlError::Scheme));
        assert_eq!(endpoint("ftp://example.com/").err(), Some(UrlError::Scheme));
    }
}
