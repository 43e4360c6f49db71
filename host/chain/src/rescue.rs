//! Error becomes wire here and nowhere else. No `_` arm: a new variant must choose.
//!
//! Errors of the world and of guests are JSON-RPC `Internal error` (-32603), as every revision allows, with a
//! machine-readable `data.reason`; codes of our own would have to be learnt by every client.

pub use crate::ticket::LostRound;
use crate::{
    departures::Held,
    exchange::AnswerBody,
    fault::Fault,
    record::Outcome,
    upstream::UpstreamError,
    verdict::{Ask, Rejection},
};
use bytes::Bytes;
use sluice_wire::{
    code,
    json::{Document, IndexDepth, Kind, Limits, quote},
    patch::Patch,
};

/// Everything that can end an exchange other than an answer or a policy's no.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A guest broke its contract and the operator's word is `refuse`.
    #[error("plugin {plugin} {fault}")]
    Plugin {
        /// Whose fault it is.
        plugin: String,
        /// What it did.
        fault: Fault,
    },
    /// The world broke.
    #[error("upstream {upstream} {source}")]
    Upstream {
        /// Whose fault it is.
        upstream: String,
        /// What happened.
        source: UpstreamError,
    },
    /// A long answer cannot go out in pieces, because of a filter.
    #[error(
        "upstream {upstream} sent more than {limit_bytes} bytes, and plugin {plugin} cannot take them in pieces: it has no on-chunk for this call, or a label brought it in when they had begun to come"
    )]
    Unstreamed {
        /// From where.
        upstream: String,
        /// What is held of an answer.
        limit_bytes: usize,
        /// Which filter is in the way.
        plugin: String,
    },
    /// A filter rejected a notification, or a request on its way out, which ends its exchange.
    #[error("plugin {plugin} refused: {}", rejection.message)]
    Rejected {
        /// Whose word it is.
        plugin: String,
        /// What the client is told.
        rejection: Rejection,
    },
    /// Not in this principal's table, while every upstream's list is known.
    #[error("unknown {what}: {name}")]
    Unknown {
        /// `tool`, `prompt`, `resource`.
        what: &'static str,
        /// As the client wrote it.
        name: String,
    },
    /// Not in the table, and the lists of these upstreams are not known.
    #[error("{what} {name} is not offered by any upstream that answers; unavailable now: {missing}")]
    MaybeMissing {
        /// `tool`, `prompt`, `resource`.
        what: &'static str,
        /// As the client wrote it.
        name: String,
        /// Names of the upstreams.
        missing: String,
    },
    /// A filter listed it and then did not answer the call.
    #[error("plugin {plugin} lists {name} but did not answer the call")]
    Unanswered {
        /// Whose fault it is.
        plugin: String,
        /// The entry.
        name: String,
    },
    /// A required member is absent or of the wrong type.
    #[error("{0}")]
    BadParams(String),
    /// A mirrored header disagrees with the body.
    #[error("{0}")]
    HeaderMismatch(String),
    /// Not carried for this client, or not known at all.
    #[error("method not found: {0}")]
    NoSuchMethod(String),
    /// A round of a call that cannot go on.
    #[error("the call cannot go on: this requestState {}; nothing is run again by itself, since it may have had effects", .0.what())]
    LostRound(LostRound),
    /// A filter wants a person's word, and this client or this request has no way to it.
    #[error("plugin {plugin} wants a person's approval, and {why}")]
    NobodyToAsk {
        /// Who asks.
        plugin: String,
        /// What is missing.
        why: &'static str,
        /// What the client would have to declare, a capabilities object, JSON text; none where that would not help.
        required: Option<&'static str>,
    },
    /// A feature that a client has to declare with each request.
    #[error("this needs a client that declares {required}")]
    Undeclared {
        /// A capabilities object, JSON text.
        required: &'static str,
    },
    /// A filter of this gateway kept back what the server wanted to know, and the protocol has no words for that.
    #[error("the client refused what was asked for: the client did not answer")]
    KeptBack,
    /// A server asks, and too many calls wait for answers.
    #[error("too many calls of this client wait for answers to a server's questions; answer those first")]
    NoRoomToPark,
    /// Too many streams of changes are open.
    #[error("too many subscriptions are open; end some, or raise the limit")]
    NoRoomToListen,
    /// The server of a resource does not tell of its changes.
    #[error("upstream {upstream} does not tell of changes of this resource")]
    NotTold {
        /// Its name.
        upstream: String,
        /// Its own code and words, if it had any.
        refused: Option<(i64, String)>,
    },
    /// The cursor was not made by us, for this principal and this list as it is now.
    #[error("the cursor is not valid for this list any more; start again without one")]
    BadCursor,
}

