//! Strict JSON: one validating pass, an index over the sender's bytes, and readers for it.
//!
//! The pass refuses what other parsers disagree about: duplicate keys (compared after
//! decoding), keys that are a protocol key only after case folding, lone surrogates, raw
//! control bytes, byte-order marks and anything after the value. Bounds on size, depth and
//! node count come from the caller as [`Limits`].

mod canonical;
mod cursor;
mod document;
mod error;
mod incremental;
mod keys;
mod leaves;
mod parse;
mod strings;
mod text;
mod value;

pub use canonical::canonical;
pub use document::{Document, NodeId};
pub use error::DecodeError;
pub use incremental::{Incremental, PassingLimits, Place, Sink, Token};
pub use leaves::{Leaf, Leaves};
pub use text::{decode_str, escape_into, quote, quote_into};
pub use value::{Items, Key, Kind, Member, Members, Value};

pub(crate) use text::{Piece, Pieces};

/// Bounds the strict pass enforces on one JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text accepted, in bytes. Values above 2 GiB act as 2 GiB.
    pub bytes_max: usize,
    /// Most containers open at once; `[[1]]` needs 2.
    pub depth_max: u16,
    /// Most nodes in the text: every value and every object key counts one.
    pub nodes_max: u32,
}

impl Limits {
    /// For what a client sends: 4 MiB, 64 levels, 200 000 nodes.
    pub const REQUEST: Limits = Limits { bytes_max: 4 * 1024 * 1024, depth_max: 64, nodes_max: 200_000 };
    /// For what a server answers: 16 MiB, 64 levels, 200 000 nodes.
    pub const RESPONSE: Limits = Limits { bytes_max: 16 * 1024 * 1024, depth_max: 64, nodes_max: 200_000 };
}

/// How deep the index reaches. Checking is always complete, whatever is chosen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexDepth {
    /// Every value gets a node.
    Full,
    /// Only values at this level or above get a node: the root is level 0, its members 1,
    /// members of `params` 2, members of `params._meta` 3.
    Levels(u16),
}

/// Checks that `bytes` hold exactly one JSON value within `limits`, without building an index.
///
/// Meant for values written by someone else and about to be placed inside a message, so the
/// rule on case twins of envelope keys does not apply here (`{"ID":1}` is a fine argument).
/// [`Document::parse`] applies it.
///
/// # Errors
/// The first [`DecodeError`] met.
pub fn validate(bytes: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    parse::Pass::new(bytes, limits, None, false)?.run().map(drop)
}

#[cfg(test)]
mod tests;
