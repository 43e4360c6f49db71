//! `chunks`: the lent batch of `on-chunk`, and what a guest may make of it.

use super::{
    bindings::{
        exports::sluice::filter::on_chunk::{ChunkVerdict as Said, Splice as Wanted},
        sluice::filter::{
            chunks::{Chunk as Shown, Hit, Host, HostBatch},
            types::AccessError,
        },
    },
    convert::{self, bad},
    exchange::denied,
    patterns::{HITS_MAX, STRIDE},
    payload::is_protocol_key,
};
use crate::{guest::Guest, patterns::PatternSet, settings::Power};
use sluice_chain::{
    chunk::{Batch, Chunk, ChunkVerdict, Splice},
    fault::Fault,
};
use std::sync::Arc;
use wasmtime::component::Resource;

/// The batch lent for a call; as with [`super::exchange::Exchange`], what it means lies in the store.
pub struct LentBatch;

/// The handle for the call that is about to begin.
pub(crate) fn lent() -> Resource<LentBatch> {
    Resource::new_borrow(1)
}

/// Of a chunk and of a hit beside their texts.
const RECORD_BYTES: usize = 40;
/// Of the texts that one verdict puts in; more than a filter that makes things shorter or as long ever needs.
const EDITS_BYTES_MAX: usize = 1 << 20;
/// The host decides by it what kind of result it is.
const RESULT_TYPE: &str = "/result/resultType";
const META: &str = "/result/_meta/";

impl Guest {
    fn batch(&self, power: Power) -> Result<Arc<Batch>, AccessError> {
        let batch = self.lent.batch.clone().filter(|_| self.may(power));
        batch.ok_or_else(|| denied(power))
    }

    async fn scan_batch(&mut self, batch: &Batch, set: &PatternSet) -> Result<Result<Vec<Hit>, AccessError>, Fault> {
        let (mut hits, mut searched, mut left) = (Vec::new(), 0, self.budget.bytes_left());
        for (at, chunk) in batch.chunks.iter().enumerate().filter(|(_, chunk)| !is_protocol(&chunk.pointer)) {
            let fresh = chunk.text.len() - chunk.held;
            let before = chunk.before.map_or(0, char::len_utf8);
            let mut around = String::new();
            let text = match chunk.before {
                None => chunk.text.as_str(),
                Some(before) => {
                    around.reserve(chunk.text.len() + 4);
                    around.push(before);
                    around.push_str(&chunk.text);
                    &around
                }
            };
            let mut found = Vec::new();
            set.search_from(text, before, |pattern, range| {
                found.push(Found { start: range.start - before, end: range.end - before, pattern });
                found.len() <= HITS_MAX
            });
            if found.len() > HITS_MAX {
                return Ok(Err(AccessError::TooLarge));
            }
            if !chunk.last {
                told_now(&mut found, fresh);
            }
            for Found { start, end, pattern } in found {
                let after = left.checked_sub(chunk.pointer.len() + (end - start) + RECORD_BYTES);
                let Some(after) = after.filter(|_| hits.len() < HITS_MAX) else { return Ok(Err(AccessError::TooLarge)) };
                left = after;
                hits.push(Hit {
                    chunk: at as u32,
                    pointer: chunk.pointer.to_string(),
                    key: chunk.key,
                    start: start as u32,
                    end: end as u32,
                    pattern: pattern as u32,
                    text: chunk.text[start..end].to_owned(),
                    cut: !chunk.last && end == chunk.text.len(),
                });
            }
            searched += chunk.text.len() + 16;
            if searched >= STRIDE {
                searched = 0;
                self.budget.breathe().await?;
            }
        }
        Ok(Ok(hits))
    }
}

/// What one pattern finds in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    start: usize,
    end: usize,
    pattern: usize,
}

/// Leaves what begins before the held bytes, and what overlaps that: an edit may reach into it, and then it does not come again.
fn told_now(found: &mut Vec<Found>, fresh: usize) {
    found.sort_unstable();
    let mut horizon = fresh;
    let told = found.iter().take_while(|found| {
        let is_told = found.start < horizon;
        if is_told {
            horizon = horizon.max(found.end);
        }
        is_told
    });
    let told = told.count();
    found.truncate(told);
}

impl Host for Guest {}

impl HostBatch for Guest {
    fn chunks(&mut self, _: Resource<LentBatch>) -> wasmtime::Result<Result<Vec<Shown>, AccessError>> {
        self.entered(0)?;
        let batch = match self.batch(Power::Payload) {
            Ok(batch) => batch,
            Err(error) => return Ok(Err(error)),
        };
        self.hand_over(batch.chunks.iter().map(|chunk| chunk.pointer.len() + chunk.text.len() + RECORD_BYTES).sum())?;
        Ok(Ok(batch.chunks.iter().map(shown).collect()))
    }

