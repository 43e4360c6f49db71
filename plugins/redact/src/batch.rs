//! A ruling on one batch of a long answer.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use sluice_sdk::chunk::ChunkHit;
use sluice_sdk::prelude::*;

use crate::config::{Action, Directions};
use crate::places;
use crate::policy::{NOT_EXAMINED, Policy, REFUSED, no};
use crate::spans::{self, Span};

/// Why a batch cannot go on.
enum Stop {
    /// Its data cannot be taken out.
    Stuck,
    /// Policy says so, because of a detector's data.
    Refused(usize),
}

impl Policy {
    /// Looks through a batch, and rules.
    pub fn rule_batch(&self, head: &Head, batch: &impl Chunked, x: &impl Facts, set: &str) -> ChunkVerdict {
        if self.directions == Directions::Request {
            return ChunkVerdict::Next;
        }
        let Ok(hits) = batch.scan(set) else {
            return no(head, NOT_EXAMINED, "this message has too much in it that looks like personal data or secrets").into();
        };
        if hits.is_empty() {
            return ChunkVerdict::Next;
        }
        match self.sift_batch(hits, batch) {
            Ok(found) => {
                self.note(head.kind, found.values().flatten(), x);
                let splices = found
                    .iter()
                    .flat_map(|(chunk, spans)| spans.iter().map(|span| Splice::new(*chunk, span.start..span.end, &self.write(span))));
                splices.collect::<Vec<_>>().into()
            }
            Err(Stop::Stuck) => no(head, NOT_EXAMINED, "personal data or secrets in this message could not be taken out").into(),
            Err(Stop::Refused(detector)) => {
                let text = alloc::format!("this message holds what looks like data of the kind {}", self.name(detector));
                no(head, REFUSED, &text).into()
            }
        }
    }

    /// The real finds among the hits, by chunk.
    fn sift_batch(&self, hits: Vec<ChunkHit>, batch: &impl Chunked) -> Result<BTreeMap<u32, Vec<Span>>, Stop> {
        let mut found: BTreeMap<u32, Vec<Span>> = BTreeMap::new();
        let mut unfinished = Vec::new();
        for hit in hits {
            let Some(owner) = self.owner(hit.pattern).filter(|_| !places::is_protocol(&hit.pointer, hit.key)) else { continue };
            let parts: Vec<_> = self.parts(owner, &hit.text).collect();
            if hit.cut {
                // It may go on, and what it is shows when it comes again, whole: unless it began before what is held.
                if begins_in_held(batch, hit.chunk, hit.start) {
                    unfinished.push((hit.chunk, hit.start));
                } else if !parts.is_empty() {
                    return Err(Stop::Stuck);
                }
                continue;
            }
            for part in parts {
                let span = Span {
                    start: hit.start + part.start as u32,
                    end: hit.start + part.end as u32,
                    text: String::from(&hit.text[part.clone()]),
                    detector: owner,
                    action: self.action(owner),
                };
                if span.action == Action::Refuse {
                    return Err(Stop::Refused(owner));
                }
                if hit.key {
                    return Err(Stop::Stuck);
                }
                found.entry(hit.chunk).or_default().push(span);
            }
        }
        // Behind an edit nothing comes again that began before its end.
        let is_lost = |(chunk, start): &(u32, u32)| found.get(chunk).is_some_and(|spans| spans.iter().any(|span| span.end > *start));
        if unfinished.iter().any(is_lost) {
            return Err(Stop::Stuck);
        }
        for spans in found.values_mut() {
            *spans = spans::join(core::mem::take(spans));
        }
        Ok(found)
    }
}

/// Seldom asked: the texts are copied for it.
fn begins_in_held(batch: &impl Chunked, chunk: u32, start: u32) -> bool {
    let chunks = batch.chunks().unwrap_or_default();
    chunks.get(chunk as usize).is_some_and(|chunk| start as usize >= chunk.text.len() - chunk.held as usize)
}
