//! The one validating pass.

use std::ops::Range;

use super::cursor::Cursor;
use super::document::{Node, NodeKind};
use super::error::{Refusal, refusal};
use super::keys::{Guard, Mark, OpenKeys};
use super::{DecodeError, IndexDepth, Limits};

/// Offsets are kept in 32 bits; the bound leaves room for the arithmetic around them.
const BYTES_MAX: usize = 1 << 31;
/// Stands for "this container has no node".
const NO_NODE: u32 = u32::MAX;
/// Most nodes an index has room for before the first one is read.
const NODES_MIN: usize = 64;

/// A container still open, or what is around the root.
#[derive(Clone, Copy)]
struct Frame {
    node: u32,
    mark: Mark,
    inside: Inside,
    guard: Guard,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// Nothing is open; the root stands here.
    Text,
    Array,
    Object,
}

/// State of one pass over one text.
pub(super) struct Pass<'a> {
    bytes: &'a [u8],
    depth_max: u16,
    nodes_max: u32,
    nodes_left: u32,
    /// Values above this number of open containers get a node; 0 for none at all.
    levels: usize,
    /// Whether root is a JSON-RPC envelope whose keys are guarded from twins.
    is_envelope: bool,
    /// The last envelope key read was `params`.
    params_next: bool,
    /// The innermost container.
    top: Frame,
    /// What is around it, outermost first; as many as containers are open.
    around: Vec<Frame>,
    keys: OpenKeys,
    nodes: Vec<Node>,
}

impl<'a> Pass<'a> {
    /// Checks size and UTF-8; `depth` `None` builds no index.
    pub(super) fn new(bytes: &'a [u8], limits: &Limits, depth: Option<IndexDepth>, is_envelope: bool) -> Result<Self, DecodeError> {
        let limit = limits.bytes_max.min(BYTES_MAX);
        if bytes.len() > limit {
            return Err(DecodeError::TooLarge { limit });
        }
        if !bytes.iter().fold(0, |all, byte| all | byte).is_ascii()
            && let Err(error) = std::str::from_utf8(bytes)
        {
            let offset = error.valid_up_to();
            return Err(DecodeError::Utf8 { offset });
        }
        let keys = OpenKeys::new();
        Ok(Pass {
            bytes,
            depth_max: limits.depth_max,
            nodes_max: limits.nodes_max,
            nodes_left: limits.nodes_max,
            levels: match depth {
                None => 0,
                Some(IndexDepth::Levels(levels)) => levels as usize + 1,
                Some(IndexDepth::Full) => usize::MAX,
            },
            is_envelope,
            params_next: false,
            top: Frame { node: NO_NODE, mark: keys.mark(), inside: Inside::Text, guard: Guard::Open },
            around: Vec::with_capacity(8),
            keys,
            // Room for the usual message at once; only a long one full of small values grows.
            nodes: match depth {
                Some(_) => Vec::with_capacity((bytes.len() / 4).min(NODES_MIN)),
                None => Vec::new(),
            },
        })
    }

    /// Runs to the end of the text and returns the index, in pre-order.
    pub(super) fn run(mut self) -> Result<Vec<Node>, DecodeError> {
        let mut cursor = Cursor::new(self.bytes);
        self.walk(&mut cursor).map_err(|refusal| *refusal)?;
        match cursor.peek() {
            None => Ok(self.nodes),
            Some(_) => Err(DecodeError::Trailing { offset: cursor.at }),
        }
    }

    #[inline(always)]
    fn walk(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
        loop {
            if self.top.inside == Inside::Object {
                self.key(cursor)?;
            }
            let opened = self.value(cursor)?;
            if !opened && self.settle(cursor)? {
                return Ok(());
            }
        }
    }

    /// Reads a leaf or opens a container; true when a child must follow.
    #[inline(always)]
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Refusal> {
        let first = cursor.expect_any()?;
        self.count_node()?;
        let start = cursor.at;
        let mut escaped = false;
        let kind = match first {
            b'{' => return self.open(cursor, Inside::Object),
            b'[' => return self.open(cursor, Inside::Array),
            b'"' => {
                escaped = cursor.string()?;
                NodeKind::String
            }
            b't' | b'f' => {
                cursor.literal(if first == b't' { b"true" } else { b"false" })?;
                NodeKind::Bool
            }
            b'n' => {
                cursor.literal(b"null")?;
                NodeKind::Null
            }
            b'-' | b'0'..=b'9' => {
                cursor.number()?;
                NodeKind::Number
            }
            _ => return Err(cursor.syntax()),
        };
        self.leaf(kind, start..cursor.at, escaped);
        Ok(false)
    }

