//! The checks every request passes, in their order, and the way to its era.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
    request::Parts,
};
use hyper::body::Incoming;
use sluice_chain::{attributes::Attributes, gate::Denied, generation::Generation, rescue::request_id};
use sluice_era::handshake_down;
use sluice_wire::{
    code,
    header::JSON,
    json::{Document, Kind as JsonKind},
    message::{Kind, Message},
    method,
    revision::{Era, Revision},
};
use std::sync::Arc;

use super::{
    Shared,
    answer::name_request,
    batch, card,
    connection::Connection,
    content::{Content, Reply},
    headers, intake, legacy, media, modern,
    pace::Phase,
    routes, sse,
};
use crate::downstream::{client::Caller, refusal::Refusal, settings::Settings};

/// A request of which everything but the body has been checked.
pub(super) struct Call<'a> {
    pub connection: &'a Arc<Connection>,
    pub headers: &'a HeaderMap,
    pub generation: Arc<Generation>,
    pub caller: Caller,
}

/// Answers one request, whatever it is.
pub(super) async fn answer(connection: Arc<Connection>, request: Request<Incoming>) -> Response<Reply> {
    connection.pace.enter(Phase::Ours);
    let response = match respond(&connection, request).await {
        Ok(response) => response,
        Err(refusal) => refuse(&connection, refusal),
    };
    response.map(|content| Reply::new(content, connection))
}

/// A refusal as HTTP, with an id under which it is found again.
fn refuse(connection: &Connection, refusal: Refusal) -> Response<Content> {
    let host = &connection.shared.host;
    if !refusal.is_counted {
        host.turned_away(refusal.reason);
    }
    let exchange = refusal.exchange.unwrap_or_else(|| host.next_exchange_id());
    tracing::debug!(exchange, reason = refusal.reason, status = refusal.status, peer = %connection.peer, "turned away");
    let mut response = json(refusal.status, refusal.body(exchange));
    name_request(&mut response, &request_id(exchange));
    for (name, value) in &refusal.headers {
        response.headers_mut().append(name, value.clone());
    }
    response
}

