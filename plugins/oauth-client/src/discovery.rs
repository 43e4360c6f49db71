//! From an upstream to its authorization server: protected resource metadata (RFC 9728), then the server's own (RFC 8414, OpenID
//! Connect Discovery), each checked against the name it was found by.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_sdk::fetch::{self, Request};
use sluice_sdk::prelude::*;

use crate::problem::Problem;
use crate::scope;
use crate::url::Url;

const RESOURCE: &str = "oauth-protected-resource";
const SERVER: &str = "oauth-authorization-server";
const OPENID: &str = "openid-configuration";

/// How an upstream's authorization is to be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    /// The resource's identifier, exactly as it is published: what tokens are asked for (RFC 8707).
    pub resource: String,
    /// All that the resource says it knows.
    pub scopes: Vec<String>,
    /// Who grants.
    pub server: Server,
}

/// An authorization server: what of its metadata is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name, to the letter.
    pub issuer: String,
    /// Where browsers are sent.
    pub authorization_endpoint: Option<String>,
    /// Where tokens come from.
    pub token_endpoint: String,
    /// Where clients register themselves (RFC 7591).
    pub registration_endpoint: Option<String>,
    /// How clients show who they are, as far as this plugin can.
    pub auth_methods: Vec<String>,
    /// It takes a URL of a document as a client's id.
    pub takes_documents: bool,
    /// It always says who answers (RFC 9207).
    pub says_iss: bool,
    /// It knows PKCE with S256.
    pub knows_s256: bool,
    /// It has a scope for refresh tokens.
    pub has_offline: bool,
}

/// Finds out anew. `told` is the metadata URL of the upstream's challenge.
pub fn discover(x: &Exchange, upstream: &str, told: Option<&str>, wanted: Option<&str>) -> Result<Discovered, Problem> {
    let upstream = Url::read(upstream).map_err(|why| Problem::operator("its URL allows no tokens", format!("{upstream} {why}")))?;
    match resource(x, &upstream, told)? {
        Some(found) => {
            let issuer = choose(&found.servers, wanted)?;
            Ok(Discovered { resource: found.resource, scopes: found.scopes, server: server(x, &issuer)? })
        }
        // 2025-03-26: the upstream's own origin is the authorization server.
        None => {
            let issuer = choose(core::slice::from_ref(&upstream.origin), wanted)?;
            let resource = format!("{}{}{}", upstream.origin, upstream.path, upstream.query);
            Ok(Discovered { resource, scopes: Vec::new(), server: server(x, &issuer)? })
        }
    }
}

struct Resource {
    resource: String,
    servers: Vec<String>,
    scopes: Vec<String>,
}

/// What the upstream publishes about itself: where the challenge says, else beside its path, else at the root.
fn resource(x: &Exchange, upstream: &Url, told: Option<&str>) -> Result<Option<Resource>, Problem> {
    let (places, is_told) = match told {
        Some(url) => (Vec::from([url.to_string()]), true),
        None => (Vec::from([upstream.well_known(RESOURCE), format!("{}/.well-known/{RESOURCE}", upstream.origin)]), false),
    };
    for place in places {
        let Some(document) = document(x, &place)? else { continue };
        let resource = text(&document, "resource").unwrap_or_default();
        let is_its_own = Url::read(&resource).is_ok_and(|resource| resource.covers(upstream));
        if !is_its_own {
            return Err(Problem::server("it describes itself as another resource", format!("{place} says resource {resource:?}")));
        }
        let servers = texts(&document, "authorization_servers");
        if servers.is_empty() {
            return Err(Problem::server("it names no authorization server", place));
        }
        return Ok(Some(Resource {
            resource,
            servers,
            scopes: scope::union(&[], texts(&document, "scopes_supported").iter().map(String::as_str)),
        }));
    }
    match is_told {
        true => Err(Problem::server("it does not have the metadata that it points to", told.unwrap_or_default())),
        false => Ok(None),
    }
}

/// RFC 9728 section 7.6: which of several servers is the client's choice. The settings may leave one only.
fn choose(servers: &[String], wanted: Option<&str>) -> Result<String, Problem> {
    match wanted {
        None => Ok(servers.first().cloned().unwrap_or_default()),
        Some(wanted) if servers.iter().any(|server| server == wanted) => Ok(wanted.to_string()),
        Some(wanted) => {
            let detail = format!("the settings say {wanted}, the upstream {}", servers.join(" "));
            Err(Problem::operator("its authorization server is not the one that the gateway is registered at", detail))
        }
    }
}

