//! The lines themselves. Written by hand into the sink's buffer: this runs once an exchange.
//!
//! Names, sizes, verdicts, labels and digests; never an argument, a result or a credential.

use super::Fetched;
use sluice_chain::{
    filter::Identity,
    record::{Ended, Outcome, RouteCall},
    rescue::request_id,
};
use sluice_wire::json::quote_into;
use std::{
    cell::Cell,
    io::Write as _,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// One JSON object for the operator, its level written as `tracing` writes those of all other lines.
pub fn json(out: &mut Vec<u8>, ended: &Ended, common: &[u8], now: SystemTime) {
    let level = match ended.outcome {
        Outcome::Failed => "WARN",
        Outcome::Answered | Outcome::Asked | Outcome::Refused | Outcome::Cancelled => "INFO",
    };
    put(out, &["{\"timestamp\":\""]);
    timestamp(out, now);
    put(out, &["\",\"level\":\"", level, "\",\"message\":\"exchange\""]);
    out.extend_from_slice(common);
    if let Some(cause) = &ended.cause {
        member(out, "cause", cause);
    }
    put(out, &[",\"filters\":["]);
    for (i, passed) in ended.passed.iter().enumerate() {
        let before = if i > 0 { ",\"" } else { "\"" };
        put(out, &[before, &passed.filter.name, ".", passed.hook.as_str(), ":", passed.verdict, ":"]);
        number(out, micros(passed.took));
        put(out, &["us\""]);
    }
    put(out, &["]}"]);
}

/// One line for people.
pub fn text(out: &mut Vec<u8>, ended: &Ended, now: SystemTime) {
    let name = ended.head.name.as_deref().unwrap_or("");
    let upstream = ended.head.upstream.as_deref().unwrap_or("-");
    let _ = write!(
        out,
        "{} {:9} {} {} -> {upstream} {:.1} ms {} {}",
        humantime::format_rfc3339_millis(now),
        ended.outcome.as_str(),
        ended.head.method,
        name.escape_debug(),
        ended.took.as_secs_f64() * 1e3,
        ended.principal.subject.escape_debug(),
        request_id(ended.head.exchange),
    );
    if let Some(cause) = &ended.cause {
        let _ = write!(out, " ({})", cause.escape_debug());
    }
}

/// One JSON object for the auditor: who, what, when, how it ended, and which code decided.
pub fn audit(out: &mut Vec<u8>, ended: &Ended, common: &[u8], now: SystemTime) {
    put(out, &["{\"time\":\""]);
    timestamp(out, now);
    put(out, &["\""]);
    out.extend_from_slice(common);
    member(out, "authority", &ended.principal.authority);
    roles(out, &ended.principal.claims);
    labels(out, ended.attributes.labels());
    if let Some(cause) = &ended.cause {
        member(out, "cause", cause);
    }
    put(out, &[",\"verdicts\":["]);
    for (i, passed) in ended.passed.iter().enumerate() {
        let before = if i > 0 { ",{" } else { "{" };
        put(out, &[before, &passed.filter.members, ",\"hook\":\"", passed.hook.as_str(), "\",\"verdict\":\"", passed.verdict, "\"}"]);
    }
    put(out, &["]}"]);
}

/// Of a caller who has some.
fn roles(out: &mut Vec<u8>, claims: &[(Arc<str>, Arc<str>)]) {
    let roles = claims.iter().filter(|(name, _)| **name == *"role").map(|(_, role)| role);
    for (i, role) in roles.clone().enumerate() {
        put(out, &[if i > 0 { "," } else { ",\"roles\":[" }]);
        quote_into(out, role);
    }
    if roles.count() > 0 {
        put(out, &["]"]);
    }
}

/// What filters said about it, if they said something.
fn labels<'a>(out: &mut Vec<u8>, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut is_open = false;
    // What a person wrote into a filter's form is no verdict.
    for (key, value) in labels.filter(|(key, _)| !key.ends_with(".answer.content")) {
        put(out, &[if is_open { "," } else { ",\"labels\":{" }]);
        quote_into(out, key);
        put(out, &[":"]);
        quote_into(out, value);
        is_open = true;
    }
    if is_open {
        put(out, &["}"]);
    }
}

/// One JSON object for the auditor: which code answered a request to a route.
pub fn route(out: &mut Vec<u8>, call: &RouteCall<'_>, now: SystemTime) {
    put(out, &["{\"time\":\""]);
    timestamp(out, now);
    put(out, &["\",\"request\":\"", &request_id(call.id), "\""]);
    member(out, "route", call.path);
    member(out, "httpMethod", call.method);
    put(out, &[",", &call.filter.members, ",\"hook\":\"on-http\",\"verdict\":\"", call.verdict, "\""]);
    if let Some(status) = call.status {
        count(out, ",\"status\":", status);
    }
    count(out, ",\"micros\":", micros(call.took));
    put(out, &["}"]);
}

/// One JSON object for a new version that proved worse.
pub fn taken_back(out: &mut Vec<u8>, candidate: &Identity, why: &str, now: SystemTime) {
    put(out, &["{\"time\":\""]);
    timestamp(out, now);
    put(out, &["\",\"event\":\"taken-back\",", &candidate.members]);
    member(out, "why", why);
    put(out, &["}"]);
}