/// A JSON answer of ours.
pub(super) fn json(status: u16, text: Bytes) -> Response<Content> {
    let mut response = Response::new(Content::text(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::Empty);
    *response.status_mut() = status;
    response
}

async fn respond(connection: &Arc<Connection>, request: Request<Incoming>) -> Result<Response<Content>, Refusal> {
    let (head, body) = request.into_parts();
    check_names(connection, &head).inspect_err(|_| intake::note_unread(&body, &connection.pace))?;
    if let Some(card) = card::answer(connection, &head) {
        intake::note_unread(&body, &connection.pace);
        return Ok(card);
    }
    let Some((route, generation)) = Route::of(&connection.shared, head.uri.path()) else {
        return routes::answer(connection, &head, body).await;
    };
    let admitted = admit(connection, &head, generation).await;
    let call = match admitted {
        Ok(call) => call,
        Err(refusal) => {
            intake::note_unread(&body, &connection.pace);
            return Err(refusal);
        }
    };
    match (route, &head.method) {
        (Route::Stream, &Method::GET) => sse::open(call, head.uri.path()),
        (Route::Stream, _) => Err(sse::method_not_allowed("GET")),
        (Route::Messages, &Method::POST) => sse::post(call, &head.uri, body).await,
        (Route::Messages, _) => Err(sse::method_not_allowed("POST")),
        (Route::Endpoint, &Method::POST) => post(call, body).await,
        (Route::Endpoint, &Method::GET) => legacy::listen(&call).await,
        (Route::Endpoint, &Method::DELETE) => legacy::end(&call).await,
        (Route::Endpoint, _) => Err(method_not_allowed(connection)),
    }
}

/// A path that is nobody's.
pub(super) fn nothing_here(settings: &Settings) -> Refusal {
    Refusal::http(404, "route", format!("there is nothing here; MCP is served at {}", settings.path))
}

/// Before anything else, whatever the route.
fn check_names(connection: &Connection, head: &Parts) -> Result<(), Refusal> {
    let names = &connection.shared.settings.names;
    names.check(&head.uri, &head.headers).map_err(|stranger| Refusal::http(403, stranger.reason(), stranger.message()))
}

/// Groups whose names begin so are of one server each, and not below the endpoint's path.
const SERVERS: &str = "servers/";

/// What a path is for.
enum Route {
    /// Streamable HTTP.
    Endpoint,
    /// HTTP+SSE: the stream.
    Stream,
    /// HTTP+SSE: what the client says.
    Messages,
}

impl Route {
    /// And what is in force there.
    fn of(shared: &Shared, path: &str) -> Option<(Route, Arc<Generation>)> {
        let settings = &shared.settings;
        let has_sse = settings.http_sse && settings.eras.legacy;
        let (route, group) = match path {
            path if path == settings.path => (Route::Endpoint, None),
            sse::STREAM_PATH => (Route::Stream, None),
            sse::MESSAGES_PATH => (Route::Messages, None),
            _ => Route::of_group(path.strip_prefix(&*settings.path).and_then(|rest| rest.strip_prefix('/')), path)?,
        };
        if !has_sse && !matches!(route, Route::Endpoint) {
            return None;
        }
        let generation = match group {
            None => shared.host.generation(),
            Some(group) => shared.host.generation_at(group)?,
        };
        Some((route, generation))
    }

    /// `/mcp/<group>`, and below it what HTTP+SSE has. `/servers/<name>` is the group of that name, with what users of mcp-proxy find there.
    fn of_group<'p>(below: Option<&'p str>, path: &'p str) -> Option<(Route, Option<&'p str>)> {
        let (group, part) = match below {
            Some(rest) => rest.split_once('/').unwrap_or((rest, "mcp")),
            None => path.strip_prefix('/')?.trim_end_matches('/').rsplit_once('/').filter(|(group, _)| group.starts_with(SERVERS))?,
        };
        let route = match part {
            "mcp" => Route::Endpoint,
            "sse" => Route::Stream,
            "messages" => Route::Messages,
            _ => return None,
        };
        Some((route, Some(group)))
    }
}

/// Whoever fails here learns nothing else.
async fn admit<'a>(connection: &'a Arc<Connection>, head: &'a Parts, generation: Arc<Generation>) -> Result<Call<'a>, Refusal> {
    let shared = &connection.shared;
    let via = headers::via(&head.headers, &shared.settings)?;
    let credential = headers::credential(&head.headers, &shared.settings)?;
    let transport = connection.facts(&head.headers, via);
    let facts = Attributes::new(transport.clone());
    let principal = shared.host.authenticate(&generation, credential, facts).await.map_err(denied)?;
    Ok(Call { connection, headers: &head.headers, generation, caller: Caller { transport, principal } })
}

fn denied(denied: Denied) -> Refusal {
    let mut refusal = Refusal::new(denied.http_status, denied.code, "unauthenticated", denied.message).counted();
    for (name, value) in &denied.http_headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            refusal = refusal.with_header(name, value);
        }
    }
    refusal
}

pub(super) fn method_not_allowed(connection: &Connection) -> Refusal {
    let allowed = if connection.shared.settings.eras.legacy { "POST, GET, DELETE" } else { "POST" };
    Refusal::http(405, "http_method", "this HTTP method is not served here").with_header(ALLOW, HeaderValue::from_static(allowed))
}

