//! Which names this host goes by: the guard against DNS rebinding.
//!
//! A browser page that made its own name resolve to our address still sends that name in `Host`,
//! and its own origin in `Origin`. Both are checked on every route, before anything else.

use http::{
    HeaderMap, Uri,
    header::{HOST, ORIGIN},
};

/// The names and origins that are let in.
#[derive(Debug, Clone, Default)]
pub struct Names {
    is_loopback_known: bool,
    hosts: Vec<(Box<str>, Option<u16>)>,
    origins: Vec<Box<str>>,
}

/// A configured name that could never match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no {kind}")]
pub struct BadName {
    /// As configured.
    pub name: String,
    /// What it should have been.
    pub kind: &'static str,
}

/// Which of the two did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// `Host`, or the authority of an absolute request target.
    Host,
    /// `Origin`.
    Origin,
}

impl Stranger {
    /// For the client.
    pub fn message(self) -> &'static str {
        match self {
            Stranger::Host => "this Host is not one of ours; if it should be, add it to the allowed hosts",
            Stranger::Origin => "this Origin is not allowed; if it should be, add it to the allowed origins",
        }
    }

    /// For metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Stranger::Host => "host",
            Stranger::Origin => "origin",
        }
    }
}

impl Names {
    /// `localhost`, `127.0.0.1` and `[::1]`, with any port, as host and as origin.
    pub fn loopback() -> Names {
        Names { is_loopback_known: true, ..Names::default() }
    }

    /// Nothing but what is added.
    pub fn none() -> Names {
        Names::default()
    }

    /// Adds a host, `name` or `name:port`; without a port, any port will do.
    ///
    /// # Errors
    /// [`BadName`] when it is not a host.
    pub fn with_host(mut self, name: &str) -> Result<Names, BadName> {
        let (host, port) = split_authority(name).ok_or(BadName { name: name.to_owned(), kind: "host, with or without a port" })?;
        self.hosts.push((host.to_ascii_lowercase().into(), port));
        Ok(self)
    }

    /// Adds an origin as browsers write it: `scheme://host` or `scheme://host:port`.
    ///
    /// # Errors
    /// [`BadName`] when it is not an origin.
    pub fn with_origin(mut self, origin: &str) -> Result<Names, BadName> {
        let is_origin = origin.split_once("://").is_some_and(|(scheme, authority)| {
            scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) && split_authority(authority).is_some()
        });
        if !is_origin {
            return Err(BadName { name: origin.to_owned(), kind: "origin, such as https://app.example.com" });
        }
        self.origins.push(origin.to_ascii_lowercase().into());
        Ok(self)
    }

    /// Checks one request, whatever its route.
    ///
    /// # Errors
    /// Which header names somebody else, is missing (`Host`), or is there twice.
    pub fn check(&self, target: &Uri, headers: &HeaderMap) -> Result<(), Stranger> {
        // An absolute target outranks Host, so both must be ours or they could disagree.
        if target.authority().is_some_and(|authority| !self.knows_host(authority.as_str())) {
            return Err(Stranger::Host);
        }
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok()).ok_or(Stranger::Host)?;
        if hosts.next().is_some() || !self.knows_host(host) {
            return Err(Stranger::Host);
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return Ok(());
        };
        let is_known = origin.to_str().is_ok_and(|origin| self.knows_origin(origin));
        (is_known && origins.next().is_none()).then_some(()).ok_or(Stranger::Origin)
    }

    fn knows_host(&self, authority: &str) -> bool {
        if self.is_loopback_known && is_loopback(authority) {
            return true;
        }
        let Some((host, port)) = split_authority(authority) else {
            return false;
        };
        self.hosts.iter().any(|(name, at)| name.eq_ignore_ascii_case(host) && at.is_none_or(|at| Some(at) == port))
    }

    fn knows_origin(&self, origin: &str) -> bool {
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        (self.is_loopback_known && rest.is_some_and(is_loopback)) || self.origins.iter().any(|known| **known == *origin)
    }
}

/// One of the three names of this machine, with or without a port.
fn is_loopback(authority: &str) -> bool {
    let after = |name: &str| {
        let start = authority.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| &authority[name.len()..])
    };
    let rest = after("127.0.0.1").or_else(|| after("localhost")).or_else(|| after("[::1]"));
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(|digits| port(digits).is_some()))
}

