//! The lines themselves. Written by hand into the sink's buffer: this runs once an exchange.
//!
//! Names, sizes, verdicts and digests; never an argument, a result or a credential.

use sluice_chain::{
    record::{Ended, Outcome},
    rescue::request_id,
};
use sluice_wire::json::quote_into;
use std::{io::Write as _, time::SystemTime};

/// One JSON object for the operator.
pub fn json(out: &mut Vec<u8>, ended: &Ended, now: SystemTime) {
    let level = match ended.outcome {
        Outcome::Failed => "warn",
        Outcome::Answered | Outcome::Refused | Outcome::Cancelled => "info",
    };
    let _ = write!(out, r#"{{"timestamp":"{}","level":"{level}","message":"exchange""#, humantime::format_rfc3339_micros(now));
    shared(out, ended);
    if let Some(cause) = &ended.cause {
        member(out, "cause", cause);
    }
    out.extend_from_slice(b",\"filters\":[");
    for (i, passed) in ended.passed.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let _ = write!(out, r#""{}.{}:{}:{}us""#, passed.filter.name, passed.hook.as_str(), passed.verdict, passed.took.as_micros());
    }
    out.extend_from_slice(b"]}");
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
pub fn audit(out: &mut Vec<u8>, ended: &Ended, now: SystemTime) {
    let _ = write!(out, r#"{{"time":"{}""#, humantime::format_rfc3339_micros(now));
    shared(out, ended);
    member(out, "authority", &ended.principal.authority);
    if let Some(cause) = &ended.cause {
        member(out, "cause", cause);
    }
    out.extend_from_slice(b",\"verdicts\":[");
    for (i, passed) in ended.passed.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let _ = write!(
            out,
            r#"{{"plugin":"{}","version":"{}","digest":"sha256:{}","hook":"{}","verdict":"{}"}}"#,
            passed.filter.name, passed.filter.version, passed.filter.digest, passed.hook.as_str(), passed.verdict,
        );
    }
    out.extend_from_slice(b"]}");
}

fn shared(out: &mut Vec<u8>, ended: &Ended) {
    let _ = write!(out, r#","request":"{:016x}""#, ended.head.exchange);
    member(out, "principal", &ended.principal.subject);
    if let Some(tenant) = &ended.principal.tenant {
        member(out, "tenant", tenant);
    }
    member(out, "method", &ended.head.method);
    if let Some(name) = &ended.head.name {
        member(out, "name", name);
    }
    if let Some(upstream) = &ended.head.upstream {
        member(out, "upstream", upstream);
    }
    member(out, "protocol", ended.head.protocol.as_str());
    member(out, "outcome", ended.outcome.as_str());
    if let Some(code) = ended.code {
        let _ = write!(out, r#","code":{code}"#);
    }
    if ended.tool_error {
        out.extend_from_slice(br#","toolError":true"#);
    }
    let _ = write!(
        out,
        r#","generation":{},"requestBytes":{},"responseBytes":{},"micros":{},"upstreamMicros":{}"#,
        ended.generation,
        ended.request_bytes,
        ended.response_bytes,
        ended.took.as_micros(),
        ended.upstream_took.as_micros(),
    );
}

fn member(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    quote_into(out, value);
}
