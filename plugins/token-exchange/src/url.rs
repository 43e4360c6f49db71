//! URLs as far as this plugin looks into them, and the encoding of forms and queries.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// No URL of a server is longer.
pub const BYTES_MAX: usize = 2048;

/// A URL that may be asked or opened: `https`, or `http` to this very machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Scheme, host and port in one spelling: lower case, and no port that is the scheme's own.
    pub origin: String,
    /// Empty, or with its slash.
    pub path: String,
    /// With its question mark, or empty.
    pub query: String,
}

impl Url {
    /// Reads one. The text of an error ends the sentence "the URL …".
    pub fn read(text: &str) -> Result<Url, &'static str> {
        if text.len() > BYTES_MAX {
            return Err("is longer than 2048 bytes");
        }
        let (scheme, rest) = text.split_once("://").ok_or("has no scheme and host")?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "https" && scheme != "http" {
            return Err("is neither https nor http");
        }
        if !rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}#@".contains(&b)) {
            return Err("has a user, a fragment or characters that do not belong there");
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = tail.split_at(tail.find('?').unwrap_or(tail.len()));
        let authority = authority.to_ascii_lowercase();
        let plain = authority.strip_suffix(if scheme == "https" { ":443" } else { ":80" }).unwrap_or(&authority);
        if host(plain).is_empty() {
            return Err("has no host");
        }
        if scheme == "http" && !is_this_machine(host(plain)) {
            return Err("is not https");
        }
        Ok(Url { origin: format!("{scheme}://{plain}"), path: path.to_string(), query: query.to_string() })
    }

    /// Without scheme and port.
    pub fn host(&self) -> &str {
        host(self.origin.split_once("://").map_or("", |(_, authority)| authority))
    }

    /// Names the machine that its reader is on.
    pub fn is_loopback(&self) -> bool {
        is_this_machine(self.host())
    }
}

fn host(authority: &str) -> &str {
    match authority.rfind(']') {
        Some(end) => &authority[..=end],
        None => authority.split(':').next().unwrap_or(""),
    }
}

fn is_this_machine(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// `application/x-www-form-urlencoded`, which a query is as well.
pub fn form(members: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in members {
        if !out.is_empty() {
            out.push('&');
        }
        encode(name, &mut out);
        out.push('=');
        encode(value, &mut out);
    }
    out
}

/// Percent-encoded, but for the unreserved characters of RFC 3986.
pub fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// The members of a form or query; nothing if it is no such thing, or one stands there twice (RFC 6749 section 3.1).
pub fn members(text: &str) -> Option<Vec<(String, String)>> {
    let mut out: Vec<(String, String)> = Vec::new();
    for member in text.split('&').filter(|member| !member.is_empty()) {
        let (name, value) = member.split_once('=').unwrap_or((member, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if out.len() == 32 || out.iter().any(|(known, _)| *known == name) {
            return None;
        }
        out.push((name, value));
    }
    Some(out)
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
                high << 4 | low
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::read(text).unwrap_or_else(|why| panic!("{text} {why}"))
    }

    #[test]
    fn one_spelling_for_each() {
        for (text, origin, path, query) in [
            ("https://Example.com:443/a/B?c=d", "https://example.com", "/a/B", "?c=d"),
            ("https://example.com", "https://example.com", "", ""),
            ("http://localhost:8080/", "http://localhost:8080", "/", ""),
            ("http://[::1]:80?x", "http://[::1]", "", "?x"),
        ] {
            let read = url(text);
            assert_eq!((read.origin.as_str(), read.path.as_str(), read.query.as_str()), (origin, path, query), "{text}");
        }
    }

    #[test]
    fn what_a_browser_or_client_must_not_be_sent_to_is_no_url() {
        for text in [
            "",
            "javascript:alert(1)",
            "javascript://example.com/%0aalert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "http://example.com/",
            "http://169.254.169.254/latest/meta-data",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "https://user@example.com/",
            "https://localhost:1@evil.example/",
            "https://example.com/#x",
            "https://example.com/ x",
            "https://example.com\\@evil.example/",
            "https://exämple.com/",
            "https://",
            "https:///x",
            "https://:443/",
        ] {
            assert!(Url::read(text).is_err(), "{text}");
        }
        assert!(Url::read(&format!("https://example.com/{}", "x".repeat(BYTES_MAX))).is_err());
    }

    #[test]
    fn forms_survive_both_ways() {
        let text = form(&[("a b", "c&d=é"), ("scope", "x y"), ("empty", "")]);
        assert_eq!(text, "a%20b=c%26d%3D%C3%A9&scope=x%20y&empty=");
        let read = members(&text).unwrap();
        assert_eq!(read[0], ("a b".to_string(), "c&d=é".to_string()));
        assert_eq!(read[2].1, "");
        for bad in ["code=1&code=2", "a=%", "a=%zz", "a=%ff"] {
            assert_eq!(members(bad), None, "{bad}");
        }
    }
}
