//! `interceptors/list` and `interceptor/invoke`: filters of this chain for others to ask (SEP-2624, a draft; ADR 34).
//!
//! Such a request passes no filter itself. What it carries is given to the one filter that it names, at one hook, as a message of whoever
//! asks: under the operator's policy for the filter, within its bounds, with its breaker. The message goes to no upstream.

mod shape;

use super::{Exchange, enter::Said, resolve};
use crate::{
    canary::Side,
    exchange::{Answer, AnswerBody, Direction, Head, Kind},
    filter::Hook,
    generation::{Generation, Link, Mode, OnFault},
    record::Outcome,
    rescue::Error,
    verdict::Rejection,
};
use shape::Shape;
use sluice_wire::{
    code,
    json::{Document, Kind as JsonKind, Value, quote},
    message::Message,
    method,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The draft's code for an interceptor that did not answer within `timeoutMs`.
const TIMED_OUT: i64 = -32000;
/// The draft's words for any other failure.
const NOT_DONE: &str = "Interceptor execution failed";

/// On the way to a server, or back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Request,
    Response,
}

impl Phase {
    const ALL: [Self; 2] = [Self::Request, Self::Response];

    fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }

    fn hook(self) -> Hook {
        match self {
            Self::Request => Hook::OnRequest,
            Self::Response => Hook::OnResponse,
        }
    }
}

/// What is asked of one filter.
struct Invocation<'a> {
    name: String,
    event: String,
    phase: Phase,
    payload: Value<'a>,
    timeout: Option<Duration>,
}

/// Why an invocation has no result: code, text, JSON text of an object.
struct No(i64, String, String);

/// Filters that the operator serves and that take part in requests or answers, by the names they are served under. Two versions on trial are
/// one, at the place of the one in force; a filter that stands in the chain more than once has its place behind its name.
fn served(generation: &Generation, names: &[String]) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for (depth, link) in generation.links.iter().enumerate() {
        let takes_part = Phase::ALL.iter().any(|phase| link.exports(phase.hook()));
        if !takes_part || link.trial.as_ref().is_some_and(|(_, side)| *side == Side::Candidate) {
            continue;
        }
        let name = &*link.filter.identity().name;
        if !names.iter().any(|served| served == name) {
            continue;
        }
        let before = found.iter().filter(|(known, _)| known == name || known.starts_with(&format!("{name}#"))).count();
        found.push((if before == 0 { name.to_owned() } else { format!("{name}#{}", before + 1) }, depth));
    }
    found
}

/// The link at this place, and the version on trial beside it.
fn versions(generation: &Generation, depth: usize) -> impl Iterator<Item = &Link> {
    let stable = &generation.links[depth];
    let beside = stable.trial.as_ref().and_then(|(canary, _)| {
        let is_candidate =
            |link: &&Link| link.trial.as_ref().is_some_and(|(other, side)| *side == Side::Candidate && Arc::ptr_eq(other, canary));
        generation.links.iter().find(is_candidate)
    });
    std::iter::once(stable).chain(beside)
}

/// Which methods enter a filter on this way: its selectors'.
fn events(link: &Link, phase: Phase) -> Vec<&str> {
    let own = link.filter.interest().hooks.iter().filter(|(hook, _)| *hook == phase.hook());
    let mut events: Vec<&str> = own.clone().flat_map(|(_, selector)| selector.methods.iter().map(String::as_str)).collect();
    if own.clone().any(|(_, selector)| selector.methods.is_empty()) {
        events = vec!["*"];
    }
    events.sort_unstable();
    events.dedup();
    events
}

fn quoted(texts: &[&str]) -> String {
    format!("[{}]", texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(","))
}

fn kind(link: &Link) -> &'static str {
    if link.filter.interest().edits { "mutation" } else { "validation" }
}