/// Digits and nothing else, in range.
fn port(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Host and port, where the port may be missing. No user, no path, no empty port, no trailing dot.
fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = match authority.strip_prefix('[') {
        Some(inner) => inner.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return None,
        Some(digits) => Some(port(digits)?),
    };
    let is_literal = host.starts_with('[');
    let fits = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' => true,
        b'-' | b'_' => !is_literal,
        b':' | b'[' | b']' => is_literal,
        _ => false,
    };
    let is_name = !host.is_empty() && !host.ends_with('.') && host.bytes().all(fits);
    is_name.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn check(names: &Names, host: &str, origin: Option<&str>) -> Result<(), Stranger> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_bytes(host.as_bytes()).expect("a header value"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).expect("a header value"));
        }
        names.check(&Uri::from_static("/mcp"), &headers)
    }

    #[test]
    fn loopback_is_known_by_three_names_and_any_port() {
        let names = Names::loopback();
        for host in ["localhost", "LOCALHOST", "localhost:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8080"] {
            assert_eq!(check(&names, host, None), Ok(()), "{host}");
            assert_eq!(check(&names, host, Some(&format!("http://{host}"))), Ok(()), "{host}");
        }
        for host in [
            "",
            "localhost.",
            "localhost:",
            "localhost:x",
            "localhost:65536",
            "localhost:+1",
            "localhost:1:2",
            "localhost@evil.com",
            "evil@localhost",
            "localhost.evil.com",
            "evil.com",
            "127.0.0.1.evil.com",
            "127.0.0.2",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "0.0.0.0",
            "[::]",
            "::1",
            "[::1",
            "[::1]x",
            "[::ffff:127.0.0.1]",
            "[0:0:0:0:0:0:0:1]",
            "[::1%25lo]",
            "localhost/",
            "localhost?",
            "localhost#",
            "local host",
            "localhost,evil.com",
            "http://localhost",
            "%6cocalhost",
            "127.0.0.1:80@evil.com",
        ] {
            assert_eq!(check(&names, host, None), Err(Stranger::Host), "{host}");
            assert_eq!(check(&names, "localhost", Some(&format!("http://{host}"))), Err(Stranger::Origin), "{host}");
        }
        for origin in [
            "null",
            "",
            "localhost",
            "file://localhost",
            "ws://localhost",
            "HTTP://localhost",
            "http:/localhost",
            "http://localhost http://localhost",
        ] {
            assert_eq!(check(&names, "localhost", Some(origin)), Err(Stranger::Origin), "{origin}");
        }
    }

    #[test]
    fn a_header_that_is_there_twice_is_refused_even_when_both_are_fine() {
        let names = Names::loopback();
        for name in [HOST, ORIGIN] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost"));
            headers.insert(ORIGIN, HeaderValue::from_static("http://localhost"));
            assert_eq!(names.check(&Uri::from_static("/"), &headers), Ok(()));
            let twin = headers[&name].clone();
            headers.append(name, twin);
            assert!(names.check(&Uri::from_static("/"), &headers).is_err());
        }
    }

    #[test]
    fn an_absolute_target_must_be_ours_too() {
        let names = Names::loopback();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        assert_eq!(names.check(&Uri::from_static("http://evil.com/mcp"), &headers), Err(Stranger::Host));
        assert_eq!(names.check(&Uri::from_static("http://localhost/mcp"), &headers), Ok(()));
        headers.insert(HOST, HeaderValue::from_static("evil.com"));
        assert_eq!(names.check(&Uri::from_static("http://localhost/mcp"), &headers), Err(Stranger::Host));
        headers.remove(HOST);
        assert_eq!(names.check(&Uri::from_static("/mcp"), &headers), Err(Stranger::Host));
    }

    #[test]
    fn configured_names_are_exact_but_for_case_and_open_ports() {
        let names = Names::none()
            .with_host("MCP.example.com")
            .and_then(|n| n.with_host("b.example.com:8443"))
            .and_then(|n| n.with_origin("https://app.example.com"))
            .expect("good names");
        for (host, origin, expected) in [
            ("mcp.example.com", None, Ok(())),
            ("mcp.example.com:443", Some("https://app.example.com"), Ok(())),
            ("b.example.com:8443", None, Ok(())),
            ("b.example.com", None, Err(Stranger::Host)),
            ("localhost", None, Err(Stranger::Host)),
            ("x.mcp.example.com", None, Err(Stranger::Host)),
            ("mcp.example.com", Some("http://app.example.com"), Err(Stranger::Origin)),
            ("mcp.example.com", Some("https://app.example.com:8443"), Err(Stranger::Origin)),
            ("mcp.example.com", Some("http://localhost"), Err(Stranger::Origin)),
        ] {
            assert_eq!(check(&names, host, origin), expected, "{host} {origin:?}");
        }
        for bad in ["", "https://x", "a b", "x:99999", "x."] {
            assert!(Names::none().with_host(bad).is_err(), "{bad}");
        }
        for bad in ["x", "https://", "https://x/", "null", "https://x:"] {
            assert!(Names::none().with_origin(bad).is_err(), "{bad}");
        }
        assert!(Names::none().with_origin("vscode-webview://abc").is_ok());
    }
}
