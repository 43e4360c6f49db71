//! A client's request in the form its upstream speaks.
//!
//! Within one era only what this hop owns changes: the id, a progress token on shared channels, a
//! renamed target, and features a later version brings, which are never declared upstream. Across
//! eras the protocol's own `_meta` members come or go. Everything else keeps the sender's bytes.

use crate::capability::{Peer, declarable, with_tasks};
use bytes::Bytes;
use sluice_wire::{
    id::RequestId,
    json::{IndexDepth, Kind, Limits, Value, quote},
    message::{Message, with_id},
    meta, method,
    patch::{Patch, PatchError},
    revision::{Era, Revision},
};

/// What this hop puts into a request.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// Our id, unique among the requests that wait on this channel.
    pub id: u64,
    /// The id also stands in for the client's progress token, because clients share the channel.
    pub owns_progress: bool,
    /// Our place in a trace that the client says the request belongs to; not 0.
    pub span: u64,
    /// What the upstream calls the target, when the client calls it otherwise.
    pub original_name: Option<&'a str>,
    /// Who the client is, a JSON object; told to a modern upstream for a legacy client.
    pub client_info: Option<&'a [u8]>,
    /// What a legacy client declared, a JSON object.
    pub capabilities: &'a Bytes,
    /// The log level a legacy client has set.
    pub log_level: Option<&'a str>,
    /// Ask for a task, or declare that one is welcome, in the server's way.
    pub as_task: bool,
}

/// A request cannot be put into the upstream's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The method has no counterpart in the other era that this version carries.
    #[error("method does not cross eras")]
    CannotCross,
    /// The splices do not fit the message.
    #[error("request cannot be rewritten")]
    Patch(#[from] PatchError),
}

/// Whether a request may go from one revision to another.
pub fn crosses(from: Revision, to: Revision, name: &str) -> bool {
    // Whoever asks about tasks across eras writes the requests that the other one has.
    let is_of_tasks = matches!(name, method::TASKS_GET | method::TASKS_CANCEL | method::TASKS_RESULT | method::TASKS_UPDATE);
    // Subscriptions are a request of their own in one era and a stream in the other; levels stand on each modern request.
    let is_shared = matches!(
        name,
        method::TOOLS_LIST
            | method::TOOLS_CALL
            | method::PROMPTS_LIST
            | method::PROMPTS_GET
            | method::RESOURCES_LIST
            | method::RESOURCES_TEMPLATES_LIST
            | method::RESOURCES_READ
            | method::COMPLETION_COMPLETE
    );
    from.era() == to.era() || is_shared || is_of_tasks
}

/// The body for an upstream that speaks `to`, of a request in the form of `from`.
///
/// # Errors
/// [`RequestError`]; [`RequestError::CannotCross`] before anything else.
pub fn rewrite(message: &Message, from: Revision, to: Revision, hop: &Hop<'_>) -> Result<Bytes, RequestError> {
    if !crosses(from, to, message.method()) {
        return Err(RequestError::CannotCross);
    }
    if is_shallow(message) {
        return rewrite(&message.clone().deepen(), from, to, hop);
    }
    let mut patch = Patch::new(message.document());
    if let Some(name) = hop.original_name {
        rename(&mut patch, message, name);
    }
    match (from.era(), to.era()) {
        (Era::Modern, Era::Modern) => {
            restamp(&mut patch, message, to);
            own_progress(&mut patch, message, hop);
        }
        (Era::Legacy, Era::Modern) => {
            stamp(&mut patch, message, to, hop);
            own_progress(&mut patch, message, hop);
        }
        (Era::Modern, Era::Legacy) => unstamp(&mut patch, message, hop),
        (Era::Legacy, Era::Legacy) => own_progress(&mut patch, message, hop),
    }
    continue_trace(&mut patch, message, hop);
    if message.method() == method::COMPLETION_COMPLETE && to < Revision::V2025_06_18 {
        // What else was filled in, which is said since 2025-06-18.
        message.param("context").into_iter().for_each(|context| patch.remove(context));
    }
    let id = RequestId::from_u64(hop.id);
    if patch.is_empty() {
        return Ok(with_id(message, &id));
    }
    if let Some(value) = message.id_value() {
        patch.replace(value, Bytes::copy_from_slice(id.token().as_bytes()));
    }
    Ok(patch.apply()?)
}

/// The progress token the client gave, as it spelled it.
pub fn progress_token(message: &Message) -> Option<Bytes> {
    match message.meta() {
        Some(meta) if meta.is_shallow() => progress_token(&message.clone().deepen()),
        Some(meta) => {
            meta.get(meta::PROGRESS_TOKEN).filter(|token| matches!(token.kind(), Kind::String | Kind::Number)).map(|token| token.to_bytes())
        }
        None => None,
    }
}

/// The log level a modern request asks for.
pub fn log_level(message: &Message) -> Option<String> {
    match message.meta() {
        Some(meta) if meta.is_shallow() => log_level(&message.clone().deepen()),
        Some(meta) => Some(meta.get(meta::LOG_LEVEL)?.as_str()?.into_owned()),
        None => None,
    }
}

/// The index does not reach the members that may have to change.
fn is_shallow(message: &Message) -> bool {
    let below = |value: Option<Value<'_>>| value.is_some_and(|value| value.is_shallow());
    below(message.params()) || below(message.meta()) || message.method() == method::COMPLETION_COMPLETE && below(message.target())
}

