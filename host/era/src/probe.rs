//! Which era a server speaks, read from how it answers an opening (mcp-protocol §2.6).

use crate::handshake::{Introduction, newest_modern, read_discover};
use sluice_wire::{code, message::Message};

/// What an answer to `server/discover` proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It speaks a modern revision of ours.
    Modern(Introduction),
    /// It does not: open it with `initialize`.
    TryLegacy,
    /// Nothing: not to be remembered.
    Inconclusive,
}

/// Reads the answer to a `server/discover`, or its HTTP status when the body is no message.
///
/// `status` is none on stdio.
pub fn read(status: Option<u16>, answer: Option<&Message>) -> Reading {
    if matches!(status, Some(401 | 403 | 408 | 425 | 429 | 500..)) {
        return Reading::Inconclusive;
    }
    match answer.and_then(read_discover) {
        Some(introduction) => Reading::Modern(introduction),
        // It knows the modern form well enough to refuse it, and offers it all the same.
        None if answer.is_some_and(offers_modern) => Reading::Inconclusive,
        None => Reading::TryLegacy,
    }
}

/// Whether an error names a modern revision of ours as served.
fn offers_modern(answer: &Message) -> bool {
    let supported = || answer.error()?.get("data")?.get("supported").and_then(newest_modern);
    is_modern_error(answer) && (answer.error_code() != Some(code::UNSUPPORTED_VERSION) || supported().is_some())
}

/// Whether an error is one that only the modern era defines.
pub fn is_modern_error(answer: &Message) -> bool {
    matches!(answer.error_code(), Some(code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION))
}

/// Whether a status refuses the message itself, so that nothing of it ran and another era is worth a try.
pub fn is_refusal(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 401 | 403 | 408 | 425 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::json::{Document, IndexDepth, Limits};

    fn reading(status: Option<u16>, body: &str) -> &'static str {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,{body}}}"#);
        let answer = (!body.is_empty())
            .then(|| Message::decode(Document::parse(text.into(), &Limits::RESPONSE, IndexDepth::Full).unwrap()).unwrap());
        match read(status, answer.as_ref()) {
            Reading::Modern(_) => "modern",
            Reading::TryLegacy => "legacy",
            Reading::Inconclusive => "inconclusive",
        }
    }

    #[test]
    fn the_table_of_probing() {
        let error = |code: i64, data: &str| format!(r#""error":{{"code":{code},"message":"m","data":{data}}}"#);
        let listing = |versions: &str| format!(r#""result":{{"supportedVersions":{versions},"capabilities":{{}}}}"#);
        for (status, body, expected) in [
            (Some(200), listing(r#"["2025-11-25","2026-07-28"]"#), "modern"),
            (None, listing(r#"["2026-07-28"]"#), "modern"),
            (Some(200), listing(r#"["2025-11-25"]"#), "legacy"),
            (Some(200), listing(r#""2026-07-28""#), "legacy"),
            (Some(200), r#""result":{}"#.to_owned(), "legacy"),
            (Some(400), error(-32022, r#"{"supported":["2025-11-25"]}"#), "legacy"),
            (Some(400), error(-32022, r#"{"supported":["2026-07-28"]}"#), "inconclusive"),
            (Some(400), error(-32020, "null"), "inconclusive"),
            (Some(404), error(-32601, "null"), "legacy"),
            (Some(400), error(-32000, "null"), "legacy"),
            (None, error(-32601, "null"), "legacy"),
            (None, error(-32001, "null"), "legacy"),
            (Some(404), String::new(), "legacy"),
            (Some(405), String::new(), "legacy"),
            (Some(401), String::new(), "inconclusive"),
            (Some(403), error(-32601, "null"), "inconclusive"),
            (Some(429), String::new(), "inconclusive"),
            (Some(503), String::new(), "inconclusive"),
        ] {
            assert_eq!(reading(status, &body), expected, "{status:?} {body}");
        }
    }
}
