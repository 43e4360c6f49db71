//! One question: the `interceptor/invoke` of the draft over Streamable HTTP of 2026-07-28, and what comes back.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::value::RawValue;
use sluice_sdk::fetch::{self, Place, Request, Response};
use sluice_sdk::json;
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::Secret;

use crate::config::{Config, Interceptor, Kind, Phase};

/// The one revision that needs no handshake before a question.
pub const REVISION: &str = "2026-07-28";
/// The draft's method.
pub const METHOD: &str = "interceptor/invoke";

/// What an interceptor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Nothing against it, nothing to change.
    Pass,
    /// Something, which does not keep it back.
    Remark,
    /// It may not pass.
    Refuse(Words),
    /// It passes as this: JSON text.
    Change(String),
}

/// What is said about a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// For people.
    pub message: Option<String>,
    /// Of the policy behind the interceptor, if it told.
    pub code: Option<i32>,
}

/// Asks about a payload.
///
/// # Errors
/// There is no answer, or none that the draft knows. For the log.
pub fn invoke(x: &Exchange, config: &Config, one: &Interceptor, event: &str, phase: Phase, payload: &str) -> Result<Said, String> {
    let body = question(one, event, phase, payload);
    let request = Request::post(&config.url, body.as_bytes())
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", REVISION)
        .header("mcp-method", METHOD)
        .within_ms(one.timeout_ms);
    let token = config.token.as_deref().map(Secret::open).transpose().map_err(|error| format!("its token: {error:?}"))?;
    let secrets: Vec<(Place, &Secret)> = token.iter().map(|token| (Place::header("authorization", "Bearer "), token)).collect();
    let answer = fetch::send(x, &request, &secrets, &[]).map_err(|error| format!("{error:?}"))?;
    read(&answer, one.kind)
}

fn question(one: &Interceptor, event: &str, phase: Phase, payload: &str) -> String {
    let config = one.config.as_ref().map_or_else(String::new, |config| format!(r#""config":{},"#, config.get()));
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{METHOD}","params":{{"name":{},"event":{},"phase":"{}","payload":{payload},{config}"timeoutMs":{},"_meta":{{"io.modelcontextprotocol/protocolVersion":"{REVISION}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"sluice-interceptor","version":"{}"}}}}}}}}"#,
        json::string(&one.name),
        json::string(event),
        phase.as_str(),
        one.timeout_ms,
        env!("CARGO_PKG_VERSION"),
    )
}

#[derive(serde::Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    id: Option<i64>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(serde::Deserialize)]
struct Failure {
    code: i64,
    #[serde(default)]
    data: Option<Data>,
}

/// What Sluice puts into the data of an error when a filter behind a mutation says no, for which the draft has no result.
#[derive(serde::Deserialize)]
struct Data {
    #[serde(default)]
    refused: Option<Refused>,
}

#[derive(serde::Deserialize)]
struct Refused {
    #[serde(default)]
    code: Option<i32>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(serde::Deserialize)]
struct Body<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(rename = "resultType", default)]
    result_type: Option<String>,
    #[serde(default)]
    valid: Option<bool>,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    messages: Option<Vec<Message>>,
    #[serde(default)]
    info: Option<Info>,
    #[serde(default)]
    modified: Option<bool>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Message {
    message: String,
}

#[derive(Default, serde::Deserialize)]
struct Info {
    #[serde(default)]
    code: Option<i32>,
}

fn read(answer: &Response, kind: Kind) -> Result<Said, String> {
    let text = core::str::from_utf8(&answer.body).map_err(|_| "its answer is no text".to_string())?;
    let is_stream = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let answered = match is_stream {
        true => events(text).into_iter().find(|event| envelope(event).is_some()).ok_or_else(|| "its stream has no answer".to_string())?,
        false => Cow::Borrowed(text),
    };
    let Some(envelope) = envelope(&answered) else {
        return Err(format!("it answers with status {} and nothing that is a response", answer.status));
    };
    match (envelope.error, envelope.result) {
        (Some(error), _) => failed(error),
        (None, Some(result)) => judged(result.get(), kind),
        (None, None) => Err("its response has neither result nor error".to_string()),
    }
}

fn envelope(text: &str) -> Option<Envelope<'_>> {
    serde_json::from_str::<Envelope<'_>>(text)
        .ok()
        .filter(|envelope| envelope.error.is_some() || envelope.id == Some(1) && envelope.result.is_some())
}

fn failed(error: Failure) -> Result<Said, String> {
    match error.data.and_then(|data| data.refused) {
        Some(no) => Ok(Said::Refuse(Words { message: no.message, code: no.code })),
        None => Err(format!("it answers with the error {}", error.code)),
    }
}