    /// After a value: takes the comma, or closes containers. True at the end.
    #[inline(always)]
    fn settle(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Refusal> {
        while self.top.inside != Inside::Text {
            match (cursor.expect_any()?, self.top.inside) {
                (b',', _) => {
                    cursor.at += 1;
                    return Ok(false);
                }
                (b'}', Inside::Object) | (b']', Inside::Array) => {
                    cursor.at += 1;
                    self.close(cursor.bytes, cursor.at)?;
                }
                _ => return Err(cursor.syntax()),
            }
        }
        Ok(true)
    }

    /// Opens a container; closes it at once when it is empty.
    #[inline(always)]
    fn open(&mut self, cursor: &mut Cursor<'_>, inside: Inside) -> Result<bool, Refusal> {
        let level = self.around.len();
        if level >= self.depth_max as usize {
            let limit = self.depth_max;
            return Err(refusal(DecodeError::Depth { limit }));
        }
        let (kind, close) = match inside {
            Inside::Object => (NodeKind::Object, b'}'),
            _ => (NodeKind::Array, b']'),
        };
        let node = self.nodes.len() as u32;
        let is_indexed = level < self.levels;
        if is_indexed {
            self.nodes.push(Node::open(kind, cursor.at));
        }
        self.around.push(self.top);
        self.top = Frame {
            node: if is_indexed { node } else { NO_NODE },
            mark: self.keys.mark(),
            inside,
            guard: match level {
                0 if self.is_envelope => Guard::Envelope,
                1 if self.params_next => Guard::Params,
                _ => Guard::Open,
            },
        };
        cursor.at += 1;
        if cursor.expect_any()? == close {
            cursor.at += 1;
            self.close(cursor.bytes, cursor.at)?;
            return Ok(false);
        }
        if is_indexed && level + 1 >= self.levels {
            self.nodes[node as usize].set_shallow();
        }
        Ok(true)
    }

    /// Closes the innermost container, whose bracket ends at `end`.
    fn close(&mut self, bytes: &[u8], end: usize) -> Result<(), Refusal> {
        let Frame { node, mark, .. } = self.top;
        if self.top.inside == Inside::Object {
            self.keys.close(bytes, mark)?;
        }
        if let Some(outer) = self.around.pop() {
            self.top = outer;
        }
        if node != NO_NODE {
            let next = self.nodes.len() as u32;
            self.nodes[node as usize].finish(end, next);
            if self.top.inside == Inside::Object {
                self.nodes[node as usize - 1].set_next(next);
            }
        }
        Ok(())
    }

    /// Reads `"key" :` of the innermost object.
    #[inline(always)]
    fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
        if cursor.expect_any()? != b'"' {
            return Err(cursor.syntax());
        }
        self.count_node()?;
        let start = cursor.at;
        let escaped = cursor.string()?;
        let inside = (start, cursor.at - 1);
        let Frame { mark, guard, .. } = self.top;
        self.params_next = self.keys.add(cursor.bytes, inside, escaped, mark, guard)?;
        if self.is_indexed() {
            let node = Node::leaf(NodeKind::Key, start, cursor.at, escaped);
            self.nodes.push(node);
        }
        if cursor.expect_any()? != b':' {
            return Err(cursor.syntax());
        }
        cursor.at += 1;
        Ok(())
    }

    /// Whether children of the innermost container get nodes.
    fn is_indexed(&self) -> bool {
        self.around.len() < self.levels
    }

    /// Indexes a value without children, and ends the key before it.
    #[inline(always)]
    fn leaf(&mut self, kind: NodeKind, span: Range<usize>, escaped: bool) {
        if self.is_indexed() {
            let next = self.nodes.len() as u32 + 1;
            if self.top.inside == Inside::Object
                && let Some(key) = self.nodes.last_mut()
            {
                key.set_next(next);
            }
            let mut node = Node::leaf(kind, span.start, span.end, escaped);
            node.set_next(next);
            self.nodes.push(node);
        }
    }

    fn count_node(&mut self) -> Result<(), Refusal> {
        let limit = self.nodes_max;
        match self.nodes_left.checked_sub(1) {
            Some(left) => self.nodes_left = left,
            None => return Err(refusal(DecodeError::Nodes { limit })),
        }
        Ok(())
    }
}
