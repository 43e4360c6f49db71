//! 2025-03-26 to 2025-11-25: sessions under an id, agreed on once.

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sluice_chain::exchange::{Arrival, Client};
use sluice_era::{
    answer::{Asked, made},
    handshake_down::{self, Introduction},
};
use sluice_wire::{
    code,
    id::RequestId,
    json::{Document, quote},
    message::{self, Message},
    method,
    revision::Era,
};
use std::sync::Arc;

use super::{
    Shared, answer,
    content::Content,
    endpoint::{self, Call, busy, empty, method_not_allowed},
    events::SessionEvents,
    headers, media,
};
use crate::downstream::{
    methods,
    outgoing::{Left, Waiting},
    records::{Record, Records},
    refusal::{Refusal, own_code},
    sessions::{IdInUse, Revived, Session, parse_key},
    streams::{EventId, NotHere},
};

/// Opens a session.
pub(super) async fn initialize(call: Call<'_>, message: Message) -> Result<Response<Content>, Refusal> {
    let shared = &call.connection.shared;
    let opening = handshake_down::opening(&message, shared.settings.eras.legacy_over_http())
        .map_err(|bad| Refusal::new(400, code::INVALID_PARAMS, "initialize", format!("params: {bad}")))?;
    let asked = Asked::of(&message, opening.revision).ok_or_else(no_such_method)?;
    let principal = call.caller.principal.clone();
    let (session, client) = shared
        .sessions
        .prepare(opening.revision, call.caller, opening.info.as_deref(), &opening.capabilities)
        .map_err(|_| busy("randomness", "no session can be opened right now"))?;
    let evicted =
        shared.sessions.admit(&session).map_err(|_| busy("sessions", "too many sessions are open; end some, or raise the limit"))?;
    if let Some(evicted) = evicted {
        shared.host.session_ended(&evicted.name);
    }
    let _ = session.changes.set(shared.host.attend(&client, &principal, opening.revision));
    if let Some(records) = &shared.records {
        records.keep(&session.name, &session.record()).await;
    }
    let facts = shared.host.facts(Era::Legacy, &client, &principal).await;
    let introduction = Introduction {
        capabilities: &facts.capabilities,
        info: facts.info.as_ref().unwrap_or(&shared.settings.info),
        instructions: facts.instructions.as_deref(),
    };
    let result = handshake_down::initialize_result(opening.revision, &introduction);
    let mut response = endpoint::json(200, made(&result, &asked).into_bytes());
    if let Ok(name) = HeaderValue::from_str(&session.name) {
        response.headers_mut().insert(&headers::SESSION_ID, name);
    }
    Ok(response)
}

/// The session a request belongs to, if it is this caller's.
pub(super) async fn session(call: &Call<'_>) -> Result<Arc<Session>, Refusal> {
    let name = headers::only(call.headers, &headers::SESSION_ID).ok().flatten();
    let name = name.ok_or_else(|| {
        Refusal::new(400, code::INVALID_REQUEST, "session_missing", "exactly one Mcp-Session-Id is needed; initialize gives one")
    })?;
    let shared = &call.connection.shared;
    let session = match (shared.sessions.find(name.as_bytes(), &call.caller.principal), &shared.records) {
        (Some(session), None) => session,
        (Some(session), Some(records)) => {
            if shared.sessions.is_due(&session, records.refresh_after()) {
                write_down(shared, &session);
            }
            session
        }
        (None, Some(records)) => revived(call, records, name).await?,
        // The same words for an unknown, an ended and somebody else's session.
        (None, None) => return Err(no_such_session()),
    };
    check_version(call)?;
    Ok(session)
}