pub(super) fn busy(reason: &'static str, message: &'static str) -> Refusal {
    Refusal::http(503, reason, message).with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

async fn post(call: Call<'_>, body: Incoming) -> Result<Response<Content>, Refusal> {
    let checked = media::check_body(call.headers).and_then(|()| media::check_accepts_answer(call.headers));
    if let Err(refusal) = checked {
        intake::note_unread(&body, &call.connection.pace);
        return Err(refusal);
    }
    let limits = &call.connection.shared.settings.limits;
    let bytes = intake::collect(body, &call.connection.pace, limits.json.bytes_max).await?;
    let document = Document::parse(bytes, &limits.json, call.generation.index_depth())
        .map_err(|error| Refusal::new(400, error.code(), "json", error.to_string()))?;
    if document.root().kind() == JsonKind::Array {
        return batch::post(call, document).await;
    }
    let message = decode(document)?;
    match message.kind() {
        Kind::Request => request(call, message).await,
        Kind::Notification => notification(call, &message).await,
        Kind::Response | Kind::Error => response(call, message).await,
    }
}

/// The envelope of a checked text.
pub(super) fn decode(document: Document) -> Result<Message, Refusal> {
    Message::decode(document).map_err(|error| Refusal::new(400, error.code(), "envelope", error.to_string()).to(error.id()))
}

/// Which era a message belongs to is said by the message, never by the connection.
async fn request(call: Call<'_>, message: Message) -> Result<Response<Content>, Refusal> {
    let eras = call.connection.shared.settings.eras;
    let is_modern = handshake_down::declares_version(&message)
        || (message.method() != method::INITIALIZE && !call.headers.contains_key(&headers::SESSION_ID) && smells_modern(call.headers));
    let id = message.id().cloned();
    let answer = if is_modern && eras.modern {
        modern::request(call, message).await
    } else if is_modern || !eras.legacy {
        Err(era_not_served(&call))
    } else if message.method() == method::INITIALIZE {
        legacy::initialize(call, message).await
    } else {
        legacy::request(call, message).await
    };
    // Every error answers the request it is about.
    answer.map_err(|refusal| if refusal.id.is_none() { refusal.to(id.as_ref()) } else { refusal })
}

/// Headers that only a modern client sends, on a request that says nothing of itself.
fn smells_modern(headers: &HeaderMap) -> bool {
    let version = headers.get(&headers::PROTOCOL_VERSION).and_then(|version| version.to_str().ok());
    let era = version.and_then(|version| version.parse::<Revision>().ok()).map(Revision::era);
    era == Some(Era::Modern) || (era.is_none() && headers.contains_key(&headers::METHOD))
}

/// Names the versions that are served, so that the client can choose one.
fn era_not_served(call: &Call<'_>) -> Refusal {
    let eras = call.connection.shared.settings.eras;
    let served: Vec<Revision> = eras.modern().iter().chain(eras.legacy_over_http()).copied().collect();
    Refusal::new(400, code::UNSUPPORTED_VERSION, "version", "this endpoint does not serve that protocol version")
        .with("supported", &handshake_down::versions(&served))
        .with(
            "requested",
            &sluice_wire::json::quote(call.headers.get(&headers::PROTOCOL_VERSION).and_then(|v| v.to_str().ok()).unwrap_or_default()),
        )
}

async fn notification(call: Call<'_>, message: &Message) -> Result<Response<Content>, Refusal> {
    let is_modern =
        handshake_down::declares_version(message) || (!call.headers.contains_key(&headers::SESSION_ID) && smells_modern(call.headers));
    if is_modern && call.connection.shared.settings.eras.modern {
        // The modern era has no notification that means anything over HTTP: leaving is cancelling.
        return Ok(empty(StatusCode::ACCEPTED));
    }
    legacy::notification(call, message).await
}

/// An answer to a question. One that nothing waits for is late, and there is nothing to say about that.
async fn response(call: Call<'_>, message: Message) -> Result<Response<Content>, Refusal> {
    if !call.headers.contains_key(&headers::SESSION_ID) {
        return Err(Refusal::new(400, code::INVALID_REQUEST, "response", "responses are accepted within a session only").to(message.id()));
    }
    let session = legacy::session(&call).await?;
    session.questions.answer(message, session.revision);
    Ok(empty(StatusCode::ACCEPTED))
}
