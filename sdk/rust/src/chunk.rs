//! Long answers in pieces: the types of the `on-chunk` hook.
//!
//! ```
//! use sluice_sdk::chunk::{ChunkVerdict, Chunked, Splice};
//! # use sluice_sdk::testing::FakeBatch;
//! # let batch = &FakeBatch::new().with_chunk("/result/content/0/text", "a secret");
//! let mut splices = Vec::new();
//! for (at, chunk) in batch.chunks().unwrap().iter().enumerate().filter(|(_, chunk)| !chunk.key) {
//!     // What begins in the part that is held comes again, and is whole then.
//!     let fresh = chunk.text.len() - chunk.held as usize;
//!     let found = chunk.text.match_indices("secret").filter(|(start, _)| *start < fresh);
//!     splices.extend(found.map(|(start, found)| Splice::new(at as u32, start as u32..(start + found.len()) as u32, "***")));
//! }
//! assert_eq!(batch.edited(&ChunkVerdict::Edit(splices)), ["a ***"]);
//! ```

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::exchange::AccessError;
use crate::verdict::Rejection;

pub use crate::bindings::base::sluice::filter::chunks::{Chunk, Hit as ChunkHit};
pub use crate::bindings::on_chunk::exports::sluice::filter::on_chunk::{ChunkVerdict, Splice};

#[cfg(target_family = "wasm")]
pub use crate::bindings::base::sluice::filter::chunks::Batch;
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::FakeBatch as Batch;

/// What can be asked of a batch. Imports `sluice:filter/chunks`.
pub trait Chunked {
    /// The texts in the order of the answer. Two are never of one string.
    fn chunks(&self) -> Result<Vec<Chunk>, AccessError>;
    /// All hits of a set ([`patterns::define`](crate::patterns::define)), whole however the text is cut.
    fn scan(&self, set: &str) -> Result<Vec<ChunkHit>, AccessError>;
    /// The answer ends here.
    fn ends(&self) -> bool;
}

#[cfg(target_family = "wasm")]
impl Chunked for Batch {
    fn chunks(&self) -> Result<Vec<Chunk>, AccessError> {
        Batch::chunks(self)
    }
    fn scan(&self, set: &str) -> Result<Vec<ChunkHit>, AccessError> {
        Batch::scan(self, set)
    }
    fn ends(&self) -> bool {
        Batch::ends(self)
    }
}

impl Splice {
    /// Replaces bytes of the text of a chunk.
    pub fn new(chunk: u32, range: core::ops::Range<u32>, text: &str) -> Self {
        Splice { chunk, start: range.start, end: range.end, text: text.to_string() }
    }
}

impl From<Vec<Splice>> for ChunkVerdict {
    fn from(splices: Vec<Splice>) -> Self {
        if splices.is_empty() { ChunkVerdict::Next } else { ChunkVerdict::Edit(splices) }
    }
}

impl From<Rejection> for ChunkVerdict {
    fn from(no: Rejection) -> Self {
        ChunkVerdict::Reject(no)
    }
}

/// Only in tests: in a component the host makes chunks.
#[cfg(not(target_family = "wasm"))]
impl Chunk {
    /// A whole string.
    pub fn whole(pointer: &str, text: &str) -> Self {
        Chunk { pointer: pointer.to_string(), key: false, offset: 0, text: text.to_string(), held: 0, last: true }
    }
}
