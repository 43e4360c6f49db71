//! A server behind a URL.

use std::fmt;
use std::path::{Path, PathBuf};

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::values::{Inline, secret};
use crate::config::expand::{Piece, pieces};
use crate::config::problem::quoted;
use crate::config::reader::Reader;
use crate::config::secret::{Secret, Text, looks_secret};
use crate::config::tree::{Entry, Node, Table, Value};

/// A server behind a URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Where it is.
    pub url: UpstreamUrl,
    /// What every request to it carries besides the protocol's own headers.
    pub headers: Vec<(HeaderName, Secret)>,
    /// The file says that it speaks HTTP+SSE; else that is found out.
    pub sse: bool,
}

/// A URL whose path and query are not shown: some services put the key there.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    uri: http::Uri,
    socket: Option<PathBuf>,
}

impl UpstreamUrl {
    /// The whole URL, to connect to. Behind a socket its host is `localhost`.
    pub fn uri(&self) -> &http::Uri {
        &self.uri
    }

    /// The socket in the file system that it is reached by, if it is.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Whether it is `https`.
    pub fn is_encrypted(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = &self.socket {
            return write!(f, "unix:{}:/…", socket.display());
        }
        let authority = self.uri.authority().map_or("", |a| a.as_str());
        write!(f, "{}://{authority}/…", self.uri.scheme_str().unwrap_or("http"))
    }
}

impl fmt::Debug for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name behind `builtin:`. Outer `None`: there is none of that name; inner: another URL.
pub(super) fn builtin(node: &Node, reader: &mut Reader) -> Option<Option<String>> {
    let Value::Text(written) = &node.value else { return Some(None) };
    // Whatever has no value is told of where the URL is read.
    let piece = |piece: Piece| match piece {
        Piece::Literal(text) => Some(text),
        Piece::Reference(reference) => reader.scope.value(&reference).ok(),
    };
    let text: Option<String> = pieces(written).ok().and_then(|pieces| pieces.into_iter().map(piece).collect());
    let Some(name) = text.as_deref().and_then(|text| text.strip_prefix("builtin:")) else { return Some(None) };
    let known = reader.scope.builtin.servers;
    if known.contains(&name) {
        return Some(Some(name.to_owned()));
    }
    let what = format!("{}: there is no builtin server {}", reader.path(), quoted(name));
    reader.wrong(node.at, what, Some(reader.scope.builtin.suggest(name, known)));
    None
}

pub(super) fn read(key: &str, node: &Node, table: &Table, inline: &mut Inline, reader: &mut Reader) -> Option<Http> {
    let found = reader.report.problems.len();
    let url = reader.below(key, |reader| url(node, inline, reader));
    let written = table.get("headers").map(|node| reader.below("headers", |reader| headers(node, inline, reader)));
    let mut headers = written.unwrap_or_default();
    if let Some(entry) = table.iter().find(|entry| entry.key == "auth") {
        let bearer = reader.below("auth", |reader| bearer(entry, inline, reader));
        if !headers.iter().any(|(name, _)| *name == AUTHORIZATION) {
            headers.extend(bearer.map(|bearer| (AUTHORIZATION, bearer)));
        }
    }
    (reader.report.problems.len() == found).then_some(())?;
    let url = url?;
    warn_of_plain_text(&url, &headers, node, reader);
    Some(Http { url, headers, sse: false })
}

fn url(node: &Node, inline: &mut Inline, reader: &mut Reader) -> Option<UpstreamUrl> {
    if let Value::Text(written) = &node.value
        && looks_secret(written)
    {
        inline.note(node.at, "url", reader);
    }
    let text = reader.text(node)?;
    if let Some(rest) = text.value().strip_prefix("unix:") {
        return unix(rest, node, reader);
    }
    let uri = match text.value().parse::<http::Uri>() {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|h| !h.is_empty()) => uri,
        _ => {
            let suggestion = looks_like_host(&text).then(|| format!("write {}", quoted(&format!("https://{text}"))));
            let what = format!("{} must be a URL that begins with http://, https:// or unix:", reader.path());
            reader.wrong(node.at, what, suggestion);
            return None;
        }
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        let what = format!("{} has a user or password in it, which is not sent", reader.path());
        reader.wrong(node.at, what, Some("put an Authorization header under headers".to_owned()));
        return None;
    }
    Some(UpstreamUrl { uri, socket: None })
}

