//! The one validating pass.

use super::document::{Node, NodeKind};
use super::keys::{Guard, Mark, OpenKeys};
use super::{DecodeError, IndexDepth, Limits, strings};

/// Offsets are kept in 32 bits; the bound leaves room for the arithmetic around them.
const BYTES_MAX: usize = 1 << 31;
/// Stands for "this container has no node".
const NO_NODE: u32 = u32::MAX;

/// A container still open.
struct Frame {
    node: u32,
    mark: Mark,
    is_object: bool,
    guard: Guard,
}

/// State of one pass over one text.
pub(super) struct Pass<'a> {
    bytes: &'a [u8],
    at: usize,
    depth_max: u16,
    nodes_max: u32,
    nodes_left: u32,
    /// Values above this number of open containers get a node; 0 for none at all.
    levels: usize,
    /// Whether root is a JSON-RPC envelope whose keys are guarded from twins.
    is_envelope: bool,
    /// The last envelope key read was `params`.
    params_next: bool,
    frames: Vec<Frame>,
    keys: OpenKeys,
    nodes: Vec<Node>,
}

impl<'a> Pass<'a> {
    /// Checks size and UTF-8; `depth` `None` builds no index.
    pub(super) fn new(
        bytes: &'a [u8],
        limits: &Limits,
        depth: Option<IndexDepth>,
        is_envelope: bool,
    ) -> Result<Self, DecodeError> {
        let limit = limits.bytes_max.min(BYTES_MAX);
        if bytes.len() > limit {
            return Err(DecodeError::TooLarge { limit });
        }
        if let Err(error) = std::str::from_utf8(bytes) {
            let offset = error.valid_up_to();
            return Err(DecodeError::Utf8 { offset });
        }
        Ok(Pass {
            bytes,
            at: 0,
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
            frames: Vec::with_capacity(8),
            keys: OpenKeys::default(),
            nodes: Vec::with_capacity(if depth.is_some() { 32 } else { 0 }),
        })
    }

    /// Runs to the end of the text and returns the index, in pre-order.
    pub(super) fn run(mut self) -> Result<Vec<Node>, DecodeError> {
        loop {
            let opened = self.value()?;
            if !opened && self.settle()? {
                break;
            }
        }
        match self.peek() {
            None => Ok(self.nodes),
            Some(_) => Err(DecodeError::Trailing { offset: self.at }),
        }
    }

    /// Reads a leaf or opens a container; true when a child value must follow.
    fn value(&mut self) -> Result<bool, DecodeError> {
        let first = self.expect_any()?;
        self.count_node()?;
        let start = self.at;
        let kind = match first {
            b'{' => return self.open(true),
            b'[' => return self.open(false),
            b'"' => {
                let (end, escaped) = strings::check(self.bytes, start + 1)?;
                self.at = end;
                self.leaf(NodeKind::String, start, escaped);
                return Ok(false);
            }
            b't' => self.literal(b"true", NodeKind::Bool)?,
            b'f' => self.literal(b"false", NodeKind::Bool)?,
            b'n' => self.literal(b"null", NodeKind::Null)?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => return Err(self.syntax()),
        };
        self.leaf(kind, start, false);
        Ok(false)
    }

