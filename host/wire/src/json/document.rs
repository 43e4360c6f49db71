//! A checked text with its index.

use std::ops::Range;

use bytes::Bytes;

use super::parse::Pass;
use super::value::{Key, Kind, Value};
use super::{DecodeError, IndexDepth, Limits};

/// What a node of the index stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
    /// An object key; the member's value is the next node.
    Key,
}

/// One entry of the index: 16 bytes, in pre-order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    start: u32,
    end: u32,
    /// The node after this one and all below it; for a key, after its value.
    next: u32,
    kind: NodeKind,
    /// The string or key holds an escape.
    escaped: bool,
    /// The container has children without nodes.
    shallow: bool,
}

const _: () = assert!(size_of::<Node>() == 16);

impl Node {
    pub(super) fn open(kind: NodeKind, start: usize) -> Node {
        Node::leaf(kind, start, start, false)
    }

    pub(super) fn leaf(kind: NodeKind, start: usize, end: usize, escaped: bool) -> Node {
        Node { start: start as u32, end: end as u32, next: 0, kind, escaped, shallow: false }
    }

    pub(super) fn finish(&mut self, end: usize, next: u32) {
        self.end = end as u32;
        self.next = next;
    }

    pub(super) fn set_next(&mut self, next: u32) {
        self.next = next;
    }

    pub(super) fn set_shallow(&mut self) {
        self.shallow = true;
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(crate) fn kind(&self) -> NodeKind {
        self.kind
    }

    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    pub(crate) fn is_escaped(&self) -> bool {
        self.escaped
    }

    pub(crate) fn is_shallow(&self) -> bool {
        self.shallow
    }
}

/// Position of a value or key in one document's index. Meaningless in another document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// Position in pre-order; keys count too, and the root is 0.
    pub fn index(self) -> u32 {
        self.0
    }
}

/// A JSON text that passed every check, with an index of its values.
///
/// Holds the sender's bytes untouched. There is no other way to make one than the strict
/// pass, so whoever holds a `Document` need not check again.
#[derive(Debug, Clone)]
pub struct Document {
    bytes: Bytes,
    nodes: Vec<Node>,
    depth: IndexDepth,
}

impl Document {
    /// Checks `bytes` as one JSON-RPC message text and indexes it down to `depth`.
    ///
    /// On top of RFC 8259 this refuses duplicate keys, lone surrogates, byte-order marks,
    /// and, in the root object and its `params`, keys that differ from a protocol key only by
    /// case. Whether the message makes sense is for [`Message`](crate::message::Message).
    ///
    /// # Errors
    /// The first [`DecodeError`] met.
    pub fn parse(bytes: Bytes, limits: &Limits, depth: IndexDepth) -> Result<Document, DecodeError> {
        Document::build(bytes, limits, depth, true)
    }

    /// Like [`parse`](Document::parse) for a value that is not a message: no rule on case twins.
    ///
    /// # Errors
    /// The first [`DecodeError`] met.
    pub fn parse_value(bytes: Bytes, limits: &Limits, depth: IndexDepth) -> Result<Document, DecodeError> {
        Document::build(bytes, limits, depth, false)
    }

    fn build(bytes: Bytes, limits: &Limits, depth: IndexDepth, is_envelope: bool) -> Result<Document, DecodeError> {
        let nodes = Pass::new(&bytes, limits, Some(depth), is_envelope)?.run()?;
        Ok(Document { bytes, nodes, depth })
    }

    /// Indexes every value; free when the index is full already.
    pub fn deepen(mut self) -> Document {
        if self.is_full() {
            return self;
        }
        // The text passed once under the caller's limits, so only the index is new.
        let limits = Limits { bytes_max: usize::MAX, depth_max: u16::MAX, nodes_max: u32::MAX };
        let pass = Pass::new(&self.bytes, &limits, Some(IndexDepth::Full), false);
        self.nodes = pass.and_then(Pass::run).expect("the text was accepted under tighter limits");
        self.depth = IndexDepth::Full;
        self
    }