/// `unix:/run/server.sock:/mcp`, as nginx writes it. Without a target it is `/mcp`.
fn unix(rest: &str, node: &Node, reader: &mut Reader) -> Option<UpstreamUrl> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, target) = rest.rsplit_once(":/").unwrap_or((rest, "mcp"));
    let uri = format!("http://localhost/{target}").parse().ok();
    if uri.is_none() || path.is_empty() || path.contains('\0') {
        let what = format!("{} must be unix:, the path of a socket, a colon and a path at the server", reader.path());
        reader.wrong(node.at, what, Some("write \"unix:/run/server.sock:/mcp\"".to_owned()));
        return None;
    }
    Some(UpstreamUrl { uri: uri?, socket: Some(reader.base.join(path)) })
}

fn looks_like_host(text: &Text) -> bool {
    let written = text.to_string();
    written.contains('.') && !written.contains("://") && !written.contains(['$', ' ', '@', '…'])
}

/// Headers that the protocol writes; a value from a file would only contradict it.
fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("mcp-")
        || matches!(
            name,
            "accept"
                | "content-type"
                | "content-length"
                | "transfer-encoding"
                | "connection"
                | "host"
                | "upgrade"
                | "te"
                | "trailer"
                | "keep-alive"
                | "last-event-id"
        )
}

fn headers(node: &Node, inline: &mut Inline, reader: &mut Reader) -> Vec<(HeaderName, Secret)> {
    let Some(table) = reader.table(node) else { return Vec::new() };
    let mut headers: Vec<(HeaderName, Secret)> = Vec::new();
    for entry in table.iter() {
        let Ok(name) = HeaderName::from_bytes(entry.key.as_bytes()) else {
            reader.wrong(entry.key_at, format!("{} is no name of a header", quoted(&entry.key)), None);
            continue;
        };
        if is_ours(&name) {
            let what = format!("header {} is Sluice's to write and is left out", quoted(&entry.key));
            reader.warn_once(&format!("header {name}"), entry.key_at, what, None);
            continue;
        }
        if headers.iter().any(|(other, _)| *other == name) {
            let what = format!("header {} stands here a second time", quoted(&entry.key));
            reader.wrong(entry.key_at, what, None);
            continue;
        }
        let value = reader.below(&entry.key, |reader| secret(entry, inline, reader).filter(|value| fits_a_header(value, entry, reader)));
        headers.extend(value.map(|value| (name, value)));
    }
    headers
}

fn fits_a_header(value: &Secret, entry: &Entry, reader: &mut Reader) -> bool {
    let fits = HeaderValue::from_str(value.reveal()).is_ok();
    if !fits {
        reader.wrong(entry.node.at, format!("{} holds characters that no header can", reader.path()), None);
    }
    fits
}

/// FastMCP's `auth`: a bearer token, or "oauth".
fn bearer(entry: &Entry, inline: &mut Inline, reader: &mut Reader) -> Option<Secret> {
    if !matches!(&entry.node.value, Value::Text(text) if text != "oauth") {
        let what = format!("{}: OAuth towards a server is not carried yet", reader.path());
        reader.warn(entry.node.at, what, Some("a token can stand under headers".to_owned()));
        return None;
    }
    let token = secret(entry, inline, reader)?;
    let bearer = Secret::new(format!("Bearer {}", token.reveal()), token.origin());
    fits_a_header(&bearer, entry, reader).then_some(bearer)
}

fn warn_of_plain_text(url: &UpstreamUrl, headers: &[(HeaderName, Secret)], node: &Node, reader: &mut Reader) {
    let host = url.uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_near = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if url.uri.scheme_str() == Some("http") && !headers.is_empty() && !is_near {
        let what = format!("{}: its headers travel without encryption", reader.path());
        reader.warn(node.at, what, Some("use https://".to_owned()));
    }
}