fn rename(patch: &mut Patch<'_>, message: &Message, name: &str) {
    let Some(target) = message.target() else {
        return;
    };
    let place = match target.kind() {
        // completion/complete points at a prompt by name or at a template by URI.
        Kind::Object => target.get("name").or_else(|| target.get("uri")),
        _ => Some(target),
    };
    if let Some(place) = place.filter(|place| !place.is_str(name)) {
        patch.replace(place, quote(name));
    }
}

/// The same trace goes on under a span of ours, if this is a trace at all (W3C Trace Context, version 00).
fn continue_trace(patch: &mut Patch<'_>, message: &Message, hop: &Hop<'_>) {
    let Some(parent) = message.meta().and_then(|meta| meta.get(meta::TRACEPARENT)) else { return };
    let Some(text) = parent.as_str() else { return };
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if let ["00", trace, span, flags] = *parts
        && (trace.len(), span.len(), flags.len()) == (32, 16, 2)
        && [trace, span, flags].into_iter().all(is_hex)
    {
        patch.replace(parent, quote(&format!("00-{trace}-{:016x}-{flags}", hop.span)));
    }
}

/// Modern to modern: only what must not be declared upstream goes.
fn restamp(patch: &mut Patch<'_>, message: &Message, to: Revision) {
    let Some(meta) = message.meta() else {
        return;
    };
    if let Some(version) = meta.get(meta::PROTOCOL_VERSION).filter(|version| !version.is_str(to.as_str())) {
        patch.replace(version, quote(to.as_str()));
    }
    if let Some(declared) = meta.get(meta::CLIENT_CAPABILITIES).filter(|declared| !declared.is_empty()) {
        let raw = declared.to_bytes();
        let kept = declarable(&raw, Peer::SameEra);
        if kept != raw {
            patch.replace(declared, kept);
        }
    }
}

/// Legacy to modern: what the session knew now stands on the request.
fn stamp(patch: &mut Patch<'_>, message: &Message, to: Revision, hop: &Hop<'_>) {
    let mut members = vec![(meta::PROTOCOL_VERSION, Bytes::from(quote(to.as_str()))), (meta::CLIENT_CAPABILITIES, declared(hop))];
    // What a legacy client wants of its task a modern server does not ask.
    message.param("task").into_iter().for_each(|task| patch.remove(task));
    if let Some(info) = hop.client_info {
        members.push((meta::CLIENT_INFO, Bytes::copy_from_slice(info)));
    }
    if let Some(level) = hop.log_level {
        members.push((meta::LOG_LEVEL, quote(level).into()));
    }
    match message.meta().filter(|meta| meta.kind() == Kind::Object) {
        Some(meta) => {
            for (key, raw) in members {
                patch.set(meta, key, raw);
            }
        }
        None => add_meta(patch, message, &members),
    }
}

/// What is declared for a legacy client.
fn declared(hop: &Hop<'_>) -> Bytes {
    let declared = declarable(hop.capabilities, Peer::OtherEra);
    if hop.as_task { with_tasks(&declared) } else { declared }
}

fn add_meta(patch: &mut Patch<'_>, message: &Message, members: &[(&str, Bytes)]) {
    let mut object = Vec::with_capacity(256);
    for (key, raw) in members {
        object.push(if object.is_empty() { b'{' } else { b',' });
        object.extend_from_slice(quote(key).as_bytes());
        object.push(b':');
        object.extend_from_slice(raw);
    }
    object.push(b'}');
    match message.params() {
        Some(params) => patch.set(params, "_meta", object),
        None => {
            let params = [br#"{"_meta":"#.as_slice(), &object, b"}"].concat();
            patch.insert(message.document().root(), "params", params);
        }
    }
}

/// Modern to legacy: the protocol's own members go, everybody else's stay.
fn unstamp(patch: &mut Patch<'_>, message: &Message, hop: &Hop<'_>) {
    const GONE: [&str; 5] = [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO, meta::LOG_LEVEL, meta::SUBSCRIPTION_ID];
    // What goes with a round is between this client and us.
    ["inputResponses", "requestState"].iter().filter_map(|key| message.param(key)).for_each(|value| patch.remove(value));
    match (message.param("task"), message.params(), hop.as_task) {
        (Some(task), _, true) => patch.replace(task, b"{}".as_slice()),
        // A modern client has no such wish.
        (Some(task), _, false) => patch.remove(task),
        (None, Some(params), true) => patch.insert(params, "task", b"{}".as_slice()),
        (None, ..) => {}
    }
    let Some(meta) = message.meta() else {
        return;
    };
    let is_gone = |key: &str| GONE.contains(&key);
    if meta.members().all(|member| is_gone(&member.key.decoded())) {
        return patch.remove(meta);
    }
    for member in meta.members().filter(|member| is_gone(&member.key.decoded())) {
        patch.remove(member.value);
    }
    own_progress(patch, message, hop);
}

fn own_progress(patch: &mut Patch<'_>, message: &Message, hop: &Hop<'_>) {
    if !hop.owns_progress {
        return;
    }
    if let Some(token) = message.meta().and_then(|meta| meta.get(meta::PROGRESS_TOKEN)) {
        patch.replace(token, hop.id.to_string());
    }
}

/// The bounds for a small value cut out of a message that passed already.
pub(crate) const PART: (Limits, IndexDepth) = (Limits::RESPONSE, IndexDepth::Full);