fn judged(result: &str, kind: Kind) -> Result<Said, String> {
    let body: Body<'_> = serde_json::from_str(result).map_err(|_| "its result is none of the draft's".to_string())?;
    if body.kind.as_deref().is_some_and(|said| said != kind.as_str()) {
        return Err(format!("it is no {}", kind.as_str()));
    }
    if body.result_type.as_deref().is_some_and(|said| said != "complete") {
        return Err("it asks something back".to_string());
    }
    match (kind, body.valid, body.modified, body.payload) {
        (Kind::Validation, Some(true), ..) => Ok(Said::Pass),
        // Without a word on how bad it is, it is bad.
        (Kind::Validation, Some(false), ..) if matches!(body.severity.as_deref(), Some("info" | "warn")) => Ok(Said::Remark),
        (Kind::Validation, Some(false), ..) => {
            let message = body.messages.and_then(|messages| messages.into_iter().next()).map(|first| first.message);
            Ok(Said::Refuse(Words { message, code: body.info.unwrap_or_default().code }))
        }
        (Kind::Mutation, _, Some(false), _) => Ok(Said::Pass),
        (Kind::Mutation, _, Some(true), Some(payload)) => Ok(Said::Change(payload.get().to_string())),
        _ => Err("its result lacks what the draft asks for".to_string()),
    }
}

/// The data of each event (`text/event-stream` of the HTML standard).
fn events(text: &str) -> Vec<Cow<'_, str>> {
    let mut events = Vec::new();
    let mut data: Option<Cow<'_, str>> = None;
    for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).chain([""]) {
        if line.is_empty() {
            events.extend(data.take());
        } else if let Some(rest) = line.strip_prefix("data:") {
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            data = Some(match data {
                None => Cow::Borrowed(rest),
                Some(before) => Cow::Owned(format!("{before}\n{rest}")),
            });
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, body: &str) -> Response {
        Response {
            status,
            headers: alloc::vec![("content-type".into(), kind.into())],
            body: body.as_bytes().to_vec(),
            captured: Vec::new(),
        }
    }

    fn judge(kind: Kind, result: &str) -> Result<Said, String> {
        read(&answer(200, "application/json", &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)), kind)
    }

    #[test]
    fn a_validation_is_read_as_the_draft_has_it() {
        let refuse = |message: Option<&str>, code| Ok(Said::Refuse(Words { message: message.map(Into::into), code }));
        for (result, said) in [
            (r#"{"valid":true}"#, Ok(Said::Pass)),
            (r#"{"type":"validation","phase":"request","interceptor":"a","valid":true,"severity":"info"}"#, Ok(Said::Pass)),
            (r#"{"valid":false,"severity":"warn"}"#, Ok(Said::Remark)),
            (r#"{"valid":false,"severity":"info"}"#, Ok(Said::Remark)),
            (r#"{"valid":false,"severity":"error","messages":[{"message":"no","severity":"error"}]}"#, refuse(Some("no"), None)),
            (r#"{"valid":false}"#, refuse(None, None)),
            (r#"{"valid":false,"severity":"fatal","info":{"code":4030}}"#, refuse(None, Some(4030))),
        ] {
            assert_eq!(judge(Kind::Validation, result), said, "{result}");
        }
        for bad in
            ["{}", "[]", r#"{"valid":"no"}"#, r#"{"type":"mutation","valid":true}"#, r#"{"valid":true,"resultType":"input_required"}"#]
        {
            assert!(judge(Kind::Validation, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mutation_is_read_as_the_draft_has_it() {
        assert_eq!(judge(Kind::Mutation, r#"{"modified":false,"payload":{"a":1}}"#), Ok(Said::Pass));
        assert_eq!(judge(Kind::Mutation, r#"{"modified":true,"payload":{"a":1.10}}"#), Ok(Said::Change(r#"{"a":1.10}"#.into())));
        for bad in [r#"{"modified":true}"#, r#"{"payload":{}}"#, r#"{"valid":true}"#] {
            assert!(judge(Kind::Mutation, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_are_failures_unless_they_are_a_policys_no() {
        let error = |data: &str| {
            read(
                &answer(400, "application/json", &format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-32603,"message":"m"{data}}}}}"#)),
                Kind::Mutation,
            )
        };
        assert!(error("").is_err());
        assert!(error(r#","data":{"interceptor":"a","reason":"x"}"#).is_err());
        let no = Said::Refuse(Words { message: Some("nobody does".into()), code: Some(4030) });
        assert_eq!(error(r#","data":{"refused":{"code":4030,"message":"nobody does"}}"#), Ok(no));
        for bad in ["", "{}", "<html>", r#"{"jsonrpc":"2.0","id":2,"result":{"valid":true}}"#] {
            assert!(read(&answer(502, "text/html", bad), Kind::Validation).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_may_come_as_an_event_among_others() {
        let stream = "event: message\r\nid: 1\r\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\r\n\r\n: quiet\n\ndata: {\"jsonrpc\":\"2.0\",\ndata:\"id\":1,\"result\":{\"valid\":true}}\n\n";
        assert_eq!(read(&answer(200, "text/event-stream; charset=utf-8", stream), Kind::Validation), Ok(Said::Pass));
        assert!(read(&answer(200, "text/event-stream", "data: {}\n\n"), Kind::Validation).is_err());
    }
}
