//! A batch of a long answer, in a test.

use crate::chunk::{Chunk, ChunkHit, ChunkVerdict, Chunked};
use crate::exchange::AccessError;

use super::host::{self, HITS_MAX};

/// What [`Batch`](crate::chunk::Batch) is natively.
#[derive(Debug, Clone, Default)]
pub struct FakeBatch {
    chunks: Vec<Chunk>,
    ends: bool,
}

impl FakeBatch {
    /// Without chunks.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a whole string.
    pub fn with_chunk(self, pointer: &str, text: &str) -> Self {
        self.with(Chunk::whole(pointer, text))
    }

    /// With the name of a member.
    pub fn with_key(self, pointer: &str, name: &str) -> Self {
        self.with(Chunk { key: true, ..Chunk::whole(pointer, name) })
    }

    /// With a window that is not the last of its string, of which so many bytes come again.
    pub fn with_window(self, pointer: &str, offset: u64, text: &str, held: u32) -> Self {
        self.with(Chunk { offset, held, last: false, ..Chunk::whole(pointer, text) })
    }

    /// With this one.
    pub fn with(mut self, chunk: Chunk) -> Self {
        self.chunks.push(chunk);
        self
    }

    /// The last of its answer.
    pub fn ending(mut self) -> Self {
        self.ends = true;
        self
    }

    /// The texts as a verdict leaves them, held parts and all.
    ///
    /// # Panics
    /// Where the real host would call it a fault: edits that overlap, or of a name, or of what is not there.
    pub fn edited(&self, verdict: &ChunkVerdict) -> Vec<String> {
        let mut texts: Vec<String> = self.chunks.iter().map(|chunk| chunk.text.clone()).collect();
        let ChunkVerdict::Edit(splices) = verdict else { return texts };
        let mut sorted: Vec<_> = splices.iter().collect();
        sorted.sort_by_key(|splice| (splice.chunk, splice.start, splice.end));
        for pair in sorted.windows(2) {
            assert!(pair[0].chunk != pair[1].chunk || pair[0].end <= pair[1].start, "edits overlap: {pair:?}");
        }
        for splice in sorted.into_iter().rev() {
            assert!(!self.chunks[splice.chunk as usize].key, "names cannot be changed");
            texts[splice.chunk as usize].replace_range(splice.start as usize..splice.end as usize, &splice.text);
        }
        texts
    }
}

impl Chunked for FakeBatch {
    fn chunks(&self) -> Result<Vec<Chunk>, AccessError> {
        Ok(self.chunks.clone())
    }

    fn scan(&self, set: &str) -> Result<Vec<ChunkHit>, AccessError> {
        host::with(|host| {
            let set = host.sets.get(set).ok_or_else(|| AccessError::Denied(format!("no set of patterns is called {set}")))?;
            let mut hits = Vec::new();
            for (at, chunk) in self.chunks.iter().enumerate() {
                let fresh = chunk.text.len() - chunk.held as usize;
                let of_one = |(pattern, regex): (usize, &regex::Regex)| {
                    regex.find_iter(&chunk.text).map(|found| (found.start(), found.end(), pattern)).collect::<Vec<_>>()
                };
                let mut found: Vec<_> = set.iter().enumerate().flat_map(of_one).collect();
                found.sort_unstable();
                // What overlaps one that begins before the held bytes is told with it.
                let mut horizon = if chunk.last { chunk.text.len() + 1 } else { fresh };
                for (start, end, pattern) in found {
                    if start >= horizon {
                        break;
                    }
                    horizon = horizon.max(end);
                    hits.push(ChunkHit {
                        chunk: at as u32,
                        pointer: chunk.pointer.clone(),
                        key: chunk.key,
                        start: start as u32,
                        end: end as u32,
                        pattern: pattern as u32,
                        text: chunk.text[start..end].to_string(),
                        cut: !chunk.last && end == chunk.text.len(),
                    });
                }
            }
            if hits.len() > HITS_MAX { Err(AccessError::TooLarge) } else { Ok(hits) }
        })
    }

    fn ends(&self) -> bool {
        self.ends
    }
}