    /// After a value: takes the comma and next key, or closes containers. True at the end.
    fn settle(&mut self) -> Result<bool, DecodeError> {
        loop {
            let Some(frame) = self.frames.last() else {
                return Ok(true);
            };
            let is_object = frame.is_object;
            match (self.expect_any()?, is_object) {
                (b',', _) => {
                    self.at += 1;
                    if is_object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                (b'}', true) | (b']', false) => self.close()?,
                _ => return Err(self.syntax()),
            }
        }
    }

    /// Opens a container; closes it at once when it is empty.
    fn open(&mut self, is_object: bool) -> Result<bool, DecodeError> {
        let level = self.frames.len();
        if level >= self.depth_max as usize {
            let limit = self.depth_max;
            return Err(DecodeError::Depth { limit });
        }
        let node = self.nodes.len() as u32;
        let is_indexed = level < self.levels;
        if is_indexed {
            let kind = if is_object {
                NodeKind::Object
            } else {
                NodeKind::Array
            };
            self.nodes.push(Node::open(kind, self.at));
        }
        self.frames.push(Frame {
            node: if is_indexed { node } else { NO_NODE },
            mark: self.keys.mark(),
            is_object,
            guard: match level {
                0 if self.is_envelope => Guard::Envelope,
                1 if self.params_next => Guard::Params,
                _ => Guard::Open,
            },
        });
        self.at += 1;
        let close = if is_object { b'}' } else { b']' };
        if self.expect_any()? == close {
            self.close()?;
            return Ok(false);
        }
        if is_indexed && level + 1 >= self.levels {
            self.nodes[node as usize].set_shallow();
        }
        if is_object {
            self.key()?;
        }
        Ok(true)
    }

    /// Closes the innermost container at its bracket.
    fn close(&mut self) -> Result<(), DecodeError> {
        self.at += 1;
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        if frame.is_object {
            self.keys.close(self.bytes, frame.mark)?;
        }
        if frame.node != NO_NODE {
            self.nodes[frame.node as usize].set_end(self.at);
            self.seal(frame.node);
        }
        Ok(())
    }

    /// Reads `"key" :` of the innermost object.
    fn key(&mut self) -> Result<(), DecodeError> {
        if self.expect_any()? != b'"' {
            return Err(self.syntax());
        }
        self.count_node()?;
        let start = self.at;
        let (end, escaped) = strings::check(self.bytes, start + 1)?;
        self.at = end;
        if let Some(frame) = self.frames.last() {
            let (mark, guard) = (frame.mark, frame.guard);
            let inside = (start, end - 1);
            let is_params = self.keys.add(self.bytes, inside, escaped, mark, guard)?;
            self.params_next = is_params;
        }
        if self.frames.len() < self.levels {
            let node = Node::leaf(NodeKind::Key, start, end, escaped);
            self.nodes.push(node);
        }
        if self.expect_any()? != b':' {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    fn leaf(&mut self, kind: NodeKind, start: usize, escaped: bool) {
        if self.frames.len() < self.levels {
            let node = self.nodes.len() as u32;
            self.nodes.push(Node::leaf(kind, start, self.at, escaped));
            self.seal(node);
        }
    }

    /// Sets the skip pointer of a finished value and, for a member, of the key before it.
    fn seal(&mut self, node: u32) {
        let next = self.nodes.len() as u32;
        self.nodes[node as usize].set_next(next);
        if self.frames.last().is_some_and(|frame| frame.is_object) {
            self.nodes[node as usize - 1].set_next(next);
        }
    }

    fn literal(&mut self, word: &[u8], kind: NodeKind) -> Result<NodeKind, DecodeError> {
        for &wanted in word {
            match self.bytes.get(self.at) {
                Some(&byte) if byte == wanted => self.at += 1,
                Some(_) => return Err(self.syntax()),
                None => return Err(DecodeError::Truncated),
            }
        }
        Ok(kind)
    }

    /// `-? (0 | [1-9] digits) (. digits)? ([eE] [+-]? digits)?`, RFC 8259 §6.
    fn number(&mut self) -> Result<NodeKind, DecodeError> {
        self.take(|byte| byte == b'-');
        if !self.take(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.take(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.take(|byte| byte | 0x20 == b'e') {
            self.take(|byte| byte == b'+' || byte == b'-');
            self.digits()?;
        }
        Ok(NodeKind::Number)
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let found = self.bytes.get(self.at).is_some_and(|&byte| wanted(byte));
        self.at += found as usize;
        found
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), DecodeError> {
        match self.bytes.get(self.at) {
            Some(b'0'..=b'9') => {}
            Some(_) => return Err(self.syntax()),
            None => return Err(DecodeError::Truncated),
        }
        while self.take(|byte| byte.is_ascii_digit()) {}
        Ok(())
    }

    fn count_node(&mut self) -> Result<(), DecodeError> {
        let limit = self.nodes_max;
        self.nodes_left = self
            .nodes_left
            .checked_sub(1)
            .ok_or(DecodeError::Nodes { limit })?;
        Ok(())
    }

    /// Skips white space and looks at the next byte.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn expect_any(&mut self) -> Result<u8, DecodeError> {
        self.peek().ok_or(DecodeError::Truncated)
    }

    fn syntax(&self) -> DecodeError {
        DecodeError::Syntax { offset: self.at }
    }
}