    /// Whether every value has a node, by the depth asked for or because none lies deeper.
    pub fn is_full(&self) -> bool {
        self.depth == IndexDepth::Full || !self.nodes.iter().any(Node::is_shallow)
    }

    /// The depth asked for when the index was built.
    pub fn depth(&self) -> IndexDepth {
        self.depth
    }

    /// The value the text holds.
    pub fn root(&self) -> Value<'_> {
        Value::new(self, 0)
    }

    /// The text as sent. Cloning it is cheap.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Gives the text back without its index.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Length of the text, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a checked text is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Number of nodes in the index, keys included.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The value at an index position; `None` for a key or a position out of range.
    pub fn value(&self, node: NodeId) -> Option<Value<'_>> {
        let found = self.nodes.get(node.0 as usize)?;
        (found.kind != NodeKind::Key).then(|| Value::new(self, node.0))
    }

    /// The key at an index position; `None` for a value or a position out of range.
    pub fn key(&self, node: NodeId) -> Option<Key<'_>> {
        let found = self.nodes.get(node.0 as usize)?;
        (found.kind == NodeKind::Key).then(|| Key::new(self, node.0))
    }

    /// Follows an RFC 6901 pointer; `""` is the root.
    ///
    /// `None` when nothing is there, the pointer is malformed, or the value lies below the
    /// indexed depth.
    pub fn pointer(&self, ptr: &str) -> Option<Value<'_>> {
        let mut value = self.root();
        if ptr.is_empty() {
            return Some(value);
        }
        for token in ptr.strip_prefix('/')?.split('/') {
            value = match value.kind() {
                Kind::Object if token.contains('~') => value.get(&untilde(token)?)?,
                Kind::Object => value.get(token)?,
                Kind::Array => value.items().nth(array_index(token)?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The RFC 6901 pointer to a value, or for a key to its member.
    ///
    /// Walks down from the root, so the cost grows with depth and with siblings before it.
    /// Empty for the root and for a node out of range.
    pub fn pointer_of(&self, node: NodeId) -> String {
        let mut out = String::new();
        let mut container = self.root();
        while container.node() < node {
            let Some(child) = self.step_towards(container, node, &mut out) else {
                break;
            };
            container = child;
        }
        out
    }

    /// Appends the token of the child of `container` that is or holds `node`; returns it
    /// when the walk must go on.
    fn step_towards<'a>(&'a self, container: Value<'a>, node: NodeId, out: &mut String) -> Option<Value<'a>> {
        if container.kind() == Kind::Array {
            let (index, child) = container.items().enumerate().find(|(_, child)| node < child.after())?;
            out.push('/');
            out.push_str(&index.to_string());
            return Some(child);
        }
        let member = container.members().find(|member| node < member.value.after())?;
        out.push('/');
        out.push_str(&member.key.decoded().replace('~', "~0").replace('/', "~1"));
        (node != member.key.node()).then_some(member.value)
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn text(&self, span: Range<usize>) -> &str {
        // Checked again rather than assumed: this crate holds no unsafe code, and the check
        // runs at memory speed.
        std::str::from_utf8(&self.bytes[span]).expect("the text was checked as UTF-8")
    }
}

/// Undoes `~1` and `~0`; `None` for a stray tilde.
fn untilde(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut parts = token.split('~');
    out.push_str(parts.next()?);
    for part in parts {
        match part.as_bytes().first()? {
            b'0' => out.push('~'),
            b'1' => out.push('/'),
            _ => return None,
        }
        out.push_str(&part[1..]);
    }
    Some(out)
}

/// Digits without a leading zero.
fn array_index(token: &str) -> Option<usize> {
    let is_canonical = token == "0" || !token.starts_with('0');
    let digits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    (is_canonical && digits).then(|| token.parse().ok())?
}