/// One JSON object for a request of a plugin.
pub fn fetched(out: &mut Vec<u8>, fetched: &Fetched, now: SystemTime) {
    put(out, &["{\"time\":\""]);
    timestamp(out, now);
    put(out, &["\",\"event\":\"fetch\",\"plugin\":\"", &fetched.plugin, "\""]);
    if let Some(exchange) = fetched.exchange {
        put(out, &[",\"request\":\"", &request_id(exchange), "\""]);
    }
    member(out, "method", &fetched.method);
    member(out, "origin", &fetched.origin);
    match &fetched.outcome {
        Ok((status, received)) => {
            count(out, ",\"status\":", *status);
            count(out, ",\"responseBytes\":", *received);
        }
        Err(error) => member(out, "error", &error.to_string()),
    }
    count(out, ",\"requestBytes\":", fetched.sent);
    count(out, ",\"micros\":", micros(fetched.took));
    put(out, &["}"]);
}

/// The members that both objects have. Rendered once for both.
pub fn common(ended: &Ended) -> Vec<u8> {
    let mut line = Vec::with_capacity(512);
    let out = &mut line;
    put(out, &[",\"request\":\"", &request_id(ended.head.exchange), "\""]);
    if let Some(parent) = ended.parent {
        put(out, &[",\"parent\":\"", &request_id(parent), "\""]);
    }
    member(out, "principal", &ended.principal.subject);
    if let Some(tenant) = &ended.principal.tenant {
        member(out, "tenant", tenant);
    }
    if let Some(group) = &ended.principal.group {
        member(out, "group", group);
    }
    member(out, "method", &ended.head.method);
    if let Some(name) = &ended.head.name {
        member(out, "name", name);
    }
    if let Some(upstream) = &ended.head.upstream {
        member(out, "upstream", upstream);
    }
    put(out, &[",\"protocol\":\"", ended.head.protocol.as_str(), "\",\"outcome\":\"", ended.outcome.as_str(), "\""]);
    if let Some(code) = ended.code {
        count(out, ",\"code\":", code);
    }
    if ended.tool_error {
        put(out, &[",\"toolError\":true"]);
    }
    if let Some(stream) = ended.stream {
        put(out, &[",\"streamed\":true", if stream.truncated { ",\"truncated\":true" } else { "" }]);
    }
    count(out, ",\"generation\":", ended.generation);
    count(out, ",\"requestBytes\":", ended.request_bytes);
    count(out, ",\"responseBytes\":", ended.response_bytes);
    count(out, ",\"micros\":", micros(ended.took));
    count(out, ",\"upstreamMicros\":", micros(ended.upstream_took));
    line
}

fn member(out: &mut Vec<u8>, key: &str, value: &str) {
    put(out, &[",\"", key, "\":"]);
    quote_into(out, value);
}

fn count(out: &mut Vec<u8>, key: &str, value: impl itoa::Integer) {
    put(out, &[key]);
    number(out, value);
}

fn number(out: &mut Vec<u8>, value: impl itoa::Integer) {
    put(out, &[itoa::Buffer::new().format(value)]);
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

fn micros(took: Duration) -> u64 {
    took.as_secs() * 1_000_000 + u64::from(took.subsec_micros())
}

/// As RFC 3339, with microseconds. Everything before them is rendered once a second.
fn timestamp(out: &mut Vec<u8>, now: SystemTime) {
    const TO_SECONDS: usize = "1970-01-01T00:00:00".len();
    thread_local!(static RENDERED: Cell<(u64, [u8; TO_SECONDS])> = const { Cell::new((u64::MAX, [0; TO_SECONDS])) });
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut second, mut text) = RENDERED.get();
    if second != since.as_secs() {
        second = since.as_secs();
        // What follows the seconds finds no room, which is an error here and no harm.
        let _ = write!(&mut text[..], "{}", humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(second)));
        RENDERED.set((second, text));
    }
    out.extend_from_slice(&text);
    let mut fraction = *b".000000Z";
    let mut left = since.subsec_micros();
    for digit in fraction[1..7].iter_mut().rev() {
        *digit += (left % 10) as u8;
        left /= 10;
    }
    out.extend_from_slice(&fraction);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_labels_stand_there_when_there_are_some() {
        let rendered = |roles_of: &[(&str, &str)], said: &[(&str, &str)]| {
            let claims: Vec<_> = roles_of.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let mut out = b"{\"a\":1".to_vec();
            roles(&mut out, &claims);
            labels(&mut out, said.iter().copied());
            out.push(b'}');
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()
        };
        assert_eq!(rendered(&[("email", "a@b")], &[]), serde_json::json!({"a": 1}));
        let claims = [("role", "dev"), ("email", "a@b"), ("role", "a\"b")];
        let expected = serde_json::json!({"a": 1, "roles": ["dev", "a\"b"], "labels": {"guard.risk": "high", "x.y": "\n"}});
        assert_eq!(rendered(&claims, &[("guard.risk", "high"), ("x.answer.content", "{\"pin\":1}"), ("x.y", "\n")]), expected);
    }

    #[test]
    fn timestamps_are_those_of_the_library() {
        for nanos in [0, 999, 1_000, 999_999_999, 1_000_000_000, 951_782_399_123_456_789, 951_782_400_000_001_000] {
            let at = UNIX_EPOCH + Duration::from_nanos(nanos);
            let mut out = Vec::new();
            timestamp(&mut out, at);
            assert_eq!(String::from_utf8(out).unwrap(), humantime::format_rfc3339_micros(at).to_string());
        }
    }
}