/// One that another process has opened.
async fn revived(call: &Call<'_>, records: &Records, name: &HeaderValue) -> Result<Arc<Session>, Refusal> {
    let shared = &call.connection.shared;
    let name = name.to_str().ok().filter(|name| parse_key(name.as_bytes()).is_some()).ok_or_else(no_such_session)?;
    // Not 404, which would end a session that somebody may still have.
    let found = records.find(name).await.map_err(|error| {
        tracing::warn!(%error, "nobody can say whether a session is another process's");
        busy("session_store", "whether this session exists cannot be said right now; try again")
    })?;
    let served = shared.settings.eras.legacy_over_http();
    let is_theirs = |record: &Record| record.owner == Record::owner_of(&call.caller.principal) && served.contains(&record.revision);
    let record = found.filter(is_theirs).ok_or_else(no_such_session)?;
    let Revived { session, fresh, evicted } = shared
        .sessions
        .revive(name, &record, call.caller.clone())
        .map_err(|_| busy("sessions", "too many sessions are open; end some, or raise the limit"))?;
    if let Some(evicted) = evicted {
        shared.host.session_ended(&evicted.name);
    }
    if let Some(client) = fresh {
        let _ = session.changes.set(shared.host.attend(&client, &call.caller.principal, session.revision));
        tracing::debug!(revision = session.revision.as_str(), follows = record.follows.len(), "a session goes on here");
        record.follows.iter().for_each(|uri| follow(call, &session, &client, uri));
    }
    Ok(session)
}

