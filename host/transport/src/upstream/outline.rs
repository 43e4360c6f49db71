//! What can be told of a message that is too long to be held, by its beginning.

use bytes::Bytes;
use sluice_chain::upstream::Outbound;
use sluice_era::stream;
use sluice_wire::{
    id::RequestId,
    json::{Document, Incremental, IndexDepth, Limits, PassingLimits, Place, Sink, Token},
    message::{self, Message},
    revision::{Era, Revision},
};
use std::sync::Arc;

/// Whether an answer to this request may come in pieces, from a server that speaks so.
pub(crate) fn may_pass(outbound: &Outbound, spoken: Revision) -> bool {
    outbound.pieces_bytes_max > 0 && !outbound.as_task && stream::passes(spoken, outbound.spoken, outbound.message.method())
}

/// Whose a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The answer to the request with this id.
    Of(u64),
    /// A result whose id stands behind it: only where one request waits can it be told whose it is.
    Result,
    /// An error, a request, a result that is not complete, or no message at all.
    Other,
}

/// Reads the beginning of a message.
pub(crate) fn read<'b>(beginning: impl IntoIterator<Item = &'b [u8]>, spoken: Revision) -> Whose {
    let limits =
        PassingLimits { bytes_max: u64::MAX, depth_max: u16::MAX, nodes_max: u64::MAX, keys_max: 1 << 20, path_bytes_max: 1 << 20 };
    let mut outline = Outline { has_kinds: spoken.era() == Era::Modern, ..Outline::default() };
    let mut pass = Incremental::new(limits);
    let read = beginning.into_iter().try_for_each(|piece| pass.push(piece, &mut outline));
    match (read, outline) {
        (Ok(()), Outline { has_result: true, is_other: false, id, .. }) => match id {
            None => Whose::Result,
            Some(id) => id.parse().map_or(Whose::Other, Whose::Of),
        },
        _ => Whose::Other,
    }
}

#[derive(Default)]
struct Outline {
    has_kinds: bool,
    has_result: bool,
    is_other: bool,
    id: Option<String>,
    kind: Option<String>,
}

impl Outline {
    fn is_kind(&self, at: Place<'_>) -> bool {
        self.has_kinds && at.depth() == 2 && at.name(1) == Some("result") && at.name(2) == Some("resultType")
    }
}

impl Sink for Outline {
    fn token(&mut self, at: Place<'_>, token: Token<'_>) {
        match token {
            Token::End { key: true } if at.depth() == 1 => match at.name(1) {
                Some("result") => self.has_result = true,
                Some("error" | "method") => self.is_other = true,
                _ => {}
            },
            Token::Scalar(raw) if at.depth() == 1 && at.name(1) == Some("id") => {
                self.id.get_or_insert_default().push_str(&String::from_utf8_lossy(raw));
            }
            Token::Begin { key: false } if at.depth() == 1 && at.name(1) == Some("id") => self.is_other = true,
            Token::Begin { key: false } if self.is_kind(at) => self.kind = Some(String::new()),
            Token::Text { decoded, .. } if self.is_kind(at) => self.kind.get_or_insert_default().push_str(decoded),
            Token::End { key: false } if self.is_kind(at) => self.is_other |= self.kind.as_deref() != Some("complete"),
            _ => {}
        }
    }
}

/// Stands for a result that is not there yet.
pub(crate) fn placeholder(id: u64) -> Option<Message> {
    let text: Bytes = message::result(&RequestId::from_u64(id), b"{}");
    Message::decode(Document::parse(text, &Limits::RESPONSE, IndexDepth::Full).ok()?).ok()
}

/// The same, shared.
pub(crate) fn shared_placeholder(id: u64) -> Option<Arc<Message>> {
    placeholder(id).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_says_whose_it_is() {
        let modern = Revision::V2026_07_28;
        for (beginning, expected) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"te"#, Whose::Of(7)),
            (r#"{"result":{"content":[{"te"#, Whose::Result),
            (r#"{"id":"7","result":{"#, Whose::Other),
            (r#"{"id":7.5,"result":{"#, Whose::Other),
            (r#"{"id":7,"error":{"#, Whose::Other),
            (r#"{"method":"x","params":{"#, Whose::Other),
            (r#"{"id":7,"params":{"#, Whose::Other),
            (r#"{"id":7,"result":{"resultType":"complete","x"#, Whose::Of(7)),
            (r#"{"id":7,"result":{"resultType":"input_required","x"#, Whose::Other),
            (r#"[{"id":7,"result":{"#, Whose::Other),
            (r#"{"id":7,"result":{"a":1,"a":2"#, Whose::Other),
            ("nonsense", Whose::Other),
        ] {
            assert_eq!(read(beginning.as_bytes().chunks(5), modern), expected, "{beginning}");
        }
        let kind = r#"{"id":7,"result":{"resultType":"input_required","x"#;
        assert_eq!(read([kind.as_bytes()], Revision::V2025_11_25), Whose::Of(7), "a legacy server has no other kind");
        assert_eq!(placeholder(7).unwrap().id().and_then(|id| id.as_u64()), Some(7));
    }
}
