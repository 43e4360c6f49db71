//! 2026-07-28: every request says all there is to know, and nothing is kept of it.

use http::{HeaderMap, Response};
use sluice_chain::exchange::{Arrival, Client};
use sluice_era::{
    answer::{Asked, made},
    handshake_down::{self, Introduction},
};
use sluice_wire::{
    code,
    header::{self, PARAM_PREFIX},
    json::{Value, quote},
    message::Message,
    method,
    revision::{Era, Revision},
};
use std::sync::Arc;

use super::{
    answer,
    content::Content,
    endpoint::{self, Call},
    headers::{self, Repeated},
};
use crate::downstream::{
    methods,
    outgoing::{Left, Waiting},
    refusal::Refusal,
};

/// Answers a modern request.
pub(super) async fn request(call: Call<'_>, message: Message) -> Result<Response<Content>, Refusal> {
    let (asked, client) = read(&call, &message)?;
    if asked.method == method::DISCOVER {
        return Ok(discover(&call, &asked, client).await);
    }
    let param_headers = param_headers(call.headers, asked.method)?;
    let arrival = Arrival {
        revision: asked.revision,
        message: Arc::new(message),
        client,
        principal: call.caller.principal,
        generation: call.generation,
        param_headers: Some(param_headers),
        takes_pieces: true,
    };
    let running = call.connection.shared.host.begin(arrival);
    Ok(answer::deliver(Waiting::new(running, asked, Left::Stop), call.connection).await)
}

/// `_meta`, then headers, then version, then method: the order in which errors are told.
fn read(call: &Call<'_>, message: &Message) -> Result<(Asked, Arc<Client>), Refusal> {
    let declared =
        handshake_down::declared(message).map_err(|bad| Refusal::new(400, code::INVALID_PARAMS, "meta", format!("params._meta: {bad}")))?;
    check_headers(call.headers, message, &declared.version)?;
    let revision = served(call, &declared.version)?;
    let asked = methods::asked(&call.connection.shared.host, message, revision);
    let asked = asked.ok_or_else(|| Refusal::new(404, code::METHOD_NOT_FOUND, "method", "method not found"))?;
    let info = declared.info.as_ref().map(Value::raw_bytes);
    let client = call.connection.last_seen.client(&call.caller, info, declared.capabilities.raw_bytes());
    Ok((asked, client))
}

fn served(call: &Call<'_>, version: &str) -> Result<Revision, Refusal> {
    let served = call.connection.shared.settings.eras.modern();
    served.iter().copied().find(|revision| revision.as_str() == version).ok_or_else(|| {
        Refusal::new(400, code::UNSUPPORTED_VERSION, "version", "this protocol version is not served")
            .with("supported", &handshake_down::versions(served))
            .with("requested", &quote(version))
    })
}

/// The headers are copies of the body: each is there once and says the same.
fn check_headers(headers: &HeaderMap, message: &Message, version: &str) -> Result<(), Refusal> {
    let repeated = |_: Repeated| mismatch("a header that mirrors the body is there more than once");
    let sent = headers::only(headers, &headers::PROTOCOL_VERSION).map_err(repeated)?;
    if sent.is_none_or(|sent| sent.as_bytes() != version.as_bytes()) {
        return Err(mismatch("MCP-Protocol-Version is missing or differs from params._meta"));
    }
    let sent = headers::only(headers, &headers::METHOD).map_err(repeated)?;
    if sent.is_none_or(|sent| sent.as_bytes() != message.method().as_bytes()) {
        return Err(mismatch("Mcp-Method is missing or differs from the method"));
    }
    let Some(mirrored) = method::mirrored_name(message.method()) else {
        return Ok(());
    };
    let sent = headers::only(headers, &headers::NAME).map_err(repeated)?;
    let agrees = match (sent, message.param(mirrored)) {
        (None, None) => true,
        (Some(sent), Some(named)) => {
            let decoded = sent.to_str().ok().and_then(|sent| header::decode_value(sent).ok());
            decoded.is_some_and(|decoded| named.is_str(&decoded))
        }
        _ => false,
    };
    agrees.then_some(()).ok_or_else(|| mismatch("Mcp-Name is missing, is not properly encoded, or differs from what the body names"))
}

fn mismatch(message: &'static str) -> Refusal {
    Refusal::new(400, code::HEADER_MISMATCH, "header_mismatch", message)
}

/// `Mcp-Param-*` as received. The chain, which knows the tool, compares them with the arguments.
fn param_headers(headers: &HeaderMap, method: &str) -> Result<Vec<(String, String)>, Refusal> {
    let mut found: Vec<(String, String)> = Vec::new();
    if method != method::TOOLS_CALL {
        return Ok(found);
    }
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PARAM_PREFIX) else { continue };
        let value = value.to_str().map_err(|_| mismatch("a Mcp-Param header holds bytes that must be encoded"))?;
        if found.iter().any(|(known, _)| known == name) {
            return Err(mismatch("a Mcp-Param header is there more than once"));
        }
        found.push((name.to_owned(), value.to_owned()));
    }
    Ok(found)
}

/// What all upstreams together can, as far as it is carried to this client.
async fn discover(call: &Call<'_>, asked: &Asked, client: Arc<Client>) -> Response<Content> {
    let shared = &call.connection.shared;
    let facts = shared.host.facts(Era::Modern, &client, &call.caller.principal).await;
    let introduction = Introduction {
        capabilities: &facts.capabilities,
        info: facts.info.as_ref().unwrap_or(&shared.settings.info),
        instructions: facts.instructions.as_deref(),
    };
    let result = handshake_down::discover_result(shared.settings.eras.modern(), &introduction);
    endpoint::json(200, made(&result, asked).into_bytes())
}