/// Asks once more for what the client has asked another process.
fn follow(call: &Call<'_>, session: &Session, client: &Arc<Client>, uri: &str) {
    let params = format!(r#"{{"uri":{}}}"#, quote(uri));
    let text = format!(r#"{{"jsonrpc":"2.0","id":"revived","method":"{}","params":{params}}}"#, method::RESOURCES_SUBSCRIBE);
    let parsed = Document::parse(text.into(), &call.connection.shared.settings.limits.json, call.generation.index_depth());
    let Some(message) = parsed.ok().and_then(|document| Message::decode(document).ok()) else { return };
    let mut running = call.connection.shared.host.begin(Arrival {
        message: Arc::new(message),
        revision: session.revision,
        client: client.clone(),
        principal: call.caller.principal.clone(),
        generation: call.generation.clone(),
        param_headers: None,
        takes_pieces: false,
    });
    tokio::spawn(running.see_off());
}

/// Beside the request that it comes with.
fn write_down(shared: &Arc<Shared>, session: &Arc<Session>) {
    let (shared, session) = (shared.clone(), session.clone());
    tokio::spawn(async move {
        if let Some(records) = &shared.records {
            records.keep(&session.name, &session.record()).await;
        }
    });
}

fn no_such_session() -> Refusal {
    Refusal::new(404, own_code(404), "session", "no such session; initialize again without Mcp-Session-Id")
}

/// Absent is fine, as before 2025-06-18. What the session speaks was agreed on when it was opened.
fn check_version(call: &Call<'_>) -> Result<(), Refusal> {
    let served = call.connection.shared.settings.eras.legacy_over_http();
    let is_served = |version: &HeaderValue| served.iter().any(|revision| revision.as_str().as_bytes() == version.as_bytes());
    match headers::only(call.headers, &headers::PROTOCOL_VERSION) {
        Ok(None) => Ok(()),
        Ok(Some(version)) if is_served(version) => Ok(()),
        _ => Err(Refusal::new(400, code::INVALID_REQUEST, "version", "MCP-Protocol-Version is not one that a session can speak")
            .with("supported", &handshake_down::versions(served))),
    }
}

/// Answers a request of a session.
pub(super) async fn request(call: Call<'_>, message: Message) -> Result<Response<Content>, Refusal> {
    let (session, shared) = (session(&call).await?, call.connection.shared.clone());
    let is_noted = shared.records.is_some() && session.notes(&message);
    let response = Ok(match begin(&call, &session, message, true) {
        Begun::Running(waiting) => answer::deliver(waiting, call.connection).await,
        Begun::Answered(text) => endpoint::json(200, text),
        Begun::Refused(refusal) => return Err(refusal),
    });
    if is_noted {
        write_down(&shared, &session);
    }
    response
}

/// What became of one request.
#[allow(clippy::large_enum_variant, reason = "nearly all are the large one, and it is moved once")]
pub(super) enum Begun {
    /// The chain has it.
    Running(Waiting),
    /// It was answered here.
    Answered(bytes::Bytes),
    /// It never became an exchange.
    Refused(Refusal),
}

impl Begun {
    /// Runs beside others that are waited for in turn.
    pub(super) fn run_on(mut self) -> Self {
        if let Self::Running(waiting) = &mut self {
            waiting.run_on();
        }
        self
    }
}

/// Starts an exchange of a session, unless there is nothing to start.
pub(super) fn begin(call: &Call<'_>, session: &Arc<Session>, message: Message, takes_pieces: bool) -> Begun {
    let Some(id) = message.id().cloned() else {
        return Begun::Refused(Refusal::new(400, code::INVALID_REQUEST, "envelope", "a request needs an id"));
    };
    if message.method() == method::PING {
        return Begun::Answered(message::result(&id, b"{}"));
    }
    let Some(asked) = methods::asked(&call.connection.shared.host, &message, session.revision) else {
        return Begun::Refused(no_such_method().to(Some(&id)));
    };
    let (client, principal) = session.speaker(call.caller.clone());
    let arrival = Arrival {
        revision: session.revision,
        message: Arc::new(message),
        client,
        principal,
        generation: call.generation.clone(),
        param_headers: None,
        takes_pieces,
    };
    match session.begin(&id, || call.connection.shared.host.begin(arrival)) {
        Ok(running) => Begun::Running(Waiting::new(running, asked, Left::GoOn(session.clone()))),
        Err(IdInUse) => {
            Begun::Refused(Refusal::new(400, code::INVALID_REQUEST, "id_in_use", "a request with this id is still in flight").to(Some(&id)))
        }
    }
}

/// A legacy client takes 404 for the end of its session, so this error travels under 200.
fn no_such_method() -> Refusal {
    Refusal::new(200, code::METHOD_NOT_FOUND, "method", "method not found")
}

/// Takes note of a notification; whatever it says, there is nothing to answer.
pub(super) async fn notification(call: Call<'_>, message: &Message) -> Result<Response<Content>, Refusal> {
    if !call.connection.shared.settings.eras.legacy {
        return Ok(empty(StatusCode::ACCEPTED));
    }
    let session = session(&call).await?;
    note(&session, message);
    Ok(empty(StatusCode::ACCEPTED))
}

/// `notifications/cancelled` is the only one that changes anything yet.
pub(super) fn note(session: &Session, message: &Message) {
    if message.method() != method::NOTIFY_CANCELLED {
        return;
    }
    let id = message.param("requestId").and_then(|id| RequestId::from_value(id).ok());
    if let Some(id) = id {
        session.cancel(&id);
    }
}

/// Opens the session's own event stream, in the place of an older one; or goes on with the stream of `Last-Event-ID`.
pub(super) async fn listen(call: &Call<'_>) -> Result<Response<Content>, Refusal> {
    if !call.connection.shared.settings.eras.legacy {
        return Err(method_not_allowed(call.connection));
    }
    media::check_accepts_stream(call.headers)?;
    let session = session(call).await?;
    // Whoever listens hears under the claims that they have now.
    session.speaker(call.caller.clone());
    let place = last_event(call.headers)?;
    let shared = &call.connection.shared;
    let (limits, drain) = (&shared.settings.limits, shared.drain.clone());
    let events = match place {
        None => SessionEvents::open(session, limits, drain).ok_or(NotHere::Closed),
        Some(place) => SessionEvents::resume(session, place, limits, drain),
    };
    let events = events.map_err(|reason| match reason {
        NotHere::Closed => no_such_session(),
        NotHere::Unknown => no_such_event(),
    })?;
    Ok(answer::stream(Content::Session(Box::new(events))))
}

fn last_event(headers: &HeaderMap) -> Result<Option<EventId>, Refusal> {
    let named = headers::only(headers, &headers::LAST_EVENT_ID).map_err(|_| no_such_event())?;
    let read = |named: &HeaderValue| named.to_str().ok().and_then(EventId::parse).ok_or_else(no_such_event);
    named.map(read).transpose()
}

/// Not 404, which would end the session.
fn no_such_event() -> Refusal {
    let text = "Last-Event-ID is of no stream that this session still keeps; open one without it, and take a call that was to be \
                answered there for lost: it may have run";
    Refusal::new(400, code::INVALID_REQUEST, "event_id", text)
}

/// Ends a session, at both ends.
pub(super) async fn end(call: &Call<'_>) -> Result<Response<Content>, Refusal> {
    if !call.connection.shared.settings.eras.legacy {
        return Err(method_not_allowed(call.connection));
    }
    let session = session(call).await?;
    let shared = &call.connection.shared;
    if let Some(records) = &shared.records {
        records.forget(&session.name).await;
    }
    if shared.sessions.remove(&session) {
        shared.host.session_ended(&session.name);
    }
    Ok(empty(StatusCode::NO_CONTENT))
}
