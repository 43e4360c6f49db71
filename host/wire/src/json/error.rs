//! Why a text was refused: what and where, never what it said.

/// A JSON text was refused. Offsets are bytes from the start of the text.
///
/// The message names the rule and the place and never echoes content, so it may be logged
/// and sent to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The text is longer than [`Limits::bytes_max`](super::Limits::bytes_max).
    #[error("JSON text is longer than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The text ends before its value does; also an empty or blank text.
    #[error("JSON text ends before its value is complete")]
    Truncated,
    /// A byte that the JSON grammar (RFC 8259) does not allow here.
    #[error("unexpected byte at offset {offset}")]
    Syntax {
        /// Where the byte stands.
        offset: usize,
    },
    /// Not UTF-8.
    #[error("invalid UTF-8 at offset {offset}")]
    Utf8 {
        /// Where the first invalid sequence starts.
        offset: usize,
    },
    /// More containers open at once than allowed.
    #[error("nested deeper than {limit} levels")]
    Depth {
        /// The bound, in containers.
        limit: u16,
    },
    /// More values and keys than allowed.
    #[error("more than {limit} values and keys")]
    Nodes {
        /// The bound, in nodes.
        limit: u32,
    },
    /// The names of all members open at once are longer than allowed; only where a text is not held.
    #[error("names of nested members are longer than {limit} bytes")]
    LongNames {
        /// The bound, in bytes.
        limit: usize,
    },
    /// One object holds the same key twice, compared after decoding escapes.
    #[error("duplicate key at offset {offset}")]
    DuplicateKey {
        /// Where the later of the two keys starts.
        offset: usize,
    },
    /// A key that is a protocol key only after case folding, such as `Method` or `paramſ`.
    #[error("key at offset {offset} differs from a protocol key only by case")]
    CaseTwin {
        /// Where the key starts.
        offset: usize,
    },
    /// A `\u` escape names half of a surrogate pair.
    #[error("lone surrogate at offset {offset}")]
    LoneSurrogate {
        /// Where the escape starts.
        offset: usize,
    },
    /// Something other than white space follows the value.
    #[error("unexpected data after the value at offset {offset}")]
    Trailing {
        /// Where it starts.
        offset: usize,
    },
}

impl DecodeError {
    /// The JSON-RPC code that answers this error: always parse error, -32700.
    pub fn code(&self) -> i64 {
        crate::code::PARSE_ERROR
    }
}

/// The error on its way out of the pass: one word, so that what a step returns on every token
/// stays in registers.
pub(super) type Refusal = Box<DecodeError>;

#[cold]
pub(super) fn refusal(error: DecodeError) -> Refusal {
    Box::new(error)
}