impl Error {
    /// The machine-readable `data.reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Plugin { fault: Fault::Open { .. }, .. } => "plugin_off",
            Self::Plugin { fault: Fault::Saturated | Fault::Share(_), .. } => "plugin_busy",
            Self::Plugin { .. } => "plugin_fault",
            Self::Upstream { source, .. } => upstream_reason(source),
            Self::Unstreamed { .. } => "upstream_too_large",
            Self::Unknown { .. } => "unknown_name",
            Self::MaybeMissing { .. } => "upstream_unavailable",
            Self::Unanswered { .. } => "plugin_fault",
            Self::Rejected { .. } => "refused",
            Self::BadParams(_) => "bad_params",
            Self::HeaderMismatch(_) => "header_mismatch",
            Self::NoSuchMethod(_) => "no_such_method",
            Self::LostRound(lost) => lost.reason(),
            Self::NobodyToAsk { .. } => "approval_unavailable",
            Self::Undeclared { .. } => "capability_missing",
            Self::KeptBack => "refused",
            Self::NoRoomToPark => "too_many_rounds",
            Self::NoRoomToListen => "too_many_subscriptions",
            Self::NotTold { .. } => "not_told",
            Self::BadCursor => "bad_cursor",
        }
    }

    /// The JSON-RPC code as the modern era has it, which is what filters see. The downstream puts it in a legacy client's words.
    pub fn code(&self) -> i64 {
        match self {
            Self::Upstream { source: UpstreamError::NeedsCapability { .. }, .. }
            | Self::NobodyToAsk { required: Some(_), .. }
            | Self::Undeclared { .. } => code::MISSING_CAPABILITY,
            Self::Plugin { .. }
            | Self::Upstream { .. }
            | Self::Unstreamed { .. }
            | Self::MaybeMissing { .. }
            | Self::Unanswered { .. }
            | Self::NobodyToAsk { required: None, .. }
            | Self::KeptBack
            | Self::NoRoomToPark
            | Self::NoRoomToListen
            | Self::NotTold { refused: None, .. } => code::INTERNAL_ERROR,
            Self::NotTold { refused: Some((code, _)), .. } => *code,
            Self::Rejected { rejection, .. } => rejection.code,
            Self::Unknown { .. } | Self::BadParams(_) | Self::BadCursor | Self::LostRound(_) => code::INVALID_PARAMS,
            Self::HeaderMismatch(_) => code::HEADER_MISMATCH,
            Self::NoSuchMethod(_) => code::METHOD_NOT_FOUND,
        }
    }

    /// Refused by us, or failed by somebody?
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Upstream { source: UpstreamError::Cancelled, .. } => Outcome::Cancelled,
            Self::Upstream { source: UpstreamError::NeedsCapability { .. } | UpstreamError::Held(_), .. } => Outcome::Refused,
            Self::Plugin { .. } | Self::Upstream { .. } | Self::Unstreamed { .. } | Self::MaybeMissing { .. } | Self::Unanswered { .. } => {
                Outcome::Failed
            }
            Self::Rejected { .. }
            | Self::Unknown { .. }
            | Self::BadParams(_)
            | Self::HeaderMismatch(_)
            | Self::NoSuchMethod(_)
            | Self::LostRound(_)
            | Self::NobodyToAsk { .. }
            | Self::Undeclared { .. }
            | Self::KeptBack
            | Self::NoRoomToPark
            | Self::NoRoomToListen
            | Self::NotTold { .. }
            | Self::BadCursor => Outcome::Refused,
        }
    }

    /// What the client is told. A guest's own trap text stays with the operator.
    fn public_message(&self) -> String {
        match self {
            Self::Plugin { fault: Fault::Open { .. } | Fault::Saturated | Fault::Share(_), .. } => {
                "a policy of this gateway cannot run right now; try again later".into()
            }
            Self::Plugin { .. } => {
                "a policy of this gateway failed, so the request was refused; its operator finds the reason in the log".into()
            }
            Self::Upstream { source: UpstreamError::Held(held), .. } => asked_first(held),
            Self::Unanswered { .. } => "a plugin of this gateway listed this and did not answer".into(),
            Self::Rejected { rejection, .. } => rejection.message.clone(),
            Self::NotTold { refused: Some((_, text)), .. } => text.clone(),
            other => other.to_string(),
        }
    }

    /// The error as an answer.
    pub fn body(&self, exchange: u64) -> AnswerBody {
        let mut data = format!(r#"{{"reason":"{}","requestId":"{}""#, self.reason(), request_id(exchange));
        match self {
            Self::Upstream { upstream, source } => {
                if let Some(cause) = unknown_cause(source) {
                    data.push_str(&format!(r#","cause":"{cause}""#));
                }
                data.push_str(&format!(r#","upstream":{}"#, quote(upstream)));
                if let UpstreamError::Held(held) = source
                    && let Some(url) = link(held)
                {
                    data.push_str(&format!(r#","url":{}"#, quote(url)));
                }
                if let UpstreamError::NeedsCapability { required } = source {
                    data.push_str(&format!(r#","requiredCapabilities":{required}"#));
                }
            }
            Self::NobodyToAsk { required: Some(required), .. } | Self::Undeclared { required } => {
                data.push_str(&format!(r#","requiredCapabilities":{required}"#))
            }
            Self::Unknown { what: "resource", name } => data.push_str(&format!(r#","uri":{}"#, quote(name))),
            Self::Plugin { .. }
            | Self::Rejected { .. }
            | Self::Unknown { .. }
            | Self::MaybeMissing { .. }
            | Self::Unanswered { .. }
            | Self::BadParams(_)
            | Self::HeaderMismatch(_)
            | Self::NoSuchMethod(_)
            | Self::LostRound(_)
            | Self::NobodyToAsk { required: None, .. }
            | Self::KeptBack
            | Self::NoRoomToPark
            | Self::NoRoomToListen
            | Self::BadCursor => {}
            Self::Unstreamed { upstream, .. } => data.push_str(&format!(r#","upstream":{}"#, quote(upstream))),
            Self::NotTold { upstream, .. } => data.push_str(&format!(r#","upstream":{}"#, quote(upstream))),
        }
        data.push('}');
        AnswerBody::Error { code: self.code(), message: self.public_message(), data: Some(data) }
    }
}

/// What a person is to do before a request can leave, for a client that cannot ask in the protocol's own way.
pub fn asked_first(held: &Held) -> String {
    match held {
        Held::Suspended { asks, .. } => match &asks.ask {
            Ask::Url(url) => format!("{} {url}", asks.message),
            Ask::Form(_) => asks.message.clone(),
        },
        Held::Rejected { rejection, .. } => rejection.message.clone(),
        Held::Broke { .. } => {
            "a policy of this gateway failed, so the request was refused; its operator finds the reason in the log".into()
        }
    }
}

fn link(held: &Held) -> Option<&str> {
    match held {
        Held::Suspended { asks, .. } => match &asks.ask {
            Ask::Url(url) => Some(url),
            Ask::Form(_) => None,
        },
        Held::Rejected { .. } | Held::Broke { .. } => None,
    }
}

fn upstream_reason(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Unreachable { .. } | UpstreamError::Resting { .. } => "upstream_unavailable",
        UpstreamError::Deadline { .. } | UpstreamError::ClosedEarly { .. } | UpstreamError::HeldMidway(_) => "outcome_unknown",
        UpstreamError::BadReply { .. } => "upstream_bad_reply",
        UpstreamError::TooLarge { .. } => "upstream_too_large",
        UpstreamError::Unauthorized { .. } => "upstream_unauthorized",
        UpstreamError::Loop => "loop",
        UpstreamError::Busy { .. } => "upstream_busy",
        UpstreamError::CannotCross { .. } => "cannot_cross_eras",
        UpstreamError::NeedsCapability { .. } => "capability_missing",
        UpstreamError::Held(_) => "action_required",
        UpstreamError::Cancelled => "cancelled",
    }
}

/// Why nobody can know whether the call ran. It was sent, and is not sent again.
fn unknown_cause(error: &UpstreamError) -> Option<&'static str> {
    match error {
        UpstreamError::Deadline { .. } => Some("upstream_deadline"),
        UpstreamError::ClosedEarly { .. } => Some("upstream_closed"),
        UpstreamError::HeldMidway(_) => Some("not_followed"),
        UpstreamError::Unreachable { .. }
        | UpstreamError::Resting { .. }
        | UpstreamError::BadReply { .. }
        | UpstreamError::TooLarge { .. }
        | UpstreamError::Unauthorized { .. }
        | UpstreamError::Loop
        | UpstreamError::Busy { .. }
        | UpstreamError::NeedsCapability { .. }
        | UpstreamError::CannotCross { .. }
        | UpstreamError::Held(_)
        | UpstreamError::Cancelled => None,
    }
}

/// `error.data` of a policy's no: what the filter wrote, and what every error of ours carries. The id is never the
/// filter's; its own `reason` stays.
pub fn refusal_data(own: Option<&str>, exchange: u64) -> String {
    let id = quote(&request_id(exchange));
    let alone = || format!(r#"{{"reason":"refused","requestId":{id}}}"#);
    let Some(own) = own else { return alone() };
    let Ok(document) = Document::parse_value(own.to_owned().into(), &Limits::RESPONSE, IndexDepth::Levels(1)) else { return alone() };
    let root = document.root();
    if root.kind() != Kind::Object {
        return format!(r#"{{"reason":"refused","requestId":{id},"detail":{own}}}"#);
    }
    let mut patch = Patch::new(&document);
    if root.get("reason").is_none() {
        patch.insert(root, "reason", r#""refused""#);
    }
    patch.set(root, "requestId", id.clone());
    let applied = patch.apply().ok().and_then(|bytes| String::from_utf8(bytes.into()).ok());
    applied.unwrap_or_else(alone)
}

/// An exchange's id as people see it, in errors, headers, logs and audit.
pub fn request_id(exchange: u64) -> String {
    format!("{exchange:016x}")
}

/// A `tools/call` result that says no in a way a model can read.
pub fn tool_error_result(message: &str, exchange: u64) -> Bytes {
    // A result has no place for data of ours that people would see.
    let text = quote(&format!("{message} (request {})", request_id(exchange)));
    format!(r#"{{"content":[{{"type":"text","text":{text}}}],"isError":true,"resultType":"complete"}}"#).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_may_have_run_says_so_and_why() {
        let data = |source: UpstreamError| match (Error::Upstream { upstream: "u".into(), source }).body(7) {
            AnswerBody::Error { data, .. } => data.unwrap_or_default(),
            other => panic!("{other:?}"),
        };
        let closed = data(UpstreamError::ClosedEarly { reason: "reset".into() });
        assert_eq!(closed, r#"{"reason":"outcome_unknown","requestId":"0000000000000007","cause":"upstream_closed","upstream":"u"}"#);
        let late = data(UpstreamError::Deadline { limit: std::time::Duration::from_secs(1) });
        assert_eq!(late, r#"{"reason":"outcome_unknown","requestId":"0000000000000007","cause":"upstream_deadline","upstream":"u"}"#);
        let never = data(UpstreamError::Unreachable { reason: "refused".into() });
        assert_eq!(never, r#"{"reason":"upstream_unavailable","requestId":"0000000000000007","upstream":"u"}"#);
    }

    #[test]
    fn a_filters_data_stays_and_the_id_is_ours() {
        for (own, expected) in [
            (None, r#"{"reason":"refused","requestId":"0000000000000007"}"#),
            (Some(r#"{ "retryAfterMs":1.0}"#), r#"{ "retryAfterMs":1.0,"reason":"refused","requestId":"0000000000000007"}"#),
            (Some(r#"{"reason":"late","requestId":"mine"}"#), r#"{"reason":"late","requestId":"0000000000000007"}"#),
            (Some("[1]"), r#"{"reason":"refused","requestId":"0000000000000007","detail":[1]}"#),
            (Some("{}"), r#"{"reason":"refused","requestId":"0000000000000007"}"#),
        ] {
            assert_eq!(refusal_data(own, 7), expected, "{own:?}");
        }
    }
}