/// What is said of this in `initialize` and `server/discover`: JSON text.
pub(crate) fn capability(generation: &Generation, names: &[String]) -> String {
    let served = served(generation, names);
    let links = served.iter().map(|(_, depth)| &generation.links[*depth]);
    let mut all: Vec<&str> = links.flat_map(|link| Phase::ALL.iter().flat_map(|phase| events(link, *phase))).collect();
    all.sort_unstable();
    all.dedup();
    format!(r#"{{"supportedEvents":{}}}"#, quoted(&all))
}

impl Exchange {
    pub(super) async fn intercepted(&mut self) -> Answer {
        let message = self.request.clone();
        let result = match message.method() {
            method::INTERCEPTORS_LIST => Ok(self.interceptors(message.param("event").and_then(|event| event.as_str()).as_deref())),
            _ => self.invoke(&message).await,
        };
        match result {
            Ok(json) => Answer::result(json.into()),
            Err(No(code, message, data)) => {
                // Who failed, and how, is said by then where a filter did.
                self.cause.get_or_insert_with(|| message.clone());
                let body = AnswerBody::Error { code, message, data: Some(data) };
                Answer { outcome: Outcome::Failed, body, http_status: None, http_headers: Vec::new() }
            }
        }
    }

    /// With `event`, only those that see it.
    fn interceptors(&self, event: Option<&str>) -> String {
        let links = &self.generation.links;
        let listed = served(&self.generation, &self.host.settings.interceptors).into_iter().filter(|(_, depth)| {
            let sees = |phase: &Phase| events(&links[*depth], *phase).iter().any(|glob| event.is_none_or(|event| covers(glob, event)));
            Phase::ALL.iter().any(sees)
        });
        let texts: Vec<String> = listed.map(|(name, depth)| descriptor(&name, depth, links)).collect();
        format!(r#"{{"interceptors":[{}],"resultType":"complete"}}"#, texts.join(","))
    }

    async fn invoke(&mut self, message: &Message) -> Result<String, No> {
        let whole = message.document().clone().deepen();
        let asked = read(&whole)?;
        let about = |what: &str| format!(r#"{{"interceptor":{},"reason":{}}}"#, quote(&asked.name), quote(what));
        let generation = self.generation.clone();
        let found = served(&generation, &self.host.settings.interceptors).into_iter().find(|(name, _)| *name == asked.name);
        let Some((_, depth)) = found else {
            return Err(No(code::INVALID_PARAMS, "there is no such interceptor".into(), about("it is not in interceptors/list")));
        };
        let link = &generation.links[depth];
        self.head.name = Some(asked.name.as_str().into());
        if !events(link, asked.phase).iter().any(|glob| covers(glob, &asked.event)) {
            return Err(No(code::INVALID_PARAMS, "this interceptor does not see this event in this phase".into(), about("see its hooks")));
        }
        let shape = Shape::of(asked.payload, asked.phase == Phase::Request, &asked.event);
        let lent = shape
            .message(asked.payload, &asked.event)
            .map_err(|why| No(code::INVALID_PARAMS, "the payload is no message of this event".into(), about(&why)))?;
        let (lent, began) = (Arc::new(lent), Instant::now());
        let Some((link, said)) = self.lend(versions(&generation, depth), asked.phase, &asked.event, lent.clone()).await else {
            return Err(No(code::INTERNAL_ERROR, NOT_DONE.into(), about("where it runs, it takes no part in such a message")));
        };
        let took = began.elapsed();
        // A hook ends by itself, and is not cut short: it comes too late.
        if let Some(timeout) = asked.timeout.filter(|timeout| took > *timeout) {
            let (phase, ms) = (asked.phase.as_str(), timeout.as_millis());
            let data = format!(r#"{{"interceptor":{},"timeoutMs":{ms},"phase":"{phase}"}}"#, quote(&asked.name));
            return Err(No(TIMED_OUT, "Interceptor execution timeout".into(), data));
        }
        self.said(link, &asked, &shape, &lent, said, took)
    }

    /// One hook call, with a head that is of the payload, of the version whose turn it is; none if the message enters none of them.
    async fn lend<'g>(
        &mut self,
        versions: impl Iterator<Item = &'g Link>,
        phase: Phase,
        event: &str,
        message: Arc<Message>,
    ) -> Option<(&'g Link, Said)> {
        let head = Head {
            direction: if phase == Phase::Request { Direction::ToServer } else { Direction::ToClient },
            kind: if phase == Phase::Request { Kind::Request } else { Kind::Response },
            method: event.into(),
            name: named(&message, event),
            ..self.head.clone()
        };
        let own = std::mem::replace(&mut self.head, head);
        self.again = false;
        let mut entered = None;
        for link in versions {
            if self.enters(link, phase.hook()) {
                entered = Some(link);
                break;
            }
        }
        let said = match (entered, phase) {
            (None, _) => None,
            (Some(link), Phase::Request) => Some((link, self.enter(link, Hook::OnRequest, message, None, |f, p| f.on_request(p)).await)),
            (Some(link), Phase::Response) => Some((link, self.enter(link, Hook::OnResponse, message, None, |f, p| f.on_response(p)).await)),
        };
        self.head = own;
        said
    }

    fn said(
        &mut self,
        link: &Link,
        asked: &Invocation<'_>,
        shape: &Shape,
        lent: &Message,
        said: Said,
        took: Duration,
    ) -> Result<String, No> {
        let failed = |reason: &str, more: &str| {
            let data = format!(r#"{{"interceptor":{},"reason":{}{more}}}"#, quote(&asked.name), quote(reason));
            No(code::INTERNAL_ERROR, NOT_DONE.into(), data)
        };
        let is_mutation = link.filter.interest().edits;
        let result = match said {
            Said::Next(None) if is_mutation => format!(r#""modified":false,"payload":{}"#, asked.payload.raw()),
            Said::Next(None) => r#""valid":true"#.into(),
            Said::Next(Some(edited)) if !resolve::same_targets(lent, &edited) => {
                return Err(failed("it changes what the request is about", ""));
            }
            Said::Next(Some(edited)) if is_mutation => format!(r#""modified":true,"payload":{}"#, shape.payload(&edited)),
            Said::Next(Some(_)) => return Err(failed("it changes messages and does not say so in its manifest", "")),
            Said::Reject(no) if is_mutation => {
                self.cause = Some(format!("{} refused: {}", link.filter.identity().name, no.message));
                // The draft has no result for a mutation that says no. Who knows this member takes it for what it is.
                return Err(failed(&no.message, &format!(r#","refused":{{"code":{},"message":{}}}"#, no.code, quote(&no.message))));
            }
            Said::Reject(no) => self.invalid(link, &no),
            Said::Suspend(_) => return Err(failed("it wants to ask a person, and nobody can be asked here", "")),
            Said::Reply(_) => return Err(failed("it answers in the server's place, which an interceptor cannot", "")),
            Said::Broke(error) => {
                self.cause = Some(error.to_string());
                let reason = if let Error::Plugin { fault, .. } = &error { fault.kind() } else { "it failed" };
                return Err(failed(reason, ""));
            }
        };
        let (kind, phase) = (kind(link), asked.phase.as_str());
        let ms = took.as_micros() as f64 / 1_000.0;
        Ok(format!(
            r#"{{"interceptor":{},"type":"{kind}","phase":"{phase}","durationMs":{ms},{result},"resultType":"complete"}}"#,
            quote(&asked.name)
        ))
    }

    fn invalid(&mut self, link: &Link, no: &Rejection) -> String {
        self.cause = Some(format!("{} refused: {}", link.filter.identity().name, no.message));
        format!(
            r#""valid":false,"severity":"error","messages":[{{"message":{},"severity":"error"}}],"info":{{"code":{}}}"#,
            quote(&no.message),
            no.code
        )
    }
}

/// One filter in the words of the draft. Its place in the chain is its priority, so whoever orders by that has the chain's order.
fn descriptor(name: &str, depth: usize, links: &[Link]) -> String {
    let link = &links[depth];
    let hooks: Vec<String> = Phase::ALL
        .into_iter()
        .filter(|phase| link.exports(phase.hook()))
        .map(|phase| format!(r#"{{"events":{},"phase":"{}"}}"#, quoted(&events(link, phase)), phase.as_str()))
        .collect();
    let mode = if link.policy.mode == Mode::Audit { "audit" } else { "active" };
    let fails_open = link.policy.on_fault == OnFault::Skip;
    format!(
        r#"{{"name":{},"version":{},"type":"{}","hooks":[{}],"mode":"{mode}","failOpen":{fails_open},"priorityHint":{{"request":{depth},"response":{}}}}}"#,
        quote(name),
        quote(&link.filter.identity().version),
        kind(link),
        hooks.join(","),
        links.len() - depth,
    )
}

/// A glob, or the draft's wildcard.
fn covers(glob: &str, event: &str) -> bool {
    crate::selector::Glob::new(glob).matches(event)
}

fn read(document: &Document) -> Result<Invocation<'_>, No> {
    let bad = |what: &str| No(code::INVALID_PARAMS, format!("params.{what}"), "{}".into());
    let param = |name: &str| document.pointer(&format!("/params/{name}"));
    let text = |name: &str| {
        let found = param(name).and_then(|value| value.as_str()).map(|text| text.into_owned());
        found.ok_or_else(|| bad(&format!("{name} must be a string")))
    };
    let phase = text("phase")?;
    let phase = Phase::ALL.into_iter().find(|known| known.as_str() == phase);
    if param("config").is_some_and(|config| config.kind() != JsonKind::Object || !config.is_empty()) {
        return Err(bad("config: these interceptors are configured where they run, and take no settings from who asks"));
    }
    let timeout =
        param("timeoutMs").map(|ms| ms.as_f64().filter(|ms| *ms >= 0.0 && ms.is_finite()).ok_or_else(|| bad("timeoutMs must be a number")));
    Ok(Invocation {
        name: text("name")?,
        event: text("event")?,
        phase: phase.ok_or_else(|| bad(r#"phase must be "request" or "response""#))?,
        payload: param("payload").filter(|payload| payload.kind() == JsonKind::Object).ok_or_else(|| bad("payload must be an object"))?,
        timeout: timeout.transpose()?.map(|ms| Duration::from_secs_f64(ms.min(1e9) / 1_000.0)),
    })
}

/// What a request is about.
fn named(message: &Message, event: &str) -> Option<Arc<str>> {
    let value = message.params()?.get(method::target(event)?)?;
    let value = value.as_str().or_else(|| value.get("name")?.as_str())?;
    Some(value.as_ref().into())
}
