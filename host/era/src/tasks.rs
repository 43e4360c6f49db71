//! Tasks of one era in the words of the other: the core feature of 2025-11-25 and the extension of 2026-07-28.
//!
//! The two differ in who decides (the client's `task`, or the server), in the shape of a task, and in where its result is: behind
//! `tasks/result`, or in its state (mcp-protocol §3.2, §3.4).

use crate::request::PART;
use bytes::Bytes;
use sluice_wire::{
    id::RequestId,
    json::{Kind, Value, quote},
    message::{self, Message},
    meta, method,
    patch::Patch,
};
use std::time::Duration;

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It runs.
    Working,
    /// It waits for the client.
    InputRequired,
    /// It has come to an answer.
    Completed,
    /// It has come to an error; in the legacy era a tool's own failure counts, too.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl Status {
    /// Whether nothing more will come of it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "working" => Self::Working,
            "input_required" => Self::InputRequired,
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }
}

/// What matters of a task to whoever waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The server's id.
    pub id: String,
    /// How far it is.
    pub status: Status,
    /// How long the server wants to be left alone between two questions about it.
    pub poll: Duration,
}

/// Where the server does not say, and the bounds on what it says.
const POLL: Duration = Duration::from_secs(1);
const POLL_MIN: Duration = Duration::from_millis(20);
const POLL_MAX: Duration = Duration::from_secs(60);

/// The task that a call is answered with, in either era's form. None when it is answered otherwise.
pub fn created(answer: &Message) -> Option<State> {
    let whole = answer.clone().deepen();
    let result = whole.result()?;
    if result.get("resultType").is_some_and(|kind| kind.is_str("task")) {
        return read(result);
    }
    read(result.get("task").filter(|task| task.kind() == Kind::Object)?)
}

/// The state in an answer to `tasks/get` or `tasks/cancel`.
pub fn state(answer: &Message) -> Option<State> {
    read(answer.clone().deepen().result()?)
}

fn read(task: Value<'_>) -> Option<State> {
    let poll = task.get("pollIntervalMs").or_else(|| task.get("pollInterval")).and_then(|poll| poll.as_u64());
    Some(State {
        id: task.get("taskId")?.as_str()?.into_owned(),
        status: Status::read(&task.get("status")?.as_str()?)?,
        poll: poll.map_or(POLL, Duration::from_millis).clamp(POLL_MIN, POLL_MAX),
    })
}

