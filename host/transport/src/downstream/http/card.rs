//! The Server Card: what may be known of the endpoint before anybody says who they are.
//!
//! Shape and places are those of the Server Card extension (SEP-2127), docs/discovery.md of
//! experimental-ext-server-card: the card at `<endpoint>/server-card`, found through the AI Catalog at
//! `/.well-known/ai-catalog.json`. It names the host and how to connect, and nothing that stands
//! behind it: no upstream, no tool. Names are checked before, as on every route.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH,
    },
    request::Parts,
};
use sha2::{Digest as _, Sha256};
use sluice_era::handshake_down::versions;
use sluice_wire::{
    json::{Document, IndexDepth, Limits, quote},
    revision::Revision,
};
use std::fmt::Write as _;

use super::{connection::Connection, content::Content};
use crate::downstream::settings::Settings;

const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";
const CARD: &str = "application/mcp-server-card+json";
const CATALOG: &str = "application/ai-catalog+json";
/// Who publishes the host; the card speaks of the host and not of what stands behind it.
const NAMESPACE: &str = "io.github.sluice-mcp";

/// The card or the catalog, if the request is for one of them.
pub(super) fn answer(connection: &Connection, head: &Parts) -> Option<Response<Content>> {
    let settings = &connection.shared.settings;
    let path = head.uri.path();
    let is_card = path.strip_prefix(settings.path.as_str()) == Some("/server-card");
    if !is_card && path != "/.well-known/ai-catalog.json" || !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    let (name, version) = own_name(settings);
    let endpoint = endpoint(connection, &head.headers);
    Some(match is_card {
        true => document(CARD, card(settings, &name, &version, &endpoint), head),
        false => document(CATALOG, catalog(&name, &endpoint), head),
    })
}

fn endpoint(connection: &Connection, headers: &HeaderMap) -> String {
    format!("{}{}", base(connection, headers), connection.shared.settings.path)
}

/// Where this client reached us, so that behind a name of ours the card names it, too.
pub(super) fn base(connection: &Connection, headers: &HeaderMap) -> String {
    let facts = connection.facts(headers, None);
    let is_encrypted = facts.iter().any(|(key, value)| **key == *"transport.proto" && **value == *"https");
    let scheme = if is_encrypted { "https" } else { "http" };
    // Checked before: it is one of our names.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// As `server/discover` says it, where no single server stands behind the host.
fn own_name(settings: &Settings) -> (String, String) {
    let document = Document::parse_value(settings.info.clone(), &Limits::REQUEST, IndexDepth::Levels(1)).ok();
    let member = |key: &str| Some(document.as_ref()?.root().get(key)?.as_str()?.into_owned());
    (member("name").unwrap_or_else(|| "sluice".to_owned()), member("version").unwrap_or_default())
}

fn card(settings: &Settings, name: &str, version: &str, endpoint: &str) -> String {
    let eras = settings.eras;
    let served: Vec<Revision> = eras.modern().iter().chain(eras.legacy_over_http()).copied().collect();
    format!(
        r#"{{"$schema":"{SCHEMA}","name":{},"version":{},"title":{},"description":"One MCP endpoint in front of several servers, with policy in between.","remotes":[{{"type":"streamable-http","url":{},"headers":[{{"name":"Authorization","description":"Bearer and a token or key of this gateway, unless its operator lets callers in by other means.","isRequired":false,"isSecret":true}}],"supportedProtocolVersions":{}}}]}}"#,
        quote(&format!("{NAMESPACE}/{name}")),
        quote(version),
        quote(name),
        quote(endpoint),
        versions(&served),
    )
}

fn catalog(name: &str, endpoint: &str) -> String {
    let identifier = quote(&format!("urn:air:{NAMESPACE}:mcp:{name}"));
    let url = quote(&format!("{endpoint}/server-card"));
    format!(r#"{{"specVersion":"1.0","entries":[{{"identifier":{identifier},"type":"{CARD}","url":{url}}}]}}"#)
}

fn document(kind: &'static str, text: String, head: &Parts) -> Response<Content> {
    let mut tag = String::from("\"");
    for byte in &Sha256::digest(&text)[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let is_known = head.headers.get_all(IF_NONE_MATCH).iter().any(|known| known.to_str().is_ok_and(|known| known.contains(&tag)));
    let is_bare = is_known || head.method == Method::HEAD;
    let mut response = Response::new(if is_bare { Content::Empty } else { Content::text(Bytes::from(text)) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let fixed: [(HeaderName, &'static str); 6] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "public, max-age=3600"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type, If-None-Match"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, "ETag"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // It names the host that was asked for.
    response.headers_mut().insert(http::header::VARY, HeaderValue::from_static("Host"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
