//! From offsets in a decoded string to offsets in the text.

use super::{Edit, Op, Patch, PatchError};
use crate::json::{Piece, Pieces, escape_into};

/// Where the last mapped offset of a string was, so that a left-to-right row of splices
/// walks the string once. Offsets count from after the opening quote.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Cursor {
    node: u32,
    decoded: usize,
    raw: usize,
}

impl Patch<'_> {
    pub(super) fn splice(&mut self, node: u32, a: usize, b: usize, replacement: &str) -> Result<(), PatchError> {
        if a > b {
            return Err(PatchError::Bounds);
        }
        let start = self.locate(node, a).ok_or(PatchError::Bounds)?;
        let end = self.locate(node, b).ok_or(PatchError::Bounds)?;
        let mut text = Vec::with_capacity(replacement.len());
        escape_into(&mut text, replacement);
        self.edits.push(Edit { node, op: Op::Splice { start, end, text } });
        Ok(())
    }

    /// The offset in the text of an offset in the decoded string; `None` unless it is a
    /// character boundary within it.
    fn locate(&mut self, node: u32, wanted: usize) -> Option<usize> {
        let token = &self.document.nodes()[node as usize];
        let span = token.span();
        let raw = &self.document.bytes()[span.start + 1..span.end - 1];
        let base = span.start + 1;
        if !token.is_escaped() {
            return is_boundary(raw, wanted).then(|| base + wanted);
        }
        let is_ahead = self.cursor.node == node && self.cursor.decoded <= wanted;
        let from = if is_ahead { self.cursor } else { Cursor { node, decoded: 0, raw: 0 } };
        let at = map(raw, from, wanted)?;
        self.cursor = Cursor { node, decoded: wanted, raw: at };
        Some(base + at)
    }
}

fn is_boundary(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at) {
        // Continuation bytes are 0b10xxxxxx.
        Some(byte) => byte & 0xC0 != 0x80,
        None => at == bytes.len(),
    }
}

/// Walks the raw inside from a known place to the wanted decoded offset.
fn map(raw: &[u8], from: Cursor, wanted: usize) -> Option<usize> {
    let mut decoded = from.decoded;
    if decoded == wanted {
        return Some(from.raw);
    }
    for piece in Pieces::starting_at(raw, from.raw) {
        let after = match piece {
            Piece::Run(range) => {
                let left = wanted - decoded;
                if left < range.len() {
                    return is_boundary(&raw[range.clone()], left).then_some(range.start + left);
                }
                decoded += range.len();
                range.end
            }
            Piece::Escape(range, character) => {
                decoded += character.len_utf8();
                range.end
            }
        };
        if decoded >= wanted {
            return (decoded == wanted).then_some(after);
        }
    }
    None
}
