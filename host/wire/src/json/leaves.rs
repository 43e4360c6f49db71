//! Walking over all the text a value holds.

use std::borrow::Cow;
use std::ops::Range;

use super::document::{Document, NodeId, NodeKind};
use super::strings;
use super::text::decode_str;
use super::value::decoded;

/// One piece of text in a document: a string value or an object key.
#[derive(Debug, Clone)]
pub struct Leaf<'a> {
    /// Whether it is an object key.
    pub is_key: bool,
    /// The decoded text, borrowed when nothing is escaped.
    pub text: Cow<'a, str>,
    /// The string's or key's node; when `is_indexed` is false, that of the innermost
    /// container the index knows. [`Document::pointer_of`] turns it into a pointer.
    pub node: NodeId,
    /// Whether `node` is the leaf itself.
    pub is_indexed: bool,
    /// Where the token stands in the text, in bytes, quotes included.
    pub span: Range<usize>,
}

/// Iterator over every string and key at or below a value, in the order of the text.
///
/// Complete whatever the indexed depth: containers the index does not reach into are scanned
/// in the text, so that a filter looking for a pattern cannot be passed by nesting deeper.
/// Those leaves have no node of their own ([`Leaf::is_indexed`]).
#[derive(Clone)]
pub struct Leaves<'a> {
    doc: &'a Document,
    at: u32,
    end: u32,
    /// The part of a shallow container still to be scanned, and its node.
    unindexed: Option<(Range<usize>, u32)>,
}

impl<'a> Leaves<'a> {
    pub(super) fn new(doc: &'a Document, node: u32) -> Self {
        Leaves { doc, at: node, end: doc.nodes()[node as usize].next(), unindexed: None }
    }

    /// The next string of the shallow container being scanned.
    fn scan(&mut self) -> Option<Leaf<'a>> {
        let (rest, node) = self.unindexed.take()?;
        let bytes = &self.doc.bytes()[..rest.end];
        // Outside strings a quote always opens one.
        let start = rest.start + memchr::memchr(b'"', &bytes[rest.start..])?;
        let end = strings::check(bytes, start + 1).ok()?.end as usize;
        let after = bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace());
        self.unindexed = Some((end..rest.end, node));
        Some(Leaf {
            is_key: after == Some(&b':'),
            text: decode_str(self.doc.text(start + 1..end - 1)),
            node: NodeId(node),
            is_indexed: false,
            span: start..end,
        })
    }
}

impl<'a> Iterator for Leaves<'a> {
    type Item = Leaf<'a>;

    fn next(&mut self) -> Option<Leaf<'a>> {
        loop {
            if let Some(leaf) = self.scan() {
                return Some(leaf);
            }
            if self.at >= self.end {
                return None;
            }
            let at = self.at;
            let node = &self.doc.nodes()[at as usize];
            self.at += 1;
            if node.is_shallow() {
                self.unindexed = Some((node.span(), at));
            }
            let is_key = node.kind() == NodeKind::Key;
            if is_key || node.kind() == NodeKind::String {
                return Some(Leaf { is_key, text: decoded(self.doc, node), node: NodeId(at), is_indexed: true, span: node.span() });
            }
        }
    }
}