    async fn scan(&mut self, _: Resource<LentBatch>, set: String) -> wasmtime::Result<Result<Vec<Hit>, AccessError>> {
        self.entered(set.len())?;
        let batch = match self.batch(Power::Patterns) {
            Ok(batch) => batch,
            Err(error) => return Ok(Err(error)),
        };
        let Some((_, set)) = self.sets.iter().find(|(known, _)| **known == *set) else {
            return Ok(Err(AccessError::Denied(format!("no set of patterns is called {set}"))));
        };
        let set = set.clone();
        match self.scan_batch(&batch, &set).await? {
            Ok(hits) => {
                self.hand_over(hits.iter().map(|hit| hit.pointer.len() + hit.text.len() + RECORD_BYTES).sum())?;
                Ok(Ok(hits))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn ends(&mut self, _: Resource<LentBatch>) -> wasmtime::Result<bool> {
        self.entered(0)?;
        Ok(self.lent.batch.as_ref().is_some_and(|batch| batch.ends))
    }

    fn drop(&mut self, _: Resource<LentBatch>) -> wasmtime::Result<()> {
        Ok(())
    }
}

fn shown(chunk: &Chunk) -> Shown {
    Shown {
        pointer: chunk.pointer.to_string(),
        key: chunk.key,
        offset: chunk.offset,
        text: chunk.text.clone(),
        held: chunk.held as u32,
        last: chunk.last,
    }
}

/// Is this a member of `_meta` that is the protocol's, or something in it?
fn is_protocol(pointer: &str) -> bool {
    let Some(rest) = pointer.strip_prefix(META) else { return false };
    let key = rest.split('/').next().unwrap_or_default();
    is_protocol_key(&key.replace("~1", "/").replace("~0", "~"))
}

/// A guest's answer, checked.
pub(crate) fn verdict(said: Said, batch: &Batch, guest: &Guest) -> Result<ChunkVerdict, Fault> {
    match said {
        Said::Next => Ok(ChunkVerdict::Next),
        Said::Edit(_) if !guest.may(Power::Payload) => Err(bad("it edits what it may not read")),
        Said::Edit(splices) => edit(splices, batch),
        Said::Reject(no) => convert::rejection(no, guest.limits()).map(ChunkVerdict::Reject),
        Said::Other((what, _)) => Err(convert::unknown(&what)),
    }
}

fn edit(splices: Vec<Wanted>, batch: &Batch) -> Result<ChunkVerdict, Fault> {
    if splices.iter().map(|splice| splice.text.len()).sum::<usize>() > EDITS_BYTES_MAX {
        return Err(bad(format!("its edits of one batch put in more than {EDITS_BYTES_MAX} bytes")));
    }
    let mut edits = splices.into_iter().map(|wanted| splice(wanted, batch)).collect::<Result<Vec<_>, _>>()?;
    edits.sort_by_key(|edit| (edit.chunk, edit.range.start, edit.range.end));
    if edits.windows(2).any(|pair| pair[0].chunk == pair[1].chunk && pair[0].range.end > pair[1].range.start) {
        return Err(bad("its edits overlap"));
    }
    Ok(if edits.is_empty() { ChunkVerdict::Next } else { ChunkVerdict::Edit(edits) })
}

fn splice(wanted: Wanted, batch: &Batch) -> Result<Splice, Fault> {
    let at = wanted.chunk as usize;
    let Some(chunk) = batch.chunks.get(at) else { return Err(bad("it edits a chunk that is not in the batch")) };
    if chunk.key {
        return Err(bad("it edits the name of a member, which cannot be changed"));
    }
    if is_protocol(&chunk.pointer) || *chunk.pointer == *RESULT_TYPE {
        return Err(bad("it edits what is the protocol's"));
    }
    let range = wanted.start as usize..wanted.end as usize;
    if range.start > range.end || chunk.text.get(range.clone()).is_none() {
        return Err(bad("it edits bytes that are not in the text, or not whole characters"));
    }
    Ok(Splice { chunk: at, range, text: wanted.text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let chunk = |pointer: &str, key, text: &str| Chunk {
            pointer: pointer.into(),
            key,
            offset: 0,
            before: None,
            text: text.into(),
            held: 0,
            last: true,
        };
        let chunks = vec![
            chunk("/result/content/0/text", false, "aéb"),
            chunk("/result/structuredContent/k", true, "k"),
            chunk("/result/resultType", false, "complete"),
            chunk("/result/_meta/io.modelcontextprotocol~1serverInfo/name", false, "n"),
            chunk("/result/_meta/own", false, "o"),
        ];
        Batch { chunks, ends: false }
    }

    #[test]
    fn what_begins_in_what_is_held_is_told_where_it_overlaps() {
        let found = |start, end| Found { start, end, pattern: 0 };
        let mut all = vec![found(30, 40), found(0, 5), found(18, 25), found(24, 31), found(8, 20), found(41, 50)];
        told_now(&mut all, 10);
        assert_eq!(all, [found(0, 5), found(8, 20), found(18, 25), found(24, 31), found(30, 40)]);
        let mut all = vec![found(10, 15), found(0, 10)];
        told_now(&mut all, 10);
        assert_eq!(all, [found(0, 10)]);
    }

    #[test]
    fn edits_are_of_texts_between_characters_and_do_not_overlap() {
        let wanted = |chunk, start, end| Wanted { chunk, start, end, text: "-".into() };
        let good = edit(vec![wanted(0, 3, 4), wanted(4, 0, 1), wanted(0, 0, 1), wanted(0, 1, 3)], &batch()).unwrap();
        let ChunkVerdict::Edit(edits) = good else { panic!("{good:?}") };
        assert_eq!(
            edits.iter().map(|edit| (edit.chunk, edit.range.clone())).collect::<Vec<_>>(),
            [(0, 0..1), (0, 1..3), (0, 3..4), (4, 0..1)]
        );
        assert_eq!(edit(Vec::new(), &batch()).unwrap(), ChunkVerdict::Next);
        for bad in [
            vec![wanted(0, 0, 2)],
            vec![wanted(0, 2, 3)],
            vec![wanted(0, 0, 5)],
            vec![wanted(0, 3, 1)],
            vec![wanted(0, 0, 3), wanted(0, 1, 4)],
            vec![wanted(1, 0, 1)],
            vec![wanted(2, 0, 1)],
            vec![wanted(3, 0, 1)],
            vec![wanted(5, 0, 0)],
        ] {
            assert!(edit(bad.clone(), &batch()).is_err(), "{bad:?}");
        }
    }
}
