//! Reading values, members and items out of a document.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::document::{Document, Node, NodeId, NodeKind};
use super::leaves::Leaves;
use super::text::{decode_into, decode_str, decodes_to};

/// The six JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, kept as its token
    Number,
    /// A string
    String,
    /// An array
    Array,
    /// An object
    Object,
}

/// A value in a document: two words, freely copied.
///
/// Below the indexed depth ([`IndexDepth::Levels`](super::IndexDepth::Levels)) there are no
/// nodes: `get`, `member`, `members` and `items` then find nothing although the text holds
/// something. [`is_shallow`](Value::is_shallow) tells, [`Document::deepen`] cures.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    doc: &'a Document,
    node: u32,
}

impl<'a> Value<'a> {
    pub(crate) fn new(doc: &'a Document, node: u32) -> Self {
        Value { doc, node }
    }

    fn inner(&self) -> &'a Node {
        &self.doc.nodes()[self.node as usize]
    }

    /// Which of the six types it is.
    pub fn kind(&self) -> Kind {
        match self.inner().kind() {
            NodeKind::Null => Kind::Null,
            NodeKind::Bool => Kind::Bool,
            NodeKind::Number => Kind::Number,
            NodeKind::String | NodeKind::Key => Kind::String,
            NodeKind::Array => Kind::Array,
            NodeKind::Object => Kind::Object,
        }
    }

    /// Where the value stands in the text, in bytes; a string's quotes included.
    pub fn span(&self) -> Range<usize> {
        self.inner().span()
    }

    /// The value exactly as sent.
    pub fn raw(&self) -> &'a str {
        self.doc.text(self.span())
    }

    /// The value exactly as sent, without the cost of checking UTF-8 again.
    pub fn raw_bytes(&self) -> &'a [u8] {
        &self.doc.bytes()[self.span()]
    }

    /// The value exactly as sent, sharing the document's memory.
    pub fn to_bytes(&self) -> Bytes {
        self.doc.bytes().slice(self.span())
    }

    /// The decoded string, borrowed when nothing is escaped; `None` for other kinds.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        (self.kind() == Kind::String).then(|| decoded(self.doc, self.inner()))
    }

    /// Whether this is a string that decodes to `wanted`; never allocates.
    pub fn is_str(&self, wanted: &str) -> bool {
        self.kind() == Kind::String && equals(self.doc, self.inner(), wanted)
    }

    /// The boolean; `None` for other kinds.
    pub fn as_bool(&self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw_bytes() == b"true")
    }

    /// A number written without fraction or exponent that fits; else `None`.
    pub fn as_i64(&self) -> Option<i64> {
        self.number_token()?.parse().ok()
    }

    /// A number written without sign, fraction or exponent that fits; else `None`.
    pub fn as_u64(&self) -> Option<u64> {
        self.number_token()?.parse().ok()
    }

    /// The nearest double (infinite when out of range); `None` for other kinds.
    pub fn as_f64(&self) -> Option<f64> {
        self.number_token()?.parse().ok()
    }

    fn number_token(&self) -> Option<&'a str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// The value of a member by its decoded key.
    ///
    /// `None` when there is none, this is no object, or it lies below the indexed depth.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.member(key).map(|member| member.value)
    }

    /// A member by its decoded key; `None` as for [`get`](Value::get).
    pub fn member(&self, key: &str) -> Option<Member<'a>> {
        self.members().find(|member| member.key.is(key))
    }

    /// The members of an object in order; none for other kinds or below the indexed depth.
    pub fn members(&self) -> Members<'a> {
        let is_object = self.kind() == Kind::Object;
        Members(self.children(is_object))
    }

    /// The items of an array in order; none for other kinds or below the indexed depth.
    pub fn items(&self) -> Items<'a> {
        let is_array = self.kind() == Kind::Array;
        Items(self.children(is_array))
    }

    fn children(&self, wanted: bool) -> Children<'a> {
        let end = self.inner().next();
        Children { doc: self.doc, at: if wanted { self.node + 1 } else { end }, end }
    }

    /// Whether a container or string holds nothing; right below the indexed depth too.
    /// False for null, booleans and numbers.
    pub fn is_empty(&self) -> bool {
        match self.kind() {
            Kind::Array | Kind::Object => !self.is_shallow() && self.inner().next() == self.node + 1,
            Kind::String => self.span().len() == 2,
            _ => false,
        }
    }

    /// Whether the text holds children here that the index does not reach.
    pub fn is_shallow(&self) -> bool {
        self.inner().is_shallow()
    }

    /// Every string and object key at or below this value; see [`Leaves`].
    pub fn leaves(&self) -> Leaves<'a> {
        Leaves::new(self.doc, self.node)
    }

    /// Position in the index.
    pub fn node(&self) -> NodeId {
        NodeId(self.node)
    }

    /// The document this value is part of.
    pub fn document(&self) -> &'a Document {
        self.doc
    }

    /// The node after this value and all below it.
    pub(crate) fn after(&self) -> NodeId {
        NodeId(self.inner().next())
    }
}

