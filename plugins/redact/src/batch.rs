//! A ruling on one batch of a long answer.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use sluice_sdk::chunk::ChunkHit;
use sluice_sdk::prelude::*;

use crate::config::Action;
use crate::found::{Found, Held};
use crate::places;
use crate::policy::{NOT_EXAMINED, Policy, REFUSED, Way, no, told};

/// Why a batch cannot go on.
enum Stop {
    /// Its data cannot be taken out.
    Stuck,
    /// Policy says so, because of a detector's data.
    Refused(usize),
}

impl Policy {
    /// Looks through a batch, and rules.
    pub fn rule_batch(&self, head: &Head, batch: &impl Chunked, x: &impl Facts) -> ChunkVerdict {
        let Some(way) = self.way(Direction::ToClient) else { return ChunkVerdict::Next };
        let Ok(hits) = batch.scan(way.set) else {
            return no(head, NOT_EXAMINED, "this message has too much in it that looks like personal data or secrets").into();
        };
        if hits.is_empty() {
            return ChunkVerdict::Next;
        }
        let found = match self.sift_batch(way, hits, batch) {
            Ok(found) => found,
            Err(Stop::Stuck) => {
                return no(head, NOT_EXAMINED, "personal data or secrets in this message could not be taken out").into();
            }
            Err(Stop::Refused(detector)) => {
                let text = alloc::format!("this message holds what looks like data of the kind {}", self.name(detector));
                return no(head, REFUSED, &text).into();
            }
        };
        let kept = match self.kept(head, found.values().flat_map(|found| &found.spans), x) {
            Ok(kept) => kept,
            Err(why) => return no(head, NOT_EXAMINED, told(why)).into(),
        };
        let restored = self.restored(head, found.values().flat_map(|found| &found.tokens), x);
        self.note(head.kind, found.values().flat_map(|found| &found.spans), x);
        let mut splices = Vec::new();
        for (chunk, found) in &found {
            splices.extend(found.spans.iter().map(|span| Splice::new(*chunk, span.start..span.end, &self.write(span, &kept))));
            let tokens = found.tokens.iter().filter_map(|held| Some(Splice::new(*chunk, held.start..held.end, restored.get(&held.text)?)));
            splices.extend(tokens);
        }
        splices.into()
    }

    /// The real finds among the hits, by chunk.
    fn sift_batch(&self, way: Way, hits: Vec<ChunkHit>, batch: &impl Chunked) -> Result<BTreeMap<u32, Found>, Stop> {
        let mut found: BTreeMap<u32, Found> = BTreeMap::new();
        let mut unfinished = Vec::new();
        for hit in hits {
            if places::is_protocol(&hit.pointer, hit.key) {
                continue;
            }
            let Some(owner) = self.owner(way, hit.pattern) else {
                // No token goes on behind its end, and a name stays as it is.
                if way.restores && !hit.key {
                    let held = Held { start: hit.start, end: hit.end, text: hit.text };
                    found.entry(hit.chunk).or_default().tokens.push(held);
                }
                continue;
            };
            let spans = self.spans(owner, hit.start, &hit.text);
            if hit.cut {
                // It may go on, and what it is shows when it comes again, whole: unless it began before what is held.
                if begins_in_held(batch, hit.chunk, hit.start) {
                    unfinished.push((hit.chunk, hit.start));
                } else if !spans.is_empty() {
                    return Err(Stop::Stuck);
                }
                continue;
            }
            if spans.iter().any(|span| span.action == Action::Refuse) {
                return Err(Stop::Refused(owner));
            }
            if hit.key && !spans.is_empty() {
                return Err(Stop::Stuck);
            }
            if !spans.is_empty() {
                found.entry(hit.chunk).or_default().spans.extend(spans);
            }
        }
        found.values_mut().for_each(Found::settle);
        if found.values().any(|found| !found.tokens.is_empty()) {
            keep_in_addresses(batch, &mut found);
        }
        // Behind an edit nothing comes again that began before its end. A token can wait.
        for (chunk, start) in unfinished {
            let Some(found) = found.get_mut(&chunk) else { continue };
            if found.spans.iter().any(|span| span.end > start) {
                return Err(Stop::Stuck);
            }
            found.tokens.retain(|held| held.end <= start);
        }
        Ok(found)
    }
}

/// Forgets the tokens within an address. Of one that began before its window nothing is known but that whitespace would have ended most.
fn keep_in_addresses(batch: &impl Chunked, found: &mut BTreeMap<u32, Found>) {
    let chunks = batch.chunks().unwrap_or_default();
    for (chunk, found) in found.iter_mut() {
        match chunks.get(*chunk as usize) {
            Some(chunk) => found.keep_in_addresses(&chunk.text, chunk.offset > 0),
            None => found.tokens.clear(),
        }
    }
}

/// Seldom asked: the texts are copied for it.
fn begins_in_held(batch: &impl Chunked, chunk: u32, start: u32) -> bool {
    let chunks = batch.chunks().unwrap_or_default();
    chunks.get(chunk as usize).is_some_and(|chunk| start as usize >= chunk.text.len() - chunk.held as usize)
}
