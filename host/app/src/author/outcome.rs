//! What came of a hook call, as JSON that a fixture can expect.

use serde_json::{Value, json};
use sluice_chain::{
    catalogue::Change,
    chunk::{Batch, ChunkVerdict},
    departures::OutboundVerdict,
    fault::Fault,
    filter::{Authentication, NotificationVerdict, Verdict},
    verdict::{Ask, Rejection, Suspension},
};
use sluice_wire::message::Message;
use std::sync::Arc;

pub(super) fn json_of(bytes: impl AsRef<[u8]>) -> Value {
    serde_json::from_slice(bytes.as_ref()).unwrap_or(Value::Null)
}

pub(super) fn faulted(outcome: Result<Value, Fault>) -> Value {
    outcome.unwrap_or_else(|fault| json!({"fault": fault.kind(), "why": fault.to_string()}))
}

pub(super) fn verdict(verdict: Verdict, said: &Value) -> Value {
    match verdict {
        Verdict::Next(edited) => next(edited, said),
        Verdict::Reply(result) => json!({"verdict": "reply", "result": json_of(result)}),
        Verdict::Reject(no) => rejection("verdict", "reject", no),
        Verdict::Suspend(asks) => suspension(&asks),
    }
}

fn suspension(asks: &Suspension) -> Value {
    let ask = match &asks.ask {
        Ask::Form(schema) => json!({"form": json_of(schema)}),
        Ask::Url(url) => json!({"url": url}),
    };
    let mut outcome = json!({"verdict": "suspend", "message": asks.message, "ask": ask});
    if let Some(ttl) = asks.ttl {
        outcome["ttl_ms"] = (ttl.as_millis() as u64).into();
    }
    outcome
}

/// With the values of headers whole, secrets too: those of a fixture are made up.
pub(super) fn departure(verdict: OutboundVerdict) -> Value {
    match verdict {
        OutboundVerdict::Next(headers) => {
            let headers: Vec<_> = headers.iter().map(|header| (&*header.name, String::from_utf8_lossy(&header.value))).collect();
            json!({"verdict": "next", "headers": headers})
        }
        OutboundVerdict::Reject(no) => rejection("verdict", "reject", no),
        OutboundVerdict::Suspend(asks) => suspension(&asks),
    }
}

pub(super) fn notification(verdict: NotificationVerdict, said: &Value) -> Value {
    match verdict {
        NotificationVerdict::Next(edited) => next(edited, said),
        NotificationVerdict::Drop => json!({"verdict": "drop"}),
        NotificationVerdict::Reject(no) => rejection("verdict", "reject", no),
    }
}

/// The texts of a batch as the verdict leaves them.
pub(super) fn chunks(verdict: ChunkVerdict, batch: &Batch) -> Value {
    match verdict {
        ChunkVerdict::Next => json!({"verdict": "next"}),
        ChunkVerdict::Edit(splices) => {
            let mut texts: Vec<String> = batch.chunks.iter().map(|chunk| chunk.text.clone()).collect();
            // From the last to the first, so that places stay.
            for splice in splices.into_iter().rev() {
                texts[splice.chunk].replace_range(splice.range, &splice.text);
            }
            json!({"verdict": "edit", "texts": texts})
        }
        ChunkVerdict::Reject(no) => rejection("verdict", "reject", no),
    }
}

/// An edited message without what the step left out, too.
pub(super) fn next(edited: Option<Arc<Message>>, said: &Value) -> Value {
    let Some(edited) = edited else { return json!({"verdict": "next"}) };
    let mut whole = json_of(edited.bytes());
    if let Some(members) = whole.as_object_mut() {
        for key in ["jsonrpc", "id"] {
            if said.get(key).is_none() {
                members.remove(key);
            }
        }
    }
    json!({"verdict": "next", "message": whole})
}

fn rejection(member: &str, word: &str, no: Rejection) -> Value {
    let mut outcome = json!({member: word, "code": no.code, "message": no.message});
    if let Some(data) = no.data {
        outcome["data"] = json_of(data);
    }
    if let Some(status) = no.http_status {
        outcome["http_status"] = status.into();
    }
    if !no.http_headers.is_empty() {
        outcome["http_headers"] = json!(no.http_headers);
    }
    if no.as_tool_result {
        outcome["as_tool_result"] = true.into();
    }
    outcome
}

pub(super) fn authentication(said: Authentication) -> Value {
    match said {
        Authentication::Abstain => json!({"outcome": "abstain"}),
        Authentication::Challenge(no) => rejection("outcome", "challenge", no),
        Authentication::Identified(who, ttl) => json!({
            "outcome": "identified",
            "principal": {"subject": &*who.subject, "tenant": who.tenant.as_deref(), "scopes": texts(&who.scopes),
                "claims": who.claims.iter().map(|(name, value)| [&**name, &**value]).collect::<Vec<_>>()},
            "ttl_ms": ttl.as_millis() as u64,
        }),
    }
}

fn texts(list: &[Arc<str>]) -> Vec<&str> {
    list.iter().map(|text| &**text).collect()
}

pub(super) fn change(change: &Change) -> Value {
    match change {
        Change::Keep => json!("keep"),
        Change::Hide => json!("hide"),
        Change::Rename(name) => json!({"rename": name}),
        Change::Patch(patch) => json!({"patch": json_of(patch)}),
        Change::RenameAndPatch(name, patch) => json!({"rename": name, "patch": json_of(patch)}),
    }
}