impl fmt::Debug for Value<'_> {
    /// Shape and place only: content stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{:?}", self.kind(), self.span())
    }
}

/// The key of a member.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    doc: &'a Document,
    node: u32,
}

impl<'a> Key<'a> {
    pub(crate) fn new(doc: &'a Document, node: u32) -> Self {
        Key { doc, node }
    }

    fn inner(&self) -> &'a Node {
        &self.doc.nodes()[self.node as usize]
    }

    /// The key as sent, quotes included.
    pub fn raw(&self) -> &'a str {
        self.doc.text(self.span())
    }

    /// The decoded key, borrowed when nothing is escaped.
    pub fn decoded(&self) -> Cow<'a, str> {
        decoded(self.doc, self.inner())
    }

    /// The decoded key without the cost of checking UTF-8 again.
    pub(crate) fn decoded_bytes(&self) -> Cow<'a, [u8]> {
        let raw = &self.doc.bytes()[inside(self.inner())];
        if self.inner().is_escaped() {
            let mut decoded = Vec::with_capacity(raw.len());
            decode_into(&mut decoded, raw);
            return Cow::Owned(decoded);
        }
        Cow::Borrowed(raw)
    }

    /// Whether the key decodes to `wanted`; never allocates.
    pub fn is(&self, wanted: &str) -> bool {
        equals(self.doc, self.inner(), wanted)
    }

    /// Where the key stands in the text, in bytes, quotes included.
    pub fn span(&self) -> Range<usize> {
        self.inner().span()
    }

    /// Position in the index; the member's value is the position after it.
    pub fn node(&self) -> NodeId {
        NodeId(self.node)
    }

    /// The document this key is part of.
    pub fn document(&self) -> &'a Document {
        self.doc
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key@{:?}", self.span())
    }
}

/// A key with its value.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The key.
    pub key: Key<'a>,
    /// The value.
    pub value: Value<'a>,
}

/// Direct children by node: keys of an object, items of an array.
#[derive(Clone)]
struct Children<'a> {
    doc: &'a Document,
    at: u32,
    end: u32,
}

impl Iterator for Children<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.at >= self.end {
            return None;
        }
        let node = self.at;
        self.at = self.doc.nodes()[node as usize].next();
        Some(node)
    }
}

/// Iterator over the members of an object; made by [`Value::members`].
#[derive(Clone)]
pub struct Members<'a>(Children<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let node = self.0.next()?;
        Some(Member { key: Key::new(self.0.doc, node), value: Value::new(self.0.doc, node + 1) })
    }
}

/// Iterator over the items of an array; made by [`Value::items`].
#[derive(Clone)]
pub struct Items<'a>(Children<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let node = self.0.next()?;
        Some(Value::new(self.0.doc, node))
    }
}

/// The decoded form of a string or key node.
pub(super) fn decoded<'a>(doc: &'a Document, node: &Node) -> Cow<'a, str> {
    let inside = doc.text(inside(node));
    if node.is_escaped() { decode_str(inside) } else { Cow::Borrowed(inside) }
}

fn equals(doc: &Document, node: &Node, wanted: &str) -> bool {
    let raw = &doc.bytes()[inside(node)];
    if node.is_escaped() { decodes_to(raw, wanted.as_bytes()) } else { raw == wanted.as_bytes() }
}

fn inside(node: &Node) -> Range<usize> {
    let span = node.span();
    span.start + 1..span.end - 1
}
