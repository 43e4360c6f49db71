//! Routes of plugins: HTTP that is not MCP. Names were checked before, as on every route; nobody has said who they are.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, EXPECT, HOST, PROXY_AUTHORIZATION,
        REFERRER_POLICY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, X_CONTENT_TYPE_OPTIONS,
    },
    request::Parts,
};
use hyper::body::Incoming;
use sluice_chain::{
    attributes::Attributes,
    generation::Generation,
    rescue::request_id,
    route::{RouteRequest, RouteResponse, Unrouted},
};
use std::sync::Arc;

use super::{
    Shared,
    answer::name_request,
    card,
    connection::Connection,
    content::Content,
    endpoint::{busy, nothing_here},
    intake,
};
use crate::downstream::{refusal::Refusal, settings::Settings};

/// What a page of a plugin may do, unless the plugin says otherwise: show text and its own styles, and be in no frame.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Answers at a path that is none of the host's own.
///
/// # Errors
/// 404 where no plugin has a route, 405 for another method, 413 and the like for the body, 503 and 500 for what became of the plugin.
pub(super) async fn answer(connection: &Arc<Connection>, head: &Parts, body: Incoming) -> Result<Response<Content>, Refusal> {
    let (shared, pace) = (&connection.shared, &connection.pace);
    let generation = generation_for(shared, head.uri.path());
    let method = check(&generation, head).map_err(|no| no.unwrap_or_else(|| nothing_here(&shared.settings)));
    let method = method.inspect_err(|_| intake::note_unread(&body, pace))?;
    let body = intake::collect(body, pace, shared.settings.limits.route_body_bytes_max).await?;
    let id = shared.host.next_exchange_id();
    let request = RouteRequest {
        id,
        method: method.to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: shown(&head.headers, &shared.settings),
        body,
        base: card::base(connection, &head.headers),
    };
    let facts = Attributes::new(connection.facts(&head.headers, None));
    match shared.host.answer_route(generation, request, facts).await {
        Ok(answer) => Ok(response(answer, id, head.method == Method::HEAD)),
        Err(unrouted) => Err(refusal(unrouted, &shared.settings).named(id)),
    }
}

/// Whose routes count. A resource's metadata has the path of the resource at its end (RFC 9728 §3.1), so a group answers for its own; else
/// whoever has the route, the chain of the endpoint first.
fn generation_for(shared: &Shared, path: &str) -> Arc<Generation> {
    let groups = shared.host.groups();
    let serves = |generation: &&Arc<Generation>| !generation.route_methods(path).is_empty();
    let is_meant = |generation: &&Arc<Generation>| {
        let group = generation.group.as_deref();
        group.and_then(|group| path.strip_suffix(group)).is_some_and(|rest| rest.ends_with(&format!("{}/", shared.settings.path)))
    };
    let meant = groups.iter().filter(is_meant).find(serves).or_else(|| groups.iter().find(serves));
    meant.unwrap_or(groups.default()).clone()
}

/// The method the plugin sees: a HEAD is a GET whose body stays here. None: there is nothing at this path.
fn check<'a>(generation: &Generation, head: &'a Parts) -> Result<&'a str, Option<Refusal>> {
    let served = generation.route_methods(head.uri.path());
    let method = if head.method == Method::HEAD { Method::GET.as_str() } else { head.method.as_str() };
    if served.is_empty() {
        return Err(None);
    }
    if served.contains(&method) {
        return Ok(method);
    }
    let refusal = Refusal::http(405, "http_method", "this HTTP method is not served here");
    Err(Some(match HeaderValue::try_from(served.join(", ")) {
        Ok(allowed) => refusal.with_header(ALLOW, allowed),
        Err(_) => refusal,
    }))
}

/// What proxies say: where a request came from, and who it is from.
const OF_PROXIES: [&str; 11] = [
    "x-forwarded-",
    "x-real-ip",
    "true-client-ip",
    "x-auth-request-",
    "cf-access-",
    "cf-connecting-",
    "x-amzn-oidc-",
    "x-goog-iap-",
    "x-goog-authenticated-",
    "x-ms-token-",
    "x-ms-client-principal",
];

/// What a plugin sees of the headers: no credential, nothing of the connection, nothing that proxies say, and no MCP. Of cookies the
/// plugin host leaves those that the plugin has set.
fn shown(headers: &HeaderMap, settings: &Settings) -> Vec<(String, String)> {
    const CONNECTIONS: [HeaderName; 9] =
        [AUTHORIZATION, PROXY_AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING];
    let is_kept = |name: &HeaderName| {
        let text = name.as_str();
        let is_hop = CONNECTIONS.contains(name) || *name == UPGRADE || matches!(text, "keep-alive" | "forwarded" | "via");
        let is_of_proxies = OF_PROXIES.iter().any(|start| text.starts_with(start));
        !is_hop && !is_of_proxies && !text.starts_with("mcp-") && !settings.credential_headers.contains(name)
    };
    let kept = headers.iter().filter(|(name, _)| is_kept(name));
    kept.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect()
}

fn response(answer: RouteResponse, id: u64, is_bare: bool) -> Response<Content> {
    let mut response = Response::new(if is_bare { Content::Empty } else { Content::text(answer.body) });
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    for (name, value) in [(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    name_request(&mut response, &request_id(id));
    response
}

fn refusal(unrouted: Unrouted, settings: &Settings) -> Refusal {
    const LOST: &str = "this page could not be made; the operator of this gateway finds the reason in the log";
    match unrouted {
        Unrouted::Nobody => nothing_here(settings),
        Unrouted::Busy => busy("routes_busy", "too many requests to pages of this gateway at once; try again"),
        Unrouted::Lost => Refusal::http(500, "internal", LOST),
        Unrouted::Broke(error) => match error.reason() {
            reason @ ("plugin_off" | "plugin_busy") => busy(reason, "the plugin behind this page cannot answer right now; try again"),
            reason => Refusal::http(500, reason, LOST),
        },
    }
}