/// The metadata of the server of this name, wherever of the known places it has them.
pub fn server(x: &Exchange, issuer: &str) -> Result<Server, Problem> {
    let url = Url::read(issuer).map_err(|why| Problem::server("its authorization server's name is no URL", format!("{issuer:?} {why}")))?;
    for place in places(&url) {
        let Some(document) = document(x, &place)? else { continue };
        return read_server(&document, issuer).map_err(|why| Problem::server(why, format!("{place} of {issuer}")));
    }
    Err(Problem::server("its authorization server publishes no metadata", issuer))
}

/// RFC 8414 before OpenID Connect, and the latter's own spelling last.
fn places(issuer: &Url) -> Vec<String> {
    let mut places = Vec::from([issuer.well_known(SERVER), issuer.well_known(OPENID)]);
    let path = issuer.path.trim_end_matches('/');
    if !path.is_empty() {
        places.push(format!("{}{path}/.well-known/{OPENID}", issuer.origin));
    }
    places
}

fn read_server(document: &Value, issuer: &str) -> Result<Server, &'static str> {
    // RFC 8414 section 3.3: identical, or the document is somebody else's.
    if text(document, "issuer").as_deref() != Some(issuer) {
        return Err("its authorization server's metadata is another server's");
    }
    let endpoint = |name: &str| match text(document, name) {
        None => Ok(None),
        Some(url) if Url::read(&url).is_ok() => Ok(Some(url)),
        Some(_) => Err("its authorization server has an endpoint at no https URL"),
    };
    let methods = match document.get("token_endpoint_auth_methods_supported") {
        // RFC 8414 section 2.
        None => Vec::from(["client_secret_basic".to_string()]),
        Some(_) => texts(document, "token_endpoint_auth_methods_supported"),
    };
    let known = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];
    let says = |name: &str| document.get(name).and_then(Value::as_bool).unwrap_or(false);
    Ok(Server {
        issuer: issuer.to_string(),
        authorization_endpoint: endpoint("authorization_endpoint")?,
        token_endpoint: endpoint("token_endpoint")?.ok_or("its authorization server has no token endpoint")?,
        registration_endpoint: endpoint("registration_endpoint")?,
        auth_methods: methods.into_iter().filter(|method| known.contains(&method.as_str())).collect(),
        takes_documents: says("client_id_metadata_document_supported"),
        says_iss: says("authorization_response_iss_parameter_supported"),
        knows_s256: texts(document, "code_challenge_methods_supported").iter().any(|method| method == "S256"),
        has_offline: texts(document, "scopes_supported").iter().any(|scope| scope == scope::OFFLINE),
    })
}

impl Server {
    /// Where a browser is sent, if this server can be trusted with it.
    pub fn authorizes(&self) -> Result<Url, Problem> {
        let endpoint = self.authorization_endpoint.as_deref().and_then(|url| Url::read(url).ok());
        let endpoint = endpoint.ok_or_else(|| Problem::server("its authorization server has no page for people", &self.issuer))?;
        match self.knows_s256 {
            true => Ok(endpoint),
            false => Err(Problem::server("its authorization server does not say that it knows PKCE with S256", &self.issuer)),
        }
    }
}

/// A JSON object; none if there is nothing at the place. Redirects are not followed.
fn document(x: &Exchange, place: &str) -> Result<Option<Value>, Problem> {
    Url::read(place).map_err(|why| Problem::server("it points to metadata at no https URL", format!("{place:?} {why}")))?;
    let request = Request::get(place).header("accept", "application/json");
    let answer = fetch::send(x, &request, &[], &[]).map_err(|error| Problem::of_fetch(place, error))?;
    match answer.status {
        200 => match serde_json::from_slice::<Value>(&answer.body) {
            Ok(document) if document.is_object() => Ok(Some(document)),
            _ => Err(Problem::server("metadata that the sign-in needs is no JSON object", place)),
        },
        status @ 500.. => Err(Problem::network("a server that the sign-in needs is broken", format!("{place}: HTTP {status}"))),
        _ => Ok(None),
    }
}

fn text(document: &Value, name: &str) -> Option<String> {
    document.get(name)?.as_str().filter(|text| text.len() <= crate::url::BYTES_MAX).map(ToString::to_string)
}

fn texts(document: &Value, name: &str) -> Vec<String> {
    let items = document.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts = items.iter().filter_map(Value::as_str).filter(|text| text.len() <= crate::url::BYTES_MAX);
    texts.take(scope::SCOPES_MAX).map(ToString::to_string).collect()
}
