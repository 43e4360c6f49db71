//! What a plugin asks of the network, in texts that mean one thing. The transport crate implements [`Fetch`].

use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

/// Scheme, host and port: what grants are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `https`, not `http`.
    pub is_encrypted: bool,
    /// A name in lower case or an address in its usual form, IPv6 without brackets.
    pub host: Box<str>,
    /// Never 0.
    pub port: u16,
}

/// A URL of an origin. There is one spelling for each: no user, no fragment, no odd form of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Where it is.
    pub origin: Origin,
    /// Path and query, as written.
    pub target: Box<str>,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(&'static str);

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (is_encrypted, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(UrlError("it does not begin with https:// or http://")),
        };
        if !text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&b)) {
            return Err(UrlError("it has characters that no URL has, or a fragment"));
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or(UrlError("its host has a [ without a ]"))?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let host = if authority.starts_with('[') { ipv6(host)? } else { name(host)? };
        let port = match port.strip_prefix(':') {
            Some(port) => number(port).ok_or(UrlError("its port is not 1 to 65535"))?,
            None if port.is_empty() => default_port(is_encrypted),
            None => return Err(UrlError("something stands between its host and its path")),
        };
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { origin: Origin { is_encrypted, host, port }, target: [slash, target].concat().into() })
    }
}

fn default_port(is_encrypted: bool) -> u16 {
    if is_encrypted { 443 } else { 80 }
}

fn number(port: &str) -> Option<u16> {
    let is_plain = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
    if is_plain { port.parse().ok() } else { None }
}

fn ipv6(host: &str) -> Result<Box<str>, UrlError> {
    // A zone would name one of our interfaces.
    let address: Ipv6Addr = host.parse().map_err(|_| UrlError("its host is no IPv6 address"))?;
    Ok(address.to_string().into())
}

/// A DNS name, or an IPv4 address in four plain numbers: what else resolvers take for one is refused.
fn name(host: &str) -> Result<Box<str>, UrlError> {
    const NO_HOST: UrlError = UrlError("its host is neither a name nor a plain address");
    let host = host.to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) && !label.starts_with('-')
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err(NO_HOST);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if is_number && host.parse::<Ipv4Addr>().is_err() {
        return Err(NO_HOST);
    }
    Ok(host.into())
}

impl FromStr for Origin {
    type Err = UrlError;

    /// A URL without a path.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let url: Url = text.parse()?;
        if *url.target == *"/" && !text.ends_with('/') { Ok(url.origin) } else { Err(UrlError("it has a path")) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}", self.host)?;
        if self.port == default_port(self.is_encrypted) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// One header. A value may be secret, so nothing shows it.
#[derive(Clone)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// One request whose URL and method are granted. What its headers may be, the client judges.
pub struct Request {
    /// For whom.
    pub plugin: Arc<str>,
    /// In which exchange, if in one.
    pub exchange: Option<u64>,
    /// `GET` and the like.
    pub method: String,
    /// Where to.
    pub url: Url,
    /// The operator says that this host is one of the private network.
    pub is_private: bool,
    /// As the plugin wants them.
    pub headers: Vec<Header>,
    /// What is sent.
    pub body: Bytes,
    /// From here to the last byte of the answer.
    pub timeout: Duration,
    /// The longest answer, body and headers each.
    pub bytes_max: usize,
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case. A value that is no text is left out.
    pub headers: Vec<(String, String)>,
    /// The whole of it.
    pub body: Bytes,
}

/// Nothing came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The guard said no; nothing was sent.
    #[error("{0}")]
    Refused(String),
    /// No connection, or one that broke.
    #[error("{0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The answer is longer than allowed.
    #[error("the answer is too long")]
    TooLarge,
}

/// A client that keeps to what is public, or named as private.
pub trait Fetch: Send + Sync {
    /// One request, and its answer within its time.
    fn fetch(&self, request: Request) -> BoxFuture<'_, Result<Response, FetchError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_one_spelling() {
        for (text, origin, target) in [
            ("https://api.example.com", "https://api.example.com", "/"),
            ("https://API.example.com:443/a?b=c", "https://api.example.com", "/a?b=c"),
            ("http://h:8080?q", "http://h:8080", "/?q"),
            ("https://93.184.216.34/", "https://93.184.216.34", "/"),
            ("https://[2606:4700:0::1111]:8443/x", "https://[2606:4700::1111]:8443", "/x"),
            ("https://xn--bcher-kva.example/%2e%2e/", "https://xn--bcher-kva.example", "/%2e%2e/"),
        ] {
            let url: Url = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.origin.to_string().as_str(), &*url.target), (origin, target), "{text}");
        }
    }

    /// T12: what a resolver or another parser would read as something else.
    #[test]
    fn other_spellings_are_refused() {
        let hosts = [
            "",
            ".",
            "a..b",
            "example.com.",
            "a b",
            "a%2eb",
            "bücher.example",
            "-a",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.0.0.01",
            "127.0.0.0x1",
            "1.2.3.4.5",
            "256.0.0.1",
            "1.2.3",
            "[127.0.0.1]",
            "[::1",
            "::1",
            "[fe80::1%eth0]",
            "[]",
            "user@h",
            "user:pw@h",
            "h@evil",
            "evil\\@h",
            "h\\evil",
            "h#evil",
            "h:80:80",
            "h:",
            "h:0",
            "h:080",
            "h:+80",
            "h:65536",
            "h:８０",
            "h\t",
            "h\r\nx: y",
            "h\0",
            "[::1]x",
            "①②⑦.⓪.⓪.①",
            "h:80@evil",
            "\"h\"",
        ];
        for host in hosts {
            for text in [format!("https://{host}/"), format!("http://{host}")] {
                assert!(text.parse::<Url>().is_err(), "{text:?}");
            }
        }
        for text in [
            "",
            "h",
            "//h/",
            "HTTPS://h/",
            "https:/h/",
            "https:h",
            "ftp://h/",
            "file:///etc/passwd",
            "https://h/ x",
            "https://h/é",
            "https://h/#a",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text:?}");
        }
        assert!("https://h/".parse::<Origin>().is_err() && "https://h?q".parse::<Origin>().is_err());
    }
}
