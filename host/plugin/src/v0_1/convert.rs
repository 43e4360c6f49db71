//! Between the contract's types and the chain's. What a guest answered is checked here.

use super::bindings::{
    exports::sluice::filter::{authenticate, on_catalog, on_done, on_notification},
    sluice::filter::types,
};
use crate::limits::Limits;
use bytes::Bytes;
use sluice_chain::{
    catalogue::{Change, ListKind},
    exchange::{Direction, Head, Kind},
    fault::Fault,
    filter::{Authentication, Identity},
    principal::Principal,
    record::{Ended, Outcome},
    verdict::{Ask, Rejection, Suspension},
};
use sluice_wire::json::{Document, IndexDepth, Kind as JsonKind, Limits as JsonLimits, validate};
use std::time::Duration;

/// An answer of `authenticate` may be reused no longer than this.
const TTL_MS_MAX: u32 = 60_000;
const HEADERS_MAX: usize = 32;
/// Of what a person is asked: the text or link, and a form.
const QUESTION_BYTES_MAX: usize = 4 << 10;
const FORM_BYTES_MAX: usize = 16 << 10;
/// A form is flat; its schema is not deep.
const FORM_LIMITS: JsonLimits = JsonLimits { depth_max: 8, ..JsonLimits::REQUEST };
/// Of a rejection's message, and of all a principal is said to be.
const TEXT_BYTES_MAX: usize = 64 << 10;

pub(crate) fn head(head: &Head, body_bytes: usize) -> types::Head<'_> {
    types::Head {
        exchange: head.exchange,
        round: head.round,
        direction: match head.direction {
            Direction::ToServer => types::Direction::ToServer,
            Direction::ToClient => types::Direction::ToClient,
        },
        kind: match head.kind {
            Kind::Request => types::Kind::Request,
            Kind::Response => types::Kind::Response,
            Kind::Notification => types::Kind::Notification,
            Kind::InputRequest => types::Kind::InputRequest,
            Kind::InputResponse => types::Kind::InputResponse,
        },
        method: method(&head.method),
        name: head.name.as_deref(),
        body_bytes: u32::try_from(body_bytes).unwrap_or(u32::MAX),
    }
}

fn method(name: &str) -> types::Method<'_> {
    match name {
        "tools/list" => types::Method::ToolsList,
        "tools/call" => types::Method::ToolsCall,
        "resources/list" => types::Method::ResourcesList,
        "resources/templates/list" => types::Method::ResourcesTemplatesList,
        "resources/read" => types::Method::ResourcesRead,
        "resources/subscribe" => types::Method::ResourcesSubscribe,
        "resources/unsubscribe" => types::Method::ResourcesUnsubscribe,
        "prompts/list" => types::Method::PromptsList,
        "prompts/get" => types::Method::PromptsGet,
        "completion/complete" => types::Method::CompletionComplete,
        "subscriptions/listen" => types::Method::SubscriptionsListen,
        "sampling/createMessage" => types::Method::SamplingCreateMessage,
        "roots/list" => types::Method::RootsList,
        "elicitation/create" => types::Method::ElicitationCreate,
        "tasks/get" => types::Method::TasksGet,
        "tasks/cancel" => types::Method::TasksCancel,
        "tasks/result" => types::Method::TasksResult,
        "tasks/list" => types::Method::TasksList,
        "tasks/update" => types::Method::TasksUpdate,
        "notifications/cancelled" => types::Method::NotificationsCancelled,
        "notifications/progress" => types::Method::NotificationsProgress,
        "notifications/message" => types::Method::NotificationsMessage,
        "notifications/roots/list_changed" => types::Method::NotificationsRootsListChanged,
        "notifications/tools/list_changed" => types::Method::NotificationsToolsListChanged,
        "notifications/prompts/list_changed" => types::Method::NotificationsPromptsListChanged,
        "notifications/resources/list_changed" => types::Method::NotificationsResourcesListChanged,
        "notifications/resources/updated" => types::Method::NotificationsResourcesUpdated,
        "notifications/elicitation/complete" => types::Method::NotificationsElicitationComplete,
        "notifications/tasks/status" => types::Method::NotificationsTasksStatus,
        "notifications/tasks" => types::Method::NotificationsTasks,
        other => types::Method::Other(other),
    }
}

pub(super) fn bad(what: impl Into<String>) -> Fault {
    Fault::BadReply(what.into())
}