/// A request about a task, on behalf of the one that began it or asks for it: in the form of the same era, for the same client.
pub fn request(of: &Message, name: &str, own: &str, responses: Option<&[(String, Bytes)]>) -> Option<Message> {
    let whole = of.clone().deepen();
    let mut params = format!(r#"{{"taskId":{}"#, quote(own));
    if let Some(responses) = responses {
        let all: Vec<String> = responses.iter().map(|(key, raw)| format!("{}:{}", quote(key), String::from_utf8_lossy(raw))).collect();
        params.push_str(&format!(r#","inputResponses":{{{}}}"#, all.join(",")));
    }
    if let Some(meta) = whole.meta().filter(|meta| meta.kind() == Kind::Object) {
        // Progress is the call's own.
        let kept = meta.members().filter(|member| !member.key.is(meta::PROGRESS_TOKEN) && !member.key.is(meta::RELATED_TASK));
        let kept: Vec<String> = kept.map(|member| format!("{}:{}", member.key.raw(), member.value.raw())).collect();
        if !kept.is_empty() {
            params.push_str(&format!(r#","_meta":{{{}}}"#, kept.join(",")));
        }
    }
    params.push('}');
    parsed(message::request(&RequestId::from_u64(0), name, Some(params.as_bytes())))
}

/// A legacy server's answer to `tools/call` that is a task, for a modern client.
pub fn raise_created(answer: &Message) -> Option<Message> {
    let whole = answer.clone().deepen();
    let result = whole.result()?;
    let mut text = raised(result.get("task")?, "task", &[]);
    let others = result.members().filter(|member| !member.key.is("task"));
    for member in others {
        let raw = if member.key.is("_meta") { without_relation(member.value) } else { member.value.to_bytes() };
        push(&mut text, member.key.raw(), &raw);
    }
    answered(answer, text)
}

/// What came of a task.
pub enum Outcome {
    /// The answer to its call: JSON text of an object.
    Result(Bytes),
    /// The error its call ended with: JSON text of an object.
    Error(Bytes),
    /// What it wants to know, by key: JSON text of embedded requests.
    Asks(Vec<(String, Bytes)>),
}

/// What a legacy server says of a task, for a modern client, with what came of it.
pub fn raise_state(answer: &Message, outcome: Option<&Outcome>) -> Option<Message> {
    let whole = answer.clone().deepen();
    let task = whole.result()?;
    let more: Vec<(&str, Bytes)> = match outcome {
        None if task.get("status").is_some_and(|status| status.is_str("input_required")) => {
            // It has not said what it wants to know.
            vec![("status", Bytes::from_static(br#""working""#))]
        }
        None => Vec::new(),
        // A tool that failed has answered: that is no error of the protocol here.
        Some(Outcome::Result(raw)) => vec![("status", Bytes::from_static(br#""completed""#)), ("result", raw.clone())],
        Some(Outcome::Error(raw)) => vec![("status", Bytes::from_static(br#""failed""#)), ("error", raw.clone())],
        Some(Outcome::Asks(asks)) => {
            let all: Vec<String> = asks.iter().map(|(key, raw)| format!("{}:{}", quote(key), String::from_utf8_lossy(raw))).collect();
            vec![("status", Bytes::from_static(br#""input_required""#)), ("inputRequests", format!("{{{}}}", all.join(",")).into())]
        }
    };
    answered(answer, raised(task, "complete", &more))
}

/// An answer that says no more than that the request was heard.
pub fn acknowledged(id: &RequestId) -> Option<Message> {
    parsed(message::result(id, br#"{"resultType":"complete"}"#))
}

/// A task in the modern form: members, without the brace at the end.
fn raised(task: Value<'_>, kind: &str, more: &[(&str, Bytes)]) -> String {
    let mut text = format!(r#"{{"resultType":"{kind}""#);
    let is_replaced = |key: &str| more.iter().any(|(name, _)| *name == key);
    for member in task.members() {
        let key = member.key.decoded();
        match key.as_ref() {
            "ttl" => push(&mut text, r#""ttlMs""#, member.value.raw_bytes()),
            "pollInterval" => push(&mut text, r#""pollIntervalMs""#, member.value.raw_bytes()),
            "_meta" => push(&mut text, r#""_meta""#, &without_relation(member.value)),
            key if is_replaced(key) || ["resultType", "result", "error", "inputRequests", "ttlMs", "pollIntervalMs"].contains(&key) => {}
            _ => push(&mut text, member.key.raw(), member.value.raw_bytes()),
        }
    }
    if task.get("ttl").is_none() {
        push(&mut text, r#""ttlMs""#, b"null");
    }
    more.iter().for_each(|(key, raw)| push(&mut text, &quote(key), raw));
    text
}

/// `_meta` without the relation to a task, which the modern era does not have.
fn without_relation(meta: Value<'_>) -> Bytes {
    let kept = meta.members().filter(|member| !member.key.is(meta::RELATED_TASK));
    let kept: Vec<String> = kept.map(|member| format!("{}:{}", member.key.raw(), member.value.raw())).collect();
    format!("{{{}}}", kept.join(",")).into()
}

/// What a legacy server's `tasks/result` says, as an answer to the call itself.
pub fn outcome(answer: &Message) -> Option<Outcome> {
    let whole = answer.clone().deepen();
    if let Some(error) = whole.error() {
        let code = sluice_wire::code::raised(whole.error_code()?, method::TOOLS_CALL);
        let mut patch = Patch::new(whole.document());
        patch.replace(error.get("code")?, code.to_string());
        let changed = parsed(patch.apply().ok()?)?;
        return Some(Outcome::Error(changed.error()?.to_bytes()));
    }
    Some(Outcome::Result(unrelated(&whole)?.result()?.to_bytes()))
}

/// An answer without a relation to a task: for a client that knows nothing of one.
pub fn unrelated(answer: &Message) -> Option<Message> {
    let whole = answer.clone().deepen();
    let Some(related) = whole.meta().and_then(|meta| meta.get(meta::RELATED_TASK)) else { return Some(whole) };
    let mut patch = Patch::new(whole.document());
    match whole.meta() {
        Some(meta) if meta.members().count() == 1 => patch.remove(meta),
        _ => patch.remove(related),
    }
    parsed(patch.apply().ok()?)
}

/// A modern server's answer to `tools/call` that is a task, for a legacy client that asked for one.
pub fn lower_created(answer: &Message) -> Option<Message> {
    let whole = answer.clone().deepen();
    let task = lowered(whole.result()?, None);
    answered(answer, format!(r#"{{"task":{task}"#))
}

/// What a modern server says of a task, for a legacy client. Whether it failed is the client's word for it.
pub fn lower_state(answer: &Message, status: Option<&str>) -> Option<Message> {
    let whole = answer.clone().deepen();
    let task = whole.result()?;
    let is_error = task.get("result").and_then(|result| result.get("isError")).and_then(|is| is.as_bool()) == Some(true);
    let text = lowered(task, status.or(is_error.then_some("failed")));
    parsed(message::result(answer.id()?, text.as_bytes()))
}

/// A task in the legacy form.
fn lowered(task: Value<'_>, status: Option<&str>) -> String {
    let mut text = String::from("{");
    for member in task.members() {
        let key = member.key.decoded();
        match key.as_ref() {
            "ttlMs" => push(&mut text, r#""ttl""#, member.value.raw_bytes()),
            "pollIntervalMs" => push(&mut text, r#""pollInterval""#, member.value.raw_bytes()),
            "status" => push(&mut text, r#""status""#, status.map_or(member.value.to_bytes(), |status| quote(status).into()).as_ref()),
            "resultType" | "result" | "error" | "inputRequests" | "_meta" | "ttl" | "pollInterval" => {}
            _ => push(&mut text, member.key.raw(), member.value.raw_bytes()),
        }
    }
    if task.get("ttlMs").is_none() {
        push(&mut text, r#""ttl""#, b"null");
    }
    text.push('}');
    text
}

/// What a modern server says came of a task, as the answer to its call.
pub fn lower_outcome(answer: &Message) -> Option<Message> {
    let whole = answer.clone().deepen();
    let task = whole.result()?;
    let id = answer.id()?;
    if let Some(error) = task.get("error") {
        return parsed(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, id.token(), error.raw()).into());
    }
    parsed(message::result(id, task.get("result")?.raw_bytes()))
}

/// What a modern server's task wants to know: embedded requests by key, each as one of its own.
pub fn asks(answer: &Message) -> Vec<(String, Bytes)> {
    let whole = answer.clone().deepen();
    let requests = whole.result().and_then(|result| result.get("inputRequests"));
    let question = |entry: Value<'_>| {
        let name = entry.get("method")?.as_str()?.into_owned();
        Some(message::request(&RequestId::from_u64(0), &name, entry.get("params").map(|params| params.raw_bytes())))
    };
    let all = requests.into_iter().flat_map(|requests| requests.members());
    all.filter_map(|member| Some((member.key.decoded().into_owned(), question(member.value)?))).collect()
}

/// The server's id of the task that a question belongs to, if it says so.
pub fn related_to(question: &Message) -> Option<String> {
    question.meta()?.get(meta::RELATED_TASK)?;
    let whole = question.clone().deepen();
    Some(whole.meta()?.get(meta::RELATED_TASK)?.get("taskId")?.as_str()?.into_owned())
}

/// A question, or an answer to one, that says to which task it belongs (2025-11-25 tasks, Associating Task-Related Messages).
///
/// None of an error, which has no place for it.
pub fn related(text: &Message, own: &str) -> Option<Message> {
    let whole = text.clone().deepen();
    if whole.error().is_some() {
        return None;
    }
    let relation = format!(r#"{{"taskId":{}}}"#, quote(own));
    let mut patch = Patch::new(whole.document());
    let body = whole.result().or_else(|| whole.params());
    match (whole.meta().filter(|meta| meta.kind() == Kind::Object), body) {
        (Some(meta), _) => patch.set(meta, meta::RELATED_TASK, relation),
        (None, Some(body)) => patch.set(body, "_meta", format!(r#"{{"{}":{relation}}}"#, meta::RELATED_TASK)),
        (None, None) => {
            patch.insert(whole.document().root(), "params", format!(r#"{{"_meta":{{"{}":{relation}}}}}"#, meta::RELATED_TASK));
        }
    }
    parsed(patch.apply().ok()?)
}

/// A legacy server's question as an entry of `inputRequests`.
pub fn embedded(question: &Message) -> Bytes {
    const GONE: [&str; 3] = ["task", "elicitationId", "_meta"];
    let whole = question.clone().deepen();
    let mut text = format!(r#"{{"method":{}"#, quote(whole.method()));
    if let Some(params) = whole.params() {
        let kept = params.members().filter(|member| !GONE.iter().any(|gone| member.key.is(gone)));
        let kept: Vec<String> = kept.map(|member| format!("{}:{}", member.key.raw(), member.value.raw())).collect();
        text.push_str(&format!(r#","params":{{{}}}"#, kept.join(",")));
    }
    text.push('}');
    text.into()
}

/// An entry of `inputResponses` as a response of its own.
pub fn response(raw: &[u8]) -> Option<Message> {
    parsed(message::result(&RequestId::from_u64(0), raw))
}

/// The entries of a `tasks/update`.
pub fn responses(update: &Message) -> Vec<(String, Bytes)> {
    let whole = update.clone().deepen();
    let given = whole.param("inputResponses").into_iter().flat_map(|given| given.members());
    given.map(|member| (member.key.decoded().into_owned(), member.value.to_bytes())).collect()
}

/// The retention a legacy client wants for its task.
pub fn wanted_ttl(call: &Message) -> Option<Duration> {
    let whole = call.clone().deepen();
    whole.param("task")?.get("ttl")?.as_u64().map(Duration::from_millis)
}

fn push(text: &mut String, key: &str, raw: &[u8]) {
    if text.len() > 1 {
        text.push(',');
    }
    text.push_str(key);
    text.push(':');
    text.push_str(&String::from_utf8_lossy(raw));
}

/// An answer under the same id; the result still lacks its last brace.
fn answered(answer: &Message, mut result: String) -> Option<Message> {
    result.push('}');
    parsed(message::result(answer.id()?, result.as_bytes()))
}

fn parsed(text: Bytes) -> Option<Message> {
    let (limits, depth) = PART;
    Message::decode(sluice_wire::json::Document::parse(text, &limits, depth).ok()?).ok()
}
