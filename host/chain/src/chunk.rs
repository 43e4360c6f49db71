//! Texts of an answer that is too long to be held, as filters get them and what they say about them.

use crate::{attributes::Attributes, exchange::Head, principal::Principal, subcall::Origin, verdict::Rejection};
use sluice_wire::message::Message;
use std::{ops::Range, sync::Arc, time::Instant};

/// Text in one batch, in bytes; a little more where a piece crosses it.
pub const BATCH_BYTES: usize = 64 << 10;
/// Texts in one batch.
pub const BATCH_CHUNKS_MAX: usize = 1024;
/// Most that a filter may ask to have held back of a window.
pub const OVERLAP_MAX: usize = 16 << 10;

/// One string of the answer, one window of a long one, or the name of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// RFC 6901, of the string or of the member.
    pub pointer: Arc<str>,
    /// It is the name: whole, and not to be changed.
    pub key: bool,
    /// Bytes of the decoded string before this window, as this filter received them.
    pub offset: u64,
    /// The character before it, for searches that look back.
    pub before: Option<char>,
    /// Decoded.
    pub text: String,
    /// Bytes at the end of `text` that come again.
    pub held: usize,
    /// The string ends with it.
    pub last: bool,
}

/// What one hook call is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of the answer.
    pub chunks: Vec<Chunk>,
    /// The answer ends here.
    pub ends: bool,
}

/// A batch as it is lent to a filter for one hook call.
pub struct ChunkPass<'e> {
    /// The cheap facts.
    pub head: &'e Head,
    /// Who asks; also what instances are keyed by.
    pub principal: &'e Principal,
    /// Facts and labels. A filter adds its own; a call that fails leaves them as they were.
    pub attributes: &'e mut Attributes,
    /// The texts.
    pub batch: &'e Arc<Batch>,
    /// Bytes of the answer that have come so far.
    pub bytes: usize,
    /// The request as this filter left it.
    pub asked: Option<Arc<Message>>,
    /// When the call began.
    pub began: Instant,
    /// What its exchange is made of, for calls of the filter's own; none in tests.
    pub origin: Option<Origin<'e>>,
}

/// Puts a text in the place of a part of a chunk's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// Index into the batch; not of a name.
    pub chunk: usize,
    /// Bytes of the chunk's text, between characters.
    pub range: Range<usize>,
    /// What is put there.
    pub text: String,
}

/// A filter's word on a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkVerdict {
    /// Let it go on.
    Next,
    /// The same, changed: in the order of the texts, without overlap.
    Edit(Vec<Splice>),
    /// The answer breaks off here.
    Reject(Rejection),
}