/// The text of a `result` object.
pub(crate) fn reply(json: String, limits: &Limits) -> Result<Bytes, Fault> {
    let document = Document::parse_value(Bytes::from(json), &limits.json(), IndexDepth::Levels(0))
        .map_err(|why| bad(format!("its reply is refused: {why}")))?;
    if document.root().kind() != JsonKind::Object {
        return Err(bad("its reply is not an object"));
    }
    Ok(document.into_bytes())
}

pub(crate) fn rejection(no: types::Rejection, limits: &Limits) -> Result<Rejection, Fault> {
    if (-32768..=-32000).contains(&no.code) {
        return Err(bad(format!("it rejects with {}, a code of the protocol", no.code)));
    }
    if no.message.len() > TEXT_BYTES_MAX {
        return Err(bad(format!("the message of its rejection is longer than {TEXT_BYTES_MAX} bytes")));
    }
    if let Some(data) = &no.data {
        validate(data.as_bytes(), &limits.json()).map_err(|why| bad(format!("the data of its rejection is refused: {why}")))?;
    }
    if no.http_status.is_some_and(|status| !(200..=599).contains(&status)) {
        return Err(bad("it rejects with an HTTP status outside 200 to 599"));
    }
    if no.http_headers.len() > HEADERS_MAX || !no.http_headers.iter().all(|(name, value)| is_header(name, value)) {
        return Err(bad("it rejects with headers that HTTP does not allow"));
    }
    let http_headers = no.http_headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    Ok(Rejection {
        code: i64::from(no.code),
        message: no.message,
        data: no.data,
        http_status: no.http_status,
        http_headers,
        as_tool_result: no.as_tool_result,
    })
}

/// What a guest wants to ask of a person.
pub(crate) fn suspension(asks: types::Suspension, at: Kind) -> Result<Suspension, Fault> {
    if at != Kind::Request {
        return Err(bad("it suspends an exchange that is past its request"));
    }
    if asks.message.is_empty() || asks.message.len() > QUESTION_BYTES_MAX {
        return Err(bad(format!("it asks a person with nothing, or with more than {QUESTION_BYTES_MAX} bytes")));
    }
    let ask = match asks.ask {
        types::Ask::Form(schema) => Ask::Form(form(schema)?),
        types::Ask::Url(url) => {
            let is_link = url.starts_with("https://") || url.starts_with("http://");
            if !is_link || url.len() > QUESTION_BYTES_MAX || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(bad("it sends a person to what is no http link"));
            }
            Ask::Url(url)
        }
    };
    let ttl = (asks.ttl_ms > 0).then(|| Duration::from_millis(u64::from(asks.ttl_ms)));
    Ok(Suspension { message: asks.message, ask, ttl })
}

fn form(schema: String) -> Result<Bytes, Fault> {
    if schema.len() > FORM_BYTES_MAX {
        return Err(bad(format!("its form has more than {FORM_BYTES_MAX} bytes")));
    }
    let document = Document::parse_value(Bytes::from(schema), &FORM_LIMITS, IndexDepth::Levels(2));
    let document = document.map_err(|why| bad(format!("its form is refused: {why}")))?;
    let root = document.root();
    let is_form = root.get("type").is_some_and(|kind| kind.is_str("object"))
        && root.get("properties").is_some_and(|members| members.kind() == JsonKind::Object);
    if is_form { Ok(document.into_bytes()) } else { Err(bad("its form is no schema of an object with properties")) }
}

pub(super) fn is_header(name: &str, value: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(token)
        && value.len() <= 4096
        && value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
}

pub(crate) fn authentication(outcome: authenticate::Outcome, by: &Identity, limits: &Limits) -> Result<Authentication, Fault> {
    match outcome {
        authenticate::Outcome::Abstain => Ok(Authentication::Abstain),
        authenticate::Outcome::Challenge(no) => Ok(Authentication::Challenge(rejection(no, limits)?)),
        authenticate::Outcome::Identified(who) => {
            if who.subject.is_empty() || who.subject.len() > 1024 {
                return Err(bad("its principal's subject is empty or longer than 1024 bytes"));
            }
            // Scopes and what repeats among claims are told apart by a character that none of them may hold.
            let texts = who.claims.iter().flat_map(|(name, value)| [name, value]).chain(&who.tenant).chain([&who.subject]);
            let is_apart = texts.flat_map(|text| text.chars()).all(|c| !c.is_control())
                && who.scopes.iter().flat_map(|scope| scope.chars()).all(|c| !c.is_control() && c != ' ');
            if !is_apart {
                return Err(bad("its principal has control characters in it, or a scope with a space"));
            }
            let claims = who.claims.iter().map(|(k, v)| k.len() + v.len() + 16).sum::<usize>();
            if claims + who.scopes.iter().map(|scope| scope.len() + 16).sum::<usize>() > TEXT_BYTES_MAX {
                return Err(bad(format!("its principal has more than {TEXT_BYTES_MAX} bytes of scopes and claims")));
            }
            let mut principal = Principal::new(&by.name, &who.subject, who.tenant.as_deref());
            principal.scopes = who.scopes.into_iter().map(Into::into).collect();
            principal.claims = who.claims.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
            let ttl = Duration::from_millis(u64::from(who.ttl_ms.min(TTL_MS_MAX)));
            Ok(Authentication::Identified(principal, ttl))
        }
    }
}

pub(crate) fn list_kind(kind: ListKind) -> on_catalog::ListKind {
    match kind {
        ListKind::Tools => on_catalog::ListKind::Tools,
        ListKind::Prompts => on_catalog::ListKind::Prompts,
        ListKind::Resources => on_catalog::ListKind::Resources,
        ListKind::ResourceTemplates => on_catalog::ListKind::ResourceTemplates,
    }
}

/// A list's changes and additions, one change per entry or none at all.
pub(crate) fn catalogue(answer: on_catalog::Answer, entries: usize, limits: &Limits) -> Result<(Vec<Change>, Vec<Bytes>), Fault> {
    if !answer.changes.is_empty() && answer.changes.len() != entries {
        return Err(bad(format!("it answers {} changes for {entries} entries", answer.changes.len())));
    }
    let changes = answer.changes.into_iter().map(|change| self::change(change, limits)).collect::<Result<_, _>>()?;
    let added = answer.added.into_iter().map(|json| reply(json, limits)).collect::<Result<_, _>>()?;
    Ok((changes, added))
}

fn change(change: on_catalog::Change, limits: &Limits) -> Result<Change, Fault> {
    let name = |name: String| match name.is_empty() || name.len() > 4096 {
        true => Err(bad("it renames an entry to nothing, or to more than 4096 bytes")),
        false => Ok(name),
    };
    let patch = |json: String| reply(json.clone(), limits).map(|_| json);
    Ok(match change {
        on_catalog::Change::Keep => Change::Keep,
        on_catalog::Change::Hide => Change::Hide,
        on_catalog::Change::Rename(to) => Change::Rename(name(to)?),
        on_catalog::Change::Patch(json) => Change::Patch(patch(json)?),
        on_catalog::Change::RenameAndPatch((to, json)) => Change::RenameAndPatch(name(to)?, patch(json)?),
    })
}

pub(crate) fn unknown(what: &str) -> Fault {
    let what: String = what.chars().take(40).filter(|c| !c.is_control()).collect();
    bad(format!("it answers with the verdict {what:?}, which this host does not know"))
}

pub(crate) fn done<'a>(ended: &'a Ended, passed: &'a [on_done::Passed<'a>]) -> on_done::Done<'a> {
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    on_done::Done {
        outcome: match ended.outcome {
            // A round is not the end, so nobody is told of it.
            Outcome::Answered | Outcome::Asked => on_done::Outcome::Answered,
            Outcome::Refused => on_done::Outcome::Refused,
            Outcome::Failed => on_done::Outcome::Failed,
            Outcome::Cancelled => on_done::Outcome::Cancelled,
        },
        code: ended.code.and_then(|code| i32::try_from(code).ok()),
        request_bytes: size(ended.request_bytes),
        response_bytes: size(ended.response_bytes),
        streamed: ended.stream.is_some(),
        truncated: ended.stream.is_some_and(|stream| stream.truncated),
        micros: ended.took.as_micros() as u64,
        upstream_micros: ended.upstream_took.as_micros() as u64,
        passed,
    }
}

pub(crate) fn passed(ended: &Ended) -> Vec<on_done::Passed<'_>> {
    let one = |passed: &'_ sluice_chain::record::Passed| u32::try_from(passed.took.as_micros()).unwrap_or(u32::MAX);
    ended
        .passed
        .iter()
        .map(|p| on_done::Passed { plugin: &p.filter.name, hook: p.hook.as_str(), verdict: p.verdict, micros: one(p) })
        .collect()
}

/// What a guest says about a notification, in one shape with the other verdicts.
pub(crate) use on_notification::NotificationVerdict;
